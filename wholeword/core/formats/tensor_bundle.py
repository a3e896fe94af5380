"""TensorFlow's checkpoints ("tensor bundles"), written and read without TensorFlow.

`PREFIX.data-00000-of-00001` and so on, one per shard, are the bytes of the tensors. `PREFIX.index` is a table (`sorted_table.py`) whose
keys are "" and the names of the tensors, and whose values are protocol buffers:

    BundleHeaderProto   num_shards = 1, endianness = 2 (0: little), version = 3: producer = 1, min_consumer = 2
    BundleEntryProto    dtype = 1, shape = 2: dim = 2: size = 1; shard_id = 3, offset = 4, size = 5, crc32c = 6 (masked), slices = 7

The bytes written are those of SaveV2. bfloat16 is read as float32. Not supported: strings, partitioned variables, big-endian or compressed
files.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, core/protobuf/tensor_bundle.proto.
"""

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import disk_errors, write_file
from wholeword.core.formats.protobuf import DELIMITED, FIXED32, delimited_field, fields, integer, varint_field
from wholeword.core.formats.sorted_table import read_table, table_bytes
from wholeword.core.formats.tensors import from_bfloat16
from wholeword.core.formats.tfrecord import CRC_BYTES, masked_crc

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

VERSION = 1  # kTensorBundleVersion
TYPES = {  # DataType of tensorflow/core/framework/types.proto
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    9: "int64",
    10: "bool",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
TYPE_NUMBERS = {name: number for number, name in TYPES.items()}
OTHER_TYPES = {7: "string", 14: "bfloat16"}
STORED = TYPE_NUMBERS.keys() | {"bfloat16"}  # types that are read
# far above any BERT checkpoint; only a file made to exhaust memory exceeds them
MOST_INDEX_BYTES = 1 << 26
MOST_DIMENSIONS, MOST_SIZE = 32, 1 << 40  # of a tensor, and of each


class Entry(NamedTuple):
    """The location, type and shape of a tensor."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int  # in bytes
    crc: bytes
    num_slices: int  # of a partitioned variable, whose bytes are elsewhere; else 0

    @property
    def stored_dtype(self) -> np.dtype:
        """Of the bytes in the file; NumPy has no bfloat16."""
        return np.dtype("uint16" if self.dtype == "bfloat16" else self.dtype)


# --- reading


def read_bundle(prefix: Path | str, *, select: Callable[[str], bool] = lambda name: True) -> "Tensors":
    """The selected tensors of a checkpoint, after verifying their crc32c.

    Args:
        prefix: in TensorFlow's sense: `bert_model.ckpt` for `bert_model.ckpt.index` and its data files.
        select: whether to read the tensor with a given name.
    Raises: UserError if there is no such checkpoint, or a selected tensor is of a type that is not supported; IntegrityError
        naming tensor and file if one is truncated, damaged or missing.
    """
    entries = {name: entry for name, entry in read_entries(prefix).items() if select(name)}
    for name, entry in entries.items():
        if entry.num_slices:
            kind = f"a partitioned variable in {entry.num_slices} slices"
        elif entry.dtype not in STORED:
            kind = f"of type {entry.dtype}"
        else:
            continue
        raise UserError(f"{prefix}: {name} is {kind}, which is not supported; save it in one piece and as float32 with TensorFlow")
    _check_places(entries)
    return {name: _read_tensor(name, entry) for name, entry in entries.items()}


def read_entries(prefix: Path | str) -> dict[str, Entry]:
    """The index: the entry of each tensor, in the order of names; data files are not opened. Raises: UserError, IntegrityError."""
    path = Path(f"{prefix}.index")
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the index of a TensorFlow checkpoint, beside its data files")
    if path.stat().st_size > MOST_INDEX_BYTES:
        raise IntegrityError(f"{path}: {path.stat().st_size:,} bytes; not accepted; the index of a BERT has less than {MOST_INDEX_BYTES:,}")
    try:
        table = dict(read_table(path.read_bytes()))
        num_shards = _num_shards(table.pop(b"", None))
        return {
            key.decode(): _entry(value, prefix, num_shards)
            for key, value in table.items()
            if not key.startswith(b"\0")  # a slice, under an encoded name
        }
    except ValueError as error:
        raise IntegrityError(f"{path}: not a complete index of a TensorFlow checkpoint: {error}") from None


def _num_shards(header: bytes | None) -> int:
    if header is None:
        raise ValueError("it has no header")
    if integer(header, 2):
        raise ValueError("its numbers are big endian, which is not supported")
    if (oldest := integer(b"".join(fields(header, 3, DELIMITED)), 2)) > VERSION:
        raise ValueError(f"it needs version {oldest} of the format; {VERSION} is supported")
    return integer(header, 1)


def _entry(data: bytes, prefix: Path | str, num_shards: int) -> Entry:
    number, shard = integer(data, 1), integer(data, 3)
    shape = tuple(integer(dim, 1) for dim in fields(b"".join(fields(data, 2, DELIMITED)), 2, DELIMITED))
    if shard >= num_shards:
        raise ValueError(f"a tensor is in shard {shard} of {num_shards}")
    if len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"a tensor has {len(shape)} dimensions")
    return Entry(
        path=Path(f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"),
        dtype=TYPES.get(number) or OTHER_TYPES.get(number) or f"number {number}",
        shape=shape,
        offset=integer(data, 4),
        size=integer(data, 5),
        crc=[bytes(CRC_BYTES), *fields(data, 6, FIXED32)][-1],
        num_slices=len(list(fields(data, 7, DELIMITED))),
    )


def _check_places(entries: Mapping[str, Entry]) -> None:
    """Verify that tensors fit into their files before memory is allocated for them. Raises: IntegrityError."""
    sizes = {}
    for name, entry in entries.items():
        if entry.path not in sizes:
            if not entry.path.is_file():
                raise IntegrityError(f"{entry.path}: no such file, but the index lists {name} in it; download it as well")
            sizes[entry.path] = entry.path.stat().st_size
        if entry.size != prod(entry.shape) * entry.stored_dtype.itemsize or max(entry.shape, default=0) > MOST_SIZE:
            raise IntegrityError(f"{entry.path}: {name}: {entry.size} bytes cannot be {entry.dtype} {list(entry.shape)}")
        if entry.offset + entry.size > sizes[entry.path]:
            size, end = sizes[entry.path], entry.offset + entry.size
            raise IntegrityError(
                f"{entry.path}: {name} ends at byte {end:,}, but the file has {size:,}; it is truncated; download it again"
            )
    for path, size in sizes.items():
        if (total := sum(entry.size for entry in entries.values() if entry.path == path)) > size:  # they overlap
            raise IntegrityError(f"{path}: the index lists {total:,} bytes of tensors in it, but it has {size:,}; not accepted")


def _read_tensor(name: str, entry: Entry) -> np.ndarray:
    array = np.fromfile(entry.path, entry.stored_dtype.newbyteorder("<"), prod(entry.shape), offset=entry.offset)
    if array.nbytes != entry.size or masked_crc(array) != entry.crc:
        raise IntegrityError(f"{entry.path}: {name} fails its crc32c check; the file is damaged, download it again")
    array = from_bfloat16(array) if entry.dtype == "bfloat16" else array.astype(entry.dtype, copy=False)
    return array.reshape(entry.shape)


# --- writing


def write_bundle(prefix: Path | str, tensors: Mapping[str, np.ndarray]) -> None:
    """Write `PREFIX.index` and `PREFIX.data-00000-of-00001`, using additional memory for one array at a time.

    Raises: DiskError if there is no room, which leaves incomplete files.
    """
    path, offset = Path(f"{prefix}.data-00000-of-00001"), 0
    table = [(b"", varint_field(1, 1) + delimited_field(3, varint_field(1, VERSION)))]
    with disk_errors(path, needed=sum(array.nbytes for array in tensors.values())), open(path, "wb") as file:
        for key, name in sorted((name.encode(), name) for name in tensors):
            array = tensors[name]
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
            file.write(data.data)
            entry = (
                varint_field(1, TYPE_NUMBERS[array.dtype.name]),
                delimited_field(2, b"".join(delimited_field(2, varint_field(1, size)) for size in array.shape)),
                varint_field(4, offset),
                varint_field(5, array.nbytes),
                bytes([6 << 3 | FIXED32]) + masked_crc(data),
            )
            table.append((key, b"".join(entry)))
            offset += array.nbytes
    write_file(Path(f"{prefix}.index"), table_bytes(table))
