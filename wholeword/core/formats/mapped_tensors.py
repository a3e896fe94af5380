"""safetensors without reading them: arrays that are the file's own pages, each read when it is first accessed.

bfloat16, which NumPy does not have, is read at once and becomes float32.
"""

import json
import mmap
import struct
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.formats.tensors import TYPES, from_bfloat16

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

BFLOAT16 = "BF16"
OTHERS = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "U32": "uint32", "U64": "uint64"}
DTYPES = {name: np.dtype(numpy_name).newbyteorder("<") for numpy_name, name in TYPES.items()}
DTYPES |= {name: np.dtype(numpy_name).newbyteorder("<") for name, numpy_name in OTHERS.items()}
DTYPES[BFLOAT16] = np.dtype("<u2")


def map_tensors(path: Path | str, names: Collection[str] | None = None) -> "Tensors":
    """The arrays called `names`, or all; changes to them stay in memory. The file must not be written while they are used.

    Raises: IntegrityError if it is not a complete safetensors file; UserError for numbers of another type, such as F8_E4M3.
    """
    try:
        with safe_open(path, framework="numpy"):  # detects truncation, overlaps and excessive sizes
            pass
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header: dict[str, Any] = json.loads(file.read(size))
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        arrays = {}
        for name in header.keys() - {"__metadata__"} if names is None else names:
            arrays[name] = _array(header[name], content, 8 + size, f"{path}: {name}")
        return arrays
    except UserError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{path}: not a safetensors file that NumPy can read ({error})") from None


def itemsize(dtype: str) -> int:
    """Bytes of a number of that type in a file."""
    return DTYPES[dtype].itemsize if dtype in DTYPES else 1


def _array(entry: dict[str, Any], content: mmap.mmap, start: int, where: str) -> np.ndarray:
    if (dtype := entry["dtype"]) not in DTYPES:
        raise UserError(f"{where} is of type {dtype}, which is not read; expected {', '.join(sorted(DTYPES))}; save it as F32 or F16")
    array = np.frombuffer(content, DTYPES[dtype], prod(entry["shape"]), start + entry["data_offsets"][0]).reshape(entry["shape"])
    if dtype == BFLOAT16:
        return from_bfloat16(array)
    return np.require(array, requirements="A")  # what is not aligned is copied
