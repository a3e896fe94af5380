"""`.pdparams` files, in which `paddle.save` stores a state dict, without Paddle.

Such a file is a pickle, read by `core/formats/pickles.py`; the state dict may be inside a training checkpoint.
Follows `paddle/framework/io.py` 3.3 and NumPy's pickles; arrays of more than 1 GiB, which protocol 2 splits, are not read.
"""

import struct
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from wholeword.core.files import disk_errors
from wholeword.core.formats.pickles import Machine, Name, Refused, refusals, short
from wholeword.core.formats.state_dicts import StateDict, find_state_dict
from wholeword.core.formats.tensors import from_bfloat16

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

NAME_TABLE = "StructuredToParameterName@@"  # name in the state dict -> name in the program it was saved from
TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")
BFLOAT16 = "u2"  # Paddle writes the bits of bfloat16 as whole numbers, and has no such numbers otherwise
MOST_DIMENSIONS = 8


class _Array:
    """An array on the stack: empty between its `_reconstruct` and its BUILD."""

    value: np.ndarray | None = None


def read_pdparams(path: Path | str) -> "Tensors":
    """As `read_state_dict`, without the notes."""
    return read_state_dict(path).tensors


def read_state_dict(path: Path | str) -> StateDict:
    """The arrays by name, read-only; bfloat16 becomes float32.

    Raises: IntegrityError if it is truncated or damaged, or holds anything but numbers; only a sha256 reveals a changed number.
        UserError if it holds several state dicts, or objects that only their program can read.
    """
    with refusals(path, ".pdparams", "paddle.save"), open(path, "rb") as file:
        machine = _Machine(file)
        content = machine.run()
        if (left := machine.size - file.tell()) != 0:
            raise Refused(f"{left:,} bytes after its end")
        return _state_dict(content)


def _state_dict(content: Any) -> StateDict:
    found = find_state_dict(content, _as_array, ignored=(NAME_TABLE,))
    tensors = {}
    for name, entry in found.tensors.items():
        if entry.value is None:
            raise Refused(f"{short(name)} is an array without numbers")
        tensors[name] = entry.value
    return StateDict(tensors, found.notes)


def _as_array(entry: Any) -> _Array | None:
    if type(entry) is tuple and len(entry) == 2 and type(entry[0]) is str:  # a tensor inside something other than a plain state dict
        entry = entry[1]
    return entry if isinstance(entry, _Array) else None


class _Machine(Machine):
    names = frozenset(
        {
            *("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"),
            *("_codecs encode", "__builtin__ bytes", "__builtin__ tuple", "builtins tuple", "collections OrderedDict"),
        }
    )

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.encodable = self.widenable = self.size

    def called(self, function: str, arguments: tuple[Any, ...]) -> Any:
        match function, arguments:
            case "_reconstruct", (Name(), tuple(), _):
                return _Array()
            case "dtype", (str() as code, *_):
                if code not in (*TYPES, BFLOAT16):
                    raise Refused(f"numbers of type {short(code)}")
                return np.dtype(code)
            case "encode", (str() as text, "latin1"):  # bytes, where the protocol has none
                return self._encoded(text)
            case "bytes", ():
                return b""
            case "tuple", (tuple() as items,):
                return items
            case "OrderedDict", ():
                return {}
        raise Refused(f"a call of {function} with unexpected arguments")

    def _encoded(self, text: str) -> bytes:
        """Latin-1 bytes. Each character may be used once: with the memo, a small file could repeat it a thousand times."""
        self.encodable -= len(text)
        if self.encodable < 0:
            raise Refused("bytes that are used more than once")
        return text.encode("latin1")

    def _widened(self, halves: np.ndarray) -> np.ndarray:
        """bfloat16 as float32. Each byte may be used once, as above."""
        self.widenable -= halves.nbytes
        if self.widenable < 0:
            raise Refused("bytes that are used more than once")
        return from_bfloat16(halves)

    def build(self, item: Any, state: Any) -> None:
        if type(state) is not tuple:
            raise Refused("a state that is not a tuple")
        match item, state:
            case np.dtype(), (3 | 4, "<" | "|" | "=", None, None, None, *_):
                return
            case _Array(value=None), (1, tuple() as shape, np.dtype() as dtype, bool() as fortran, str() | bytes() as data):
                if len(shape) > MOST_DIMENSIONS or not all(type(length) is int and 0 <= length <= self.size for length in shape):
                    raise Refused("an array of an impossible shape")
                content = self._encoded(data) if isinstance(data, str) else data  # text is what Python 2 wrote
                if len(content) != prod(shape) * dtype.itemsize:
                    raise Refused(f"{len(content):,} bytes for an array of shape {list(shape)} and type {dtype}")
                value: np.ndarray = np.ndarray(shape, dtype, buffer=content, order="F" if fortran else "C")
                item.value = self._widened(value) if dtype == np.uint16 else value
            case _:
                raise Refused("an array in an unknown layout")


def write_pdparams(path: Path | str, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a file for `paddle.load`, in protocol 4 as `paddle.save` does, with names that both NumPy 1 and NumPy 2 have.

    Raises: DiskError if there is no room, which leaves an incomplete file.
    """
    with disk_errors(path, needed=sum(array.nbytes for array in tensors.values())), open(path, "wb") as file:
        for part in _instructions(tensors):
            file.write(part)


def _instructions(tensors: Mapping[str, np.ndarray]) -> Iterator[Any]:
    yield b"\x80\x04}"
    for name, array in tensors.items():
        code = array.dtype.str[1:]
        assert code in TYPES and len(array.shape) <= MOST_DIMENSIONS, (name, array.dtype)
        yield _text(name) + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
        yield b"(K\x01(" + b"".join(map(_integer, array.shape)) + b"tcnumpy\ndtype\n" + _text(code) + b"\x89\x88\x87R"
        yield b"(K\x03" + _text("<") + b"NNN" + _integer(-1) + _integer(-1) + b"K\x00tb\x89"
        yield b"\x8e" + struct.pack("<Q", array.nbytes)
        yield np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(-1).view(np.uint8)
        yield b"tbs"
    yield _text(NAME_TABLE) + b"}" + b"".join(_text(name) + _text(name) + b"s" for name in tensors) + b"s."


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)
