"""A report on a token store: `wholeword report`.

Only what is shown becomes Python objects: lengths, words and documents are counted in blocks of the mapped arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wholeword.core.data.draws import permutation
from wholeword.core.data.store import TokenStore
from wholeword.core.registry.registry import registry
from wholeword.reports.duplicates import Duplicates, duplicate_documents, text_of
from wholeword.reports.lengths import LengthStatistics, WordLength, count_lengths, count_words
from wholeword.reports.masks import MaskCounts, Masking, count_masks, masked_rows, share
from wholeword.reports.preview import MaskedSentence, mask_sentence
from wholeword.reports.source import masking_of, open_source

NUM_SENTENCES = 20  # shown,
READABLE = (8, 60)  # with so many pieces,
NUM_CANDIDATES = 400  # chosen from so many


@dataclass(frozen=True)
class StoreInfo:
    """Where a store is, and how it was built."""

    path: str
    fingerprint: str
    segmenter: Mapping[str, Any] | None  # as in the manifest
    lowercase: bool
    vocab_size: int


@dataclass(frozen=True)
class Counts:
    """Sizes of a store."""

    num_documents: int
    num_sentences: int
    num_tokens: int
    num_words: int
    num_characters: int | None  # None if nobody counted


@dataclass(frozen=True)
class LengthMasks:
    """Masks in rows of one length."""

    max_seq_length: int
    max_predictions: int
    counts: MaskCounts


@dataclass(frozen=True)
class MaskingReport:
    """How rows are masked, and what it does to them."""

    strategy: str
    settings: dict[str, Any]
    rate: float
    examples: str
    seed: int
    lengths: list[LengthMasks]


@dataclass(frozen=True)
class Quotes:
    """[UNK] that the cleaner `quotes` would avoid."""

    texts: list[str]
    num_removed: int
    removed_rate: float | None


@dataclass(frozen=True)
class Unknown:
    """[UNK], and the texts it stands for with how often each occurs."""

    num_unknown: int
    unknown_rate: float | None
    texts: list[tuple[str, int]]
    quotes: Quotes


@dataclass(frozen=True)
class Fallbacks:
    """Spans where the segmenter's words do not match the text; None if nobody counted."""

    num_fallbacks: int | None
    num_sentences: int | None
    examples: list[dict[str, Any]]  # as in the manifest: where, text, words


@dataclass(frozen=True)
class StoreSentence:
    """A sentence of a store, put together from its pieces."""

    text: str
    words: list[str]
    masked: MaskedSentence

    def plain(self) -> dict[str, Any]:
        """In one level, for JSON."""
        return {"text": self.text, "words": self.words, **asdict(self.masked)}


@dataclass(frozen=True)
class StoreReport:
    """Everything that is known about a store."""

    store: StoreInfo
    counts: Counts
    lengths: dict[str, LengthStatistics]
    words: list[WordLength]
    masking: MaskingReport
    unknown: Unknown
    fallbacks: Fallbacks
    duplicates: Duplicates
    sentences: list[StoreSentence]

    def plain(self) -> dict[str, Any]:
        """What `wholeword report --json` prints."""
        report = asdict(self)
        for lengths in report["masking"]["lengths"]:
            lengths |= lengths.pop("counts")
        return report | {"sentences": [sentence.plain() for sentence in self.sentences]}


def report_source(location: str, *, strategy: str | None = None, rate: float | None = None, lengths: Sequence[int] = ()) -> StoreReport:
    """Report on the store of what the user points at. Args, raises: as `open_source` and `masking_of`."""
    store, source = open_source(location)
    tokenizer = store.tokenizer
    return store_report(store, masking_of(source, tokenizer, strategy=strategy, rate=rate, lengths=lengths))


