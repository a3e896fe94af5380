"""Rows of a token store as a strategy masks them, and counts of their masks."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.contracts import Masked, MaskingStrategy
from wholeword.core.data.batches import load_examples
from wholeword.core.data.draws import permutation
from wholeword.core.data.examples import ExamplesSpec
from wholeword.core.data.groups import Groups, find_edges, find_groups
from wholeword.core.data.masking import budgets
from wholeword.core.data.rows import make_batch
from wholeword.core.data.store import TokenStore
from wholeword.core.vocabulary import Vocabulary

MAX_TOKENS = 2_000_000  # masked at each length
MAX_SHARDS = 16  # that rows are made from; about 80 million tokens
ROWS_TOKENS = 1 << 16  # masked at once
LONGEST = 5  # pieces; words with at least as many are counted together


@dataclass(frozen=True)
class Masking:
    """How rows are made from a store, and how they are masked."""

    strategy: MaskingStrategy
    name: str
    settings: dict[str, Any]  # those that differ from the strategy's defaults, as in the recipe
    rate: float
    lengths: list[tuple[int, int]]  # max_seq_length and max_predictions of each phase
    examples: str = "full-sentences"
    fallback: str = "span"  # see `BatchSource`
    short_seq_rate: float = 0.0
    held_out_rate: float = 0.0
    seed: int = 12345  # a recipe's by default


class MaskedRows(NamedTuple):
    """Some rows before and after masking. All arrays are [rows, max_seq_length]."""

    ids: np.ndarray
    word_starts: np.ndarray
    candidates: np.ndarray  # bool, False at [CLS], [SEP] and padding
    masked: Masked


class _Watched:
    """A strategy that remembers the rows it masked last."""

    def __init__(self, strategy: MaskingStrategy):
        self.strategy = strategy

    def mask(self, ids: np.ndarray, word_starts: np.ndarray, candidates: np.ndarray, sample_ids: np.ndarray, **context: Any) -> Masked:
        masked = self.strategy.mask(ids, word_starts, candidates, sample_ids, **context)
        self.rows = MaskedRows(ids, word_starts, candidates, masked)
        return masked


def masked_rows(store: TokenStore, masking: Masking, max_seq_length: int, max_predictions: int) -> Iterator[MaskedRows]:
    """The first rows that training sees, up to `MAX_TOKENS`.

    Of a store with more than `MAX_SHARDS` shards, only that many are used, evenly spread; the rows are those that training would see if
    there were no others.
    """
    if len(store.shards) > MAX_SHARDS:
        spread = np.linspace(0, len(store.shards) - 1, MAX_SHARDS).astype(int).tolist()
        part = TokenStore(store.path, verify=False)
        part.shards = [store.shards[number] for number in spread]  # subtle: their offsets stay those of the whole store
        store = part
    spec = ExamplesSpec(
        kind=masking.examples,
        max_seq_length=max_seq_length,
        seed=masking.seed,
        short_seq_rate=masking.short_seq_rate,
        held_out_rate=masking.held_out_rate,
    )
    examples = load_examples(store, spec, epoch=0, cache=None)
    watched = _Watched(masking.strategy)
    num_rows = min(len(examples), max(1, MAX_TOKENS // max_seq_length))
    step = max(1, ROWS_TOKENS // max_seq_length)
    for first in range(0, num_rows, step):
        numbers = permutation(masking.seed, 0, np.arange(first, min(first + step, num_rows)), len(examples))
        make_batch(
            store,
            examples,
            numbers,
            structure=0,
            strategy=watched,
            seed=masking.seed,
            epoch=0,
            max_seq_length=max_seq_length,
            max_predictions=max_predictions,
            fallback=masking.fallback,
            word_lengths=False,
        )
        yield watched.rows


@dataclass(frozen=True)
class WordLengthMasks:
    """Masks in words of one length."""

    pieces: str  # see `length_name`
    num_pieces: int
    num_masked: int
    masked_rate: float | None


@dataclass(frozen=True)
class MaskCounts:
    """What masking did to some rows."""

    num_rows: int
    num_tokens: int
    num_masked: int
    num_rows_without_mask: int
    masked_rate: float | None
    filled_rate: float | None  # rows that use their budget exactly
    mean_fill_rate: float | None  # share of the budget that a row uses
    mask_rate: float | None  # of the masked pieces: replaced by [MASK],
    kept_rate: float | None  # kept as they were,
    random_rate: float | None  # and replaced at random
    beside_rate: float | None  # masked pieces next to a masked piece of the same word
    partly_rate: float | None  # of the words of several pieces that are masked: those of which a piece stays visible
    by_word_length: list[WordLengthMasks]


def count_masks(parts: Iterable[MaskedRows], *, rate: float, max_predictions: int, vocabulary: Vocabulary) -> MaskCounts:
    """Count what masking did to some rows.

    Args:
        rate: share of a row's pieces that were to be masked; times the pieces of the row, [CLS] and [SEP] included, it is the budget.
    """
    total: defaultdict[str, float] = defaultdict(float)
    pieces, masked_pieces = np.zeros(LONGEST + 1), np.zeros(LONGEST + 1)
    for part in parts:
        words = find_groups(part.word_starts, part.candidates)
        inside = chosen_inside(words, part.masked.chosen)
        sizes = np.minimum(words.lengths, LONGEST)
        pieces += np.bincount(sizes, words.lengths, LONGEST + 1)
        masked_pieces += np.bincount(sizes, inside, LONGEST + 1)
        touched = (words.lengths > 1) & (inside > 0)
        total["touched"] += int(touched.sum())
        total["partly"] += int((touched & (inside < words.lengths)).sum())
        for name, value in _count_rows(part, rate, max_predictions, vocabulary).items():
            total[name] += float(value)
    return MaskCounts(
        num_rows=int(total["rows"]),
        num_tokens=int(total["tokens"]),
        num_masked=int(total["masked"]),
        num_rows_without_mask=int(total["none"]),
        masked_rate=share(total["masked"], total["tokens"]),
        filled_rate=share(total["filled"], total["rows"]),
        mean_fill_rate=share(total["fill"], total["rows"]),
        mask_rate=share(total["mask"], total["masked"]),
        kept_rate=share(total["kept"], total["masked"]),
        random_rate=share(total["masked"] - total["mask"] - total["kept"], total["masked"]),
        beside_rate=share(total["beside"], total["masked"]),
        partly_rate=share(total["partly"], total["touched"]),
        by_word_length=[
            WordLengthMasks(
                pieces=length_name(length),
                num_pieces=int(pieces[length]),
                num_masked=int(masked_pieces[length]),
                masked_rate=share(masked_pieces[length], pieces[length]),
            )
            for length in range(1, LONGEST + 1)
        ],
    )


def _count_rows(rows: MaskedRows, rate: float, max_predictions: int, vocabulary: Vocabulary) -> dict[str, float]:
    """Sums over rows and their masked pieces."""
    chosen = rows.masked.chosen
    counts = chosen.sum(axis=1)
    tokens = np.count_nonzero(rows.ids != vocabulary.pad_id, axis=1)
    budget = budgets(tokens, rate, max_predictions)
    output, before = rows.masked.input_ids[chosen], rows.ids[chosen]
    joined = chosen[:, :-1] & chosen[:, 1:] & ~find_edges(rows.word_starts, rows.candidates)[:, 1:]
    beside = np.zeros_like(chosen)
    beside[:, :-1] |= joined
    beside[:, 1:] |= joined
    return {
        "rows": len(counts),
        "tokens": tokens.sum(),
        "masked": counts.sum(),
        "filled": (counts == budget).sum(),
        "fill": (counts / budget).sum(),
        "none": (counts == 0).sum(),
        "mask": (output == vocabulary.mask_id).sum(),
        "kept": ((output == before) & (output != vocabulary.mask_id)).sum(),
        "beside": beside.sum(),
    }


def chosen_inside(words: Groups, chosen: np.ndarray) -> np.ndarray:
    """int64 [words]: how many pieces of each word are chosen."""
    before = np.append(0, np.cumsum(chosen.reshape(-1)))
    inside: np.ndarray = before[words.starts + words.lengths] - before[words.starts]
    return inside


def length_name(length: int) -> str:
    """`4`, or `5+` for all words that long or longer."""
    return str(length) if length < LONGEST else f"{LONGEST}+"


def share(part: float, whole: float) -> float | None:
    """A share with six decimals, the same on every machine; None if there is no whole."""
    return round(float(part) / float(whole), 6) if whole else None
