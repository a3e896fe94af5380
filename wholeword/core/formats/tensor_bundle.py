"""TensorFlow's checkpoints ("tensor bundles"), written and read without TensorFlow.

`PREFIX.data-00000-of-00001` and so on, one a shard, are the bytes of the tensors. `PREFIX.index` is a table of sorted keys, as LevelDB
has it, all numbers little endian:

    blocks   each its content, one byte for its compression (0: none), masked crc32c of both
    footer   48 bytes: handles (offset and size, varints) of the block of meta data and of the index block, zeros, the magic number

A block's content is its entries, then the places of those that share nothing with the key before ("restarts", uint32) and how many
these are. An entry is three varints (bytes shared with the key before, other bytes of the key, bytes of the value), the rest of the key
and the value. The index block's values are the handles of the others, whose keys are "" and the names of the tensors, and the values:

    BundleHeaderProto   num_shards = 1, endianness = 2 (0: little), version = 3: producer = 1, min_consumer = 2
    BundleEntryProto    dtype = 1, shape = 2: dim = 2: size = 1; shard_id = 3, offset = 4, size = 5, crc32c = 6 (masked), slices = 7

What is written has the bytes that SaveV2 writes. Not read: strings, bfloat16, partitioned variables, big-endian or compressed files.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, core/protobuf/tensor_bundle.proto, core/lib/io/table_builder.cc.
"""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import disk_errors, write_file
from wholeword.core.formats.tfrecord import CRC_BYTES, DELIMITED, FIXED32, VARINT, fields, masked_crc, varint_at

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
FOOTER_BYTES, TRAILER_BYTES = 48, 1 + CRC_BYTES
BLOCK_BYTES, RESTART_INTERVAL = 262144, 16  # table::Options of TensorFlow
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
# no checkpoint of a BERT comes near; a file made to exhaust the memory would go beyond
MOST_INDEX_BYTES, MOST_TENSORS, MOST_NAME_BYTES = 1 << 26, 100_000, 4096
MOST_DIMENSIONS, MOST_SIZE = 32, 1 << 40  # of a tensor, and of each


class Entry(NamedTuple):
    """Where a tensor is, and what it is."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int  # in bytes
    crc: bytes
    num_slices: int  # of a partitioned variable, whose bytes are elsewhere; else 0


# --- reading


def read_bundle(prefix: Path | str, *, wanted: Callable[[str], bool] = lambda name: True) -> "Tensors":
    """The tensors of a checkpoint that are wanted, each found to have its crc32c.

    Args:
        prefix: as TensorFlow has it, `bert_model.ckpt` for `bert_model.ckpt.index` and its data files.
        wanted: chooses by name; what is not wanted is not read.
    Raises: UserError if there is no such checkpoint, or a wanted tensor is of a kind that is not read here; IntegrityError naming tensor
        and file for all that is cut, damaged or missing.
    """
    entries = {name: entry for name, entry in read_entries(prefix).items() if wanted(name)}
    for name, entry in entries.items():
        if entry.num_slices:
            what = f"a partitioned variable in {entry.num_slices} slices"
        elif entry.dtype not in TYPE_NUMBERS:
            what = f"of type {entry.dtype}"
        else:
            continue
        raise UserError(f"{prefix}: {name} is {what}, which is not read here; save it whole and as float32 with TensorFlow")
    _check_places(entries)
    return {name: _read_tensor(name, entry) for name, entry in entries.items()}


def read_entries(prefix: Path | str) -> dict[str, Entry]:
    """What the index says of each tensor, in the order of names; the data files are not looked at. Raises: UserError, IntegrityError."""
    path = Path(f"{prefix}.index")
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the index of a TensorFlow checkpoint, beside its data files")
    if path.stat().st_size > MOST_INDEX_BYTES:
        raise IntegrityError(f"{path}: {path.stat().st_size:,} bytes; refused, the index of a BERT has less than {MOST_INDEX_BYTES:,}")
    try:
        table = dict(_read_table(path.read_bytes()))
        num_shards = _num_shards(table.pop(b"", None))
        return {
            key.decode(): _entry(value, prefix, num_shards)
            for key, value in table.items()
            if not key.startswith(b"\0")  # a slice, under an encoded name
        }
    except ValueError as error:
        raise IntegrityError(f"{path}: not a whole index of a TensorFlow checkpoint: {error}") from None


def _read_table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values in order. Raises: ValueError."""
    footer = content[-FOOTER_BYTES:]
    if len(footer) < FOOTER_BYTES or not footer.endswith(MAGIC):
        raise ValueError("its last 8 bytes are not those of one")
    meta, place = _handle(footer, 0)
    index, place = _handle(footer, place)
    if any(footer[place : -len(MAGIC)]):
        raise ValueError("its footer is damaged")
    _block(content, meta)
    count, last = 0, None
    for _, value in _entries(_block(content, index)):
        for key, entry in _entries(_block(content, _handle(value, 0)[0])):
            if last is not None and key <= last:
                raise ValueError("its names are not in order")
            count, last = count + 1, key
            if count > MOST_TENSORS:
                raise ValueError(f"more than {MOST_TENSORS:,} tensors")
            yield key, entry


