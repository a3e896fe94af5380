"""`.pdparams` files, what `paddle.save` makes of a state dict, without Paddle.

Such a file is a pickle: a program for a machine with a stack, which may call whatever it names. It is not run here. Its instructions are
gone through one by one, with the few meanings that a dictionary of arrays needs, and every other instruction or name is refused; so
nothing is imported or called, and nothing is allocated that is not in the file.
Follows `paddle/framework/io.py` 3.3 and NumPy's pickles; the slices that protocol 2 cuts arrays of more than 1 GiB into are not read.
"""

import os
import pickletools
import struct
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import disk_errors

if TYPE_CHECKING:
    from wholeword.core.interfaces import Tensors

NAME_TABLE = "StructuredToParameterName@@"  # name in the state dict -> name in the program it was saved from
TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")  # no "u2", which is how Paddle writes bfloat16
MOST_INSTRUCTIONS = 1_000_000  # a tensor has about 50
MOST_DIMENSIONS = 8

NAMES = {  # all that a file may name
    *("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"),
    *("_codecs encode", "__builtin__ bytes", "__builtin__ tuple", "builtins tuple", "collections OrderedDict"),
}
ARGUMENTS = {  # instructions that push what is written behind them
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BININT", "BININT1", "BININT2", "LONG1"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Refused(Exception):
    """Well-formed, and not what a state dict consists of."""


class _Global:
    """One of our names, found in the file: stands for a function and is none."""

    def __init__(self, name: str):
        self.name = name


class _Array:
    """An array on the stack: empty between its `_reconstruct` and its BUILD."""

    value: np.ndarray | None = None


_MARK = object()


def read_pdparams(path: Path | str) -> "Tensors":
    """The arrays by name, read-only.

    Raises: IntegrityError if it is cut or damaged, or holds anything but numbers; a changed number inside shows only against a sha256.
    """
    try:
        with open(path, "rb") as file:
            return _state_dict(_Machine(file).run())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except _Refused as error:
        raise IntegrityError(f"{path}: refused: {error}; expected a dictionary of arrays, as paddle.save writes it") from None
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, struct.error):
        raise IntegrityError(f"{path}: damaged, or not a .pdparams file") from None


def _state_dict(content: Any) -> "Tensors":
    if type(content) is not dict:
        raise _Refused("it is no dictionary")
    tensors = {}
    for name, entry in content.items():
        if name == NAME_TABLE:
            continue
        if type(entry) is tuple and len(entry) == 2 and type(entry[0]) is str:  # a tensor inside something else than a plain state dict
            entry = entry[1]
        if not isinstance(entry, _Array) or entry.value is None:
            raise _Refused(f"{_short(name)} is no array")
        tensors[name] = entry.value
    return tensors


class _Machine:
    """Goes through a file and keeps, in place of what its program would make, plain values and `_Array`s."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.size = self.encodable = os.fstat(file.fileno()).st_size
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    # what pickletools reads from; a length that the file does not have allocates nothing

    def read(self, size: int) -> bytes:
        return self.file.read(min(size, self.size))

    def readline(self) -> bytes:
        return self.file.readline(1000)

    def tell(self) -> int:
        return self.file.tell()

    def run(self) -> Any:
        for number, (instruction, argument, _) in enumerate(pickletools.genops(cast(BinaryIO, self))):
            if number > MOST_INSTRUCTIONS:
                raise _Refused(f"more than {MOST_INSTRUCTIONS:,} instructions")
            self.step(instruction.name, argument)
        if self.file.tell() != self.size:
            raise _Refused(f"{self.size - self.file.tell():,} bytes behind its end")
        (result,) = self.stack
        return result

    def step(self, instruction: str, argument: Any) -> None:
        stack = self.stack
        match instruction:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                stack.append(_MARK)
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE":
                stack.append(tuple(self.popped()))
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self.memo[len(self.memo) if argument is None else argument] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(_found(argument))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_found(f"{module} {name}" if type(module) is type(name) is str else "?"))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set_items(stack[-1], [key, value])
            case "SETITEMS":
                items = self.popped()
                _set_items(stack[-1], items)
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(self.called(function, arguments))
            case "BUILD":
                state = stack.pop()
                self.build(stack[-1], state)
            case _ if instruction in ARGUMENTS:
                stack.append(argument)
            case _ if instruction in CONSTANTS:
                stack.append(CONSTANTS[instruction])
            case _ if instruction in TUPLES:
                items = [stack.pop() for _ in range(TUPLES[instruction])]
                stack.append(tuple(reversed(items)))
            case _:
                raise _Refused(f"the instruction {instruction}")

    def popped(self) -> list[Any]:
        """What is above the last mark."""
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def called(self, function: Any, arguments: Any) -> Any:
        """What the function of that name would return, of those that only make arrays."""
        if type(function) is not _Global or type(arguments) is not tuple:
            raise _Refused("a call of what is no function")
        match function.name, arguments:
            case "_reconstruct", (_Global(), tuple(), _):
                return _Array()
            case "dtype", (str() as code, *_):
                if code not in TYPES:
                    raise _Refused(f"numbers of type {_short(code)}")
                return np.dtype(code)
            case "encode", (str() as text, "latin1"):  # bytes, where the protocol has none
                return self.encoded(text)
            case "bytes", ():
                return b""
            case "tuple", (tuple() as items,):
                return items
            case "OrderedDict", ():
                return {}
        raise _Refused(f"a call of {function.name} with strange arguments")

    def encoded(self, text: str) -> bytes:
        """Each character of the file may become a byte once: the memo could say it a thousand times."""
        self.encodable -= len(text)
        if self.encodable < 0:
            raise _Refused("bytes that swell")
        return text.encode("latin1")

    def build(self, item: Any, state: Any) -> None:
        if type(state) is not tuple:
            raise _Refused("a state that is no tuple")
        match item, state:
            case np.dtype(), (3 | 4, "<" | "|" | "=", None, None, None, *_):
                return
            case _Array(value=None), (1, tuple() as shape, np.dtype() as dtype, bool() as fortran, str() | bytes() as data):
                if len(shape) > MOST_DIMENSIONS or not all(type(length) is int and 0 <= length <= self.size for length in shape):
                    raise _Refused("an array of a strange shape")
                content = self.encoded(data) if isinstance(data, str) else data  # text is what Python 2 wrote
                if len(content) != prod(shape) * dtype.itemsize:
                    raise _Refused(f"{len(content):,} bytes for an array of shape {list(shape)} and type {dtype}")
                item.value = np.ndarray(shape, dtype, buffer=content, order="F" if fortran else "C")
            case _:
                raise _Refused("an array of a strange kind")


def _found(name: str) -> _Global:
    if name not in NAMES:
        raise _Refused(f"the name {_short(name.replace(' ', '.'))}")
    return _Global(name.split(" ")[1])


def _set_items(target: Any, items: list[Any]) -> None:
    if type(target) is not dict or len(items) % 2 or not all(type(key) is str for key in items[::2]):
        raise _Refused("items of what is no dictionary of names")
    target.update(zip(items[::2], items[1::2], strict=True))


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


def write_pdparams(path: Path | str, tensors: Mapping[str, np.ndarray]) -> None:
    """Write what `paddle.load` reads: protocol 4, as `paddle.save` does; NumPy's names are those that NumPy 1 and 2 both know.

    Raises: DiskError if there is no room; the file is then broken.
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
