"""How large a corpus is: counted in the token store, or estimated from the beginnings of three files."""

import re
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from wholeword.core.config.job import Job
from wholeword.core.data.chunks import BYTE_ORDER_MARK, Chunk, Span
from wholeword.core.data.cleaning import make_cleaners
from wholeword.core.data.corpus import expand_files
from wholeword.core.data.corpus_format import CheckedFormat
from wholeword.core.data.documents import read_documents
from wholeword.core.errors import UserError
from wholeword.core.files import read_manifest
from wholeword.core.vocabulary import Vocabulary

SAMPLE_BYTES = 4 << 20  # of each of three files
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
    store_bytes: int
    notes: list[str]


def count(store: Path) -> CorpusSize:
    manifest = read_manifest(store)
    counts = manifest["counts"]
    size = sum(entry["size"] for entry in manifest["files"].values())
    vocab_size = len(Vocabulary.read(store / "vocab.txt"))
    return CorpusSize("exact", counts["num_documents"], counts["num_sentences"], counts["num_tokens"], vocab_size, size, [])


def estimate_if_any(job: Job) -> CorpusSize:
    """An estimate, or zeros if the corpus is missing."""
    try:
        return estimate(job)
    except UserError as error:
        return CorpusSize(f"not there yet: {error}", 0, 0, 0, job.prepare.tokenizer.vocab_size(), 0, [])


def estimate(job: Job) -> CorpusSize:
    """Counts of three samples, scaled to the size of all files."""
    corpus, vocab_size = job.prepare.corpus, job.prepare.tokenizer.vocab_size()
    files = expand_files(corpus)
    cleaners, format = make_cleaners(job.prepare.cleaning), CheckedFormat(corpus.format)
    documents: list[tuple[str, ...]] = []
    num_read = 0
    for number in sorted({0, len(files) // 2, len(files) - 1}):
        data, size = _sample(files[number].path, format)
        sample = Chunk(0, [Span(str(files[number].path), 1, data)])
        documents += [tuple(sentences) for _, sentences in read_documents(sample, corpus, Counter(), cleaners)]
        num_read += size
    notes = []
    if corpus.drop_duplicates:
        distinct = list(dict.fromkeys(documents))
        num_duplicates = len(documents) - len(distinct)
        notes.append(f"duplicates: {num_duplicates:,} of the {len(documents):,} documents read for the estimate; they are dropped")
        documents = distinct
    scale = sum(file.size for file in files) / max(num_read, 1)
    num_tokens = round(scale * sum(map(_tokens, chain.from_iterable(documents))))
    return CorpusSize(
        state="estimated",
        num_documents=len(files) if corpus.format.settings.get("documents") == "file" else round(scale * len(documents)),
        num_sentences=round(scale * sum(map(len, documents))),
        num_tokens=num_tokens,
        vocab_size=vocab_size,
        store_bytes=round(num_tokens * (2.2 if vocab_size <= WIDE_VOCABULARY else 4.2)),
        notes=notes,
    )


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
    return data.removeprefix(BYTE_ORDER_MARK), size


def _tokens(sentence: str) -> float:
    """Roughly the number of pieces of a sentence."""
    letters = sum(map(len, LETTERS.findall(sentence)))
    return len("".join(sentence.split())) - letters + letters / LETTERS_PER_PIECE
