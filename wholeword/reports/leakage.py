"""Do texts that a model is tested on appear in what it was trained on?

Between splits: texts that are equal apart from width, case and blanks, and near duplicates, whose sets of 5-character n-grams have a
Jaccard index of 0.8 or more. The index is computed, not estimated; only pairs that share one of their rarest n-grams need comparing
(prefix filtering; Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for similarity joins").

In a token store: texts whose 8-piece n-grams all, or to a share of 0.8, appear somewhere in it, regardless of document borders.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.contracts import Task
from wholeword.core.contracts.tasks import Example, SpanExample, TaggedExample
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import UserError
from wholeword.core.ragged import ragged_range

NGRAM_CHARACTERS = 5  # characters
NGRAM_PIECES = 8  # pieces
NEAR = 0.8
MAX_JOINED = 1 << 22  # pairs compared at once
BLOCK = 1 << 22  # pieces of a store searched at once
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: spreads small numbers over 64 bits


class Overlap(NamedTuple):
    """What one split shares with another, with itself or with a store."""

    task: str
    split: str
    part: str  # texts, pairs, questions, contexts or sentences
    against: str
    texts: int
    same: list[tuple[str, str]]  # ids of the text and of an equal one, "" for a store
    near: list[tuple[str, str, float]]  # the same, and the share in common, in [0, 1]
    other_label: int  # of `same`, those with different labels
    too_short: int | None = None  # texts without an n-gram to search a store for

    def lines(self, num_examples: int = 0) -> list[str]:
        """The counts for people, and up to `num_examples` ids of each kind."""
        same = [f"  {id} = {other}" if other else f"  {id}" for id, other in self.same[:num_examples]]
        near = [f"  {id} ~ {other} {share:.3f}" if other else f"  {id} {share:.3f}" for id, other, share in self.near[:num_examples]]
        return [self._counts(), *same, *near]

    def _counts(self) -> str:
        labels = f" ({self.other_label} with another label)" if self.other_label else ""
        same = "the same" if self.too_short is None else "whole"
        line = f"{self.task} {self.split}: {self.texts:,} {self.part}; in {self.against} {len(self.same):,} {same}{labels}"
        if self.against != "itself":
            line += f", {len(self.near):,} nearly"
        return line + (f"; {self.too_short:,} too short to search for" if self.too_short else "")


class _Item(NamedTuple):
    id: str
    text: str  # normalised
    label: Any


def find_overlaps(name: str, task: Task, store: TokenStore | None = None, *, near: float = NEAR) -> Iterator[Overlap]:
    """Compare each split of a task with itself, with those before it, and with a store.

    Args:
        near: the smallest share of near duplicates, in (0, 1].
    Raises: UserError if the task has no files.
    """
    if not 0 < near <= 1:
        raise UserError(f"near is {near}; expected a share above 0 and at most 1")
    if not task.splits:
        task.read("train")  # raises, naming what is missing
        raise UserError(f"{name}: none of its files exist")
    seen: dict[str, dict[str, list[_Item]]] = {}
    for split in task.splits:
        examples = task.read(split)
        for part, items in _parts(examples).items():
            yield _repeats(name, split, part, items)
            for earlier, parts in seen.items():
                if split != "train" and part in parts:
                    yield _between(name, split, part, items, earlier, parts[part], near)
            seen.setdefault(split, {})[part] = items
        if store is not None and split != "train":
            for part, texts in _raw_parts(examples).items():
                yield _in_store(name, split, part, texts, store, near)


def normalised(text: str) -> str:
    """Text without differences of width, case and blanks."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _raw_parts(examples: Sequence[Example]) -> dict[str, dict[str, str]]:
    """part -> id -> text; a context shared by several questions counts once."""
    parts: dict[str, dict[str, str]] = {}
    contexts: set[str] = set()
    for example in examples:
        if isinstance(example, SpanExample):
            parts.setdefault("questions", {})[example.id] = example.question
            if example.context not in contexts:
                contexts.add(example.context)
                parts.setdefault("contexts", {})[example.id] = example.context
        elif isinstance(example, TaggedExample):
            parts.setdefault("sentences", {})[example.id] = "".join(example.units)
        elif example.pair is None:
            parts.setdefault("texts", {})[example.id] = example.text
        else:
            parts.setdefault("pairs", {})[example.id] = "\n".join((example.text, example.pair))
    return parts


