"""Lengths of words, sentences and documents of a token store, counted in blocks of the mapped arrays."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wholeword.core.data.store import Shard, TokenStore
from wholeword.reports.masks import LONGEST, length_name, share

BLOCK = 1 << 17  # tokens counted at once


@dataclass(frozen=True)
class LengthStatistics:
    """Statistics of some lengths; the median of an even number of them lies between the middle two."""

    median: float
    mean: float
    most: int


@dataclass(frozen=True)
class WordLength:
    """The words of one length."""

    pieces: str  # see `length_name`
    num_words: int
    num_pieces: int
    word_rate: float | None  # share of all words,
    piece_rate: float | None  # and of all pieces


class Histogram:
    """How often each length occurs; its memory depends on the longest, not on how many there are."""

    def __init__(self) -> None:
        self.counts = np.zeros(1, np.int64)

    def add(self, lengths: np.ndarray) -> None:
        """Count more lengths, integers [n]."""
        counts = np.bincount(lengths, minlength=len(self.counts))
        counts[: len(self.counts)] += self.counts
        self.counts = counts

    def statistics(self) -> LengthStatistics:
        """Median, mean and maximum."""
        ends = np.cumsum(self.counts)
        low, high = np.searchsorted(ends, [(ends[-1] - 1) // 2, ends[-1] // 2], side="right").tolist()
        mean = float(self.counts @ np.arange(len(self.counts)) / ends[-1])
        return LengthStatistics(median=(low + high) / 2, mean=round(mean, 3), most=len(self.counts) - 1)

    def up_to(self, longest: int) -> list[tuple[int, int]]:
        """For each length from 1 to `longest`, which includes all above: how often it occurs, and the sum of these lengths."""
        sums = self.counts * np.arange(len(self.counts))
        below = [(int(self.counts[length : length + 1].sum()), int(sums[length : length + 1].sum())) for length in range(1, longest)]
        return [*below, (int(self.counts[longest:].sum()), int(sums[longest:].sum()))]

    def word_lengths(self) -> list[WordLength]:
        """The words by length, if these are the pieces of words."""
        words = self.up_to(LONGEST)
        num_words, num_pieces = map(sum, zip(*words, strict=True))
        return [
            WordLength(length_name(length), count, pieces, share(count, num_words), share(pieces, num_pieces))
            for length, (count, pieces) in enumerate(words, 1)
        ]


def count_lengths(store: TokenStore) -> dict[str, Histogram]:
    """Lengths of documents in pieces and sentences, and of sentences in pieces."""
    histograms = {name: Histogram() for name in ("pieces_of_a_document", "sentences_of_a_document", "pieces_of_a_sentence")}
    for shard in store.shards:
        document_tokens = shard.sentence_ends[shard.document_ends - 1]
        for histogram, ends in zip(histograms.values(), (document_tokens, shard.document_ends, shard.sentence_ends), strict=True):
            histogram.add(np.diff(ends.astype(np.int64), prepend=0))
    return histograms


def count_words(store: TokenStore) -> Histogram:
    """Lengths of words in pieces."""
    histogram = Histogram()
    for shard in store.shards:
        for lengths in _word_lengths(shard):
            histogram.add(lengths)
    return histogram


def _word_lengths(shard: Shard) -> Iterator[np.ndarray]:
    """Lengths of a shard's words, block by block."""
    open_word = np.zeros(0, np.int64)  # start of a word that may continue in the next block
    for first in range(0, shard.num_tokens, BLOCK):
        bits = shard.word_start_bits[first >> 3 : (first + BLOCK) >> 3]
        starts = first + np.flatnonzero(np.unpackbits(bits, count=min(BLOCK, shard.num_tokens - first), bitorder="little").view(bool))
        starts = np.append(open_word, starts)
        yield np.diff(starts)
        open_word = starts[-1:]
    yield shard.num_tokens - open_word
