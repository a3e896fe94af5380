"""JSON Lines: one object per line, whose text is a document."""

import json
from typing import Literal

from wholeword.core.contracts import Documents, TextPart
from wholeword.core.errors import UserError
from wholeword.core.text_files import json_type, quoted
from wholeword.plugins.corpus_formats.lines import BLANKS, LINES


class Jsonl:
    """Every line is a document.

    Args:
        text_key: the key that holds the text.
    """

    lines_are_sentences = False
    smallest_part: Literal["line"] = "line"

    def __init__(self, *, text_key: str = "text"):
        self._key = text_key

    def last_border(self, data: bytes | bytearray, end: int) -> int:
        return data.rfind(b"\n", 0, end) + 1

    def documents(self, part: TextPart) -> Documents:
        lines: list[str] = []
        starts: list[int] = []
        numbers: list[int] = []
        for index, line in enumerate(part.text.split("\n")):
            if line.strip(BLANKS):
                starts.append(len(lines))
                lines += self._text(line, part.where(index)).split("\n")
                numbers += [part.first_line + index] * (len(lines) - len(numbers))
        return Documents(lines, starts, numbers)

    def _text(self, line: str, where: str) -> str:
        try:
            value = json.loads(line)
        except RecursionError:
            raise UserError(f"{where}: JSON nested too deeply") from None
        except ValueError as error:
            raise UserError(f"{where}: not JSON: {error}") from None
        key = self._key
        if isinstance(value, dict) and isinstance(value.get(key), str):
            return str(value[key])
        if not isinstance(value, dict):
            content = json_type(value)
        elif key in value:
            content = f"{json_type(value[key])} under {key!r}"
        else:
            content = f"an object with {', '.join(map(quoted, value)) or 'no key'}"
        raise UserError(f"{where}: found {content}; expected an object with text under {key!r} (corpus.text_key)")

    def split(self, data: bytes) -> list[bytes]:
        return LINES.findall(data)

    def identity(self, document: bytes) -> bytes:
        """The text, whatever stands beside it."""
        try:
            return str.encode(json.loads(document)[self._key], "utf-8", "surrogatepass")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return document.strip()
