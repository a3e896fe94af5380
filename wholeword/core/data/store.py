"""The token store: a corpus as pieces and word starts, written once and mapped into memory.

    store/
      shard-00000.bin ...  five arrays one after the other, each at a multiple of 8 bytes:
                             ids            uint16 or uint32 [num_tokens]
                             word starts    one bit a token, lowest bit first
                             sentence ends  uint32 [num_sentences], tokens of this shard before each end
                             document ends  uint32 [num_documents], sentences of this shard before each end
                             fallbacks      uint32 [num_fallback_sentences], the sentences in which words are not those of the text
      vocab.txt
      manifest.json        sizes and sha256 of the files above; counts, settings, origin; written last

Sentences and documents without a single piece are left out, and the first piece of a sentence begins a word. The store holds no masks.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.data.shard_file import id_dtype, shard_bytes, shard_layout
from wholeword.core.data.spans import Spans
from wholeword.core.data.tokenizer import WordPieceTokenizer, definition_of
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import atomic_directory, check_manifest, read_manifest, sha256_of, to_json, write_file, write_manifest
from wholeword.core.ragged import ragged_range
from wholeword.core.vocabulary import Vocabulary

FORMAT = {"name": "wholeword token store", "version": 2}
VOCABULARY = "vocab.txt"
FEW_SHARDS = 6  # up to so many, reading each shard in turn is faster than copying span by span
COUNTS = ("num_tokens", "num_sentences", "num_documents", "num_fallback_sentences")


@dataclass(frozen=True)
class Shard:
    """A part of the store that fits into memory; documents never cross shards. The arrays are mapped read-only; numbers in them are
    relative to the shard.
    """

    token_offset: int  # number in the whole store of its first token,
    sentence_offset: int  # sentence
    document_offset: int  # and document
    num_tokens: int
    num_sentences: int
    num_documents: int
    num_fallback_sentences: int
    ids: np.ndarray  # uint16 or uint32 [num_tokens]
    word_start_bits: np.ndarray  # uint8 [ceil(num_tokens / 8)]
    sentence_ends: np.ndarray  # uint32 [num_sentences]
    document_ends: np.ndarray  # uint32 [num_documents]
    fallback_sentences: np.ndarray  # uint32 [num_fallback_sentences], ascending


class TokenStore:
    """A finished store.

    Args:
        verify: check the sha256 of every file first.
    Raises: IntegrityError naming each file that is missing, truncated or changed.
    """

    def __init__(self, path: Path | str, *, verify: bool = True):
        self.path = Path(path)
        self.manifest = check_manifest(path) if verify else read_manifest(path)
        if self.manifest.get("format") != FORMAT:
            raise IntegrityError(f"{path}: holds {self.manifest.get('format')}; expected {FORMAT}")
        self.vocabulary = Vocabulary.read(self.path / VOCABULARY)
        self.lowercase: bool = self.manifest["lowercase"]
        self.num_tokens, self.num_sentences, self.num_documents, _ = (self.manifest["counts"][key] for key in COUNTS)

    @cached_property
    def tokenizer(self) -> WordPieceTokenizer:
        """The tokenizer that the text was encoded with."""
        definition = definition_of(self.manifest.get("inputs", {}).get("compat"))
        return WordPieceTokenizer(self.vocabulary, self.lowercase, definition=definition)

    @cached_property
    def shards(self) -> list[Shard]:
        """The shards, their arrays mapped."""
        shards = []
        offsets = [0, 0, 0]
        for entry in self.manifest["shards"]:
            counts = [entry[key] for key in COUNTS]
            arrays = self._map(entry["file"], counts)
            shards.append(Shard(*offsets, *counts, *arrays))  # type: ignore[arg-type]
            offsets = [offset + count for offset, count in zip(offsets, counts, strict=False)]
        return shards

    def _map(self, name: str, counts: Sequence[int]) -> Iterator[np.ndarray]:
        data = np.asarray(np.memmap(self.path / name, np.uint8, "r"))  # a plain view: indexing a memmap is slow
        for dtype, count, place in shard_layout(id_dtype(self.vocabulary), *counts)[0]:
            yield data[place : place + count * dtype.itemsize].view(dtype)

    @cached_property
    def _offsets(self) -> np.ndarray:
        """int64 [3, num_shards]: first token, sentence and document of each shard."""
        return np.array([[shard.token_offset, shard.sentence_offset, shard.document_offset] for shard in self.shards], np.int64).T

    @cached_property
    def fallback_tokens(self) -> np.ndarray:
        """int64 [2, num_fallback_sentences]: the first token and the end of each sentence whose words are not all those of the text."""
        parts = [np.zeros((2, 0), np.int64)]
        for shard in self.shards:
            ends = np.append(0, shard.sentence_ends).astype(np.int64) if shard.num_fallback_sentences else np.zeros(1, np.int64)
            numbers = shard.fallback_sentences.astype(np.int64)
            parts.append(shard.token_offset + np.stack([ends[numbers], ends[numbers + 1]]) if len(numbers) else parts[0])
        return np.concatenate(parts, axis=1)

    def _shard_of(self, unit: int, number: int) -> Shard:
        return self.shards[int(np.searchsorted(self._offsets[unit], number, side="right")) - 1]

    def rows(self, starts: np.ndarray, lengths: np.ndarray, before: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """One row per span. The span begins in column `before`; the columns around it hold arbitrary values.

        Args:
            starts: int64 [num_spans], numbers of tokens in the whole store.
            lengths: integers [num_spans]; no span crosses a shard.
            before: integers [num_spans].
        Returns: ids uint16 or uint32 [num_spans, length], word_starts bool [num_spans, length].
        """
        numbers = np.searchsorted(self._offsets[0], starts, side="right") - 1
        places = starts - self._offsets[0][numbers]
        shards = np.unique(numbers).tolist()
        if len(shards) == 1:
            return self._rows_of(shards[0], places, before, length)
        if len(shards) > FEW_SHARDS:
            return self._copied(numbers, places, lengths).rows(before, length)
        ids, word_starts = np.empty((len(starts), length), id_dtype(self.vocabulary)), np.empty((len(starts), length), bool)
        for shard in shards:
            spans = np.flatnonzero(numbers == shard)
            ids[spans], word_starts[spans] = self._rows_of(shard, places[spans], before[spans], length)
        return ids, word_starts

    def _rows_of(self, number: int, places: np.ndarray, before: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        shard = self.shards[number]
        return Spans(shard.ids, shard.word_start_bits, places, places).rows(before, length)

    def _copied(self, numbers: np.ndarray, places: np.ndarray, lengths: np.ndarray) -> Spans:
        """Spans of many shards, copied one after the other.

        Args:
            numbers, places: int64 [num_spans], the shard of each span, and where it begins in the shard.
        """
        first_bytes, ends = places >> 3, places + lengths
        columns = numbers, places, ends, first_bytes, (ends + 7) >> 3
        spans = list(zip(*map(np.ndarray.tolist, columns), strict=True))
        shards = self.shards
        ids = np.concatenate([shards[shard].ids[first:end] for shard, first, end, _, _ in spans])
        bits = np.concatenate([shards[shard].word_start_bits[first:end] for shard, _, _, first, end in spans])
        sizes = columns[4] - first_bytes
        return Spans(ids, bits, np.cumsum(lengths) - lengths, 8 * (np.cumsum(sizes) - sizes) + (places & 7))

    def gather(self, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of spans, one span after the other.

        Args:
            starts: int64 [num_spans], numbers of tokens in the whole store.
            lengths: integers [num_spans]; no span crosses a shard.
        Returns: ids int32 [sum of lengths], word_starts bool [sum of lengths].
        """
        starts, lengths = np.asarray(starts, np.int64), np.asarray(lengths, np.int64)
        if not len(starts):
            return np.zeros(0, np.int32), np.zeros(0, bool)
        numbers = np.searchsorted(self._offsets[0], starts, side="right") - 1
        spans, steps = self._copied(numbers, starts - self._offsets[0][numbers], lengths), ragged_range(lengths)
        bits = np.repeat(spans.bit_places, lengths) + steps
        word_starts = (spans.word_start_bits[bits >> 3] >> (bits & 7).astype(np.uint8)) & 1
        return spans.ids[np.repeat(spans.id_places, lengths) + steps].astype(np.int32), word_starts.view(bool)

    def document_sentences(self, document: int) -> tuple[int, int]:
        """The sentences of a document as [first, end); all numbers are those of the whole store."""
        shard = self._shard_of(2, document)
        local = document - shard.document_offset
        first = int(shard.document_ends[local - 1]) if local else 0
        return shard.sentence_offset + first, shard.sentence_offset + int(shard.document_ends[local])

    def sentence_tokens(self, first: int, end: int) -> np.ndarray:
        """Where the sentences `first` ... `end` - 1 of one document begin, and where the last one ends: int64 [end - first + 1]."""
        shard = self._shard_of(1, first)
        low, high = first - shard.sentence_offset, end - shard.sentence_offset
        ends = shard.sentence_ends[low:high].astype(np.int64)
        return shard.token_offset + np.insert(ends, 0, shard.sentence_ends[low - 1] if low else 0)