def _handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    offset, place = varint_at(data, place)
    size, place = varint_at(data, place)
    return (offset, size), place


def _block(content: bytes, handle: tuple[int, int]) -> bytes:
    """A block's entries, its checksum having been found right."""
    offset, size = handle
    end = offset + size
    if end + TRAILER_BYTES > len(content) - FOOTER_BYTES or size < 4:
        raise ValueError(f"a block of {size} bytes at byte {offset} does not fit into it")
    if masked_crc(content[offset : end + 1]) != content[end + 1 : end + TRAILER_BYTES]:
        raise ValueError(f"the block at byte {offset} does not have its crc32c; get the file again")
    if content[end]:
        raise ValueError(f"the block at byte {offset} is compressed, which TensorFlow never does in a checkpoint")
    restarts = 4 * int.from_bytes(content[end - 4 : end], "little")
    if restarts > size - 4:
        raise ValueError(f"the block at byte {offset} says that it has {restarts // 4} restarts")
    return content[offset : end - 4 - restarts]


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place, key = 0, b""
    while place < len(data):
        shared, place = varint_at(data, place)
        length, place = varint_at(data, place)
        size, place = varint_at(data, place)
        if shared > len(key) or shared + length > MOST_NAME_BYTES or length + size > len(data) - place:
            raise ValueError(f"an entry of {shared} + {length} and {size} bytes does not fit into its block")
        key = key[:shared] + data[place : place + length]
        place += length + size
        yield key, data[place - size : place]


def _num_shards(header: bytes | None) -> int:
    if header is None:
        raise ValueError("it has no header")
    if _number(header, 2):
        raise ValueError("its numbers are big endian, which is not read here")
    if (oldest := _number(b"".join(fields(header, 3, DELIMITED)), 2)) > VERSION:
        raise ValueError(f"it asks for version {oldest} of the format; {VERSION} is read here")
    return _number(header, 1)


