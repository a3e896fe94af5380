"""Every format that needs no framework, read back to the arrays that were written."""

import json
import math
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_formats import FORMATS, MODEL, VOCABULARY, assert_same, make_model, pickled, write_model

from wholeword.core.bert.names import to_framework
from wholeword.core.contracts import Provenance, Slots
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import write_manifest
from wholeword.core.formats.tensor_bundle import write_bundle
from wholeword.core.formats.tensors import write_tensors
from wholeword.exporters.paddlehub_module import PaddleHubModule
from wholeword.zoo.find import read_tokenizer
from wholeword.zoo.folder import Folder


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_written_is_read(tmp_path: Path, form: str) -> None:
    model = Folder().read(str(write_model(tmp_path, form)))
    assert_same(model, MODEL)
    assert model.next_sentence and model.provenance.missing is None
    write_manifest(tmp_path, {"provenance": {"name": "mine"}})
    assert Folder().read(str(tmp_path)).provenance.name == "mine"


@pytest.mark.parametrize("form", FORMATS)
def test_heads_that_are_not_there_are_named(tmp_path: Path, form: str) -> None:
    model = Folder().read(str(write_model(tmp_path, form, without=("cls/", "bert/pooler/"))))
    assert model.provenance.missing == ["pooler", "MLM head", "NSP head"] and not model.next_sentence
    assert np.array_equal(model.weights["bert/embeddings/word_embeddings"], MODEL.weights["bert/embeddings/word_embeddings"])


@pytest.mark.parametrize("form", ["safetensors", "PyTorch", "Paddle"])
def test_a_model_saved_without_its_prefix_is_read(tmp_path: Path, form: str) -> None:
    """As BertModel's own state dict has it."""
    write_model(tmp_path, form)
    tensors = to_framework({name: array for name, array in MODEL.weights.items() if name.startswith("bert/")}, FORMATS[form][1])
    FORMATS[form][2](tmp_path, {name.removeprefix("bert."): array for name, array in tensors.items()})
    model = Folder().read(str(tmp_path))
    assert all(np.array_equal(model.weights[name], array) for name, array in MODEL.weights.items() if name.startswith("bert/"))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("token_types", [2, 16])
def test_a_configuration_without_token_types_asks_the_tensor(tmp_path: Path, form: str, token_types: int) -> None:
    model = make_model(type_vocab_size=token_types)
    assert_same(Folder().read(str(write_model(tmp_path, form, model, type_vocab_size=None))), model)


def test_slots_are_counted_and_left_out(tmp_path: Path) -> None:
    slots = Folder().read(str(write_model(tmp_path, "TF checkpoint"))).provenance.slots
    assert slots == Slots(2 * len(MODEL.weights) + 1, 8 + 2 * sum(array.nbytes for array in MODEL.weights.values()))


def test_a_tf_checkpoint_is_found_under_any_name(tmp_path: Path) -> None:
    write_model(tmp_path, "TF checkpoint")
    assert_same(Folder().read(str(tmp_path / "bert_model.ckpt")), MODEL)
    for path in tmp_path.glob("bert_model.ckpt.*"):
        path.rename(tmp_path / path.name.replace("bert_model.ckpt", "model.ckpt-1000"))
    assert_same(Folder().read(str(tmp_path)), MODEL)
    write_bundle(tmp_path / "model.ckpt-2000", MODEL.weights)
    with pytest.raises(UserError, match=r"several TF checkpoints \(model.ckpt-1000, model.ckpt-2000\); specify one, for example"):
        Folder().read(str(tmp_path))
    assert_same(Folder().read(str(tmp_path / "model.ckpt-1000")), MODEL)


def test_a_paddlehub_module_is_read_from_its_assets(tmp_path: Path) -> None:
    write_model(tmp_path / "assets", "Paddle")
    (tmp_path / "module.py").write_text("raise SystemExit")
    assert_same(Folder().read(str(tmp_path)), MODEL)


