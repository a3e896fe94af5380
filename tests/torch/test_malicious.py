"""Weight files made to run code, to exhaust memory, or to be something else than they seem: none is read, none has an effect.

Hostile safetensors, indexes, TF checkpoints and configurations are in tests/core/test_formats.py.
"""

import io
import os
import pickle
import random
import runpy
import shutil
import stat
import subprocess
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import SECTION

from wholeword.core.bert.config import model_config
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import to_json
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.zoo.folder import Folder

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *dict.fromkeys("使用语言模型来预测下一个词")])
CONFIG = model_config(SECTION, vocab_size=len(VOCABULARY))
STATE = {
    name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in to_framework(initial_weights(CONFIG, 1), "transformers").items()
}
NAME = "bert.pooler.dense.bias"


class Call:
    """Unpickling it calls the function."""

    def __init__(self, function: Any, *arguments: Any):
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def payloads(marker: str) -> dict[str, Any]:
    """Each makes a file or folder called `marker`."""
    code = f"open({marker!r}, 'w').close()"
    return {
        "os.system": Call(os.system, f"touch {marker}"),
        "subprocess": Call(subprocess.check_call, ["touch", marker]),
        "eval": Call(eval, code),
        "exec": Call(exec, code),
        "open": Call(open, marker, "w"),
        "mkdir": Call(os.mkdir, marker),
        "Path.touch": Call(Path.touch, Path(marker)),
        "copyfile": Call(shutil.copyfile, "vocab.txt", marker),
        "runpy": Call(runpy.run_path, "evil.py"),
        "torch.load": Call(_load_anything, "evil.bin"),
        "numpy objects": np.array([Call(os.mkdir, marker)], object),
        "a subclass of dict": Call(_Dict, marker),
    }


def _load_anything(path: str) -> Any:
    return torch.load(path, weights_only=False)


class _Dict(dict):  # type: ignore[type-arg]
    def __init__(self, marker: str):
        Path(marker).touch()


