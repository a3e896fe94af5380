"""safetensors as pages of the file: the same arrays as the library reads, nothing written back, damaged files refused."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.formats.mapped_tensors import map_tensors

GENERATOR = np.random.default_rng(1)
ARRAYS = {
    "词": GENERATOR.normal(size=(3, 5)).astype(np.float32),
    "half": GENERATOR.normal(size=(7,)).astype(np.float16),  # an odd number: what follows is not aligned
    "double": GENERATOR.normal(size=(2, 2)),
    "number": np.array(3, np.int64),
    "none": np.zeros((0, 4), np.float32),
}


def test_the_arrays_are_those_of_the_library(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_file(ARRAYS, path, metadata={"format": "pt"})
    mapped, expected = map_tensors(path), load_file(path)
    assert mapped.keys() == expected.keys()
    for name, array in expected.items():
        assert mapped[name].dtype == array.dtype and np.array_equal(mapped[name], array)
    assert map_tensors(path, ["half"]).keys() == {"half"}


def test_the_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_file(ARRAYS, path)
    before = path.read_bytes()
    for array in map_tensors(path).values():
        array[...] = 9
    assert path.read_bytes() == before
    arrays = map_tensors(path)
    path.unlink()
    assert np.array_equal(arrays["词"], ARRAYS["词"])


def test_arrays_that_are_not_aligned_are_read(tmp_path: Path) -> None:
    """No writer of today makes such a file; the format allows it."""
    header = b'{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"F32","shape":[2],"data_offsets":[2,10]}}'
    values = np.float16(1.5).tobytes() + np.array([2.5, -3.5], np.float32).tobytes()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(header)) + header + values)
    mapped = map_tensors(tmp_path / "x")
    assert mapped["a"].tolist() == [1.5] and mapped["b"].tolist() == [2.5, -3.5] and mapped["b"].flags.aligned


def of_type(dtype: str, values: bytes, shape: list[int]) -> bytes:
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(values)]}}).encode()
    return struct.pack("<Q", len(header)) + header + values


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(of_type("BF16", b"\x80\x3f\x20\xc0\x80\x7f\x00\x80", [2, 2]))
    array = map_tensors(tmp_path / "x")["a"]
    assert array.dtype == np.float32 and array.tolist() == [[1.0, -2.5], [np.inf, 0.0]] and array.flags.writeable


def test_types_that_numpy_does_not_have_are_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(of_type("F8_E5M2", b"\0\0", [2]))
    with pytest.raises(UserError, match=r"x: a is of type F8_E5M2, which is not read; expected BF16, BOOL, F16, .*; save it as"):
        map_tensors(tmp_path / "x")
    assert map_tensors(tmp_path / "x", []) == {}


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    save_file(ARRAYS, tmp_path / "x")
    whole = (tmp_path / "x").read_bytes()
    contents = [whole[:cut] for cut in range(0, len(whole), 7)]
    contents += [whole + b"x", struct.pack("<Q", 1 << 40) + whole[8:]]
    for content in contents:
        (tmp_path / "y").write_bytes(content)
        with pytest.raises(IntegrityError, match="y: not a safetensors file that NumPy can read"):
            map_tensors(tmp_path / "y")