def _entry(data: bytes, prefix: Path | str, num_shards: int) -> Entry:
    number, shard = _number(data, 1), _number(data, 3)
    shape = tuple(_number(dim, 1) for dim in fields(b"".join(fields(data, 2, DELIMITED)), 2, DELIMITED))
    if shard >= num_shards:
        raise ValueError(f"a tensor is in shard {shard} of {num_shards}")
    if len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"a tensor has {len(shape)} dimensions")
    return Entry(
        path=Path(f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"),
        dtype=TYPES.get(number) or OTHER_TYPES.get(number) or f"number {number}",
        shape=shape,
        offset=_number(data, 4),
        size=_number(data, 5),
        crc=[bytes(CRC_BYTES), *fields(data, 6, FIXED32)][-1],
        num_slices=len(list(fields(data, 7, DELIMITED))),
    )


def _number(data: bytes, number: int) -> int:
    """A whole number in a message; 0, as always, if it is not there."""
    return varint_at([b"\0", *fields(data, number, VARINT)][-1], 0)[0]


def _check_places(entries: Mapping[str, Entry]) -> None:
    """Whether the tensors can be in their files, before memory is taken for them. Raises: IntegrityError."""
    sizes = {}
    for name, entry in entries.items():
        if entry.path not in sizes:
            if not entry.path.is_file():
                raise IntegrityError(f"{entry.path}: no such file, but the index says that {name} is in it; get the missing file")
            sizes[entry.path] = entry.path.stat().st_size
        if entry.size != prod(entry.shape) * np.dtype(entry.dtype).itemsize or max(entry.shape, default=0) > MOST_SIZE:
            raise IntegrityError(f"{entry.path}: {name}: {entry.size} bytes cannot be {entry.dtype} {list(entry.shape)}")
        if entry.offset + entry.size > sizes[entry.path]:
            found, end = sizes[entry.path], entry.offset + entry.size
            raise IntegrityError(f"{entry.path}: {name} ends at byte {end:,}, but the file has {found:,}; it was cut, get it again")
    for path, size in sizes.items():
        if (total := sum(entry.size for entry in entries.values() if entry.path == path)) > size:  # they overlap
            raise IntegrityError(f"{path}: the index says that {total:,} bytes of tensors are in it, but it has {size:,}; refused")


def _read_tensor(name: str, entry: Entry) -> np.ndarray:
    array = np.fromfile(entry.path, np.dtype(entry.dtype).newbyteorder("<"), prod(entry.shape), offset=entry.offset)
    if array.nbytes != entry.size or masked_crc(array) != entry.crc:
        raise IntegrityError(f"{entry.path}: {name} does not have its crc32c; the file is damaged, get it again")
    return array.astype(entry.dtype, copy=False).reshape(entry.shape)


# --- writing


def write_bundle(prefix: Path | str, tensors: Mapping[str, np.ndarray]) -> None:
    """Write `PREFIX.index` and `PREFIX.data-00000-of-00001`, with memory for one array more at a time.

    Raises: DiskError if there is no room; the files are then broken.
    """
    path, offset = Path(f"{prefix}.data-00000-of-00001"), 0
    table = [(b"", _varint_field(1, 1) + _delimited_field(3, _varint_field(1, VERSION)))]
    with disk_errors(path, needed=sum(array.nbytes for array in tensors.values())), open(path, "wb") as file:
        for key, name in sorted((name.encode(), name) for name in tensors):
            array = tensors[name]
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
            file.write(data.data)
            entry = (
                _varint_field(1, TYPE_NUMBERS[array.dtype.name]),
                _delimited_field(2, b"".join(_delimited_field(2, _varint_field(1, size)) for size in array.shape)),
                _varint_field(4, offset),
                _varint_field(5, array.nbytes),
                bytes([6 << 3 | FIXED32]) + masked_crc(data),
            )
            table.append((key, b"".join(entry)))
            offset += array.nbytes
    write_file(Path(f"{prefix}.index"), _table_bytes(table))


def _varint(number: int) -> bytes:
    octets = []
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes([*octets, number])


def _varint_field(number: int, value: int) -> bytes:
    return bytes([number << 3 | VARINT]) + _varint(value) if value else b""


def _delimited_field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | DELIMITED]) + _varint(len(value)) + value


class _Block:
    """A block that is being filled."""

    def __init__(self, restart_interval: int) -> None:
        self.restart_interval, self.data, self.restarts, self.count, self.last = restart_interval, bytearray(), [0], 0, b""

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.count == self.restart_interval:
            self.restarts.append(len(self.data))
            self.count = 0
        elif self.data:
            shared = _num_shared(key, self.last)
        self.data += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        self.last, self.count = key, self.count + 1

    def __len__(self) -> int:
        return len(self.data) + 4 * len(self.restarts) + 4

    def __bytes__(self) -> bytes:
        return bytes(self.data) + b"".join(number.to_bytes(4, "little") for number in [*self.restarts, len(self.restarts)])


def _table_bytes(table: list[tuple[bytes, bytes]]) -> bytes:
    content, index, block = bytearray(), _Block(1), _Block(RESTART_INTERVAL)

    def append(block: _Block) -> bytes:
        offset, data = len(content), bytes(block) + b"\0"
        content.extend(data + masked_crc(data))
        return _varint(offset) + _varint(len(data) - 1)

    for (key, value), following in zip(table, [*(key for key, _ in table[1:]), None], strict=True):
        block.add(key, value)
        if following is None or len(block) >= BLOCK_BYTES:
            index.add(_successor(key) if following is None else _separator(key, following), append(block))
            block = _Block(RESTART_INTERVAL)
    footer = append(_Block(RESTART_INTERVAL)) + append(index)
    return bytes(content) + footer.ljust(FOOTER_BYTES - len(MAGIC), b"\0") + MAGIC


def _separator(key: bytes, following: bytes) -> bytes:
    """FindShortestSeparator: something short from the key on and before the one that follows."""
    same = _num_shared(key, following)
    if same < len(key) and key[same] + 1 < following[same]:
        return key[:same] + bytes([key[same] + 1])
    return key


def _successor(key: bytes) -> bytes:
    """FindShortSuccessor: something short from the key on."""
    return next((key[:place] + bytes([octet + 1]) for place, octet in enumerate(key) if octet < 255), key)


def _num_shared(key: bytes, other: bytes) -> int:
    """How many bytes two keys begin with alike."""
    shortest = min(len(key), len(other))
    return next((place for place in range(shortest) if key[place] != other[place]), shortest)