def _parts(examples: Sequence[Example]) -> dict[str, list[_Item]]:
    labels: Mapping[str, Any] = {example.id: example[-1] for example in examples if not isinstance(example, SpanExample)}
    parts: dict[str, list[_Item]] = {}
    for part, texts in _raw_parts(examples).items():
        whole = part != "pairs"  # the two texts of a pair may be in either order
        keys = {id: normalised(text) if whole else "\n".join(sorted(map(normalised, text.split("\n", 1)))) for id, text in texts.items()}
        parts[part] = [_Item(id, key, labels.get(id)) for id, key in keys.items() if key.strip()]
    return parts


def _repeats(name: str, split: str, part: str, items: Sequence[_Item]) -> Overlap:
    first: dict[str, _Item] = {}
    same = [(item, other) for item in items if (other := first.setdefault(item.text, item)) is not item]
    return _overlap(name, split, part, "itself", items, same, [])


def _between(name: str, split: str, part: str, items: Sequence[_Item], earlier: str, others: Sequence[_Item], near: float) -> Overlap:
    known = {other.text: other for other in reversed(others)}
    same = [(item, known[item.text]) for item in items if item.text in known]
    rest = [item for item in items if item.text not in known]
    pairs = near_pairs([item.text for item in rest], [other.text for other in others], near)
    best: dict[int, tuple[int, float]] = {}
    for number, other, share in pairs:
        if share > best.get(number, (0, 0.0))[1]:
            best[number] = other, share
    nearly = [(rest[number].id, others[other].id, round(share, 3)) for number, (other, share) in sorted(best.items())]
    return _overlap(name, split, part, earlier, items, same, nearly)


def _overlap(
    name: str, split: str, part: str, against: str, items: Sequence[_Item], same: Sequence[tuple[_Item, _Item]], near: list[Any]
) -> Overlap:
    conflicts = sum(None not in (one.label, other.label) and one.label != other.label for one, other in same)
    return Overlap(name, split, part, against, len(items), [(one.id, other.id) for one, other in same], near, conflicts)


def near_pairs(texts: Sequence[str], others: Sequence[str], near: float) -> list[tuple[int, int, float]]:
    """All pairs of a text and another with a Jaccard index of at least `near`: their numbers, and the index."""
    if not texts or not others:
        return []
    document, ngrams = _ranked_ngrams([*texts, *others])
    borders = np.searchsorted(document, np.arange(len(texts) + len(others) + 1))
    sizes = np.diff(borders)
    prefixes = sizes - np.ceil(near * sizes - 1e-9).astype(np.int64) + 1  # near duplicates share one of so many, rarest first
    heads = np.repeat(borders[:-1], prefixes) + ragged_range(prefixes)
    split = int(prefixes[: len(texts)].sum())
    left, right = heads[:split], heads[split:]
    right = right[np.argsort(ngrams[right], kind="stable")]
    begin = np.searchsorted(ngrams[right], ngrams[left], side="left")
    counts = np.searchsorted(ngrams[right], ngrams[left], side="right") - begin

    candidates = []
    for first, last in _ranges(counts):
        some = counts[first:last]
        one = np.repeat(document[left[first:last]], some)
        other = document[right[np.repeat(begin[first:last], some) + ragged_range(some)]]
        fits = (sizes[one] >= near * sizes[other] - 1e-9) & (sizes[other] >= near * sizes[one] - 1e-9)
        candidates.append(np.unique(one[fits] * len(sizes) + other[fits]))
    pairs = []
    for pair in np.unique(np.concatenate([*candidates, np.empty(0, np.int64)])).tolist():
        one, other = divmod(pair, len(sizes))
        a, b = (ngrams[borders[text] : borders[text + 1]] for text in (one, other))
        common = len(np.intersect1d(a, b, assume_unique=True))
        share = common / (len(a) + len(b) - common)
        if share >= near - 1e-9:
            pairs.append((one, other - len(texts), share))
    return pairs


