"""The words of a batch, as groups of pieces that are masked together or not at all."""

from collections.abc import Sequence
from math import ceil, log2
from typing import NamedTuple

import numpy as np

from wholeword.core.data.draws import Stream, child, uniform


class Groups(NamedTuple):
    """The words of a batch, in order."""

    starts: np.ndarray  # int64 [groups], the first piece of each, as row * length + position
    lengths: np.ndarray  # int32 [groups], pieces


def find_edges(word_starts: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Where a group begins, and where there is no candidate: bool [rows, length].

    A group begins at a word start, at the first candidate after a non-candidate, and at the first candidate of a row. It ends before the
    next edge.

    Args:
        word_starts, candidates: bool [rows, length].
    """
    edges = ~candidates
    after = edges[:, :-1].copy()
    edges |= word_starts
    edges[:, 1:] |= after
    edges[:, 0] = True
    return edges


def find_groups(word_starts: np.ndarray, candidates: np.ndarray) -> Groups:
    """The groups of a batch, see `find_edges`."""
    begins = find_edges(word_starts, candidates)
    begins &= candidates
    ends = candidates.copy()  # where a group has its last piece
    ends[:, :-1] &= begins[:, 1:] | ~candidates[:, 1:]
    starts = np.flatnonzero(begins)
    return Groups(starts, (np.flatnonzero(ends) - starts + 1).astype(np.int32))


def group_lengths_at(places: np.ndarray, word_starts: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The number of pieces in the group of each of some candidates: int64 [places].

    Args:
        places: int64 [places], as row * length + position.
    """
    edges = np.append(find_edges(word_starts, candidates), True)
    begins, ends = places.copy(), places + 1
    for moving, step in ((begins, -1), (ends, 1)):  # to the nearest edge; as many steps as the longest group has pieces
        inside = np.flatnonzero(~edges[moving])
        while len(inside):
            moving[inside] += step
            inside = inside[~edges[moving[inside]]]
    lengths: np.ndarray = ends - begins
    return lengths


def join_groups(groups: Groups, keys: np.ndarray, *, length: int, weights: Sequence[float]) -> Groups:
    """Join neighbouring words into spans: from left to right, each span takes 1, 2, ... words with probabilities proportional to
    `weights`, and the next span begins after it. No span leaves its row or crosses a non-candidate; the last span before one may have
    fewer words than it drew.

    Args:
        keys: uint64 [rows], see `row_keys`.
        length: of a row.
    Source: ymcui/MacBERT#13, where its author describes the walk.
    """
    count = len(groups.starts)
    if not count:
        return groups
    rows = groups.starts // length
    ends = groups.starts + groups.lengths
    breaks = np.append(True, (ends[:-1] != groups.starts[1:]) | (rows[1:] != rows[:-1]))
    run_starts = np.flatnonzero(breaks)
    run_sizes = np.diff(run_starts, append=count)
    share = uniform(child(child(keys, Stream.SPAN)[rows], groups.starts - rows * length))
    bounds = np.cumsum(weights) / np.sum(weights)
    words = 1 + np.searchsorted(bounds[:-1], share, side="right")
    jump = np.append(np.minimum(np.arange(count) + words, np.repeat(run_starts + run_sizes, run_sizes)), count)
    begins = np.append(breaks, False)
    for _ in range(ceil(log2(run_sizes.max() + 1))):  # where the walk is after 1, 2, 4, ... spans
        begins[jump[np.flatnonzero(begins)]] = True
        jump = jump[jump]
    spans = np.flatnonzero(begins[:-1])
    last = np.append(spans[1:], count) - 1
    return Groups(groups.starts[spans], (ends[last] - groups.starts[spans]).astype(np.int32))