def store_report(store: TokenStore, masking: Masking) -> StoreReport:
    """Report on a store."""
    manifest, counts = store.manifest, store.manifest["counts"]
    words = count_words(store).word_lengths()
    return StoreReport(
        store=StoreInfo(
            path=str(store.path),
            fingerprint=manifest["fingerprint"],
            segmenter=manifest.get("segmenter"),
            lowercase=store.lowercase,
            vocab_size=len(store.vocabulary),
        ),
        counts=Counts(
            num_documents=counts["num_documents"],
            num_sentences=counts["num_sentences"],
            num_tokens=counts["num_tokens"],
            num_words=sum(row.num_words for row in words),
            num_characters=counts.get("num_characters"),
        ),
        lengths={name: histogram.statistics() for name, histogram in count_lengths(store).items()},
        words=words,
        masking=_masking_report(store, masking),
        unknown=_unknown(store),
        fallbacks=Fallbacks(
            num_fallbacks=counts.get("num_fallbacks"),
            num_sentences=counts.get("num_fallback_sentences"),
            examples=manifest.get("fallback_examples", []),
        ),
        duplicates=duplicate_documents(store),
        sentences=_some_sentences(store, masking),
    )


def _masking_report(store: TokenStore, masking: Masking) -> MaskingReport:
    lengths = []
    for max_seq_length, max_predictions in masking.lengths:
        rows = masked_rows(store, masking, max_seq_length, max_predictions)
        counts = count_masks(rows, rate=masking.rate, max_predictions=max_predictions, vocabulary=store.vocabulary)
        lengths.append(LengthMasks(max_seq_length, max_predictions, counts))
    return MaskingReport(masking.name, masking.settings, masking.rate, masking.examples, masking.seed, lengths)


def _unknown(store: TokenStore) -> Unknown:
    num_unknown = sum(int(np.count_nonzero(shard.ids == store.vocabulary.unk_id)) for shard in store.shards)
    texts = sorted(dict(store.manifest.get("unknown", {})).items(), key=lambda item: (-item[1], item[0]))
    cleaner = registry.create("cleaner", "quotes")
    tokenizer = store.tokenizer
    known_when_clean = [
        (text, count)
        for (text, count), cleaned in zip(texts, cleaner.clean([text for text, _ in texts]), strict=True)
        if store.vocabulary.unk_id not in tokenizer.encode(cleaned)[0]
    ]
    num_removed = sum(count for _, count in known_when_clean)
    return Unknown(
        num_unknown=num_unknown,
        unknown_rate=share(num_unknown, store.num_tokens),
        texts=texts,
        quotes=Quotes([text for text, _ in known_when_clean], num_removed, share(num_removed, num_unknown)),
    )


def _some_sentences(store: TokenStore, masking: Masking) -> list[StoreSentence]:
    """Sentences from all over the store, short and long ones, in its order."""
    candidates = np.arange(min(store.num_sentences, NUM_CANDIDATES))
    numbers = np.sort(permutation(masking.seed, 0, candidates, store.num_sentences)).tolist()
    spans = {number: store.sentence_tokens(number, number + 1).tolist() for number in numbers}
    sizes = np.array([end - begin for begin, end in spans.values()])
    sentences = []
    for place in choose_readable(sizes, NUM_SENTENCES):
        begin, end = spans[numbers[place]]
        ids, word_starts = store.gather(np.array([begin]), np.array([end - begin]))
        strategies = {masking.name: masking.strategy}
        [masked] = mask_sentence(ids, word_starts, strategies, store.vocabulary, number=numbers[place], seed=masking.seed)
        words = [text_of(ids[group[0] - 1 : group[-1]], store.vocabulary) for group in masked.groups]
        sentences.append(StoreSentence(text_of(ids, store.vocabulary), words, masked))
    return sentences


def choose_readable(sizes: np.ndarray, count: int) -> list[int]:
    """Indices of sentences to show, ascending: evenly spread from the shortest to the longest that read well, or others if too few do.

    Args:
        sizes: integers [sentences], pieces.
    """
    unreadable = (sizes < READABLE[0]) | (sizes > READABLE[1])
    order = np.lexsort((sizes, unreadable))
    num_shown = min(count, len(sizes))
    among = max(int((~unreadable).sum()), num_shown)
    return sorted(order[np.linspace(0, among - 1, num_shown).astype(int)].tolist())