def _ranges(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of a list whose sums are about `MAX_JOINED` each."""
    cuts = np.flatnonzero(np.diff(np.cumsum(counts) // MAX_JOINED)) + 1
    borders = [0, *cuts.tolist(), len(counts)]
    return pairwise(borders)


def _ranked_ngrams(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Texts and their distinct n-grams, numbered from the rarest: int64 [n] each, sorted by both."""
    codes = np.frombuffer("".join(text + "\0" * NGRAM_CHARACTERS for text in texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    begins = np.cumsum(lengths + NGRAM_CHARACTERS) - lengths - NGRAM_CHARACTERS
    counts = np.maximum(1, lengths - NGRAM_CHARACTERS + 1)  # a shorter text is one n-gram
    places = np.repeat(begins, counts) + ragged_range(counts)
    _, ngrams, frequency = np.unique(hashes(codes, NGRAM_CHARACTERS)[places], return_inverse=True, return_counts=True)
    rank = np.empty(len(frequency), np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(frequency))
    keys = np.unique(np.repeat(np.arange(len(texts)), counts) * len(rank) + rank[ngrams])
    return tuple(np.divmod(keys, len(rank)))  # type: ignore[return-value]


def hashes(numbers: np.ndarray, length: int) -> np.ndarray:
    """A 64-bit hash of each n-gram of `length` numbers: uint64 [n - length + 1]."""
    count = max(0, len(numbers) - length + 1)
    result = np.zeros(count, np.uint64)
    for place in range(length):
        result = (result ^ numbers[place : place + count].astype(np.uint64)) * MULTIPLIER
        result ^= result >> np.uint64(29)
    return result


def _in_store(name: str, split: str, part: str, texts: Mapping[str, str], store: TokenStore, near: float) -> Overlap:
    tokenizer = store.tokenizer
    encoded = tokenizer.encode_batch(list(texts.values()))
    counts = np.maximum(0, np.diff(encoded.sentence_pieces) - NGRAM_PIECES + 1)
    places = np.repeat(encoded.sentence_pieces[:-1], counts) + ragged_range(counts)
    ngrams = hashes(encoded.ids, NGRAM_PIECES)[places]
    known = np.isin(ngrams, known_ngrams(store, np.unique(ngrams)))
    ends = np.cumsum(counts)
    shared = np.diff(np.append(0, np.append(0, np.cumsum(known))[ends]))
    same, nearly = [], []
    for id, share in zip(texts, shared / np.maximum(counts, 1), strict=True):
        if share == 1:
            same.append((id, ""))
        elif share >= near:
            nearly.append((id, "", round(float(share), 3)))
    return Overlap(name, split, part, str(store.path), len(texts), same, nearly, 0, int((counts == 0).sum()))


def known_ngrams(store: TokenStore, ngrams: np.ndarray) -> np.ndarray:
    """Those of some hashes, uint64 ascending, that belong to an n-gram of the store."""
    known = np.zeros(len(ngrams), bool)
    bits = max(16, int(len(ngrams) * 16).bit_length())
    mask = np.uint64((1 << bits) - 1)
    likely = np.zeros(1 << bits, bool)  # one look here rules out most n-grams of the store
    likely[ngrams & mask] = True
    for shard in store.shards:
        for first in range(0, shard.num_tokens, BLOCK):
            block = hashes(shard.ids[first : first + BLOCK + NGRAM_PIECES - 1], NGRAM_PIECES)
            block = block[likely[block & mask]]
            slots = np.minimum(np.searchsorted(ngrams, block), len(ngrams) - 1)
            known[slots[ngrams[slots] == block]] = True
    return ngrams[known]
