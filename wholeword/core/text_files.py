"""The text files that users bring: tasks, word lists, vocabularies. One set of rules, which is also that of corpora:

- A file is UTF-8; what else it may be is named (`file_kinds`). Byte order marks at the beginning of lines are no text: files that were
  joined have them in the middle too.
- A line ends in a line feed; a carriage return before it belongs to the line end. U+2028, U+0085, form feeds and the like are text.
- Half a surrogate pair, which JSON can spell, becomes U+FFFD and is counted.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wholeword.core.errors import UserError
from wholeword.core.file_kinds import CARRIAGE_RETURNS, ends_lines_in_carriage_returns, kind_of

MARK = "\ufeff"
SHOWN = 60  # characters of a value in messages
BLANKS = " \t\r\f\v\u3000"  # what may surround an entry of a list, or fill a white line
SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
SURROGATES = re.compile("[\ud800-\udfff]")
LONE_RETURNS = re.compile(r"\r(?!\n)")
QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')


class TextFile(NamedTuple):
    """A file that was read."""

    path: Path
    content: str  # without byte order marks
    notes: list[str]  # what is odd in it; readers add to them


def valid(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no UTF-8 can hold; lengths stay."""
    return SURROGATES.sub("\ufffd", text)


def read_file(path: Path | str, *, expected: str, setting: str = "") -> bytes:
    """The bytes of a small file.

    Args:
        expected: what it should be, for messages.
        setting: the setting that names the file, for messages.
    Raises: UserError if it cannot be read.
    """
    where = f"{setting}: {path}" if setting else str(path)
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{where}: no such file; expected {expected}") from None
    except OSError as error:
        raise UserError(f"{where}: {error.strerror}; expected {expected}") from None


def read_text(path: Path | str, *, expected: str, setting: str = "", keep_marks: bool = False) -> TextFile:
    """Read a text file.

    Args:
        expected, setting: see `read_file`.
        keep_marks: leave out no byte order mark but the first, for a vocabulary, in which it may be a piece.
    Raises: UserError if it cannot be read, is empty or is not text, with file, line and byte for what is not UTF-8.
    """
    data = read_file(path, expected=expected, setting=setting)
    return decode(data, path, expected=expected, setting=setting, keep_marks=keep_marks)


def decode(data: bytes, path: Path | str, *, expected: str, setting: str = "", keep_marks: bool = False) -> TextFile:
    """Like `read_text`, for the content of a file that has been read."""
    where = f"{setting}: {path}" if setting else str(path)
    if not data.removeprefix(codecs.BOM_UTF8).strip():
        raise UserError(f"{where}: {'empty' if not data else 'nothing but blanks'}; expected {expected}")
    if kind := kind_of(data):
        raise UserError(f"{where}: {kind}")
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}{not_utf8(data, error)}; {advice_for(data, error)}") from None
    if ends_lines_in_carriage_returns(data):
        raise UserError(f"{where}: {CARRIAGE_RETURNS}")
    notes = []
    if keep_marks:
        content = content.removeprefix(MARK)
    elif MARK in content:
        content = content.lstrip(MARK)
        if marks := content.count(f"\n{MARK}"):
            content = re.sub(f"\n{MARK}+", "\n", content)
            notes.append(f"byte order marks at the beginning of {marks:,} lines are left out; the file was joined from several")
    if returns := len(LONE_RETURNS.findall(content.removesuffix("\r"))):
        notes.append(f"{returns:,} carriage returns inside of lines are kept as text")
    return TextFile(Path(path), content, notes)


def advice_for(data: bytes, error: UnicodeDecodeError) -> str:
    """What to do about data that is not UTF-8."""
    if error.reason == "unexpected end of data":
        return "the file ends within a character: it is cut off, fetch it again"
    if SURROGATE.match(data, error.start):
        return "it is half a surrogate pair, as Java and MySQL write for some characters (CESU-8): write the file anew as UTF-8"
    return "convert the file (iconv -f gb18030 -t utf-8)"


def not_utf8(data: bytes, error: UnicodeDecodeError, first_line: int = 1) -> str:
    """Where data is not UTF-8, as the rest of a message that begins with the file's name."""
    line = first_line + data.count(b"\n", 0, error.start)
    column = error.start - data.rfind(b"\n", 0, error.start)
    return f":{line}: byte {column} of the line (0x{data[error.start]:02x}) is not UTF-8"


def lines(text: TextFile) -> list[str]:
    """The lines of a file, without their ends."""
    return [line.removesuffix("\r") for line in text.content.removesuffix("\n").split("\n")] if text.content else []


def quoted(text: str) -> str:
    """The beginning of a text in quotation marks, with escapes for what would not show: for messages."""
    return repr(text[:SHOWN]) + (" ..." if len(text) > SHOWN else "")


def printable(names: Iterable[str]) -> str:
    """Names of columns and keys, for messages: as they are, or quoted if they are long or would not show."""
    return ", ".join(name if name.isprintable() and name.strip() and len(name) <= SHOWN else quoted(name) for name in names)


