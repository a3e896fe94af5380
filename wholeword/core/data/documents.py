"""A chunk of the corpus -> documents of sentences.

Lines end in a line feed only (a carriage return before it is dropped): U+2028, U+0085, form feeds and the like stand in real text. A line
of nothing but blanks is white. Where documents end is `documents`: at a white line, at every line, or with the file. It is a matter of the
text as it stands in the files; `cleaning` comes after it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from operator import ne
from typing import NamedTuple

import numpy as np

from wholeword.core.data.cleaning import NamedCleaner, clean
from wholeword.core.data.corpus import WHITE_LINES, Chunk, CorpusLayout, Span
from wholeword.core.data.sentences import split_sentences
from wholeword.core.data.tokenizer import SURROGATES, valid
from wholeword.core.errors import UserError

MAX_SENTENCE = 100_000  # characters; a longer one is cut, so that a line without end is segmented in bounded memory
MAX_PASSAGE = 4096  # sentences to gather
PART = 1 << 20  # bytes to read at once: memory that is used again does not cost the system a fresh page
BLANKS = " \t\r\f\v\u3000"


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
    """The documents of a chunk: each where it begins (`file:line`) and its sentences. Counts and raises as `read_passages` does."""
    for passage in read_passages(chunk, corpus, counts, cleaners):
        starts = passage.document_starts.tolist()
        for line, start, end in zip(passage.lines.tolist(), starts, [*starts[1:], None], strict=True):
            yield f"{passage.path}:{line}", passage.sentences[start:end]


def read_passages(chunk: Chunk, corpus: CorpusLayout, counts: Counter[str], cleaners: Sequence[NamedCleaner] = ()) -> Iterator[Passage]:
    """The documents of a chunk that have a sentence, many at a time; adds to `counts` what was replaced and cleaned.

    Raises: UserError with file, line and byte for what is not UTF-8 or not the JSON it should be; PluginError for a broken cleaner.
    """
    for span in chain.from_iterable(_parts(span, corpus) for span in chunk.spans):
        if corpus.format == "sentences" and not cleaners:
            passages: Iterable[Passage] = [_lines_as_sentences(span, corpus, counts)]
        else:
            passages = _gathered(span, corpus, counts, cleaners)
        yield from (passage for passage in passages if passage.sentences)


def _parts(span: Span, corpus: CorpusLayout) -> Iterator[Span]:
    """The span in parts of at least PART bytes, cut where documents end."""
    start, data = 0, span.data
    while len(data) - start > PART:
        if corpus.format == "jsonl" or corpus.documents == "line":
            end = data.find(b"\n", start + PART) + 1
        else:
            border = WHITE_LINES.search(data, start + PART) if corpus.documents == "blank-line" else None
            end = border.end() if border else 0
        if not end:
            break
        yield Span(span.path, span.first_line, data[start:end])
        span = span._replace(first_line=span.first_line + data.count(b"\n", start, end))
        start = end
    yield span._replace(data=data[start:]) if start else span


def _lines_as_sentences(span: Span, corpus: CorpusLayout, counts: Counter[str]) -> Passage:
    """The documents of a span in which every line is a sentence."""
    texts = _decode(span, corpus.bad_bytes, counts).split("\n")
    stripped = list(map(str.strip, texts))
    lengths = np.fromiter(map(len, stripped), np.int64, len(stripped))
    borders = np.ones(len(texts), np.int64) if corpus.documents == "line" else np.zeros(len(texts), np.int64)
    if corpus.documents == "blank-line":
        borders[[place for place in np.flatnonzero(lengths == 0).tolist() if not texts[place] or not texts[place].strip(BLANKS)]] = 1
    places = np.flatnonzero(lengths)
    starts = np.flatnonzero(np.diff(np.cumsum(borders)[places], prepend=-1))
    sentences, lengths = list(filter(None, stripped)), lengths[places]
    lines = span.first_line + places[starts]
    if lengths.max(initial=0) > MAX_SENTENCE:
        parts = [_cut(sentence) for sentence in sentences]
        before = np.cumsum([0, *map(len, parts)])
        sentences = list(chain.from_iterable(parts))
        lengths, starts = np.fromiter(map(len, sentences), np.int64, len(sentences)), before[starts]
    return Passage(span.path, sentences, lengths, starts, lines)


def _gathered(span: Span, corpus: CorpusLayout, counts: Counter[str], cleaners: Sequence[NamedCleaner]) -> Iterator[Passage]:
    """The documents of a span, read line by line."""
    sentences: list[str] = []
    starts: list[int] = []
    lines: list[int] = []

    def passage() -> Passage:
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        return Passage(span.path, sentences, lengths, np.array(starts, np.int64), np.array(lines, np.int64))

    for line, texts in _read_lines(span, corpus, counts):
        if cleaners:
            cleaned = clean(texts, cleaners, f"{span.path}:{line}")
            counts["num_cleaned"] += sum(map(ne, texts, cleaned))
            texts = cleaned
        found = _sentences(texts, corpus.format)
        if found:
            starts.append(len(sentences))
            lines.append(line)
            sentences += found
        if len(sentences) >= MAX_PASSAGE:
            yield passage()
            sentences, starts, lines = [], [], []
    yield passage()


def _sentences(lines: Sequence[str], format: str) -> list[str]:
    """The sentences of some lines; a longer one than may be is cut."""
    if format == "sentences":
        sentences = [sentence for sentence in map(str.strip, lines) if sentence]
    else:
        sentences = [sentence for line in lines for sentence in split_sentences(line)]
    if max(map(len, sentences), default=0) <= MAX_SENTENCE:
        return sentences
    return [part for sentence in sentences for part in _cut(sentence)]


def _cut(sentence: str) -> list[str]:
    return [sentence[start : start + MAX_SENTENCE] for start in range(0, len(sentence), MAX_SENTENCE)]


def _read_lines(span: Span, corpus: CorpusLayout, counts: Counter[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Documents as lines, with the number of their first line."""
    texts = _decode(span, corpus.bad_bytes, counts).split("\n")
    lines = enumerate(texts, span.first_line)
    if corpus.format == "jsonl":
        for number, line in lines:
            if line.strip(BLANKS):
                text = _text_of(line, f"{span.path}:{number}", corpus.text_key)
                counts["num_replaced"] += len(SURROGATES.findall(text))
                yield number, valid(text).split("\n")
    elif corpus.documents == "line":
        for number, line in lines:
            yield number, [line]
    else:
        white = [place for place, line in enumerate(texts) if not line.strip(BLANKS)]
        documents = [(before + 1, after) for before, after in pairwise([-1, *white, len(texts)]) if after > before + 1]
        if corpus.documents == "file" and documents:
            yield span.first_line + documents[0][0], [line for first, end in documents for line in texts[first:end]]
        elif corpus.documents == "blank-line":
            for first, end in documents:
                yield span.first_line + first, texts[first:end]


def _decode(span: Span, bad_bytes: str, counts: Counter[str]) -> str:
    try:
        return span.data.decode("utf-8")
    except UnicodeDecodeError as error:
        if bad_bytes == "replace":
            text = span.data.decode("utf-8", "replace")
            counts["num_replaced"] += text.count("\ufffd") - span.data.count("\ufffd".encode())
            return text
        line = span.first_line + span.data.count(b"\n", 0, error.start)
        column = error.start - span.data.rfind(b"\n", 0, error.start)
        raise UserError(
            f"{span.path}:{line}: byte {column} of the line (0x{span.data[error.start]:02x}) is not UTF-8; "
            "convert the file (iconv -f gb18030 -t utf-8), or set corpus.bad_bytes to replace"
        ) from None


def _text_of(line: str, where: str, key: str) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get(key), str):
        found = f"an object with {', '.join(map(repr, value)) or 'no key'}" if isinstance(value, dict) else f"a {type(value).__name__}"
        found = f"a {type(value[key]).__name__} under {key!r}" if isinstance(value, dict) and key in value else found
        raise UserError(f"{where}: found {found}; expected an object with text under {key!r} (corpus.text_key)")
    return value[key]
