"""Tables of sorted keys, the format of LevelDB and of the index of TensorFlow's checkpoints. All numbers are little endian:

    blocks   for each: its content, one byte for its compression (0: none), the masked crc32c of both
    footer   48 bytes: handles (offset and size, varints) of the metadata block and of the index block, zeros, the magic number

A block contains its entries, then the offsets of the entries that share nothing with the previous key ("restarts", uint32), then their
number. An entry is three varints (bytes shared with the previous key, remaining bytes of the key, bytes of the value), the rest of the key
and the value. The index block maps a key, which is at or after the last key of a block, to the handle of that block.
Source: tensorflow/core/lib/io/table_builder.cc.
"""

from collections.abc import Iterator

from wholeword.core.formats.protobuf import varint, varint_at
from wholeword.core.formats.tfrecord import CRC_BYTES, masked_crc

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
FOOTER_BYTES, TRAILER_BYTES = 48, 1 + CRC_BYTES
BLOCK_BYTES, RESTART_INTERVAL = 262144, 16  # table::Options of TensorFlow
MOST_KEYS, MOST_KEY_BYTES = 100_000, 4096  # far above any BERT checkpoint; only a file made to exhaust memory exceeds them


def read_table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values in order. Raises: ValueError."""
    footer = content[-FOOTER_BYTES:]
    if len(footer) < FOOTER_BYTES or not footer.endswith(MAGIC):
        raise ValueError("its last 8 bytes are not the magic number")
    meta, place = _handle(footer, 0)
    index, place = _handle(footer, place)
    if any(footer[place : -len(MAGIC)]):
        raise ValueError("its footer is damaged")
    _block(content, meta)
    count, last = 0, None
    for _, value in _entries(_block(content, index)):
        for key, entry in _entries(_block(content, _handle(value, 0)[0])):
            if last is not None and key <= last:
                raise ValueError("its names are out of order")
            count, last = count + 1, key
            if count > MOST_KEYS:
                raise ValueError(f"more than {MOST_KEYS:,} tensors")
            yield key, entry


def _handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    offset, place = varint_at(data, place)
    size, place = varint_at(data, place)
    return (offset, size), place


def _block(content: bytes, handle: tuple[int, int]) -> bytes:
    """The entries of a block. Raises: ValueError if its checksum does not match."""
    offset, size = handle
    end = offset + size
    if end + TRAILER_BYTES > len(content) - FOOTER_BYTES or size < 4:
        raise ValueError(f"a block of {size} bytes at byte {offset} exceeds the file")
    if masked_crc(content[offset : end + 1]) != content[end + 1 : end + TRAILER_BYTES]:
        raise ValueError(f"the block at byte {offset} fails its crc32c check; download the file again")
    if content[end]:
        raise ValueError(f"the block at byte {offset} is compressed, which TensorFlow never does in a checkpoint")
    restarts = 4 * int.from_bytes(content[end - 4 : end], "little")
    if restarts > size - 4:
        raise ValueError(f"the block at byte {offset} claims {restarts // 4} restarts")
    return content[offset : end - 4 - restarts]


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place, key = 0, b""
    while place < len(data):
        shared, place = varint_at(data, place)
        length, place = varint_at(data, place)
        size, place = varint_at(data, place)
        if shared > len(key) or shared + length > MOST_KEY_BYTES or length + size > len(data) - place:
            raise ValueError(f"an entry of {shared} + {length} and {size} bytes does not fit into its block")
        key = key[:shared] + data[place : place + length]
        place += length + size
        yield key, data[place - size : place]


# --- writing


class _Block:
    """A block under construction."""

    def __init__(self, restart_interval: int) -> None:
        self.restart_interval, self.data, self.restarts, self.count, self.last = restart_interval, bytearray(), [0], 0, b""

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.count == self.restart_interval:
            self.restarts.append(len(self.data))
            self.count = 0
        elif self.data:
            shared = _num_shared(key, self.last)
        self.data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        self.last, self.count = key, self.count + 1

    def __len__(self) -> int:
        return len(self.data) + 4 * len(self.restarts) + 4

    def __bytes__(self) -> bytes:
        return bytes(self.data) + b"".join(number.to_bytes(4, "little") for number in [*self.restarts, len(self.restarts)])


def table_bytes(table: list[tuple[bytes, bytes]]) -> bytes:
    """The content of a table's file. The keys must be sorted."""
    content, index, block = bytearray(), _Block(1), _Block(RESTART_INTERVAL)

    def append(block: _Block) -> bytes:
        offset, data = len(content), bytes(block) + b"\0"
        content.extend(data + masked_crc(data))
        return varint(offset) + varint(len(data) - 1)

    for (key, value), following in zip(table, [*(key for key, _ in table[1:]), None], strict=True):
        block.add(key, value)
        if following is None or len(block) >= BLOCK_BYTES:
            index.add(_successor(key) if following is None else _separator(key, following), append(block))
            block = _Block(RESTART_INTERVAL)
    footer = append(_Block(RESTART_INTERVAL)) + append(index)
    return bytes(content) + footer.ljust(FOOTER_BYTES - len(MAGIC), b"\0") + MAGIC


def _separator(key: bytes, following: bytes) -> bytes:
    """FindShortestSeparator: a short key at or after `key`, and before `following`."""
    same = _num_shared(key, following)
    if same < len(key) and key[same] + 1 < following[same]:
        return key[:same] + bytes([key[same] + 1])
    return key


def _successor(key: bytes) -> bytes:
    """FindShortSuccessor: a short key at or after `key`."""
    return next((key[:place] + bytes([octet + 1]) for place, octet in enumerate(key) if octet < 255), key)


def _num_shared(key: bytes, other: bytes) -> int:
    """The length of the common prefix of two keys."""
    shortest = min(len(key), len(other))
    return next((place for place in range(shortest) if key[place] != other[place]), shortest)