def as_zip(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def as_legacy(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def as_pickle(content: Any) -> bytes:
    return pickle.dumps({name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in content.items()}, 2)


CONTAINERS: dict[str, tuple[str, Callable[[Any], bytes]]] = {
    "zip": ("pytorch_model.bin", as_zip),
    "legacy": ("pytorch_model.bin", as_legacy),
    "pickle": ("pytorch_model.bin", as_pickle),
    "pdparams": ("model_state.pdparams", as_pickle),
}
PAYLOADS = list(payloads(""))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All of a model but its weights; the working directory."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_bytes(to_json(CONFIG.to_dict()))
    (path / "vocab.txt").write_bytes(VOCABULARY.to_bytes())
    (path / "evil.py").write_text("open('marker', 'w').close()")
    (path / "evil.bin").write_bytes(as_zip(Call(os.mkdir, "marker")))
    monkeypatch.chdir(path)
    return path


def assert_refused(folder: Path, *, kinds: Any = (IntegrityError, UserError)) -> None:
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(kinds) as caught:
        Folder().read(str(folder))
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
    assert sorted(folder.parent.rglob("*")) == before


def test_the_model_itself_is_read(folder: Path) -> None:
    """So that what is refused below is refused for the right reason."""
    for container in ("zip", "legacy"):
        file, pack = CONTAINERS[container]
        (folder / file).write_bytes(pack(STATE))
        assert np.array_equal(Folder().read(str(folder)).weights["bert/pooler/dense/bias"], STATE[NAME].numpy())


@pytest.mark.parametrize("what", PAYLOADS)
def test_the_payloads_would_work(folder: Path, what: str) -> None:
    pickle.loads(pickle.dumps(payloads("marker")[what], 2))
    assert (folder / "marker").exists()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("what", PAYLOADS)
def test_no_pickle_runs_code(folder: Path, what: str, container: str) -> None:
    file, pack = CONTAINERS[container]
    (folder / file).write_bytes(pack(STATE | {NAME: payloads("marker")[what]}))
    assert_refused(folder, kinds=IntegrityError)


class _Storage:
    """Stands for a storage of 4 PB in a pickle of the old kind."""


def legacy_bomb() -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", 10**15, None) if isinstance(item, _Storage) else None

    buffer = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
        pickle.dump(part, buffer, 2)
    Pickler(buffer, 2).dump({NAME: Call(torch._utils._rebuild_tensor_v2, _Storage(), 0, (10**15,), (1,), False, OrderedDict())})
    pickle.dump(["0"], buffer, 2)
    return buffer.getvalue()


def rezip(change: Callable[[zipfile.ZipFile, zipfile.ZipFile], None]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(as_zip(STATE))) as source, zipfile.ZipFile(buffer, "w") as target:
        change(source, target)
    return buffer.getvalue()


def copy(source: zipfile.ZipFile, target: zipfile.ZipFile, compression: int = zipfile.ZIP_STORED, pad: int = 0) -> None:
    for name in source.namelist():
        target.writestr(name, source.read(name) + b" " * (pad if name.endswith("data.pkl") else 0), compression)


def add(source: zipfile.ZipFile, target: zipfile.ZipFile, name: str, mode: int = 0) -> None:
    copy(source, target)
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    target.writestr(info, b"x")


def add_many(source: zipfile.ZipFile, target: zipfile.ZipFile) -> None:
    copy(source, target)
    for number in range(1001):
        target.writestr(f"archive/data/x{number}", b"")


def overlapping(content: bytes) -> bytes:
    """The last member's place is that of the first."""
    start = content.rindex(b"PK\1\2") + 42
    return content[:start] + bytes(4) + content[start + 4 :]


ZEROS = torch.zeros(1)
BINS: dict[str, Callable[[], bytes]] = {
    "deflated bomb": lambda: rezip(lambda source, target: copy(source, target, zipfile.ZIP_DEFLATED)),
    "other compression": lambda: rezip(lambda source, target: copy(source, target, zipfile.ZIP_LZMA)),
    "shape bomb by strides": lambda: as_zip(STATE | {NAME: ZEROS.expand(10**6, 10**6)}),
    "half shape bomb": lambda: as_zip(STATE | {NAME: ZEROS.half().expand(2**40)}),
    "legacy shape bomb": lambda: as_legacy(STATE | {NAME: ZEROS.expand(10**6, 10**6)}),
    "legacy storage bomb": legacy_bomb,
    "long pickle": lambda: rezip(lambda source, target: copy(source, target, pad=17 << 20)),
    "member leads outside": lambda: rezip(lambda source, target: add(source, target, "../evil")),
    "link": lambda: rezip(lambda source, target: add(source, target, "archive/evil", stat.S_IFLNK | 0o777)),
    "overlapping members": lambda: overlapping(as_zip(STATE)),
    "many members": lambda: rezip(add_many),
    "pickle, then zip": lambda: as_pickle({"x": 1}) + as_zip(STATE),
    "zip, then more": lambda: as_zip(STATE) + bytes(100_000),
    "zip, then pickle": lambda: as_zip(STATE) + as_pickle({"x": 1}),
    "first half": lambda: as_zip(STATE)[: len(as_zip(STATE)) // 2],
    "legacy, cut": lambda: as_legacy(STATE)[:-1000],
    "sparse": lambda: as_zip(STATE | {NAME: torch.ones(32).to_sparse()}),
    "complex": lambda: as_zip(STATE | {NAME: torch.ones(32, dtype=torch.complex64)}),
    "meta": lambda: as_zip(STATE | {NAME: torch.ones(32, device="meta")}),
    "whole numbers": lambda: as_zip(STATE | {NAME: torch.ones(32, dtype=torch.int64)}),
    "another shape": lambda: as_zip(STATE | {NAME: torch.ones(33)}),
    "another rank": lambda: as_zip(STATE | {NAME: torch.ones(32, 1)}),
    "a scalar": lambda: as_zip(STATE | {NAME: torch.tensor(1.0)}),
    "unknown tensor": lambda: as_zip(STATE | {"bert.evil": torch.ones(3)}),
    "one tensor, two names": lambda: as_zip(
        STATE | {f"{part}.{kind}": torch.ones(32) for part in ["bert.embeddings.LayerNorm"] for kind in ("gamma", "weight")}
    ),
    "a number": lambda: as_zip(STATE | {NAME: 1.0}),
    "nested twice": lambda: as_zip({"model": STATE, "other": dict(STATE)}),
    "a list": lambda: as_zip(list(STATE.values())),
    "numbers as names": lambda: as_zip(dict(enumerate(STATE.values()))),
    "empty": lambda: b"",
    "nothing in it": lambda: as_zip({}),
    "a web page": lambda: b"<html>404</html>",
    "random": lambda: random.Random(3).randbytes(10_000),
}


@pytest.mark.parametrize("what", BINS)
def test_malformed_bins_are_refused(folder: Path, what: str) -> None:
    (folder / "pytorch_model.bin").write_bytes(BINS[what]())
    assert_refused(folder)


def test_shards_of_bins_are_read_and_checked(folder: Path) -> None:
    shards = {f"pytorch_model-{number + 1:05d}-of-00002.bin": dict(list(STATE.items())[number::2]) for number in range(2)}
    for shard, state in shards.items():
        (folder / shard).write_bytes(as_zip(state))
    index = {"weight_map": {name: shard for shard, state in shards.items() for name in state}}
    (folder / "pytorch_model.bin.index.json").write_bytes(to_json(index))
    found = to_framework(Folder().read(str(folder)).weights, "transformers")
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in STATE.items())
    shard = folder / min(shards)
    shard.write_bytes(as_zip({NAME: Call(os.mkdir, "marker")}))
    assert_refused(folder, kinds=IntegrityError)
    shard.unlink()
    assert_refused(folder, kinds=IntegrityError)


def test_truncations_and_flips_never_end_in_a_traceback(folder: Path) -> None:
    """A changed number shows only against a sha256; all else is refused."""
    generator, whole = random.Random(7), as_zip(STATE)
    for number in range(100):
        content = bytearray(whole[: generator.randrange(len(whole))] if number % 2 else whole)
        if number % 2 == 0:
            for _ in range(20):
                content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        (folder / "pytorch_model.bin").write_bytes(content)
        try:
            Folder().read(str(folder))
            assert number % 2 == 0
        except (IntegrityError, UserError):
            pass
