"""A token store in figures.

Nothing of it is read into Python objects but what is shown: lengths, words and documents are counted in blocks of the mapped arrays.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from wholeword.core.data.align import is_latin
from wholeword.core.data.draws import child, permutation
from wholeword.core.data.hash_set import HashSet
from wholeword.core.data.store import Shard, TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.ragged import ragged_range
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import Vocabulary
from wholeword.reports.masks import LONGEST, Masking, count_masks, length_name, masked_rows, share
from wholeword.reports.preview import mask_sentence
from wholeword.reports.source import masking_of, open_source

BLOCK = 1 << 17  # tokens to look at at once
NUM_SENTENCES = 20  # to show,
READABLE = (8, 60)  # pieces of such a one,
NUM_LOOKED_AT = 400  # and out of how many
NUM_REPEATED = 5  # documents to show
SHOWN_PIECES = 60  # of a repeated document


def report_source(location: str, *, strategy: str | None = None, rate: float | None = None, lengths: Sequence[int] = ()) -> dict[str, Any]:
    """What `wholeword report --json` prints. Args, raises: as `open_source` and `masking_of`."""
    store, recipe = open_source(location)
    tokenizer = WordPieceTokenizer(store.vocabulary, store.lowercase)
    return store_figures(store, masking_of(recipe, tokenizer, strategy=strategy, rate=rate, lengths=lengths))


def store_figures(store: TokenStore, masking: Masking) -> dict[str, Any]:
    """Everything that is known of a store, as plain data."""
    manifest, counts = store.manifest, store.manifest["counts"]
    words = count_words(store).up_to(LONGEST)
    return {
        "store": {
            "path": str(store.path),
            "fingerprint": manifest["fingerprint"],
            "segmenter": manifest.get("segmenter"),
            "lowercase": store.lowercase,
            "vocab_size": len(store.vocabulary),
        },
        "counts": {
            **{f"num_{name}": counts[f"num_{name}"] for name in ("documents", "sentences", "tokens")},
            "num_words": sum(num_words for num_words, _ in words),
            "num_characters": counts.get("num_characters"),
        },
        "lengths": {name: histogram.figures() for name, histogram in count_lengths(store).items()},
        "words": word_figures(words),
        "masking": {
            "strategy": masking.name,
            "settings": masking.settings,
            "rate": masking.rate,
            "examples": masking.examples,
            "seed": masking.seed,
            "lengths": [
                {"max_seq_length": length, "max_predictions": predictions}
                | count_masks(
                    masked_rows(store, masking, length, predictions),
                    rate=masking.rate,
                    max_predictions=predictions,
                    vocabulary=store.vocabulary,
                )
                for length, predictions in masking.lengths
            ],
        },
        "unknown": unknown_pieces(store),
        "fallbacks": {
            "num_fallbacks": counts.get("num_fallbacks"),
            "num_sentences": counts.get("num_fallback_sentences"),
            "examples": manifest.get("fallback_examples", []),
        },
        "duplicates": duplicate_documents(store) | {"num_dropped": counts.get("num_duplicates")},
        "sentences": some_sentences(store, masking),
    }


def word_figures(words: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """Words by their length.

    Args:
        words: words and their pieces for each length, see `Histogram.up_to`.
    """
    num_words, num_pieces = map(sum, zip(*words, strict=True))
    return [
        {
            "pieces": length_name(length),
            "num_words": count,
            "num_pieces": pieces,
            "word_rate": share(count, num_words),
            "piece_rate": share(pieces, num_pieces),
        }
        for length, (count, pieces) in enumerate(words, 1)
    ]


class Histogram:
    """How often each length comes; takes memory for the longest, not for how many there are."""

    def __init__(self) -> None:
        self.counts = np.zeros(1, np.int64)

    def add(self, lengths: np.ndarray) -> None:
        counts = np.bincount(lengths, minlength=len(self.counts))
        counts[: len(self.counts)] += self.counts
        self.counts = counts

    def figures(self) -> dict[str, float]:
        """Median (between the middle two of an even number), mean, most."""
        ends = np.cumsum(self.counts)
        low, high = np.searchsorted(ends, [(ends[-1] - 1) // 2, ends[-1] // 2], side="right").tolist()
        mean = float(self.counts @ np.arange(len(self.counts)) / ends[-1])
        return {"median": (low + high) / 2, "mean": round(mean, 3), "most": len(self.counts) - 1}

    def up_to(self, longest: int) -> list[tuple[int, int]]:
        """For each length from 1 to `longest` (there with all above) how many things, and how long they are together."""
        sums = self.counts * np.arange(len(self.counts))
        below = [(int(self.counts[length : length + 1].sum()), int(sums[length : length + 1].sum())) for length in range(1, longest)]
        return [*below, (int(self.counts[longest:].sum()), int(sums[longest:].sum()))]


def count_lengths(store: TokenStore) -> dict[str, Histogram]:
    histograms = {name: Histogram() for name in ("pieces_of_a_document", "sentences_of_a_document", "pieces_of_a_sentence")}
    for shard in store.shards:
        document_tokens = shard.sentence_ends[shard.document_ends - 1]
        for histogram, ends in zip(histograms.values(), (document_tokens, shard.document_ends, shard.sentence_ends), strict=True):
            histogram.add(np.diff(ends.astype(np.int64), prepend=0))
    return histograms


def count_words(store: TokenStore) -> Histogram:
    """Pieces of the words."""
    histogram = Histogram()
    for shard in store.shards:
        for lengths in _word_lengths(shard):
            histogram.add(lengths)
    return histogram


def _word_lengths(shard: Shard) -> Iterator[np.ndarray]:
    """Pieces of the words of a shard, in blocks."""
    open_word = np.zeros(0, np.int64)  # where a word begins that may go on in the next block
    for first in range(0, shard.num_tokens, BLOCK):
        bits = shard.word_start_bits[first >> 3 : (first + BLOCK) >> 3]
        starts = first + np.flatnonzero(np.unpackbits(bits, count=min(BLOCK, shard.num_tokens - first), bitorder="little").view(bool))
        starts = np.append(open_word, starts)
        yield np.diff(starts)
        open_word = starts[-1:]
    yield shard.num_tokens - open_word


def duplicate_documents(store: TokenStore) -> dict[str, Any]:
    """Documents that have the pieces of an earlier one."""
    seen, hashes, numbers = HashSet(), [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for shard in store.shards:
        ends = shard.sentence_ends[shard.document_ends - 1].astype(np.int64)
        for first, end in _blocks(ends):
            found = hash_documents(shard.ids, np.append(ends[first - 1] if first else 0, ends[first:end]))
            known = np.flatnonzero(~seen.add(found))
            hashes.append(found[known])
            numbers.append(shard.document_offset + first + known)
    _, index, times = np.unique(np.concatenate(hashes), return_index=True, return_counts=True)
    examples = np.concatenate(numbers)[index]
    most = np.lexsort((examples, -times))[:NUM_REPEATED]
    return {
        "num_duplicates": int(times.sum()),
        "duplicate_rate": share(times.sum(), store.num_documents),
        "most_repeated": [
            {"text": _beginning(store, number), "num_documents": count + 1}
            for number, count in zip(examples[most].tolist(), times[most].tolist(), strict=True)
        ],
    }


def _blocks(ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """Documents in a row that have about `BLOCK` tokens together, as (first, end)."""
    borders = np.searchsorted(ends, np.arange(0, ends[-1] + BLOCK, BLOCK)).tolist()
    return ((first, end) for first, end in pairwise([*dict.fromkeys(borders), len(ends)]) if first < end)


def hash_documents(ids: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """uint64 [documents]: equal for documents of equal ids, and for others once in 2**64.

    Args:
        borders: int64 [documents + 1], where each begins in `ids`, and where the last one ends.
    """
    lengths = np.diff(borders)
    return np.add.reduceat(child(ids[borders[0] : borders[-1]], ragged_range(lengths)), borders[:-1] - borders[0])


def _beginning(store: TokenStore, document: int) -> str:
    first, end = store.document_sentences(document)
    begin, stop = store.sentence_tokens(first, end)[[0, -1]]
    ids, _ = store.gather(np.array([begin]), np.array([min(stop - begin, SHOWN_PIECES)]))
    return text_of(ids, store.vocabulary) + (" …" if stop - begin > SHOWN_PIECES else "")


def text_of(ids: np.ndarray, vocabulary: Vocabulary) -> str:
    """Pieces as text again: what the store has of it. Blanks are put between Latin words and numbers, where else they were is gone."""
    text = ""
    for id in ids.tolist():
        piece = vocabulary.pieces[id]
        if vocabulary.is_continuation[id]:
            text += piece[2:]
        else:
            text += " " * (text != "" and is_latin(text[-1]) and is_latin(piece[0])) + piece
    return text


def unknown_pieces(store: TokenStore) -> dict[str, Any]:
    """[UNK] and what it stands for; `quotes` is what the cleaner of that name would make of it."""
    num_unknown = sum(int(np.count_nonzero(shard.ids == store.vocabulary.unk_id)) for shard in store.shards)
    texts = sorted(dict(store.manifest.get("unknown", {})).items(), key=lambda item: (-item[1], item[0]))
    cleaner = registry.create("cleaner", "quotes")
    tokenizer = WordPieceTokenizer(store.vocabulary, store.lowercase)
    cured = []
    for (text, count), cleaned in zip(texts, cleaner.clean([text for text, _ in texts]), strict=True):
        if store.vocabulary.unk_id not in tokenizer.encode(cleaned)[0]:
            cured.append((text, count))
    return {
        "num_unknown": num_unknown,
        "unknown_rate": share(num_unknown, store.num_tokens),
        "texts": texts,
        "quotes": {
            "texts": [text for text, _ in cured],
            "num_removed": sum(count for _, count in cured),
            "removed_rate": share(sum(count for _, count in cured), num_unknown),
        },
    }


def some_sentences(store: TokenStore, masking: Masking) -> list[dict[str, Any]]:
    """Sentences from all over the store, from short to long ones, in its order; the keys of `wholeword mask --json`."""
    looked_at = np.arange(min(store.num_sentences, NUM_LOOKED_AT))
    numbers = np.sort(permutation(masking.seed, 0, looked_at, store.num_sentences)).tolist()
    spans = {number: store.sentence_tokens(number, number + 1).tolist() for number in numbers}
    sizes = np.array([end - begin for begin, end in spans.values()])
    rows = []
    for place in choose_readable(sizes, NUM_SENTENCES):
        begin, end = spans[numbers[place]]
        ids, word_starts = store.gather(np.array([begin]), np.array([end - begin]))
        strategies = {masking.name: masking.strategy}
        [row] = mask_sentence(ids, word_starts, strategies, store.vocabulary, number=numbers[place], seed=masking.seed)
        words = [text_of(ids[group[0] - 1 : group[-1]], store.vocabulary) for group in row["groups"]]
        rows.append({"text": text_of(ids, store.vocabulary), "words": words, **row})
    return rows


def choose_readable(sizes: np.ndarray, count: int) -> list[int]:
    """Which of some sentences to show, ascending: evenly spread from the shortest to the longest that are good to read, others if there
    are too few.

    Args:
        sizes: integers [sentences], pieces.
    """
    unreadable = (sizes < READABLE[0]) | (sizes > READABLE[1])
    order = np.lexsort((sizes, unreadable))
    wanted = min(count, len(sizes))
    among = max(int((~unreadable).sum()), wanted)
    return sorted(order[np.linspace(0, among - 1, wanted).astype(int)].tolist())
