"""Checks of segmenters."""

from collections.abc import Iterable, Sequence

import numpy as np

from wholeword.core.contracts import BulkSegmenter, Segmenter, SplittingSegmenter
from wholeword.core.data.align import mark_words
from wholeword.core.testing.samples import SENTENCES


def check_segmenter(segmenter: Segmenter, sentences: Sequence[str] = SENTENCES, *, lossless: bool = True) -> None:
    """Check the contract of `contracts.Segmenter`, and of the optional parts that the segmenter has.

    Args:
        lossless: also demand that words join to the sentence, white space aside; False for segmenters that are known to alter text
            (the framework then falls back to single characters where they do).
    Raises: AssertionError naming the sentence and what was wrong.
    """
    assert isinstance(segmenter, Segmenter), f"{type(segmenter).__name__} has no method segment(sentences)"
    first = _segmented(segmenter, sentences)
    for sentence, words in zip(sentences, first, strict=True):
        if lossless:
            assert "".join("".join(words).split()) == "".join(sentence.split()), (
                f"{sentence!r}: the words {words} do not join to the sentence"
            )
    assert _segmented(segmenter, sentences) == first, "a second call returned different words; a segmenter must be deterministic"
    alone = [_segmented(segmenter, [sentence])[0] for sentence in sentences]
    for sentence, words, single in zip(sentences, first, alone, strict=True):
        assert words == single, f"{sentence!r}: {words} in a batch, {single} alone; words must not depend on the batch"
    assert _segmented(segmenter, []) == [], "an empty batch must give an empty result"
    if isinstance(segmenter, SplittingSegmenter):
        _check_split(segmenter, sentences)
    elif isinstance(segmenter, BulkSegmenter):
        _check_word_starts(segmenter, sentences, first)


def _segmented(segmenter: Segmenter, sentences: Sequence[str]) -> list[list[str]]:
    result = segmenter.segment(list(sentences))
    assert isinstance(result, Iterable), f"segment() returned {type(result).__name__}; expected an iterable of lists of words"
    words = list(result)
    assert len(words) == len(sentences), f"{len(sentences)} sentences gave {len(words)} lists of words; expected one per sentence"
    for sentence, line in zip(sentences, words, strict=True):
        assert isinstance(line, list) and all(isinstance(word, str) for word in line), (
            f"{sentence!r}: segment() returned {line!r}; expected a list of strings"
        )
    return words


def _check_split(segmenter: SplittingSegmenter, sentences: Sequence[str]) -> None:
    pairs = list(segmenter.split(list(sentences)))
    assert len(pairs) == len(sentences), f"split() returned {len(pairs)} pairs for {len(sentences)} sentences; expected one per sentence"
    for sentence, pair in zip(sentences, pairs, strict=True):
        assert isinstance(pair, tuple) and len(pair) == 2, f"{sentence!r}: split() returned {pair!r}; expected (text, words)"
        text, words = pair
        assert isinstance(text, str) and isinstance(words, list) and all(isinstance(word, str) for word in words), (
            f"{sentence!r}: split() returned {pair!r}; expected a string and a list of strings"
        )


def _check_word_starts(segmenter: BulkSegmenter, sentences: Sequence[str], expected: Sequence[Sequence[str]]) -> None:
    text = "".join(f"{sentence}\n" for sentence in sentences)
    starts = np.asarray(segmenter.word_starts(text))
    assert starts.shape == (len(text),) and starts.dtype == bool, (
        f"word_starts() returned {starts.dtype} {list(starts.shape)} for {len(text)} characters; expected bool [{len(text)}]"
    )
    words = mark_words(sentences, expected)
    altered = {fallback.sentence for fallback in words.fallbacks}
    begin = 0
    for number, sentence in enumerate(sentences):
        end = begin + len(sentence)
        visible = np.array([not character.isspace() for character in sentence], bool)
        different = np.flatnonzero(visible & (starts[begin:end] != words.starts[begin + 1 : end + 1]))
        assert number in altered or not len(different), (
            f"{sentence!r}: word_starts() and segment() disagree at {sentence[different[0]]!r}, character {different[0]}"
        )
        begin = end + 1
