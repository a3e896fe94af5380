"""Examples -> rows of a model: [CLS] A [SEP] B [SEP], masked, with the features of `create_pretraining_data.py`."""

from typing import NamedTuple

import numpy as np

from wholeword.core.contracts import MaskingStrategy
from wholeword.core.data.checked import strategy_error
from wholeword.core.data.examples import Examples
from wholeword.core.data.groups import group_lengths_at
from wholeword.core.data.store import TokenStore

Batch = dict[str, np.ndarray]  # see `wholeword.core.data.batches.BatchSource`

EXAMPLE_BITS = 48  # a sample id is the number of the example, and above it the epoch that made it


class Unmasked(NamedTuple):
    """Rows before they are masked; B rows of L pieces."""

    ids: np.ndarray  # int32 [B, L]
    word_starts: np.ndarray  # bool [B, L]
    candidates: np.ndarray  # bool [B, L], False at [CLS], [SEP] and padding
    input_mask: np.ndarray  # bool [B, L]
    second: np.ndarray  # bool [B, L], the second segment with its [SEP]


def make_batch(
    store: TokenStore,
    examples: Examples,
    numbers: np.ndarray,
    *,
    structure: int,
    strategy: MaskingStrategy,
    seed: int,
    epoch: int,
    max_seq_length: int,
    max_predictions: int,
    fallback: str = "span",
    word_lengths: bool = True,
) -> Batch:
    """The batch of some examples: [CLS] A [SEP] B [SEP], masked.

    Args:
        numbers: int64 [rows], which examples.
        structure: the epoch that made the examples.
        epoch: the one whose masks to use.
    Raises: PluginError if the strategy chooses what it must not.
    """
    rows = _assemble(store, examples, numbers, max_seq_length=max_seq_length, fallback=fallback)
    sample_ids = numbers.astype(np.uint64) | np.uint64(structure << EXAMPLE_BITS)
    context = {"seed": seed, "epoch": epoch, "max_predictions": max_predictions}
    masked = strategy.mask(rows.ids, rows.word_starts, rows.candidates, sample_ids, **context, vocabulary=store.vocabulary)
    chosen = np.flatnonzero(masked.chosen)
    count = np.bincount(chosen // max_seq_length, minlength=len(numbers))
    if count.max() > max_predictions:
        row = int(count.argmax())
        raise strategy_error(strategy, f"chose {count[row]} pieces of row {row}; expected at most max_predictions, {max_predictions}")
    if not rows.candidates.reshape(-1)[chosen].all():
        raise strategy_error(strategy, "chose [CLS], [SEP] or padding")
    filled = np.arange(max_predictions) < count[:, None]

    def predictions(values: np.ndarray) -> np.ndarray:
        slots = np.zeros(filled.shape, np.int32)
        slots[filled] = values
        return slots

    batch = {
        "input_ids": masked.input_ids.astype(np.int32, copy=False),
        "input_mask": rows.input_mask.view(np.int8).astype(np.int32),
        "segment_ids": rows.second.view(np.int8).astype(np.int32),
        "masked_lm_positions": predictions(chosen % max_seq_length),
        "masked_lm_ids": predictions(rows.ids.reshape(-1)[chosen]),
        "masked_lm_weights": filled.astype(np.float32),
        "next_sentence_labels": examples.labels[numbers].astype(np.int32),
        "sample_ids": sample_ids,
    }
    if word_lengths:
        batch["masked_lm_word_lengths"] = predictions(group_lengths_at(chosen, rows.word_starts, rows.candidates))
    return batch


def _assemble(store: TokenStore, examples: Examples, numbers: np.ndarray, *, max_seq_length: int, fallback: str) -> Unmasked:
    """The pieces of some examples with their special pieces. Arguments as of `make_batch`."""
    vocabulary = store.vocabulary
    lengths, starts = examples.lengths[numbers], examples.starts[numbers]
    places = np.arange(max_seq_length, dtype=np.int32)
    middle = lengths[:, 0] + 1  # place of the first [SEP]
    pieces, word_starts = store.rows(starts[:, 0], lengths[:, 0], np.ones_like(middle), max_seq_length)
    candidates = places < middle[:, None]
    if lengths[:, 1].any():
        last = middle + lengths[:, 1] + (lengths[:, 1] > 0)  # place of the last [SEP]
        input_mask, first = places <= last[:, None], candidates
        second = input_mask & (places > middle[:, None])
        more, more_starts = store.rows(starts[:, 1], lengths[:, 1], middle + 1, max_seq_length)
        pieces, word_starts = np.where(first, pieces, more), np.where(first, word_starts, more_starts)
        candidates = first | (second & (places < last[:, None]))
        rows = np.flatnonzero(lengths[:, 1])
        word_starts[rows, middle[rows] + 1] = True  # whatever was cut off a segment, what is left begins with a word
    else:
        last, input_mask, second = middle, places <= middle[:, None], np.zeros_like(candidates)
    candidates[:, 0] = False
    word_starts[:, 1] = True
    if fallback == "sample":
        word_starts[has_fallback(store, starts, lengths)] = True
    word_starts &= candidates
    ids = pieces * candidates.view(np.int8).astype(np.int32)
    if vocabulary.pad_id:
        ids[~input_mask] = vocabulary.pad_id
    every = np.arange(len(ids))
    ids[:, 0], ids[every, middle], ids[every, last] = vocabulary.cls_id, vocabulary.sep_id, vocabulary.sep_id
    return Unmasked(ids, word_starts, candidates, input_mask, second)


def has_fallback(store: TokenStore, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Which rows hold a sentence, or a part of one, in which words are not those of the text: bool [rows].

    Args:
        starts, lengths: integers [rows, 2], see `Examples`.
    """
    first, end = store.fallback_tokens
    following = np.searchsorted(end, starts, side="right")  # the first such sentence that ends behind the start of the span
    begins = np.append(first, np.iinfo(np.int64).max)[following]
    rows: np.ndarray = ((begins < starts + lengths) & (lengths > 0)).any(axis=1)
    return rows
