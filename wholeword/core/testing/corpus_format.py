"""The check of corpus formats."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from wholeword.core.contracts import CorpusFormat, Documents, DocumentSplitter, TextPart

FILE = "text of the check"
MOST_ENDS = 200  # number of positions in the text at which last_border() is checked


def check_corpus_format(corpus_format: CorpusFormat, text: str) -> None:
    """Check the contract of `contracts.CorpusFormat`, above all that a file may be cut at the borders that the format gives.

    Args:
        text: a file in this format, with at least two documents; the longer and the stranger, the better the check.
    Raises: AssertionError naming the method and what was wrong.
    """
    assert corpus_format.lines_are_sentences in (True, False), (
        f"lines_are_sentences is {corpus_format.lines_are_sentences!r}; expected a bool"
    )
    assert corpus_format.smallest_part in ("text", "line", "document"), (
        f'smallest_part is {corpus_format.smallest_part!r}; expected "text", "line" or "document"'
    )
    whole = _documents(corpus_format, text, 1)
    assert len(whole) > 1, f"documents() found {len(whole)} documents; expected at least two, so that there is a border to check"
    assert _documents(corpus_format, text, 1) == whole, "documents() returned something else the second time; it must be deterministic"
    data = text.encode()
    borders = _borders(corpus_format, data) - {0, len(data)}
    assert borders, "last_border() found no border between two documents"
    for border in sorted(borders):
        _check_cut(corpus_format, data, border, whole)
    if isinstance(corpus_format, DocumentSplitter):
        _check_split(corpus_format, data)


Document = list[tuple[str, int]]  # its lines that are not blank, each with its number in the file


def _documents(corpus_format: CorpusFormat, text: str, first_line: int) -> list[Document]:
    result = corpus_format.documents(TextPart(FILE, first_line, text))
    assert isinstance(result, Documents), f"documents() returned {type(result).__name__}; expected wholeword.core.contracts.Documents"
    lines, starts, numbers = result
    assert all(isinstance(line, str) and "\n" not in line for line in lines), (
        "documents() returned lines that are no text or hold a line feed"
    )
    assert len(numbers) == len(lines), f"documents() returned {len(numbers)} numbers for {len(lines)} lines; expected one for each"
    last = first_line + text.count("\n")
    for line, number in zip(lines, numbers, strict=True):
        assert first_line <= number <= last, (
            f"{line!r} has the number {number}; expected one from {first_line} to {last}, the lines of the part"
        )
    _check_starts(starts, len(lines))
    pairs = [(line, int(number)) for line, number in zip(lines, numbers, strict=True)]
    documents = (
        [(line.strip(), number) for line, number in pairs[begin:end] if line.strip()] for begin, end in pairwise([*starts, len(lines)])
    )
    return [document for document in documents if document]


def _check_starts(starts: Sequence[int] | np.ndarray, num_lines: int) -> None:
    steps = np.diff(np.asarray(starts, np.int64), append=num_lines)
    fits = len(starts) == 0 if num_lines == 0 else len(starts) > 0 and starts[0] == 0 and bool((steps >= 0).all())
    assert fits, f"documents() returned the starts {list(starts)} for {num_lines} lines; expected ascending integers, the first of them 0"


def _borders(corpus_format: CorpusFormat, data: bytes) -> set[int]:
    borders = set()
    for end in sorted({len(data), *np.linspace(0, len(data), MOST_ENDS).astype(int).tolist()}):
        border = corpus_format.last_border(data, end)
        assert isinstance(border, int) and 0 <= border <= end, (
            f"last_border(data, {end}) returned {border!r}; expected a whole number from 0 to {end}"
        )
        borders.add(border)
    return borders


def _check_cut(corpus_format: CorpusFormat, data: bytes, border: int, whole: list[Document]) -> None:
    """The parts before and behind a border hold the documents of the whole."""
    try:
        before, behind = data[:border].decode(), data[border:].decode()
    except UnicodeDecodeError:
        raise AssertionError(f"last_border() returned {border}, which is inside of a character") from None
    parts = _documents(corpus_format, before, 1) + _documents(corpus_format, behind, 1 + before.count("\n"))
    assert parts == whole, f"the text cut at {border}, a border that last_border() returned, has other documents than the whole text"


def _check_split(corpus_format: DocumentSplitter, data: bytes) -> None:
    parts = corpus_format.split(data)
    assert b"".join(parts) == data, "the parts that split() returned do not make up the data; expected them to, joined"
    for part in parts:
        identity = corpus_format.identity(part)
        assert isinstance(identity, bytes), f"identity() returned {type(identity).__name__}; expected bytes"
        assert corpus_format.identity(bytes(part)) == identity, "identity() returned something else for the same document"
