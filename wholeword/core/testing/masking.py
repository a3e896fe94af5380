"""Checks of masking strategies."""

from typing import Any

import numpy as np

from wholeword.core.contracts import BoundStrategy, MaskingStrategy
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.testing.samples import random_batch
from wholeword.core.vocabulary import Vocabulary

MOST = 40  # max_predictions


def check_masking(strategy: MaskingStrategy, *, rate: float | None = 0.15, whole_words: bool = True) -> None:
    """Check the contract of `contracts.MaskingStrategy` on random rows.

    Args:
        rate: the share of pieces it should choose, checked within 0.02 over 1,000 rows; None to leave that out.
        whole_words: demand that a word is chosen whole or not at all.
    Raises: AssertionError that says which rule was broken, and in which row.
    """
    assert isinstance(strategy, MaskingStrategy), f"{type(strategy).__name__} has no method mask(...)"
    vocabulary, batch = random_batch()
    if isinstance(strategy, BoundStrategy):
        strategy.bind(WordPieceTokenizer(vocabulary, True, definition="transformers"))
    ids, word_starts, candidates, _ = batch

    def mask(rows: Any = slice(None), **changes: Any) -> tuple[np.ndarray, np.ndarray]:
        arguments: dict[str, Any] = {"seed": 7, "epoch": 0, "max_predictions": MOST, "vocabulary": vocabulary} | changes
        given = [array[rows].copy() for array in batch]
        masked = strategy.mask(*given, **arguments)
        for name, before, after in zip(
            ("ids", "word_starts", "candidates", "sample_ids"), (array[rows] for array in batch), given, strict=True
        ):
            assert np.array_equal(before, after), f"mask() wrote into its argument {name}"
        for name in ("input_ids", "chosen"):
            assert hasattr(masked, name), f"mask() returned {type(masked).__name__} without {name}; expected contracts.Masked"
        return np.asarray(masked.input_ids), np.asarray(masked.chosen)

    input_ids, chosen = mask()
    _check_choice(input_ids, chosen, ids, candidates, vocabulary)
    if whole_words:
        _check_whole_words(chosen, word_starts, candidates)
    if rate is not None:
        share = chosen.sum() / (ids != vocabulary.pad_id).sum()
        assert abs(share - rate) < 0.02, f"{share:.3f} of the pieces were chosen; expected about {rate}"
    again = mask()
    assert np.array_equal(again[0], input_ids) and np.array_equal(again[1], chosen), (
        "equal arguments gave different results; no state, no global generator"
    )
    for size in (1, 7):
        for first in range(0, 28, size):
            part = mask(slice(first, first + size))
            assert np.array_equal(part[0], input_ids[first : first + size]), f"rows {first}.. came out differently in a batch of {size}"
    for name, value in (("seed", 8), ("epoch", 1)):
        assert not np.array_equal(mask(**{name: value})[1], chosen), f"another {name} gave the same choice"


def _check_choice(input_ids: np.ndarray, chosen: np.ndarray, ids: np.ndarray, candidates: np.ndarray, vocabulary: Vocabulary) -> None:
    """What holds of every strategy in a single call."""
    assert input_ids.shape == ids.shape, f"input_ids have shape {input_ids.shape}; expected {ids.shape}"
    assert input_ids.dtype.kind in "iu", f"input_ids are {input_ids.dtype}; expected integers"
    assert chosen.shape == ids.shape and chosen.dtype == bool, f"chosen is {chosen.dtype} {chosen.shape}; expected bool {ids.shape}"
    outside = np.flatnonzero((chosen & ~candidates).any(axis=1))
    assert not len(outside), f"row {outside[0]}: a place that is no candidate ([CLS], [SEP], padding) was chosen"
    changed = np.flatnonzero(((input_ids != ids) & ~chosen).any(axis=1))
    assert not len(changed), f"row {changed[0]}: a piece that was not chosen was changed"
    assert ((input_ids >= 0) & (input_ids < len(vocabulary))).all(), f"an id is outside the vocabulary of {len(vocabulary)}"
    most = chosen.sum(axis=1).max()
    assert most <= MOST, f"row {chosen.sum(axis=1).argmax()}: {most} places chosen; max_predictions is {MOST}"
    empty = np.flatnonzero(~chosen.any(axis=1) & candidates.any(axis=1))
    assert not len(empty), f"row {empty[0]}: nothing chosen though it has candidates"


def _check_whole_words(chosen: np.ndarray, word_starts: np.ndarray, candidates: np.ndarray) -> None:
    begins = candidates & (word_starts | ~np.pad(candidates, ((0, 0), (1, 0)))[:, :-1])
    broken = candidates[:, 1:] & ~begins[:, 1:] & (chosen[:, 1:] != chosen[:, :-1])
    rows = np.flatnonzero(broken.any(axis=1))
    assert not len(rows), f"row {rows[0]}: the word around position {broken[rows[0]].argmax() + 1} is chosen in part"
