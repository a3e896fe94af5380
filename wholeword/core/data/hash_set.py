"""A set of hundreds of millions of hashes, without a Python object for each."""

import numpy as np


class HashSet:
    """64-bit hashes in one array, about 16 bytes each (open addressing, at most three quarters full)."""

    def __init__(self) -> None:
        self._slots = np.zeros(1 << 12, np.uint64)  # 0 is an empty slot
        self._size = 0

    def add(self, hashes: np.ndarray) -> np.ndarray:
        """Add some hashes, uint64 [n]. Returns: bool [n], True at the first occurrence of a hash that is new."""
        keys, first = np.unique(np.maximum(hashes, 1), return_index=True)
        if (self._size + len(keys)) * 4 > len(self._slots) * 3:
            old = self._slots[self._slots != 0]
            self._slots = np.zeros(1 << int((self._size + len(keys)) * 2).bit_length(), np.uint64)
            self._place(old)
        placed = self._place(keys)
        self._size += int(placed.sum())
        new = np.zeros(len(hashes), bool)
        new[first[placed]] = True
        return new

    def _place(self, keys: np.ndarray) -> np.ndarray:
        """Insert keys, all different, unless they are there: bool [n], whether each was inserted."""
        placed = np.zeros(len(keys), bool)
        last = np.uint64(len(self._slots) - 1)
        pending, slots = np.arange(len(keys)), keys & last
        while len(pending):
            there = self._slots[slots]
            empty = there == 0
            self._slots[slots[empty]] = keys[pending[empty]]  # if several keys want one slot, one gets it
            won = empty & (self._slots[slots] == keys[pending])
            placed[pending[won]] = True
            going_on = ~won & (there != keys[pending])
            pending, slots = pending[going_on], (slots[going_on] + np.uint64(1)) & last
        return placed
