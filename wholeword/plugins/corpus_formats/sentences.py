"""Text with one sentence per line."""

from typing import Literal

from wholeword.core.contracts import Documents, TextPart
from wholeword.plugins.corpus_formats.lines import Ending, last_border, read_documents, split


class Sentences:
    """Every line is a sentence.

    Args:
        documents: where a document ends.
    """

    lines_are_sentences = True
    smallest_part: Literal["text"] = "text"

    def __init__(self, *, documents: Ending = "blank-line"):
        self._documents = documents

    def last_border(self, data: bytes | bytearray, end: int) -> int:
        return last_border(data, end, self._documents)

    def documents(self, part: TextPart) -> Documents:
        return read_documents(part, self._documents)

    def split(self, data: bytes) -> list[bytes]:
        return split(data, self._documents)

    def identity(self, document: bytes) -> bytes:
        return document.strip()
