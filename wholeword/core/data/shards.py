"""A chunk of text -> a shard of the token store.

A finished shard has a receipt of what it was made from. A shard with a matching receipt is not built again, which is how an interrupted
build resumes; a file that does not match its receipt is built again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import unidata_version

import numpy as np

from wholeword.core.contracts import FastSegmenter, SplittingSegmenter
from wholeword.core.data.align import Words, align, find_words
from wholeword.core.data.chunks import Chunk
from wholeword.core.data.cleaning import make_cleaners
from wholeword.core.data.corpus import CorpusLayout
from wholeword.core.data.documents import Passage, read_passages
from wholeword.core.data.google_text import refuse_cuts
from wholeword.core.data.shard_file import id_dtype, shard_bytes
from wholeword.core.data.store import VOCABULARY, shard_name
from wholeword.core.data.tokenizer import Encoded, WordPieceTokenizer, definition_of
from wholeword.core.data.word_cache import WordCache
from wholeword.core.errors import PluginError
from wholeword.core.files import atomic_write, sha256_of, to_json
from wholeword.core.memory import keep_freed_memory
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import title_of, version_of
from wholeword.core.registry.spec import PluginSpec
from wholeword.core.vocabulary import Vocabulary

BATCH = 1 << 16  # characters that are segmented and tokenized at once
BYTES_PER_CHARACTER = 3  # of Chinese in UTF-8, to estimate the progress within a shard
MAX_UNKNOWN = 1000  # different texts of [UNK] that are recorded, for each shard and for the store
MAX_EXAMPLES = 20  # fallbacks that are recorded with their sentences
SHOWN = 200  # characters recorded of such a sentence
COUNTS = (
    "num_documents",
    "num_sentences",
    "num_tokens",
    "num_words",
    "num_characters",
    "num_unknown",  # [UNK]
    "num_fallbacks",  # spans where the segmenter's words are not those of the text,
    "num_fallback_sentences",  # and sentences with such spans
    "num_replaced",  # bad bytes and lone surrogates, now U+FFFD
    "num_cleaned",  # lines that cleaning changed
    "num_duplicates",  # documents that were dropped
    "num_cut",  # documents too large for one shard
)

Report = Callable[[int, int], None]  # bytes of the corpus' files done, tokens made


@dataclass(frozen=True)
class StoreSpec:
    """Everything that decides the content of a shard; it is sent to the worker processes."""

    folder: Path  # with receipts/ and store/vocab.txt
    corpus: CorpusLayout
    cleaning: tuple[PluginSpec, ...]
    segmenter: PluginSpec
    lowercase: bool
    keep_latin: bool
    compat: str | None  # "google": text is read and tokenized as by google-research/bert
    inputs: dict[str, Any]  # the same, as JSON that does not depend on the machine
    words_cache: Path | None  # for segmented text


class Interrupted(Exception):
    """The build is being stopped."""


class ShardBuilder:
    """Builds shards one at a time.

    Args:
        report: called after every batch.
        stopped: called after every batch; Interrupted is raised if it returns True.
    """

    def __init__(self, spec: StoreSpec, report: Report, stopped: Callable[[], bool]):
        self.spec, self.report, self.stopped = spec, report, stopped
        keep_freed_memory()
        self.cleaners = make_cleaners(spec.cleaning)
        self.segmenter = registry.create("segmenter", spec.segmenter.name, **spec.segmenter.settings)
        self.vocabulary = Vocabulary.read(spec.folder / "store" / VOCABULARY)
        self.tokenizer = WordPieceTokenizer(self.vocabulary, spec.lowercase, definition=definition_of(spec.compat))
        self.segmenter_version = version_of(self.segmenter, registry.find("segmenter", spec.segmenter.name))
        fast = isinstance(self.segmenter, FastSegmenter) and not self.segmenter.worth_keeping
        worth_keeping = not fast and not isinstance(self.segmenter, SplittingSegmenter)
        self.words_cache = spec.words_cache if worth_keeping else None

    def build(self, chunk: Chunk) -> dict[str, Any]:
        """Write the shard of a chunk, unless it is there already.

        Returns: its receipt: `file`, `made_from`, `counts`, `unknown` (texts that became [UNK], and how often), `fallback_examples`, and
            `sha256` (empty if the chunk has no piece at all; then there is no file).
        """
        made_from = {
            "inputs": hashlib.sha256(to_json(self.spec.inputs)).hexdigest(),
            "vocabulary": self.vocabulary.sha256,
            "segmenter_version": self.segmenter_version,
            "text": chunk.sha256,
        }
        if self.spec.compat == "google":
            made_from["unicode"] = unidata_version  # it decides, for example, what is punctuation
            refuse_cuts(chunk, self.spec.corpus)
        path = self.spec.folder / "receipts" / f"{chunk.number:05}.json"
        receipt = self._finished(path, made_from)
        if receipt:
            self.report(chunk.bytes_read, receipt["counts"]["num_tokens"])
            return receipt
        content, about = self._content(chunk)
        file = self.spec.folder / "store" / shard_name(chunk.number)
        if content:
            atomic_write(file, [content])
        receipt = {"file": file.name, "made_from": made_from, **about, "sha256": sha256_of(file) if content else ""}
        atomic_write(path, to_json(receipt))
        return receipt

    def _finished(self, path: Path, made_from: dict[str, str]) -> dict[str, Any] | None:
        """The receipt, if it matches and the shard is intact."""
        try:
            receipt = json.loads(path.read_bytes())
            file = self.spec.folder / "store" / receipt["file"]
            whole = receipt["made_from"] == made_from and (not receipt["sha256"] or sha256_of(file) == receipt["sha256"])
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return receipt if whole else None

    def _content(self, chunk: Chunk) -> tuple[bytearray, dict[str, Any]]:
        """The bytes of a shard's file (none if it has no piece), and the part of the receipt that describes them."""
        counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        counts.update(chunk.counts)
        unknown: Counter[str] = Counter()
        examples: list[dict[str, Any]] = []
        dtype = id_dtype(self.vocabulary)
        ids, word_starts, lengths, owners = [np.zeros(0, dtype)], [np.zeros(0, bool)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        fallbacks, num_sentences = [], 0
        cache = WordCache(self.words_cache, self._words_identity(), chunk.sha256)
        passages = read_passages(chunk, self.spec.corpus, counts, self.cleaners, google=self.spec.compat == "google")
        size, reported = sum(len(span.data) for span in chunk.spans), 0
        for where, sentences, documents in _batches(passages):
            texts, words = self._words(where, sentences, cache)
            encoded = self.tokenizer.encode_batch(texts)
            ids.append(encoded.ids.astype(dtype))
            word_starts.append(align(encoded, words.starts, self.tokenizer, keep_latin=self.spec.keep_latin))
            lengths.append(np.diff(encoded.sentence_pieces))
            owners.append(documents)
            _count_texts(encoded, np.flatnonzero(encoded.ids == self.vocabulary.unk_id), unknown)
            for fallback in words.fallbacks:
                fallbacks.append(num_sentences + fallback.sentence)
                counts["num_fallbacks"] += fallback.spans
                if len(examples) < MAX_EXAMPLES:
                    examples.append({"where": where, "text": texts[fallback.sentence][:SHOWN], "words": fallback.words[:SHOWN]})
            num_sentences += len(texts)
            num_characters = len(encoded.codes) - len(texts) - 1  # without line feeds
            counts["num_characters"] += num_characters
            counts.update({"num_dropped": num_dropped} if (num_dropped := self.tokenizer.count_dropped(encoded.codes)) else {})
            read = min(chunk.bytes_read * BYTES_PER_CHARACTER * num_characters // size, chunk.bytes_read - reported)
            reported += read
            self.report(read, len(encoded.ids))
            if self.stopped():
                raise Interrupted
        cache.save()
        self.report(chunk.bytes_read - reported, 0)
        all_ids, all_starts, all_lengths, all_owners = map(np.concatenate, (ids, word_starts, lengths, owners))
        filled = all_lengths > 0
        sentence_ends = np.cumsum(all_lengths)[filled]
        document_ends = np.flatnonzero(np.diff(all_owners[filled], append=-1)) + 1
        altered = np.array(fallbacks, np.int64)
        fallback_sentences = (np.cumsum(filled) - 1)[altered[filled[altered]]]
        counts["num_tokens"], counts["num_sentences"], counts["num_documents"] = len(all_ids), len(sentence_ends), len(document_ends)
        counts["num_fallback_sentences"] = len(fallback_sentences)
        counts["num_words"] = int(all_starts.sum())
        counts["num_unknown"] = int((all_ids == self.vocabulary.unk_id).sum())
        arrays = all_ids, all_starts, sentence_ends, document_ends, fallback_sentences
        content = shard_bytes(self.vocabulary, *arrays) if len(all_ids) else bytearray()
        return content, {"counts": dict(counts), "unknown": most_frequent(unknown), "fallback_examples": examples}

    def _words_identity(self) -> dict[str, Any]:
        """What decides the words of a shard's text."""
        corpus = {key: value for key, value in self.spec.inputs["corpus"].items() if key != "files"}
        return {"corpus": corpus, "segmenter": self.spec.inputs["segmenter"], "version": self.segmenter_version}

    def _words(self, where: str, sentences: list[str], cache: WordCache) -> tuple[Sequence[str], Words]:
        """The sentences as text, and where their words begin."""
        known = cache.get(sentences)
        if known:
            return sentences, known
        try:
            texts, words = find_words(self.segmenter, sentences)
        except PluginError as error:
            first = f"{sentences[0][:40]!r} at {where}"
            title = title_of("segmenter", self.spec.segmenter.name)
            raise PluginError(f"{title} {error} (among {len(sentences)} sentences from {first})") from error
        cache.add(sentences, words)
        return texts, words


def _count_texts(encoded: Encoded, pieces: np.ndarray, counts: Counter[str]) -> None:
    """Count the texts of some pieces; nearly all are one character."""
    starts, ends = encoded.starts[pieces], encoded.ends[pieces]
    single = ends == starts + 1
    for code, count in zip(*map(np.ndarray.tolist, np.unique(encoded.codes[starts[single]], return_counts=True)), strict=True):
        counts[chr(code)] += count
    for start, end in zip(starts[~single].tolist(), ends[~single].tolist(), strict=True):
        counts["".join(map(chr, encoded.codes[start:end].tolist()))] += 1


def most_frequent(unknown: Counter[str]) -> dict[str, int]:
    """The texts to record (JSON sorts them by text)."""
    return dict(sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:MAX_UNKNOWN])


def _batches(passages: Iterable[Passage]) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Batches of sentences: where the document of the first sentence begins, the sentences, and the document number of each."""
    where, sentences, owners, size, num_documents = "", [], [], 0, 0
    for passage in passages:
        numbers = np.searchsorted(passage.document_starts, np.arange(len(passage.sentences)), side="right") - 1
        totals = np.cumsum(passage.lengths)
        start = before = 0
        while start < len(numbers):
            end = int(np.searchsorted(totals, before + BATCH - size)) + 1
            where = where or f"{passage.path}:{passage.lines[numbers[start]]}"
            sentences += passage.sentences[start:end]
            owners.append(num_documents + numbers[start:end])
            start = min(end, len(numbers))
            size, before = size + int(totals[start - 1]) - before, int(totals[start - 1])
            if size >= BATCH:
                yield where, sentences, np.concatenate(owners)
                where, sentences, owners, size = "", [], [], 0
        num_documents += len(passage.lines)
    if sentences:
        yield where, sentences, np.concatenate(owners)
