"""Where two segmenters agree on one text, and where their masks do."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from wholeword.core.data.groups import find_groups
from wholeword.core.data.tokenizer import Encoded
from wholeword.reports.masks import MaskedRows, chosen_inside, share

NUM_SPANS = 100  # the most frequent ones of a pair are kept


class Span(NamedTuple):
    """A text that two segmenters segment differently, with a slash where words begin, and how often it occurs so."""

    a: str
    b: str
    times: int


@dataclass(frozen=True)
class SharedMasks:
    """How far the masks of two segmenters agree."""

    overlap_rate: float | None  # masked positions that are masked under both
    words_of_a_partly_rate: float | None  # of a's words of several pieces that b's masks touch: those of which a piece stays visible
    words_of_b_partly_rate: float | None


@dataclass(frozen=True)
class Pair:
    """Two segmenters compared; precision and recall take `a` for the truth."""

    a: str
    b: str
    num_borders_a: int
    num_borders_b: int
    num_borders_common: int
    precision: float | None
    recall: float | None
    f1: float | None
    num_words_common: int
    words_of_a_rate: float | None
    words_of_b_rate: float | None
    num_sentences_that_differ: int
    sentences_that_differ_rate: float | None
    num_spans: int
    spans: list[Span]
    masks: SharedMasks


class Segmented(NamedTuple):
    """The text as one segmenter sees it."""

    name: str
    word_starts: np.ndarray  # bool [num_pieces], True where a word begins; every sentence begins with a word
    masked: Sequence[MaskedRows]


def compare_pair(encoded: Encoded, a: Segmented, b: Segmented) -> Pair:
    """Compare the words and masks of two segmenters."""
    starts_a, starts_b = a.word_starts, b.word_starts
    borders = encoded.sentence_pieces
    num_sentences = int((borders[1:] > borders[:-1]).sum())
    num_a, num_b, common = (int(starts.sum()) - num_sentences for starts in (starts_a, starts_b, starts_a & starts_b))
    changes = np.cumsum(np.append(0, starts_a != starts_b))
    num_different = int((changes[borders[1:]] > changes[borders[:-1]]).sum())
    places, same = _between_common_borders(starts_a, starts_b)
    spans = Counter(
        (_with_borders(encoded, starts_a, first, end), _with_borders(encoded, starts_b, first, end))
        for first, end in zip(places[:-1][~same].tolist(), places[1:][~same].tolist(), strict=True)
    )
    return Pair(
        a=a.name,
        b=b.name,
        num_borders_a=num_a,
        num_borders_b=num_b,
        num_borders_common=common,
        precision=share(common, num_b),
        recall=share(common, num_a),
        f1=share(2 * common, num_a + num_b),
        num_words_common=int(same.sum()),
        words_of_a_rate=share(same.sum(), starts_a.sum()),
        words_of_b_rate=share(same.sum(), starts_b.sum()),
        num_sentences_that_differ=num_different,
        sentences_that_differ_rate=share(num_different, num_sentences),
        num_spans=sum(spans.values()),
        spans=[Span(*cut, count) for cut, count in sorted(spans.items(), key=lambda item: (-item[1], item[0]))[:NUM_SPANS]],
        masks=_shared_masks(a.masked, b.masked),
    )


def _between_common_borders(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare the stretches between common borders.

    Returns: where words of both begin, and the end, int64 [n + 1]; whether each of the n stretches is one word to both, bool [n].
    """
    places = np.flatnonzero(np.append(a & b, True))
    either = np.cumsum(np.append(0, a | b))
    return places, either[places[1:]] == either[places[:-1] + 1]


def _with_borders(encoded: Encoded, word_starts: np.ndarray, first: int, end: int) -> str:
    """The text of some pieces with a slash where words begin."""
    begins = [first, *(first + 1 + np.flatnonzero(word_starts[first + 1 : end])).tolist(), end]
    return "/".join(_text(encoded, begin, following) for begin, following in pairwise(begins))


def _text(encoded: Encoded, first: int, end: int) -> str:
    codes = encoded.codes[encoded.starts[first] : encoded.ends[end - 1]]
    return bytes(codes.tobytes()).decode("utf-32-le")


def _shared_masks(a: Sequence[MaskedRows], b: Sequence[MaskedRows]) -> SharedMasks:
    """Compare two segmenters' masks of the same rows."""
    total: Counter[str] = Counter()
    for one, other in zip(a, b, strict=True):
        total["both"] += int((one.masked.chosen & other.masked.chosen).sum())
        total["all"] += int(one.masked.chosen.sum() + other.masked.chosen.sum())
        for key, rows, chosen in (("a", one, other.masked.chosen), ("b", other, one.masked.chosen)):
            words = find_groups(rows.word_starts, rows.candidates)
            inside = chosen_inside(words, chosen)
            touched = (words.lengths > 1) & (inside > 0)
            total[f"touched {key}"] += int(touched.sum())
            total[f"partly {key}"] += int((touched & (inside < words.lengths)).sum())
    return SharedMasks(
        overlap_rate=share(2 * total["both"], total["all"]),
        words_of_a_partly_rate=share(total["partly a"], total["touched a"]),
        words_of_b_partly_rate=share(total["partly b"], total["touched b"]),
    )
