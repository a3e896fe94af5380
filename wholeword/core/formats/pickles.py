"""Pickles, read as data.

A pickle is a program for a stack machine and may call anything that it names. Here the program is interpreted: only the instructions that
a dictionary of tensors needs have a meaning. Names that training checkpoints contain beside the tensors (settings, paths, numbers of
NumPy) become placeholders; every other instruction or name is refused. Nothing is imported or called, and no more memory is allocated
than the file has bytes. A subclass defines what the allowed names mean.
"""

import os
import pickletools
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from wholeword.core.errors import IntegrityError, UserError

MOST_INSTRUCTIONS = 1_000_000  # a tensor has about 50
ARGUMENTS = {  # instructions that push the argument that follows them
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# names that training checkpoints contain beside the tensors; they become placeholders, as does whatever is made with them
OTHER_NAMES = {
    *(
        "argparse Namespace",
        "collections defaultdict",
        "collections Counter",
        "collections deque",
        "datetime datetime",
        "datetime timedelta",
    ),
    *("pathlib PosixPath", "pathlib WindowsPath", "pathlib._local PosixPath", "pathlib._local WindowsPath"),
    *(f"builtins {name}" for name in ("set", "frozenset", "slice", "range", "complex", "dict", "list", "int", "float", "str", "bool")),
    *(f"__builtin__ {name}" for name in ("set", "frozenset", "slice", "xrange", "complex", "dict", "list", "int", "long", "float")),
    *(f"__builtin__ {name}" for name in ("str", "unicode", "bool")),
    *("numpy.core.multiarray scalar", "numpy.core.multiarray _reconstruct", "numpy.core.numeric _frombuffer"),
    *("numpy._core.multiarray scalar", "numpy._core.multiarray _reconstruct", "numpy._core.numeric _frombuffer"),
    *("numpy dtype", "numpy ndarray", "_codecs encode", "torch Size", "torch device", "torch Generator"),
    *("torch float32", "torch float16", "torch bfloat16", "torch float64", "torch int64", "torch.torch_version TorchVersion"),
}
OTHER_MODULES = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.")
CLASSES = ("__main__", "torch.nn.", "transformers.", "pytorch_pretrained_bert.", "pytorch_transformers.", "paddlenlp.", "paddle.nn.")


class Refused(Exception):
    """The pickle is well-formed, but is not a dictionary of tensors."""


class Name:
    """An allowed name in the file: it stands for a function or a class, but is neither."""

    def __init__(self, name: str):
        self.name = name


class Placeholder:
    """Stands for one of OTHER_NAMES, or for an object that the file makes with it."""

    def __repr__(self) -> str:
        return "an object"


_MARK = object()
KEYS = (str, int, float, type(None), Placeholder)  # of dictionaries; those of tensors are names


@contextmanager
def refusals(path: Path | str, kind: str, writer: str) -> Iterator[None]:
    """Turn any error in the block into an IntegrityError of one line, or a UserError if there is no such file.

    Args:
        kind: the kind of file, as in "not a .pdparams file".
        writer: the function that writes such files.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Refused as error:
        raise IntegrityError(f"{path}: refused: {error}; expected a dictionary of arrays, as {writer} writes it") from None
    except OSError:
        raise
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, struct.error):
        raise IntegrityError(f"{path}: damaged, or not a {kind} file") from None


class Machine:
    """Interprets the pickles in a file. Their objects become plain values, or whatever `called` returns."""

    names: Collection[str] = ()  # "module name": everything that a file may name

    def __init__(self, file: BinaryIO):
        self.file = file
        here = file.tell()
        self.size = file.seek(0, os.SEEK_END)
        file.seek(here)

    def called(self, function: str, arguments: tuple[Any, ...]) -> Any:
        """What the function of that name (without its module) would return. Raises: Refused."""
        raise Refused(f"a call of {function}")

    def build(self, item: Any, state: Any) -> None:
        """Give an item its state. Raises: Refused."""
        raise Refused("the instruction BUILD")

    def persistent(self, identity: Any) -> Any:
        """The object outside of the pickle that has this identity. Raises: Refused."""
        raise Refused("the instruction BINPERSID")

    # the interface that pickletools needs; a length beyond the end of the file allocates nothing

    def read(self, size: int) -> bytes:
        """At most `size` bytes, and no more than the file has."""
        return self.file.read(min(size, self.size))

    def readline(self) -> bytes:
        """One line, cut off at 1,000 bytes."""
        return self.file.readline(1000)

    def tell(self) -> int:
        """The position in the file."""
        return self.file.tell()

    def run(self) -> Any:
        """Interpret one pickle, from the current position to its end. Returns: its value."""
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        for number, (instruction, argument, _) in enumerate(pickletools.genops(cast(BinaryIO, self))):
            if number > MOST_INSTRUCTIONS:
                raise Refused(f"more than {MOST_INSTRUCTIONS:,} instructions")
            self._step(instruction.name, argument)
        (result,) = self.stack
        return result

    def _step(self, instruction: str, argument: Any) -> None:
        """Execute one instruction. Raises: Refused for any that weights do not need."""
        stack = self.stack
        match instruction:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                stack.append(_MARK)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "TUPLE":
                stack.append(tuple(self._pop_to_mark()))
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self.memo[len(self.memo) if argument is None else argument] = stack[-1]
            case "EMPTY_SET" | "FROZENSET" | "ADDITEMS":
                self._step_of_set(instruction)
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(self._name(argument))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(self._name(f"{module} {name}" if type(module) is type(name) is str else "?"))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set_items(stack[-1], [key, value])
            case "SETITEMS":
                items = self._pop_to_mark()
                _set_items(stack[-1], items)
            case "APPEND":
                item = stack.pop()
                _extend(stack[-1], [item])
            case "APPENDS":
                items = self._pop_to_mark()
                _extend(stack[-1], items)
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(self._result(function, arguments, instruction))
            case "BUILD":
                state = stack.pop()
                if not isinstance(stack[-1], Placeholder):
                    self.build(stack[-1], state)
            case "BINPERSID":
                stack.append(self.persistent(stack.pop()))
            case _ if instruction in ARGUMENTS:
                stack.append(argument)
            case _ if instruction in CONSTANTS:
                stack.append(CONSTANTS[instruction])
            case _ if instruction in TUPLES:
                items = [stack.pop() for _ in range(TUPLES[instruction])]
                stack.append(tuple(reversed(items)))
            case _:
                raise Refused(f"the instruction {instruction}")

    def _step_of_set(self, instruction: str) -> None:
        """Sets become placeholders, as no tensor is in one."""
        if instruction != "EMPTY_SET":
            self._pop_to_mark()
        if instruction != "ADDITEMS":
            self.stack.append(Placeholder())
        elif not isinstance(self.stack[-1], Placeholder):
            raise Refused("items of something that is not a set")

    def _pop_to_mark(self) -> list[Any]:
        """Remove and return the items above the last mark, and remove the mark."""
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _result(self, function: Any, arguments: Any, instruction: str) -> Any:
        """What a call returns. Raises: Refused."""
        if isinstance(function, Placeholder):
            return Placeholder()
        if type(function) is not Name or type(arguments) is not tuple or instruction != "REDUCE":
            raise Refused("a call of something that is not a function")
        return self.called(function.name, arguments)

    def _name(self, name: str) -> Name | Placeholder:
        """Resolve a name. Raises: UserError for the class of a model or layer; Refused for any other name that is not allowed."""
        if name in self.names:
            return Name(name.split(" ")[1])
        if name in OTHER_NAMES or name.startswith(OTHER_MODULES):
            return Placeholder()
        if name.startswith(CLASSES):
            raise UserError(
                f"contains objects of the class {short(name.replace(' ', '.'))}, which needs its program to be read; "
                "save model.state_dict() on its own"
            )
        raise Refused(f"the name {short(name.replace(' ', '.'))}")


def _set_items(target: Any, items: list[Any]) -> None:
    if isinstance(target, Placeholder):
        return
    if type(target) is not dict or len(items) % 2 or not all(isinstance(key, KEYS) for key in items[::2]):
        raise Refused("items of something that is not a dictionary of names")
    target.update(zip(items[::2], items[1::2], strict=True))


def _extend(target: Any, items: list[Any]) -> None:
    if isinstance(target, Placeholder):
        return
    if type(target) is not list:
        raise Refused("entries of something that is not a list")
    target.extend(items)


def short(text: str) -> str:
    """For an error."""
    return repr(text if len(text) <= 80 else f"{text[:80]}...")
