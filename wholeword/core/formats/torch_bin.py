"""`pytorch_model.bin` without PyTorch: its content is known before a number is read, and nothing in it is executed.

A state dict is a pickle that maps tensors to numbers, and the numbers ("storages"), in one of two containers:

    since 1.6   a .zip archive, nothing compressed: NAME/data.pkl is the pickle, NAME/data/KEY a storage
    before      pickles in sequence (magic number, version, machine, state dict, keys); then for each key the number of its numbers
                (int64) and the numbers

Arrays are pages of the file, each read when it is first accessed. Follows `torch/serialization.py` and `torch/_utils.py` 2.13.
"""

import io
import mmap
import struct
import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from wholeword.core.formats.pickles import Machine, Name, Refused, refusals, short
from wholeword.core.formats.state_dicts import StateDict, find_state_dict
from wholeword.core.formats.tensors import from_bfloat16
from wholeword.core.formats.zip_checks import LOCAL_HEADER_BYTES, check_end, problems

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

TYPES = {  # PyTorch's name for a storage: type of its numbers
    **{"DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16"},
    **{"LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?"},
}
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # of the older container
MOST_PICKLE_BYTES = 16 << 20  # of the part that describes the tensors; each takes about 150
MOST_DIMENSIONS = 8


class Storage(NamedTuple):
    """A run of numbers in the archive."""

    key: str
    kind: str  # a value of TYPES
    length: int

    @property
    def dtype(self) -> np.dtype:
        """Of the file's bytes; NumPy has no bfloat16, which is the upper half of a float32."""
        return np.dtype("<u2" if self.kind == "bfloat16" else self.kind)