# --- tables --------------------------------------------------------------------------------------------------------------------------


def tsv_rows(text: TextFile) -> Iterator[tuple[int, list[str]]]:
    """The number of each line, and its cells. A tab always separates and a quotation mark is text, as in Google's processors."""
    for number, line in enumerate(lines(text), 1):
        yield number, line.split("\t")


def csv_rows(text: TextFile) -> Iterator[tuple[int, list[str]]]:
    """The number of each row's first line, and its cells; none for an empty line.

    The rows are those of `csv.reader(..., strict=True)`, with cells of any length. A carriage return inside of a line is text.

    Raises: UserError at the line and column of a quotation mark that does not close, or closes within a cell.
    """
    content, position, number, tall, first = text.content, 0, 1, 0, ""
    while position < len(content):
        end = content.find("\n", position)
        end = len(content) if end < 0 else end
        if content.find('"', position, end) < 0:
            line = content[position:end].removesuffix("\r")
            yield number, line.split(",") if line else []
            position, number = end + 1, number + 1
            continue
        cells, end = _quoted_row(text, position, number)
        yield number, cells
        height = 1 + content.count("\n", position, end)
        if height > 1:
            tall, first = tall + 1, first or f"{number} to {number + height - 1}"
        position, number = end + 1, number + height
    if tall:
        text.notes.append(f"{tall:,} rows have quoted text of several lines (the first: lines {first})")


def _quoted_row(text: TextFile, start: int, number: int) -> tuple[list[str], int]:
    """The cells of a row, and where it ends: at a line feed or the end of the file."""
    content, position, cells = text.content, start, []
    while True:
        if content.startswith('"', position):
            match = QUOTED.match(content, position)
            if match is None:
                raise UserError(f'{_place(text, position)}: this quotation mark is never closed; expected "..." with "" for a mark inside')
            end = match.end() + content.startswith("\r\n", match.end())
            if end < len(content) and content[end] not in ",\n" and content[match.end() :] != "\r":
                closed = _place(text, match.end() - 1)
                raise UserError(
                    f"{_place(text, position)}: the quotation mark here closes at {closed.removeprefix(f'{text.path}:')}, "
                    f'before {content[match.end() : match.end() + 8]!r}; expected a comma behind it, and "" for a mark inside'
                )
            cells.append(match[1].replace('""', '"'))
        else:
            line_end = content.find("\n", position)
            line_end = len(content) if line_end < 0 else line_end
            comma = content.find(",", position, line_end)
            end = line_end if comma < 0 else comma
            cells.append(content[position:end].removesuffix("\r") if end == line_end else content[position:end])
        if not content.startswith(",", end):
            return cells, end
        position = end + 1


def _place(text: TextFile, position: int) -> str:
    before = text.content
    return f"{text.path}:{before.count(chr(10), 0, position) + 1}:{position - before.rfind(chr(10), 0, position)}"


# --- JSON ----------------------------------------------------------------------------------------------------------------------------


def parse_json(text: TextFile) -> Any:
    """The content of a JSON file. Raises: UserError."""
    value, surrogates = _parsed(text.content, str(text.path), "")
    _note_surrogates(text, surrogates)
    return value


def json_rows(text: TextFile, *, expected: str = "one object a line") -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of each line that is not white, and the object on it.

    Args:
        expected: for messages.
    Raises: UserError for a line that is no object.
    """
    surrogates = 0
    for number, line in enumerate(lines(text), 1):
        if not line.strip(BLANKS):
            continue
        where = f"{text.path}:{number}"
        if line.strip(BLANKS) == "[" or (number == 1 and line.lstrip(BLANKS).startswith("[{")):
            raise UserError(f"{where}: a list; expected {expected}, without a list around them (jq -c '.[]')")
        row, found = _parsed(line, where, f"; expected {expected}")
        if not isinstance(row, dict):
            raise UserError(f"{where}: {json_type(row)}; expected {expected}")
        surrogates += found
        yield number, row
    _note_surrogates(text, surrogates)


def json_type(value: Any) -> str:
    """What a value is called in JSON, for messages."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _parsed(text: str, where: str, expected: str) -> tuple[Any, int]:
    """A value, and the number of half surrogates that were replaced in it."""
    try:
        value = json.loads(text, object_pairs_hook=_distinct)
    except RecursionError:
        raise UserError(f"{where}: JSON nested too deeply{expected}") from None
    except ValueError as error:
        problem = "a whole number of thousands of digits" if "integer string conversion" in str(error) else f"not JSON: {error}"
        raise UserError(f"{where}: {problem}{expected}") from None
    if "\\ud" not in text and "\\uD" not in text:
        return value, 0
    dumped = json.dumps(value, ensure_ascii=False)
    return json.loads(valid(dumped)), len(SURROGATES.findall(dumped))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} appears twice in one object")
    return made


def _note_surrogates(text: TextFile, number: int) -> None:
    if number:
        text.notes.append(f"{number:,} halves of surrogate pairs are replaced by U+FFFD")
