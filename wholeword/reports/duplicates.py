"""Duplicate documents of a token store."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wholeword.core.data.align import is_latin
from wholeword.core.data.draws import child
from wholeword.core.data.hash_set import HashSet
from wholeword.core.data.store import TokenStore
from wholeword.core.ragged import ragged_range
from wholeword.core.vocabulary import Vocabulary
from wholeword.reports.masks import share

BLOCK = 1 << 17  # tokens hashed at once
NUM_REPEATED = 5  # documents to show
SHOWN_PIECES = 60  # of a repeated document


@dataclass(frozen=True)
class RepeatedDocument:
    """The beginning of a document, and how often the document occurs."""

    text: str
    num_documents: int


@dataclass(frozen=True)
class Duplicates:
    """Documents with the same pieces as an earlier one."""

    num_duplicates: int
    duplicate_rate: float | None
    most_repeated: list[RepeatedDocument]
    num_dropped: int | None  # left out when the store was built; None if nobody counted


def duplicate_documents(store: TokenStore) -> Duplicates:
    """Find documents with the same pieces as an earlier one."""
    seen, hashes, numbers = HashSet(), [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for shard in store.shards:
        ends = shard.sentence_ends[shard.document_ends - 1].astype(np.int64)
        for first, end in _blocks(ends):
            block = hash_documents(shard.ids, np.append(ends[first - 1] if first else 0, ends[first:end]))
            known = np.flatnonzero(~seen.add(block))
            hashes.append(block[known])
            numbers.append(shard.document_offset + first + known)
    _, index, times = np.unique(np.concatenate(hashes), return_index=True, return_counts=True)
    examples = np.concatenate(numbers)[index]
    most = np.lexsort((examples, -times))[:NUM_REPEATED]
    return Duplicates(
        num_duplicates=int(times.sum()),
        duplicate_rate=share(times.sum(), store.num_documents),
        most_repeated=[
            RepeatedDocument(_beginning(store, number), count + 1)
            for number, count in zip(examples[most].tolist(), times[most].tolist(), strict=True)
        ],
        num_dropped=store.manifest["counts"].get("num_duplicates"),
    )


def _blocks(ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of documents, as (first, end), with about `BLOCK` tokens each."""
    borders = np.searchsorted(ends, np.arange(0, ends[-1] + BLOCK, BLOCK)).tolist()
    return ((first, end) for first, end in pairwise([*dict.fromkeys(borders), len(ends)]) if first < end)


def hash_documents(ids: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """uint64 [documents]: equal for documents with equal ids; for two others with a probability of 2**-64.

    Args:
        borders: int64 [documents + 1], the start of each in `ids`, and the end of the last one.
    """
    lengths = np.diff(borders)
    sums: np.ndarray = np.add.reduceat(child(ids[borders[0] : borders[-1]], ragged_range(lengths)), borders[:-1] - borders[0])
    return sums


def _beginning(store: TokenStore, document: int) -> str:
    first, end = store.document_sentences(document)
    begin, stop = store.sentence_tokens(first, end)[[0, -1]]
    ids, _ = store.gather(np.array([begin]), np.array([min(stop - begin, SHOWN_PIECES)]))
    return text_of(ids, store.vocabulary) + (" …" if stop - begin > SHOWN_PIECES else "")


def text_of(ids: np.ndarray, vocabulary: Vocabulary) -> str:
    """The text of some pieces, as far as a store keeps it: blanks are restored between Latin words and numbers only."""
    text = ""
    for id in ids.tolist():
        piece = vocabulary.pieces[id]
        if vocabulary.is_continuation[id]:
            text += piece[2:]
        else:
            text += " " * (text != "" and is_latin(text[-1]) and is_latin(piece[0])) + piece
    return text