class Tensor(NamedTuple):
    """A view of a storage."""

    storage: Storage
    start: int  # in numbers, as strides are
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of its numbers."""
        return prod(self.shape) * self.storage.dtype.itemsize


class Bin:
    """The tensors of a state dict by name, where their numbers are, and `notes` on what else is in the file.

    Raises: UserError if there is no such file, several state dicts in it, or a whole model instead of its state dict; IntegrityError for
        anything that PyTorch never writes, for files without a state dict, and for those with fewer numbers than the tensors need.
    """

    def __init__(self, path: Path):
        self.path = path
        with refusals(path, "pytorch_model.bin", "torch.save"), open(path, "rb") as file:
            (self.tensors, self.notes), self.places = _from_zip(file) if _is_zip(path) else _from_pickles(file)
            self._check_places()
        self.shapes = {name: tensor.shape for name, tensor in self.tensors.items()}

    def _check_places(self) -> None:
        """Verify that the numbers are in the file, each for one tensor only, or for several that are the same."""
        size, distinct = self.path.stat().st_size, set(self.tensors.values())
        for tensor in distinct:
            storage = tensor.storage
            start, end = self.places[storage.key]
            if storage.length * storage.dtype.itemsize > end - start or end > size:
                raise Refused(f"it lists {storage.length:,} numbers in {short(storage.key)}, which has room for fewer")
        if (total := sum(tensor.nbytes for tensor in distinct)) > size:
            raise Refused(f"{total:,} bytes of tensors in a file of {size:,}")

    def read(self, names: Collection[str]) -> "Tensors":
        """Writable arrays. Tensors that are the same in the file share one array; half precision becomes float32."""
        with open(self.path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        arrays: dict[Tensor, np.ndarray] = {}
        for name in names:
            if (tensor := self.tensors[name]) not in arrays:
                arrays[tensor] = self._array(tensor, content)
        return {name: arrays[self.tensors[name]] for name in names}

    def _array(self, tensor: Tensor, content: mmap.mmap) -> np.ndarray:
        dtype = tensor.storage.dtype
        offset = self.places[tensor.storage.key][0] + tensor.start * dtype.itemsize
        strides = [stride * dtype.itemsize for stride in tensor.strides]
        array: np.ndarray = np.ndarray(tensor.shape, dtype, content, offset, strides) if tensor.nbytes else np.empty(tensor.shape, dtype)
        if tensor.storage.kind == "bfloat16":
            return from_bfloat16(array)
        return array.astype(np.float32) if dtype == np.float16 else np.require(array, requirements="A")


class _Machine(Machine):
    names = frozenset(
        {
            *("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor", "torch._utils _rebuild_parameter"),
            *("collections OrderedDict", *(f"torch {name}" for name in TYPES)),
        }
    )

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.storages: dict[str, Storage] = {}  # all that the file names, also those of an optimizer's tensors

    def called(self, function: str, arguments: tuple[Any, ...]) -> Any:
        match function, arguments:
            case "OrderedDict", ():
                return {}
            case "_rebuild_parameter", (Tensor() as tensor, bool(), {}):
                return tensor
            case "_rebuild_tensor" | "_rebuild_tensor_v2", (Storage() as storage, start, tuple() as shape, tuple() as strides, *more):
                if not any(more[2:]):  # behind whether it has a gradient, and its hooks: what a conjugate or negative view is
                    return _tensor(storage, start, shape, strides)
        raise Refused(f"a call of {function} with unexpected arguments")

    def build(self, item: Any, state: Any) -> None:
        """Ignore the attribute of a state dict, the versions of its modules."""
        if type(item) is not dict or type(state) is not dict:
            raise Refused("a state of something that is not a dictionary")

    def persistent(self, identity: Any) -> Storage:
        match identity:
            case ("storage", Name(name=kind), str(key), str(), int(length), *view) if kind in TYPES and view in ([], [None]):
                self.storages[key] = Storage(key, TYPES[kind], length)
                return self.storages[key]
        raise Refused("numbers of an unsupported type")


def _tensor(storage: Storage, start: int, shape: tuple[Any, ...], strides: tuple[Any, ...]) -> Tensor:
    if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS or not all(type(n) is int and n >= 0 for n in (start, *shape, *strides)):
        raise Refused("a tensor of an impossible shape")
    tensor = Tensor(storage, start, shape, strides)
    last = start + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if prod(shape) and (last >= storage.length or prod(shape) > storage.length):  # beyond the end, or seen again and again
        raise Refused(f"a tensor of shape {list(shape)}, for which the file has too few numbers")
    return tensor


def _state_dict(content: Any) -> StateDict:
    return find_state_dict(content, lambda value: value if type(value) is Tensor else None)


# --- containers: the state dict, and for each storage key the offsets of its first byte and of the byte after its last


def _is_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        starts = file.read(4) == b"PK\3\4"
    if starts != zipfile.is_zipfile(path):
        raise Refused("damaged, or a .zip archive and something else at once")
    return starts


def _from_zip(file: BinaryIO) -> tuple[StateDict, dict[str, tuple[int, int]]]:
    try:
        check_end(file)
        members = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, NotImplementedError):
        raise ValueError from None
    if any(member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size for member in members):
        raise Refused("it is compressed, which PyTorch never does; it may be a decompression bomb")
    for problem in problems(members):
        raise Refused(problem)
    if len({member.filename.partition("/")[0] for member in members}) != 1:
        raise Refused("its members are not in one folder")
    places = {member.filename.partition("/")[2]: _place(file, member) for member in members}
    if "byteorder" in places and _content(file, places["byteorder"]) != b"little":
        raise Refused("its numbers are not little endian")
    state = _state_dict(_Machine(io.BytesIO(_content(file, places["data.pkl"]))).run())
    return state, {name.removeprefix("data/"): place for name, place in places.items() if name.startswith("data/")}


def _place(file: BinaryIO, member: zipfile.ZipInfo) -> tuple[int, int]:
    """The bytes of a member. Its header holds the lengths of its name and of the padding that aligns numbers to multiples of 64."""
    file.seek(member.header_offset + LOCAL_HEADER_BYTES - 4)
    start = member.header_offset + LOCAL_HEADER_BYTES + sum(struct.unpack("<HH", file.read(4)))
    return start, start + member.file_size


def _content(file: BinaryIO, place: tuple[int, int]) -> bytes:
    start, end = place
    if end - start > MOST_PICKLE_BYTES:
        raise Refused(f"more than {MOST_PICKLE_BYTES:,} bytes to describe its content")
    file.seek(start)
    return file.read(end - start)


def _from_pickles(file: BinaryIO) -> tuple[StateDict, dict[str, tuple[int, int]]]:
    machine = _Machine(file)
    if machine.run() != MAGIC or machine.run() != VERSION:
        raise ValueError
    if not machine.run()["little_endian"]:
        raise Refused("its numbers are not little endian")
    state = _state_dict(machine.run())
    sizes = {key: storage.dtype.itemsize for key, storage in machine.storages.items()}
    places = {}
    for key in machine.run():
        (length,) = struct.unpack("<q", file.read(8))
        start = file.tell()
        end = start + length * sizes[key]
        if length < 0 or end > machine.size:
            raise Refused(f"it lists {length:,} numbers in {short(key)}, which has room for fewer")
        places[key] = start, end
        file.seek(end)
    if (left := machine.size - file.tell()) != 0:
        raise Refused(f"{left:,} bytes after its end")
    return state, places
