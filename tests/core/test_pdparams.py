"""Files of Paddle without Paddle. Pickle itself is the other reader and writer; Paddle has its turn in tests/paddle."""

import os
import pickle
import random
import struct
import subprocess
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.formats.pdparams import NAME_TABLE, TYPES, read_pdparams, write_pdparams

TENSORS = {
    "bert.词": np.arange(12, dtype=np.float32).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "scalar": np.array(7, np.int64),
    "empty": np.zeros((0, 5), np.float32),
    "half": np.array([1.5], np.float16),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model_state.pdparams"


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


# --- what is a state dict


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
        st.sampled_from(TYPES).flatmap(lambda code: arrays.arrays(code, arrays.array_shapes(min_dims=0, min_side=0, max_side=5))),
        max_size=4,
    )
)
def test_there_and_back_gives_the_same_arrays(tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("p") / "x.pdparams"
    write_pdparams(path, tensors)
    assert_same(read_pdparams(path), {name: array for name, array in tensors.items() if name != NAME_TABLE})


def test_pickle_reads_what_is_written(path: Path) -> None:
    write_pdparams(path, TENSORS)
    found = pickle.loads(path.read_bytes())
    assert found.pop(NAME_TABLE) == {name: name for name in TENSORS}
    assert_same(found, TENSORS)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_what_pickle_writes_is_read(path: Path, protocol: int, kind: Any) -> None:
    """As paddle.save does: protocol 2 has no bytes, and writes them as text in Latin 1."""
    path.write_bytes(pickle.dumps(kind(TENSORS) | {NAME_TABLE: {"scalar": "linear_0.w_0"}}, protocol))
    assert_same(read_pdparams(path), TENSORS)


def test_tensors_inside_other_things_are_pairs(path: Path) -> None:
    array = TENSORS["bert.词"]
    path.write_bytes(pickle.dumps({"a": ("linear_0.w_0", array), "b": array}, 4))
    assert_same(read_pdparams(path), {"a": array, "b": array})


def test_strings_of_python_2_are_bytes(path: Path) -> None:
    """{"a": array([1.5], float32)} as Python 2 and NumPy wrote it."""
    data = np.array([1.5], np.float32).tobytes()
    path.write_bytes(
        b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04"
        + data
        + b"tbs."
    )
    assert_same(read_pdparams(path), {"a": np.array([1.5], np.float32)})


def test_bfloat16_is_written_as_whole_numbers_and_becomes_float32(path: Path) -> None:
    halves = np.array([[0x3F80, 0xC020], [0x7F80, 0x8000]], np.uint16)
    path.write_bytes(pickle.dumps({"a": halves, "columns": np.asfortranarray(halves)}, 4))
    expected = np.array([[1.0, -2.5], [np.inf, -0.0]], np.float32)
    assert_same(read_pdparams(path), {"a": expected, "columns": expected})


def test_reading_takes_the_memory_of_the_file(path: Path) -> None:
    write_pdparams(path, {str(number): np.ones(1 << 20, np.float32) for number in range(8)})
    tracemalloc.start()
    tensors = read_pdparams(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(tensors) == 8 and peak < 1.3 * path.stat().st_size


# --- what is none


class Call:
    def __init__(self, function: Any, *arguments: Any, state: Any = None):
        self.result = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.result


class Thing:
    def __setstate__(self, state: Any) -> None:
        os.mkdir("fired")


def build_of_a_thing() -> bytes:
    return b"\x80\x04c" + f"{__name__}\nThing\n)\x81}}b.".encode()


HEAD = b"\x80\x04}X\x01\x00\x00\x00a"
EMPTY = HEAD + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
FLOAT = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x89\x88\x87R"


def latin1(text: bytes) -> bytes:
    return b"c_codecs\nencode\n" + text + b"X\x06\x00\x00\x00latin1\x86R"


HOSTILE: dict[str, Any] = {
    "os.mkdir": {"a": Call(os.mkdir, "fired")},
    "os.system": {"a": Call(os.system, "mkdir fired")},
    "subprocess": {"a": Call(subprocess.check_call, ["mkdir", "fired"])},
    "eval": {"a": Call(eval, "__import__('os').mkdir('fired')")},
    "exec": {"a": Call(exec, "import os; os.mkdir('fired')")},
    "open": {"a": Call(open, "fired", "w")},
    "getattr": {"a": Call(getattr, 1, "real")},
    "a pickle inside": {"a": Call(pickle.loads, pickle.dumps(Call(os.mkdir, "fired"), 2))},
    "numpy.load": {"a": Call(np.load, "fired")},
    "numpy.memmap": {"a": Call(np.memmap, "fired", "float32", "w+", 0, (10,))},
    "numpy.f2py": b"\x80\x04cnumpy.f2py\ncompile\nX\x01\x00\x00\x00x\x85R.",
    "the whole of it": Call(os.mkdir, "fired"),
    "as a key": {Call(os.mkdir, "fired"): 1},
    "as a state": {"a": Call(np.ndarray, (1,), state=Call(os.mkdir, "fired"))},
    "in the name table": {NAME_TABLE: {"a": Call(os.mkdir, "fired")}},
    "a name as text": HEAD + b"X\x02\x00\x00\x00osX\x05\x00\x00\x00mkdir\x93X\x05\x00\x00\x00fired\x85Rs.",
    "protocol 0": b"cos\nmkdir\n(S'fired'\ntR.",
    "INST": b"(S'fired'\nios\nmkdir\n.",
    "OBJ": b"(cos\nmkdir\nX\x05\x00\x00\x00firedo.",
    "NEWOBJ": b"\x80\x02cpathlib\nPath\nX\x05\x00\x00\x00fired\x85\x81.",
    "setstate": build_of_a_thing(),
    "persistent": b"\x80\x02X\x05\x00\x00\x00firedQ.",
    "extension": b"\x80\x02\x82\x01.",
    "encode with another codec": HEAD + b"c_codecs\nencode\nX\x05\x00\x00\x00firedX\x05\x00\x00\x00rot13\x86Rs.",
    "objects": {"a": np.array([Call(os.mkdir, "fired")], object)},
    "strings": {"a": np.array(["fired"])},
    "records": {"a": np.zeros(2, [("x", "f4")])},
    "big-endian": {"a": np.zeros(2, ">f4")},
    "a list": [np.zeros(2)],
    "no array": {"a": 1},
    "numbers for names": {1: np.zeros(2)},
    "an array alone": np.zeros(2),
    "two in one": pickle.dumps({}) + pickle.dumps({}),
    "an array never filled": EMPTY + b"s.",
    "filled twice": EMPTY + (b"(K\x01K\x01\x85" + FLOAT + b"\x89C\x04aaaatb") * 2 + b"s.",
    "shape of a terabyte": EMPTY + b"(K\x01\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"\x85" + FLOAT + b"\x89C\x04aaaatbs.",
    "shape beyond numbers": EMPTY + b"(K\x01" + b"J\xff\xff\xff\x7f" * 3 + b"\x87" + FLOAT + b"\x89C\x04aaaatbs.",
    "negative shape": EMPTY + b"(K\x01J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86" + FLOAT + b"\x89C\x04aaaatbs.",
    "forty dimensions": EMPTY + b"(K\x01(" + b"K\x01" * 40 + b"t" + FLOAT + b"\x89C\x04aaaatbs.",
    "bytes that are not there": HEAD + b"\x8e" + struct.pack("<Q", 1 << 60),
    "text that is not there": HEAD + b"\x8d" + struct.pack("<Q", 1 << 40),
    "memo at four billion": b"\x80\x04}r\xff\xff\xff\xff" + b"h\x00.",
    "dictionary in itself": HEAD + b"h\x00s.",
    "text said many times": b"\x80\x04(X" + struct.pack("<I", 9000) + b"x" * 9000 + b"q\x000" + latin1(b"h\x00") * 5000 + b"t.",
    "a million instructions": b"\x80\x04" + b")" * 1_000_001 + b".",
    "nested deeply": b"\x80\x04)" + b"\x85" * 100_000 + b".",
    "doubled a hundred times": b"\x80\x04)q\x00" + b"h\x00h\x00\x86q\x00" * 100 + b"}h\x00K\x01s.",
    "nothing on the stack": b"\x80\x04u.",
    "a mark alone": b"\x80\x04(.",
    "empty file": b"",
    "text file": "不是模型\n".encode(),
    "a zip archive": b"PK\x03\x04" + bytes(40),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_anything_else_is_refused_and_nothing_is_done(what: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    content = HOSTILE[what]
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 4))
    tracemalloc.start()
    with pytest.raises(IntegrityError) as caught:
        read_pdparams(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value) and len(str(caught.value)) < len(str(path)) + 250
    assert os.listdir(path.parent) == [path.name]
    assert peak < 40_000_000 + 3 * path.stat().st_size


def test_a_missing_file_is_said_to_be_missing(path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_pdparams(path)


@pytest.mark.parametrize("protocol", [2, 4])
def test_cut_and_changed_files_are_read_or_refused(path: Path, protocol: int) -> None:
    """Never another error; and cut files are always refused."""
    whole = pickle.dumps(TENSORS | {NAME_TABLE: {name: name for name in TENSORS}}, protocol)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(IntegrityError):
            read_pdparams(path)
    generator = random.Random(protocol)
    for _ in range(3000):
        changed = bytearray(whole)
        for _ in range(generator.choice([1, 1, 1, 4])):
            changed[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
        path.write_bytes(changed)
        try:
            tensors = read_pdparams(path)
        except IntegrityError:
            continue
        assert all(isinstance(array, np.ndarray) for array in tensors.values())
