"""TFRecord files of tf.train.Examples, written and read without TensorFlow.

A file is a sequence of records, all numbers little endian:

    uint64       length of the data
    uint32       masked crc32c of these 8 bytes
    byte[]       data
    uint32       masked crc32c of the data

The data is a protocol buffer (tensorflow/core/example/example.proto, feature.proto):

    Example   features = 1: Features
    Features  map 1: name = 1, Feature = 2
    Feature   one of bytes_list = 1, float_list = 2, int64_list = 3, each with its values in field 1, numbers packed

The bytes depend on the content alone, since features are sorted by name. Features written from batches have the names and types of
`write_instance_to_example_files` in google-research/bert's create_pretraining_data.py. Not supported: compressed files.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import google_crc32c
import numpy as np

from wholeword.core.errors import IntegrityError
from wholeword.core.formats.protobuf import (
    DELIMITED,
    FIXED32,
    VARINT,
    Part,
    decode_varints,
    delimited,
    fields,
    fixed,
    submessage,
    to_bytes,
    varints,
)

FEATURES = (
    "input_ids",
    "input_mask",
    "segment_ids",
    "masked_lm_positions",
    "masked_lm_ids",
    "masked_lm_weights",
    "next_sentence_labels",
)
ROWS_AT_ONCE = 256  # small enough for the processor's cache
FORMAT = {"name": "wholeword tfrecords", "version": 1}  # of a folder of them
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3  # fields of a Feature
WIRE_TYPES = {BYTES_LIST: (DELIMITED,), FLOAT_LIST: (DELIMITED, FIXED32), INT64_LIST: (DELIMITED, VARINT)}  # of the values of a list
HEADER_BYTES, CRC_BYTES = 12, 4


def write_tfrecords(paths: Sequence[Path | str], batches: Iterable[Mapping[str, np.ndarray]]) -> int:
    """Write the seven features of batches; row i goes to file i modulo the number of files, as in Google's script.

    Returns: the number of rows.
    """
    rows = 0
    with ExitStack() as stack:
        files = [stack.enter_context(open(path, "wb")) for path in paths]
        for batch in batches:
            for begin in range(0, len(batch["input_ids"]), ROWS_AT_ONCE):
                part = {name: batch[name][begin : begin + ROWS_AT_ONCE] for name in FEATURES}
                records = [frame(data) for data in encode_examples(part)]
                for number, file in enumerate(files):
                    file.write(b"".join(records[(number - rows) % len(files) :: len(files)]))
                rows += len(records)
    return rows


def read_tfrecords(paths: Iterable[Path | str]) -> Iterator[dict[str, np.ndarray]]:
    """The examples of several files, in order: int64, float32 or (for bytes) object arrays [values], by name.

    Features may be in any order, and numbers packed or not. A file that was truncated between two records looks complete; only the
    manifest of its folder reveals it.
    Raises: IntegrityError naming file and byte, at the first record that is truncated, damaged or not a tf.train.Example.
    """
    for path in paths:
        for offset, data in read_records(path):
            try:
                example = decode_example(data)
            except ValueError as error:
                raise IntegrityError(f"{path}: byte {offset}: the record is not a tf.train.Example: {error}") from None
            yield example


# --- records


def masked_crc(data: bytes | np.ndarray) -> bytes:
    """TensorFlow's masked crc32c of bytes or a contiguous array, 4 bytes: rotated, plus a constant (core/lib/hash/crc32c.h)."""
    crc = google_crc32c.value(data)
    masked: int = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return masked.to_bytes(CRC_BYTES, "little")


def frame(data: bytes) -> bytes:
    """Data as a record, with its length and checksums."""
    length = len(data).to_bytes(8, "little")
    return b"".join((length, masked_crc(length), data, masked_crc(data)))


def read_records(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """The offset and data of each record in a file. Raises: IntegrityError."""
    with open(path, "rb") as file:
        offset, size = 0, os.fstat(file.fileno()).st_size
        while offset < size:
            header = file.read(HEADER_BYTES)
            if masked_crc(header[:8]) != header[8:]:
                problem = "its length fails its crc32c check" if len(header) == HEADER_BYTES else f"only {len(header)} bytes remain"
                raise IntegrityError(f"{path}: byte {offset}: no record begins here ({problem}); the file is damaged, write it again")
            length = int.from_bytes(header[:8], "little")
            left = size - offset - HEADER_BYTES - CRC_BYTES
            if length > left:
                raise IntegrityError(
                    f"{path}: byte {offset}: a record of {length} bytes, but only {max(left, 0)} remain; the file is truncated"
                )
            data, crc = file.read(length), file.read(CRC_BYTES)
            if masked_crc(data) != crc:
                raise IntegrityError(f"{path}: byte {offset}: the record fails its crc32c check; the file is damaged, write it again")
            yield offset, data
            offset += HEADER_BYTES + length + CRC_BYTES


# --- examples out of arrays


def encode_examples(features: Mapping[str, np.ndarray]) -> list[bytes]:
    """Each row of the features as a serialized tf.train.Example.

    Args:
        features: by name, [rows, values] or [rows]; integers become an int64_list, floats a float_list.
    """
    entries: list[Part] = []
    size = np.zeros(1, np.int64)
    for name in sorted(features):
        values = features[name].reshape(len(features[name]), -1)
        kind = FLOAT_LIST if values.dtype.kind == "f" else INT64_LIST
        content = fixed(np.ascontiguousarray(values, "<f4").view(np.uint8)) if kind == FLOAT_LIST else varints(values)
        packed = delimited(1, [content], content.sizes.sum(axis=1, dtype=np.int64))
        feature = delimited(2, *delimited(kind, *packed))
        key = delimited(1, [fixed(np.frombuffer(name.encode(), np.uint8)[None])], np.array([len(name.encode())]))
        entry, entry_size = delimited(1, key[0] + feature[0], key[1] + feature[1])
        entries += entry
        size = size + entry_size
    return to_bytes(delimited(1, entries, size)[0], len(size))


# --- arrays out of examples


def decode_example(data: bytes) -> dict[str, np.ndarray]:
    """The features of a serialized tf.train.Example. Raises: ValueError."""
    features = {}
    for entry in fields(submessage(data, 1), 1, DELIMITED):
        name, feature = [b"", *fields(entry, 1, DELIMITED)][-1].decode("utf-8"), submessage(entry, 2)
        for kind, wire_types in WIRE_TYPES.items():
            lists = list(fields(feature, kind, DELIMITED))
            if lists:
                features[name] = decode_list(kind, list(fields(b"".join(lists), 1, *wire_types)))
    return features


def decode_list(kind: int, values: list[bytes]) -> np.ndarray:
    """The values of a list. Packed and unpacked values have the same bytes."""
    if kind == BYTES_LIST:
        return np.array([*values, None], object)[:-1]
    if kind == FLOAT_LIST:
        return np.frombuffer(b"".join(values), "<f4").astype(np.float32)
    return decode_varints(b"".join(values))
