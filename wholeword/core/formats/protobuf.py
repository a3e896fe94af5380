"""The wire format of protocol buffers: fields of messages, read one by one, and written for many messages at once.

Source: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types
FIXED = {FIXED64: 8, FIXED32: 4}
MOST_VARINT_BYTES = 10  # of 64 bits
MORE = np.uint8(128)  # the top bit of a byte of a varint: another byte follows


# --- reading


def submessage(data: bytes, number: int) -> bytes:
    """Field `number`, a message. If the field is repeated, its messages are concatenated, which merges them."""
    return b"".join(fields(data, number, DELIMITED))


def fields(data: bytes, number: int, *wire_types: int) -> Iterator[bytes]:
    """The bytes of each field with this number and one of these wire types; other fields are skipped, as the format requires."""
    place = 0
    while place < len(data):
        key, place = varint_at(data, place)
        wire_type = key & 7
        if wire_type == DELIMITED:
            size, place = varint_at(data, place)
        elif wire_type == VARINT:
            size = varint_at(data, place)[1] - place
        elif wire_type in FIXED:
            size = FIXED[wire_type]
        else:
            raise ValueError(f"wire type {wire_type}")
        if size > len(data) - place:
            raise ValueError(f"a field of {size} bytes where only {len(data) - place} remain")
        if key >> 3 == number and wire_type in wire_types:
            yield data[place : place + size]
        place += size


def varint_at(data: bytes, place: int) -> tuple[int, int]:
    """The integer that begins at `place`, and the position after it. Raises: ValueError."""
    number = 0
    for shift, octet in enumerate(data[place : place + MOST_VARINT_BYTES]):
        number |= (octet & 127) << 7 * shift
        if octet < 128:
            return number, place + shift + 1
    raise ValueError("an unterminated number")


def integer(data: bytes, number: int) -> int:
    """Field `number`, an integer; 0, the default, if it is missing."""
    return varint_at([b"\0", *fields(data, number, VARINT)][-1], 0)[0]


def decode_varints(data: bytes) -> np.ndarray:
    """The numbers in consecutive varints: int64 [n]."""
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < MORE) + 1
    if len(ends) == len(octets):
        return octets.astype(np.int64)
    sizes = np.diff(ends, prepend=0)
    if octets[-1] >= MORE or sizes.max() > MOST_VARINT_BYTES:
        raise ValueError("an unterminated number")
    numbers, starts = np.zeros(len(ends), np.uint64), ends - sizes
    for byte in range(sizes.max()):
        longer = sizes > byte
        numbers[longer] |= (octets[starts[longer] + byte] & np.uint8(127)).astype(np.uint64) << np.uint64(7 * byte)
    return numbers.view(np.int64)


# --- writing one message


def varint(number: int) -> bytes:
    """A non-negative number, 7 bits per byte."""
    octets = []
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes([*octets, number])


def varint_field(number: int, value: int) -> bytes:
    """A number with its tag; nothing for 0, the default."""
    return bytes([number << 3 | VARINT]) + varint(value) if value else b""


def delimited_field(number: int, value: bytes) -> bytes:
    """Bytes with their tag and length."""
    return bytes([number << 3 | DELIMITED]) + varint(len(value)) + value


# --- writing many messages at once


class Part(NamedTuple):
    """Part of a message, for every row: numbers, each written in `sizes` bytes of 7 bits; a number of one byte may use all 8 bits."""

    numbers: np.ndarray  # unsigned integers [rows, n], or [1, n] if they are the same in every row
    sizes: np.ndarray  # uint8 of the same shape


def varints(values: np.ndarray) -> Part:
    """Integers of 64 bits."""
    numbers = values.astype(np.int64).view(np.uint64)
    bits = int(numbers.max(initial=0)).bit_length()
    if bits <= 32:
        numbers = numbers.astype(np.uint32)  # halves the memory traffic
    sizes = np.ones(numbers.shape, np.uint8)
    for limit in range(7, bits, 7):
        sizes += numbers >= 1 << limit
    return Part(numbers, sizes)


def fixed(octets: np.ndarray) -> Part:
    """Bytes, unchanged."""
    return Part(octets, np.ones(octets.shape, np.uint8))


def delimited(number: int, parts: list[Part], size: np.ndarray) -> tuple[list[Part], np.ndarray]:
    """Field `number` of a message, which contains parts of `size` bytes in each row, and the size of the field itself."""
    length = varints(size[:, None])
    return [fixed(np.array([[number << 3 | DELIMITED]], np.uint8)), length, *parts], 1 + length.sizes[:, 0] + size


def to_bytes(parts: list[Part], rows: int) -> list[bytes]:
    """The bytes of all parts, concatenated row by row."""
    width = sum(part.sizes.shape[1] for part in parts)
    numbers, sizes = np.empty((rows, width), np.result_type(*(part.numbers for part in parts))), np.empty((rows, width), np.uint8)
    column = 0
    for part in parts:
        columns = slice(column, column + part.sizes.shape[1])
        numbers[:, columns], sizes[:, columns] = part
        column = columns.stop
    ends = sizes.sum(axis=1, dtype=np.int64).cumsum()
    numbers, sizes = numbers.reshape(-1), sizes.reshape(-1)
    places = np.cumsum(sizes, dtype=np.int32 if ends[-1] < 1 << 31 else np.int64) - sizes
    content = np.empty(ends[-1], np.uint8)
    content[places] = numbers.astype(np.uint8) | (sizes > 1) * MORE
    longer, byte = np.flatnonzero(sizes > 1), 1
    while len(longer):
        numbers, sizes, places = numbers[longer], sizes[longer], places[longer]
        content[places + byte] = (numbers >> 7 * byte).astype(np.uint8) | (sizes > byte + 1) * MORE
        byte += 1
        longer = np.flatnonzero(sizes > byte)
    data = content.tobytes()
    return [data[begin:end] for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]