def test_a_paddlehub_module_is_found_in_the_exporters_folder(tmp_path: Path) -> None:
    """Which has any name, where the module's has to be an identifier; the manifest is the outer folder's."""
    PaddleHubModule().export(MODEL._replace(provenance=Provenance(name="mine")), tmp_path)
    write_manifest(tmp_path, {"provenance": {"name": "mine"}})
    model = Folder().read(str(tmp_path))
    assert_same(model._replace(config=MODEL.config), MODEL)
    assert model.provenance.name == "mine" and read_tokenizer(str(tmp_path))[0].pieces == VOCABULARY.pieces
    with open(tmp_path / "mine" / "assets" / "vocab.txt", "a", encoding="utf-8") as file:
        file.write("x\n")
    with pytest.raises(IntegrityError, match=r"mine/assets/vocab\.txt: \d+ bytes, but \d+ were written"):
        Folder().read(str(tmp_path))


@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_is_read(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    folder = write_model(tmp_path / "chinese_wwm_L-2_H-32_A-4", form)
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path in folder.iterdir():
            file.write(path, f"{folder.name}/{path.name}")
    assert_same(Folder().read(str(tmp_path / "model.zip")), MODEL)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("keys", [{"model_type": "roberta"}, {"architectures": ["RobertaForMaskedLM"]}])
def test_a_bert_called_roberta_is_read_with_a_note(tmp_path: Path, form: str, keys: dict[str, Any]) -> None:
    model = Folder().read(str(write_model(tmp_path, form, **keys)))
    assert_same(model, MODEL)
    assert "the configuration says RoBERTa, the tensors are a BERT's" in model.provenance.notes[0]


def test_a_real_roberta_is_refused_in_one_sentence(tmp_path: Path) -> None:
    write_model(tmp_path, "safetensors", model_type="roberta")
    roberta = {name.replace("bert.", "roberta."): array for name, array in to_framework(MODEL.weights, "transformers").items()}
    bare = to_framework(make_model(type_vocab_size=1).weights, "transformers")
    for tensors in (roberta, {name.removeprefix("bert."): array for name, array in bare.items()}):
        write_tensors(tmp_path / "model.safetensors", tensors)
        with pytest.raises(UserError, match=r"these are the weights of an actual RoBERTa, .*; only BERT can be read$"):
            Folder().read(str(tmp_path))


ABSURD = {
    "num_hidden_layers": 10**9,
    "hidden_size": 10**12,
    "vocab_size": 10**15,
    "max_position_embeddings": -1,
    "type_vocab_size": True,
    "hidden_act": ["gelu"],
    "hidden_dropout_prob": "0.1",
    "initializer_range": float("nan"),
}


@pytest.mark.parametrize("key", ABSURD)
@pytest.mark.parametrize("form", FORMATS)
def test_an_absurd_configuration_takes_no_memory(tmp_path: Path, form: str, key: str) -> None:
    with pytest.raises(UserError, match=key):
        Folder().read(str(write_model(tmp_path, form, **{key: ABSURD[key]})))


# --- malicious or malformed weights, of formats that need no framework; those of .bin are in tests/torch


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


A, B = "bert.pooler.dense.bias", "cls.predictions.bias"
SAFETENSORS = {
    "overlapping": safetensors({A: one([4], 0, 16), B: one([4], 8, 24)}, bytes(24)),
    "one behind the other": safetensors({A: one([4], 0, 16), B: one([4], 0, 16)}, bytes(16)),
    "a hole": safetensors({A: one([4], 0, 16), B: one([4], 20, 36)}, bytes(36)),
    "more behind": safetensors({A: one([4], 0, 16)}, bytes(400)),
    "beyond the end": safetensors({A: one([4], 0, 16)}, bytes(8)),
    "shape bomb": safetensors({A: one([2**40, 2**20], 0, 16)}, bytes(16)),
    "shape that overflows": safetensors({A: one([2**32, 2**32, 4], 0, 0)}),
    "negative shape": safetensors({A: one([-4], 0, 16)}, bytes(16)),
    "end before start": safetensors({A: one([4], 16, 0)}, bytes(16)),
    "twice": safetensors(f'{{"{A}":{json.dumps(one([4], 0, 16))},"{A}":{json.dumps(one([4], 0, 16))}}}'.encode(), bytes(16)),
    "unknown type": safetensors({A: one([4], 0, 16, "F31")}, bytes(16)),
    "header too large": safetensors({}, b"", 1 << 40),
    "header of 200 MB": safetensors({}, bytes(100), 200_000_000),
    "header no JSON": safetensors(b"{" * 5000),
    "header no object": safetensors([]),
    "empty": b"",
    "a pickle": b"\x80\x02cos\nsystem\nX\x05\x00\x00\x00touch\x85R.",
    "another shape": safetensors({A: one([4], 0, 16)}, bytes(16)),
    "whole numbers": safetensors({A: one([32], 0, 128, "I32")}, bytes(128)),
}
INDEXES = {
    "leads outside": {"weight_map": {A: "../model.safetensors"}},
    "absolute": {"weight_map": {A: "/etc/passwd"}},
    "missing shard": {"weight_map": {A: "model-00001-of-00001.safetensors"}},
    "no map": {"weight_map": 3},
    "no names": {"weight_map": {A: 7}},
    "nothing": {},
}


def assert_refused(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}
    with pytest.raises((IntegrityError, UserError)) as caught:
        Folder().read(str(folder))
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")} == before


@pytest.mark.parametrize("damage", SAFETENSORS)
def test_hostile_safetensors_are_refused(tmp_path: Path, damage: str) -> None:
    folder = write_model(tmp_path / "model", "safetensors")
    (folder / "model.safetensors").write_bytes(SAFETENSORS[damage])
    assert_refused(folder)


@pytest.mark.parametrize("damage", INDEXES)
def test_hostile_indexes_of_shards_are_refused(tmp_path: Path, damage: str) -> None:
    folder = write_model(tmp_path / "model", "shards of safetensors")
    for path in folder.glob("model-*"):
        path.unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(INDEXES[damage]))
    assert_refused(folder)


