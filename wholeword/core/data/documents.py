"""A chunk of the corpus -> documents of sentences: decoded, read by the corpus format, cleaned, split into sentences."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from operator import ne
from typing import NamedTuple

import numpy as np

from wholeword.core.contracts import TextPart
from wholeword.core.data.chunks import Chunk, Span
from wholeword.core.data.cleaning import NamedCleaner, clean
from wholeword.core.data.corpus import CorpusLayout
from wholeword.core.data.corpus_format import CheckedFormat, Lines
from wholeword.core.data.google_text import ends_at_blank_lines, split_at_blank_lines
from wholeword.core.data.sentences import split_sentences
from wholeword.core.errors import UserError
from wholeword.core.file_kinds import HEAD, kind_of
from wholeword.core.text_files import advice_for, not_utf8

MAX_SENTENCE = 100_000  # characters; a longer sentence is cut, so that an endless line is segmented in bounded memory
MAX_PASSAGE = 4096  # sentences that are gathered
PART = 1 << 20  # bytes that are decoded at once: reused memory spares the system fresh pages


class Passage(NamedTuple):
    """Some documents of a file, one after the other."""

    path: str
    sentences: list[str]
    lengths: np.ndarray  # int64 [num_sentences], in characters
    document_starts: np.ndarray  # int64 [num_documents], the first sentence of each
    lines: np.ndarray  # int64 [num_documents], the line of the file where each begins


def read_documents(
    chunk: Chunk, corpus: CorpusLayout, counts: Counter[str], cleaners: Sequence[NamedCleaner] = ()
) -> Iterator[tuple[str, list[str]]]:
    """The documents of a chunk: where each begins (`file:line`), and its sentences. Counts and raises as `read_passages` does."""
    for passage in read_passages(chunk, corpus, counts, cleaners):
        starts = passage.document_starts.tolist()
        for line, start, end in zip(passage.lines.tolist(), starts, [*starts[1:], None], strict=True):
            yield f"{passage.path}:{line}", passage.sentences[start:end]


def read_passages(
    chunk: Chunk, corpus: CorpusLayout, counts: Counter[str], cleaners: Sequence[NamedCleaner] = (), *, google: bool = False
) -> Iterator[Passage]:
    """The documents of a chunk that have a sentence, many at a time; adds to `counts` what was replaced and cleaned.

    Args:
        google: read text as google-research/bert does, see `google_text`.
    Raises: UserError with file, line and byte for what is not UTF-8 or not what the format expects; PluginError for a broken format or
        cleaner.
    """
    format, limit = CheckedFormat(corpus.format), None if google else MAX_SENTENCE
    for span in chain.from_iterable(_parts(span, format) for span in chunk.spans):
        text = _decode(span, corpus.bad_bytes, counts)
        documents = format.documents(TextPart(span.path, span.first_line, text.replace("\r", "") if google else text), counts)
        if google and ends_at_blank_lines(corpus):
            documents = split_at_blank_lines(documents)
        if format.lines_are_sentences and not cleaners:
            passages: Iterator[Passage] = iter([_lines_as_sentences(span.path, documents, limit)])
        else:
            passages = _gathered(span.path, documents, format, counts, cleaners, limit)
        yield from (passage for passage in passages if passage.sentences)


def _parts(span: Span, format: CheckedFormat) -> Iterator[Span]:
    """The span in parts of about PART bytes or more, cut where documents end."""
    start, size = 0, max(PART, 1)
    while len(span.data) - start > size:
        part = span.data[start : start + size]
        end = format.last_border(part, len(part), f"{span.path}:{span.first_line}")
        if not end:
            size *= 2
            continue
        yield Span(span.path, span.first_line, part[:end])
        span = span._replace(first_line=span.first_line + part.count(b"\n", 0, end))
        start, size = start + end, max(PART, 1)
    yield span._replace(data=span.data[start:]) if start else span


def _lines_as_sentences(path: str, documents: Lines, limit: int | None) -> Passage:
    """Documents whose lines are sentences."""
    stripped = list(map(str.strip, documents.lines))
    lengths = np.fromiter(map(len, stripped), np.int64, len(stripped))
    places = np.flatnonzero(lengths)
    begins = np.zeros(len(stripped), np.int64)
    begins[documents.starts[documents.starts < len(begins)]] = 1
    starts = np.flatnonzero(np.diff(np.cumsum(begins)[places], prepend=0))
    sentences, lengths = stripped if len(places) == len(stripped) else list(filter(None, stripped)), lengths[places]
    lines = documents.numbers[places[starts]]
    if limit is not None and lengths.max(initial=0) > limit:
        parts = [_cut(sentence, limit) for sentence in sentences]
        before = np.cumsum([0, *map(len, parts)])
        sentences = list(chain.from_iterable(parts))
        lengths, starts = np.fromiter(map(len, sentences), np.int64, len(sentences)), before[starts]
    return Passage(path, sentences, lengths, starts, lines)


def _gathered(
    path: str, documents: Lines, format: CheckedFormat, counts: Counter[str], cleaners: Sequence[NamedCleaner], limit: int | None
) -> Iterator[Passage]:
    """Documents read one by one, because their lines have to be cleaned or split."""
    sentences: list[str] = []
    starts: list[int] = []
    lines: list[int] = []

    def passage() -> Passage:
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        return Passage(path, sentences, lengths, np.array(starts, np.int64), np.array(lines, np.int64))

    borders = [*documents.starts.tolist(), len(documents.lines)]
    for start, end in pairwise(borders):
        if start == end:
            continue
        texts: Sequence[str] = documents.lines[start:end]
        number = int(documents.numbers[start])
        if cleaners:
            cleaned = clean(texts, cleaners, f"{path}:{number}")
            counts["num_cleaned"] += sum(map(ne, texts, cleaned))
            texts = cleaned
        if parts := _sentences(texts, format.lines_are_sentences, limit):
            starts.append(len(sentences))
            lines.append(number)
            sentences += parts
        if len(sentences) >= MAX_PASSAGE:
            yield passage()
            sentences, starts, lines = [], [], []
    yield passage()


def _sentences(lines: Sequence[str], lines_are_sentences: bool, limit: int | None) -> list[str]:
    """The sentences of some lines; one that is too long is cut."""
    if lines_are_sentences:
        sentences = [sentence for sentence in map(str.strip, lines) if sentence]
    else:
        sentences = [sentence for line in lines for sentence in split_sentences(line)]
    if limit is None or max(map(len, sentences), default=0) <= limit:
        return sentences
    return [part for sentence in sentences for part in _cut(sentence, limit)]


def _cut(sentence: str, limit: int) -> list[str]:
    return [sentence[start : start + limit] for start in range(0, len(sentence), limit)]


def _decode(span: Span, bad_bytes: str, counts: Counter[str]) -> str:
    try:
        return span.data.decode("utf-8")
    except UnicodeDecodeError as error:
        if bad_bytes == "replace":
            text = span.data.decode("utf-8", "replace")
            counts["num_replaced"] += text.count("\ufffd") - span.data.count("\ufffd".encode())
            return text
        where = f"{span.path}{not_utf8(span.data, error, span.first_line)}"
        start = span.data.rfind(b"\n", 0, error.start) + 1
        if kind := kind_of(span.data[start : start + HEAD]):
            raise UserError(f"{where}, and what follows is {kind}") from None
        raise UserError(f"{where}; {advice_for(span.data, error)}, or set corpus.bad_bytes to replace") from None
