"""Plain text whose documents end at a white line, with every line, or with the file.

Lines end in a line feed only (a carriage return before it is dropped): U+2028, U+0085, form feeds and the like occur within real lines. A
line of nothing but `BLANKS` is white.
"""

import re
from collections.abc import Iterator
from itertools import compress
from typing import Literal

import numpy as np

from wholeword.core.contracts import Documents, TextPart

Ending = Literal["blank-line", "line", "file"]

BLANKS = " \t\r\f\v\u3000"
WHITE_LINES = re.compile(rb"((?:^(?:[ \t\r\f\v]|\xe3\x80\x80)*\n)+)", re.MULTILINE)
LINES = re.compile(rb"[^\n]*\n|[^\n]+")


def last_border(data: bytes | bytearray, end: int, documents: Ending) -> int:
    """See `CorpusFormat.last_border`."""
    if documents == "file":
        return 0
    border = data.rfind(b"\n", 0, end) + 1
    while border and documents == "blank-line":
        start = data.rfind(b"\n", 0, border - 1) + 1
        if WHITE_LINES.fullmatch(data, start, border):
            break
        border = start
    return border


def split(data: bytes, documents: Ending) -> list[bytes]:
    """See `DocumentSplitter.split`."""
    if documents == "file":
        return [data]
    return LINES.findall(data) if documents == "line" else WHITE_LINES.split(data)


def read_documents(part: TextPart, documents: Ending) -> Documents:
    """See `CorpusFormat.documents`. White lines are left out, unless every line is a document."""
    lines = part.text.split("\n")
    numbers = np.arange(part.first_line, part.first_line + len(lines))
    if documents == "line":
        return Documents(lines, np.arange(len(lines)), numbers)
    filled = np.ones(len(lines), bool)
    filled[list(_indices(lines, ""))] = False
    kept = list(filter(None, lines))
    if any(map(str.isspace, kept)):  # which is true of more than BLANKS
        filled[[index for index, line in enumerate(lines) if not line.strip(BLANKS)]] = False
        kept = list(compress(lines, filled.tolist()))
    numbers = numbers[filled]
    starts = np.flatnonzero(np.diff(numbers, prepend=-1) > 1) if documents == "blank-line" else np.arange(min(1, len(kept)))
    return Documents(kept, starts, numbers)


def _indices(lines: list[str], line: str) -> Iterator[int]:
    """Where a line occurs among others."""
    index = -1
    try:
        while True:
            yield (index := lines.index(line, index + 1))
    except ValueError:
        return