GIGABYTES = 3 << 30  # of a file that is one hole
COUNT = GIGABYTES // 4


def sparse_safetensors(folder: Path, entries: dict[str, list[int]]) -> None:
    """Tensors that share the hole; their sizes add up to it."""
    header, end = {}, 0
    for name, shape in entries.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = one(shape, start, end)
    with open(folder / "model.safetensors", "wb") as file:
        start = file.write(safetensors(header))
        file.truncate(start + end)


def sparse_bin(folder: Path, entries: list[bytes], size: int = GIGABYTES) -> None:
    """Tensors of one storage, which is the hole."""
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}(" + b"".join(entries) + b"u.")
        info = zipfile.ZipInfo("archive/data/0")
        info.header_offset, info.file_size, info.compress_size, info.CRC = archive.fp.tell(), size, size, 0
        archive.fp.write(info.FileHeader(zip64=False))
        archive.start_dir = archive.fp.seek(size, 1)
        archive.filelist.append(info)


KERNELS = [f"bert.encoder.layer.{layer}.attention.self.{name}.weight" for layer in range(2) for name in ("query", "key", "value")]
BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a shape, safetensors": (lambda folder: sparse_safetensors(folder, {A: [COUNT]}), "shapes do not match the configuration"),
    "a shape, .bin": (lambda folder: sparse_bin(folder, [pickled(A, "0", COUNT, [COUNT])]), "shapes do not match the configuration"),
    "a shape, .bin in half precision": (
        lambda folder: sparse_bin(folder, [pickled(A, "0", 2 * COUNT, [2 * COUNT], kind="HalfStorage")]),
        "shapes do not match the configuration",
    ),
    "a name, safetensors": (lambda folder: sparse_safetensors(folder, {"evil": [COUNT]}), "unknown tensors"),
    "a name, .bin": (lambda folder: sparse_bin(folder, [pickled("evil", "0", COUNT, [COUNT])]), "unknown tensors"),
    "numbers that are not there": (
        lambda folder: sparse_bin(folder, [pickled(A, "0", 1 << 50, [1 << 50])], size=64),
        "it lists 1,125,899,906,842,624 numbers in '0', which has room for fewer",
    ),
    "numbers seen again and again": (
        lambda folder: sparse_bin(
            folder, [pickled(name, "0", 2 * COUNT, [1, 2 * COUNT - 9], start, "HalfStorage") for start, name in enumerate(KERNELS)]
        ),
        "bytes of tensors in a file of",
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_without_taking_memory(tmp_path: Path, bomb: str) -> None:
    """In a process that may have 200 MB more than it has; 6 GB would be needed to read the file."""
    folder = write_model(tmp_path, "safetensors")
    (folder / "model.safetensors").unlink()
    write, message = BOMBS[bomb]
    write(folder)
    program = """
import re, resource, sys
from pathlib import Path
from wholeword.core.errors import WholewordError
from wholeword.zoo.folder import Folder
status = Path("/proc/self/status").read_text()
limit = 1024 * int(re.search(r"VmData:\\s+(\\d+)", status)[1]) + 200_000_000
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    Folder().read(sys.argv[1])
except WholewordError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert message in result.stdout, result.stdout


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "shards of safetensors")
    shard, other = sorted(folder.glob("model-*"))[:2]
    other.write_bytes(shard.read_bytes())
    assert_refused(folder)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("damage", ["cut", "empty", "zeros"])
def test_damaged_weights_are_refused(tmp_path: Path, form: str, damage: str) -> None:
    folder = write_model(tmp_path / "model", form)
    path = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    size = path.stat().st_size
    path.write_bytes({"cut": path.read_bytes()[: size // 2], "empty": b"", "zeros": bytes(size)}[damage])
    assert_refused(folder)


def test_tf_checkpoints_that_promise_too_much_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "TF checkpoint")
    wide = {**MODEL.weights, "bert/pooler/dense/kernel": np.zeros((32, 64), np.float32)}
    for tensors in (wide, {**MODEL.weights, "bert/evil": np.zeros(3, np.float32)}, {"bert/pooler/dense/bias": np.zeros(32, np.int64)}):
        write_bundle(folder / "bert_model.ckpt", tensors)
        assert_refused(folder)
    write_bundle(folder / "bert_model.ckpt", MODEL.weights)
    (folder / "bert_model.ckpt.data-00000-of-00001").write_bytes(bytes(100))
    assert_refused(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"[" * 100_000),
        ("config.json", b'{"a":' * 100_000),
        ("config.json", b" " * (17 << 20)),
        ("config.json", b"\xff\xfe"),
        ("config.json", b"[]"),
        ("vocab.txt", b"\xff\xfe"),
        ("tokenizer_config.json", b"7"),
    ],
)
def test_hostile_small_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    folder = write_model(tmp_path / "model", "safetensors")
    (folder / name).write_bytes(content)
    assert_refused(folder)


IDS = VOCABULARY.ids
WORDPIECE = {"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": IDS}
TOKENIZERS: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "invalid JSON"),
    "a list": ([], "expected a JSON object"),
    "nothing": ({}, "not a WordPiece model"),
    "another model": ({"model": {"type": "BPE", "vocab": IDS, "merges": []}}, "not a WordPiece model"),
    "pairs": ({"model": WORDPIECE | {"vocab": list(IDS.items())}}, "not a WordPiece model"),
    "a hole": ({"model": WORDPIECE | {"vocab": IDS | {"。": 10**12}}}, "ids must be the numbers from 0"),
    "an id twice": ({"model": WORDPIECE | {"vocab": IDS | {"。": 0}}}, "ids must be the numbers from 0"),
    "an id below 0": ({"model": WORDPIECE | {"vocab": IDS | {"。": -1}}}, "ids must be the numbers from 0"),
    "text for ids": (
        {"model": WORDPIECE | {"vocab": {piece: str(number) for piece, number in IDS.items()}}},
        "ids must be the numbers",
    ),
    "added without id": ({"model": WORDPIECE, "added_tokens": [{"content": "x"}]}, "an entry of added_tokens lacks content or id"),
    "added nothing": ({"model": WORDPIECE, "added_tokens": [7]}, "an entry of added_tokens lacks content or id"),
    "added a list": ({"model": WORDPIECE, "added_tokens": [{"content": [], "id": 1}]}, "an entry of added_tokens lacks content or id"),
    "one more": ({"model": WORDPIECE, "added_tokens": [{"content": "x", "id": len(IDS)}]}, "entries but config.json says vocab_size"),
    "no [MASK]": ({"model": WORDPIECE | {"vocab": {"x" if piece == "[MASK]" else piece: n for piece, n in IDS.items()}}}, r"no \[MASK\]"),
}


@pytest.mark.parametrize("damage", TOKENIZERS)
def test_tokenizers_not_for_bert_are_refused(tmp_path: Path, damage: str) -> None:
    folder = write_model(tmp_path / "model", "safetensors")
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").write_text(json.dumps({"model": WORDPIECE, "normalizer": {"lowercase": False}}))
    model = Folder().read(str(folder))
    assert model.vocabulary.pieces == VOCABULARY.pieces and not model.lowercase
    content, message = TOKENIZERS[damage]
    (folder / "tokenizer.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=rf"tokenizer\.json.*{message}"):
        Folder().read(str(folder))
