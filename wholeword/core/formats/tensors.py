"""Named arrays in a safetensors file, written through our own file object so that a full disk is reported with the bytes needed."""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import disk_errors

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

TYPES = {"float64": "F64", "int64": "I64", "float32": "F32", "int32": "I32", "float16": "F16"}


def write_tensors(path: Path | str, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Write the same bytes as `safetensors.numpy.save_file`, using additional memory for one array at a time.

    Raises: DiskError if there is no room, which leaves an incomplete file.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))  # so that every array is aligned
    end = 0
    for name in order:
        array = tensors[name]
        start, end = end, end + array.nbytes
        header[name] = {"dtype": TYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with disk_errors(path, needed=8 + len(text) + end), open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)


def from_bfloat16(halves: np.ndarray) -> np.ndarray:
    """float32 of the same values; NumPy has no bfloat16, which is the upper half of a float32.

    Args:
        halves: uint16, the bits of the numbers.
    """
    return (halves.astype(np.uint32) << 16).view(np.float32)


def checksum(tensors: Mapping[str, np.ndarray]) -> str:
    """One sha256 of names, types, shapes and values, independent of order and file format."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def expect_tensors(shapes: Mapping[str, Sequence[int]], arrays: "Tensors", *, kind: str) -> None:
    """Raises: UserError naming the first array that is missing, unknown or of the wrong shape."""
    if differing := sorted(shapes.keys() ^ arrays.keys()):
        raise UserError(f"{kind}: {differing[0]} is {'missing' if differing[0] in shapes else 'unknown'} ({len(differing)} names differ)")
    for name, shape in shapes.items():
        if arrays[name].shape != tuple(shape):
            raise UserError(f"{kind}: {name} has shape {list(arrays[name].shape)}, which does not match the model")


def read_tensors(path: Path | str) -> "Tensors":
    """Read a file. Raises: IntegrityError if it is not a complete safetensors file. Changed values are only detected by its sha256."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, AttributeError, TypeError) as error:  # the last two: a type that NumPy does not have
        raise IntegrityError(f"{path}: not a safetensors file that NumPy can read ({error})") from None