def finish_store(
    folder: Path, *, lowercase: bool, shards: Sequence[Mapping[str, Any]], counts: Mapping[str, int], about: Mapping[str, Any]
) -> None:
    """Write the manifest into a folder that holds the shards and `vocab.txt`.

    Args:
        shards: of each shard `file`, `sha256`, the `COUNTS`, and whatever else was counted.
        counts: the same counts for the whole store.
        about: other entries, such as settings and origin; none may depend on the time, the folder or the number of workers.
    """
    vocabulary = sha256_of(folder / VOCABULARY)
    content = {"lowercase": lowercase, "vocabulary_sha256": vocabulary, "shards": [shard["sha256"] for shard in shards]}
    manifest = {
        **about,
        "format": FORMAT,
        "fingerprint": hashlib.sha256(to_json(content)).hexdigest(),  # of all that can be read from the store
        "lowercase": lowercase,
        "vocabulary_sha256": vocabulary,
        "counts": dict(counts),
        "shards": [{key: value for key, value in shard.items() if key != "sha256"} for shard in shards],
    }
    write_manifest(folder, manifest)


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"shard-{number:05}.bin"


def write_store(
    path: Path | str,
    vocabulary: Vocabulary,
    documents: Iterable[Sequence[tuple[Sequence[int] | np.ndarray, Sequence[bool] | np.ndarray]]],
    *,
    lowercase: bool = True,
    tokens_per_shard: int = 1 << 22,
) -> TokenStore:
    """Write a whole store at once, for tests and tools.

    Args:
        documents: lists of sentences, each (ids, word_starts) of equal length; the first piece of a sentence always begins a word.
        tokens_per_shard: a shard is complete once it has that many.
    Raises: UserError if there is no token at all, or `path` exists.
    """
    shards: list[dict[str, Any]] = []

    def flush(folder: Path, parts: list[list[tuple[np.ndarray, np.ndarray]]]) -> None:
        sentences = [sentence for document in parts for sentence in document]
        ids, word_starts = (np.concatenate(arrays) for arrays in zip(*sentences, strict=True))
        ends = np.cumsum([len(sentence[0]) for sentence in sentences])
        word_starts[np.append(0, ends[:-1])] = True
        document_ends = np.cumsum([len(document) for document in parts])
        file = folder / shard_name(len(shards))
        write_file(file, [shard_bytes(vocabulary, ids, word_starts, ends, document_ends)])
        counts = dict(zip(COUNTS, (len(ids), len(ends), len(document_ends), 0), strict=True))
        shards.append({"file": file.name, "sha256": sha256_of(file), **counts})

    with atomic_directory(path) as folder:
        parts, size = [], 0
        for document in documents:
            sentences = [(np.asarray(ids, np.int64), np.array(word_starts, bool)) for ids, word_starts in document if len(ids)]
            if sentences:
                parts.append(sentences)
                size += sum(len(ids) for ids, _ in sentences)
            if size >= tokens_per_shard:
                flush(folder, parts)
                parts, size = [], 0
        if parts:
            flush(folder, parts)
        if not shards:
            raise UserError(f"{path}: no text to store")
        write_file(folder / VOCABULARY, vocabulary.to_bytes())
        counts = {key: sum(shard[key] for shard in shards) for key in COUNTS}
        finish_store(folder, lowercase=lowercase, shards=shards, counts=counts, about={})
    return TokenStore(path, verify=False)
