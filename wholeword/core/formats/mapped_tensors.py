"""safetensors without reading them: arrays that are the file's own pages, each read when it is first touched."""

import json
import mmap
import struct
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open

from wholeword.core.errors import IntegrityError
from wholeword.core.formats.tensors import TYPES

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

DTYPES = {name: np.dtype(numpy_name).newbyteorder("<") for numpy_name, name in TYPES.items()}


def map_tensors(path: Path | str, names: Collection[str] | None = None) -> "Tensors":
    """The arrays called `names`, or all; what is written to them stays in memory. The file must not be written while they are used.

    Raises: IntegrityError if it is no whole safetensors file, or holds types that NumPy does not have.
    """
    try:
        with safe_open(path, framework="numpy"):  # finds what is cut, overlaps, or is too large
            pass
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        arrays = {}
        for name in header.keys() - {"__metadata__"} if names is None else names:
            entry = header[name]
            array = np.frombuffer(content, DTYPES[entry["dtype"]], prod(entry["shape"]), 8 + size + entry["data_offsets"][0])
            arrays[name] = np.require(array.reshape(entry["shape"]), requirements="A")  # what is not aligned is copied
        return arrays
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{path}: not a safetensors file that NumPy can read ({error})") from None
