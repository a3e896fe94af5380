"""Spans of tokens -> rows of equal length, without a loop over rows."""

from typing import NamedTuple

import numpy as np


class Spans(NamedTuple):
    """Arrays that hold the tokens of some spans, each span contiguous."""

    ids: np.ndarray  # uint16 or uint32
    word_start_bits: np.ndarray  # uint8
    id_places: np.ndarray  # int64 [num_spans], where a span begins among the ids,
    bit_places: np.ndarray  # int64 [num_spans], and among the bits

    def rows(self, before: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """See `TokenStore.rows`."""
        ids = windows(self.ids, self.id_places - before, length)
        first_bits = self.bit_places - before
        bits = np.unpackbits(windows(self.word_start_bits, first_bits >> 3, (length + 14) >> 3), axis=1, bitorder="little")
        places = np.arange(len(bits)) * bits.shape[1] + (first_bits & 7)
        return ids, windows(bits.reshape(-1), places, length).view(bool)


def windows(array: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """array[start : start + length] for each start: [num_starts, length]; positions outside the array hold arbitrary values."""
    if len(array) < length:
        array = np.append(array, np.zeros(length - len(array), array.dtype))
    size = array.itemsize
    every = np.ndarray((len(array) - length + 1, length), array.dtype, array, strides=(size, size))  # overlapping views; nothing is copied
    inside = np.minimum(np.maximum(starts, 0), len(every) - 1)
    rows: np.ndarray = every[inside]
    for row in np.flatnonzero(inside != starts).tolist():
        rows[row] = array.take(starts[row] + np.arange(length), mode="clip")
    return rows
