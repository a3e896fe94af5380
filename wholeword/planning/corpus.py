"""How large a corpus is: counted in the token store, or estimated from the beginnings of three files."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from wholeword.core.config.job import Job
from wholeword.core.config.preparation import PrepareJob
from wholeword.core.config.sources import source_location
from wholeword.core.contracts import SplittingSegmenter
from wholeword.core.data.align import segment
from wholeword.core.data.chunks import Chunk, Span, without_marks
from wholeword.core.data.cleaning import make_cleaners
from wholeword.core.data.corpus import expand_files
from wholeword.core.data.corpus_format import CheckedFormat
from wholeword.core.data.documents import read_documents
from wholeword.core.data.tokenizer import WordPieceTokenizer, definition_of
from wholeword.core.errors import UserError
from wholeword.core.files import read_manifest
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import Vocabulary

SAMPLE_BYTES = 4 << 20  # of each of three files
SAMPLE_CHARACTERS = 1 << 18  # of the text that is turned into pieces, to see how many are [UNK]
LETTERS_PER_PIECE = 2.3  # in Latin words and numbers, measured with Google's Chinese vocabulary on manuals and Wikipedia; Chinese: 1
LETTERS = re.compile("[0-9A-Za-z]+")
WIDE_VOCABULARY = 65536  # ids of larger ones take 4 bytes


class CorpusSize(NamedTuple):
    """The size of a corpus and its store; see `Plan` for the fields."""

    state: str
    num_documents: int
    num_sentences: int
    num_tokens: int
    vocab_size: int
    unknown_rate: float | None
    store_bytes: int
    notes: list[str]


def count(store: Path) -> CorpusSize:
    """The counts of a finished store."""
    manifest = read_manifest(store)
    counts = manifest["counts"]
    size = sum(entry["size"] for entry in manifest["files"].values())
    return CorpusSize(
        state="exact",
        num_documents=counts["num_documents"],
        num_sentences=counts["num_sentences"],
        num_tokens=counts["num_tokens"],
        vocab_size=len(Vocabulary.read(store / "vocab.txt")),
        unknown_rate=counts["num_unknown"] / max(counts["num_tokens"], 1) if "num_unknown" in counts else None,
        store_bytes=size,
        notes=[],
    )


def absent(job: Job, reason: str) -> CorpusSize:
    """A corpus that is not there."""
    return CorpusSize(f"not there yet: {reason}", 0, 0, 0, job.prepare.tokenizer.vocab_size(), None, 0, [])


def estimate(job: Job, *, fetch: bool = False) -> CorpusSize:
    """Counts of three samples, scaled to the size of all files.

    Args:
        fetch: whether the vocabulary may be fetched, as it is when the corpus is prepared.
    Raises: UserError if a file is missing, or there is no text in them.
    """
    corpus, vocabulary = job.prepare.corpus, local_vocabulary(job.prepare, fetch=fetch)
    vocab_size = job.prepare.tokenizer.vocab_size() if vocabulary is None else len(vocabulary)
    files = expand_files(corpus)
    samples, num_read = _samples(job.prepare)
    documents = list(chain.from_iterable(samples))
    by_file = corpus.format.settings.get("documents") == "file" or len(documents) <= len(samples)  # no sample has the end of a document
    notes = []
    if corpus.drop_duplicates:
        distinct = list(dict.fromkeys(documents))
        num_duplicates = len(documents) - len(distinct)
        notes.append(f"duplicates: {num_duplicates:,} of the {len(documents):,} documents read for the estimate; they are dropped")
        documents = distinct
    total = sum(file.size for file in files)
    if not any(documents) and num_read >= total:
        raise UserError(f"corpus.files: no text in {', '.join(file.name for file in files[:3])}{' ...' if len(files) > 3 else ''}")
    scale = total / max(num_read, 1)
    num_tokens = round(scale * sum(map(_tokens, chain.from_iterable(documents))))
    return CorpusSize(
        state="estimated",
        num_documents=len(files) if by_file else round(scale * len(documents)),
        num_sentences=round(scale * sum(map(len, documents))),
        num_tokens=num_tokens,
        vocab_size=vocab_size,
        unknown_rate=None if vocabulary is None else _unknown_rate(job.prepare, vocabulary, samples),
        store_bytes=round(num_tokens * (2.2 if vocab_size <= WIDE_VOCABULARY else 4.2)),
        notes=notes,
    )


Sample = list[tuple[str, ...]]  # documents, each a tuple of sentences


def _samples(job: PrepareJob) -> tuple[list[Sample], int]:
    """The documents at the beginning of three files, and how many bytes of them were read."""
    files = expand_files(job.corpus)
    cleaners, format = make_cleaners(job.cleaning), CheckedFormat(job.corpus.format, markup=job.corpus.markup)
    samples, num_read = [], 0
    for number in sorted({0, len(files) // 2, len(files) - 1}):
        data, size = _sample(files[number].path, format)
        sample = Chunk(0, [Span(str(files[number].path), 1, data)])
        samples.append([tuple(sentences) for _, sentences in read_documents(sample, job.corpus, Counter(), cleaners)])
        num_read += size
    return samples, num_read


def _sample(path: Path, format: CheckedFormat) -> tuple[bytes, int]:
    """Whole lines, or documents, from the beginning of a file, and how many bytes of the file they took."""
    data, size = b"", 0
    for block, position in format.blocks(path):
        data, size = data + block, position
        if len(data) >= SAMPLE_BYTES:
            if format.smallest_part == "document":
                if not (end := format.last_border(data, len(data), f"{path}:1")):
                    continue
                data = data[:end]
            else:
                lines = data[: data.rfind(b"\n") + 1]
                data = lines or data.decode("utf-8", "ignore").encode()  # of a line without end, whole characters
            break
    return without_marks(data), size


def _tokens(sentence: str) -> float:
    """Roughly the number of pieces of a sentence."""
    letters = sum(map(len, LETTERS.findall(sentence)))
    return len("".join(sentence.split())) - letters + letters / LETTERS_PER_PIECE


def _unknown_rate(job: PrepareJob, vocabulary: Vocabulary, samples: Sequence[Sample]) -> float | None:
    """The share of [UNK] among the pieces of some samples; None if they have no piece."""
    sentences = [text for sample in samples for text in _beginning(chain.from_iterable(sample), SAMPLE_CHARACTERS // len(samples))]
    if isinstance(registry.load("segmenter", job.segmenter.name), SplittingSegmenter):  # its separators are no text
        sentences = list(segment(registry.create("segmenter", job.segmenter.name, **job.segmenter.settings), sentences)[0])
    tokenizer = WordPieceTokenizer(vocabulary, job.tokenizer.lowercase, definition=definition_of(job.compat))
    ids = tokenizer.encode_batch(sentences).ids
    return float((ids == vocabulary.unk_id).mean()) if len(ids) else None


def _beginning(sentences: Iterable[str], num_characters: int) -> Iterator[str]:
    for sentence in sentences:
        yield sentence
        num_characters -= len(sentence)
        if num_characters <= 0:
            return


def local_vocabulary(job: PrepareJob, *, fetch: bool = False) -> Vocabulary | None:
    """The vocabulary of the prepared store, or of a file; None if it must be trained, or fetched without leave."""
    path = job.store / "vocab.txt"
    if path.exists():
        return Vocabulary.read(path)
    return job.tokenizer.vocabulary if job.tokenizer.vocab and (fetch or not source_location(job.tokenizer.vocab)) else None
