"""The small, unsurprising part of YAML, with the position of every key and value.

Built on the events of PyYAML. Refused, with their position: anchors, aliases, merge keys, tags, a second document, nesting deeper than
32. Plain scalars are read as in YAML 1.2's core schema: `1e-4` is a number, `no`, `12:30:45` and `2024-01-01` are text. Also text,
because programs disagree on them or no setting needs them: `017`, `0x1f`, `.inf`, `1e999`, whole numbers of more than 18 digits.
"""

import codecs
import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

MAX_BYTES = 128 * 1024  # PyYAML takes up to a second for this; the longest shipped recipe has 3 KiB
MAX_VALUES = 4096  # likewise
MAX_DEPTH = 32
TOO_DEEP = f"nested deeper than {MAX_DEPTH}; expected a few levels"
USE_PATTERNS = "name many files by a pattern such as wiki/*.txt"

NULL = re.compile(r"|~|null|Null|NULL")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
FLOAT = re.compile(r"(?=.*[.eE])[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")

NO_CHARACTER = re.compile("[\0\ud800-\udfff]")

KeyPath = tuple[str | int, ...]  # the keys and list indices that lead to a value


class Mark(NamedTuple):
    """A position: line and column, counted from 1; line 0 for a source without lines."""

    line: int
    column: int
    source: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


class Problem(NamedTuple):
    """A problem in a document, and its position."""

    mark: Mark
    message: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.message}"


@dataclass
class Document:
    """The values of a text and their positions. `problems` lists violations of our rules; `data` is None if nothing could be read.

    `broken_plugins`: how many of the problems are no fault of the text. `shipped`: the file comes with wholeword.
    """

    source: str
    data: Any = None
    keys: dict[KeyPath, Mark] = field(default_factory=dict)  # of a key, by the path of its value
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    broken_plugins: int = 0
    shipped: bool = False

    def place(self, path: KeyPath) -> Mark:
        """The position of the value at a key path, or of the nearest enclosing value."""
        return self.values[path] if path in self.values or not path else self.place(path[:-1])

    def key_place(self, path: KeyPath) -> Mark:
        """The position of the key at a key path, or of the nearest enclosing value."""
        return self.keys.get(path) or self.place(path)


def read_yaml(content: bytes, source: str, *, mapping: bool = True) -> Document:
    """Read one YAML text. Its content never causes an exception.

    Args:
        source: name of the text in messages.
        mapping: whether anything but `key: value` is a problem.
    """
    document = Document(source)

    def stop(text: str, index: int, message: str) -> Document:
        document.data = None
        document.problems = [Problem(_Marks(text, source)[index], message)]
        return document

    if len(content) > MAX_BYTES:
        return stop("", 0, f"more than {MAX_BYTES:,} bytes; expected fewer: {USE_PATTERNS}")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        wrong = f"byte 0x{content[error.start]:02x} is not UTF-8"
        return stop(before, len(before), f"{wrong}; expected UTF-8: convert the file, as in iconv -f GB18030 -t UTF-8")
    try:
        document.data = _Builder(document, text).document()
    except yaml.reader.ReaderError as error:
        return stop(text, error.position, f"control character U+{ord(text[error.position]):04X}; expected text: remove it")
    except yaml.MarkedYAMLError as error:
        return stop(text, *_explained(error, text))
    if mapping and document.data is None:
        document.data = {}
    if mapping and not isinstance(document.data, dict):
        return stop(text, 0, "no settings; expected lines of key: value" + _wide_hint(text, 0))
    return document


def from_text(text: str) -> Any:
    """The value of a plain scalar."""
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text):
        return True
    if FALSE.fullmatch(text):
        return False
    if INTEGER.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


class _Parser(yaml.SafeLoader):
    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        # subtle: the scanner looks 1024 characters ahead, in time quadratic in the depth, before it gives an event
        if self.flow_level >= MAX_DEPTH:
            raise _Refused(TOO_DEEP, self.get_mark())
        super().fetch_flow_collection_start(TokenClass)


class _Refused(yaml.MarkedYAMLError):
    def __init__(self, problem: str, mark: Any):
        super().__init__(problem=problem, problem_mark=mark)


class _Builder:
    """Events -> plain data; records positions and duplicate keys in the document."""

    def __init__(self, document: Document, text: str):
        self.out = document
        self.marks = _Marks(text, document.source)
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=_Parser)
        self.num_values = 0

    def document(self) -> Any:
        next(self.events)  # stream start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            self.out.values[()] = self.marks[0]
            return None
        data = self.value(next(self.events), ())
        next(self.events)  # document end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _Refused("a second document ('---'); expected one per file", after.start_mark)
        return data

    def value(self, event: yaml.Event, path: KeyPath) -> Any:
        self.num_values += 1
        if self.num_values > MAX_VALUES:
            raise _Refused(f"more than {MAX_VALUES} values; expected fewer: {USE_PATTERNS}", event.start_mark)
        if len(path) > MAX_DEPTH:
            raise _Refused(TOO_DEEP, event.start_mark)
        _check(event)
        self.out.values[path] = self.mark(event)
        if isinstance(event, yaml.ScalarEvent):
            return from_text(event.value) if event.style is None else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
                items.append(self.value(event, (*path, len(items))))
            return items
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = _key(event)
            inner = (*path, key)
            if key in mapping:
                message = f"{dotted(inner)}: duplicate entry (first on line {self.out.keys[inner].line}); keep one"
                self.out.problems.append(Problem(self.mark(event), message))
            self.out.keys[inner] = self.mark(event)
            mapping[key] = self.value(next(self.events), inner)
        return mapping

    def mark(self, event: yaml.Event) -> Mark:
        assert event.start_mark is not None
        return self.marks[event.start_mark.index]


def _key(event: yaml.Event) -> str:
    """A key is text, whatever it looks like."""
    _check(event)
    if not isinstance(event, yaml.ScalarEvent):
        raise _Refused("a list or mapping as a key; expected text", event.start_mark)
    if event.value == "<<" and event.style is None:
        raise _Refused("'<<' (a merge key) is not allowed; write the settings out", event.start_mark)
    return event.value


def _check(event: yaml.Event) -> None:
    """Raises: _Refused for YAML features that are not allowed."""
    anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
    if isinstance(event, yaml.AliasEvent):
        raise _Refused(f"'*{anchor}' (an alias) is not allowed; write the value out, or put text in quotes", event.start_mark)
    if anchor is not None:
        raise _Refused(f"'&{anchor}' (an anchor) is not allowed; remove it, or put text in quotes", event.start_mark)
    if tag is not None:
        raise _Refused(f"{tag!r} (a tag) is not allowed; remove it, or put text in quotes", event.start_mark)
    if isinstance(event, yaml.ScalarEvent) and (wrong := NO_CHARACTER.search(event.value)):
        raise _Refused(f"an escape for {wrong[0]!r}, which is not a character; expected text", event.start_mark)


# PyYAML's message -> whether to point to where the construct began, and our message; {line} is where it began
EXPLANATIONS = (
    (r"'\t' that cannot start", False, "a tab; expected spaces: YAML indents with spaces, two per level"),
    ("that cannot start any token", False, "a character that cannot begin a value; put the text in quotes"),
    ("could not find expected ':'", True, "no ': ' after the key; expected key: value"),
    ("mapping values are not allowed", False, "a ':' inside a value, or a line too far in; expected key: value, or quotes around the text"),
    ("sequence entries are not allowed", False, "a '- ' where no list can begin; expected it on a line of its own, below its key"),
    ("quoted scalar found unexpected", True, "a quotation mark that is never closed; expected the same mark at the end of the text"),
    ("unknown escape character", False, "a backslash that escapes nothing; expected \\\\ or single quotes around the text"),
    ("escape sequence of", False, "a broken escape after a backslash; expected \\\\ or single quotes around the text"),
    ("expected <block end>", False, "not in line with what began on line {line}; expected the same indentation, or quotes around text"),
    ("expected ',' or ']'", False, "no ',' or ']' in the list that began on line {line}; close it, or put the text in quotes"),
    ("expected ',' or '}'", False, "no ',' or '}}' in the mapping that began on line {line}; close it, or put the text in quotes"),
    ("flow node expected the node content", False, "no value in what began on line {line}; expected a value, ']' or '}}'"),
    ("expected the node content", False, "not a value; expected text, a number, a list or key: value"),
    ("scanning an alias", True, "'*' at the beginning is an alias, which is not allowed; put the text in quotes"),
    ("scanning an anchor", True, "'&' at the beginning is an anchor, which is not allowed; put the text in quotes"),
    ("scanning a tag", True, "'!' at the beginning is a tag, which is not allowed; put the text in quotes"),
)


def _explained(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """The index in the text and a one-line message for an error of PyYAML."""
    original = " ".join(part for part in (error.context, error.problem) if part)
    noticed, began = error.problem_mark, error.context_mark or error.problem_mark
    assert noticed and began
    at_beginning, message = next(((first, ours) for theirs, first, ours in EXPLANATIONS if theirs in original), (False, None))
    index = began.index if at_beginning else noticed.index
    explained = message.format(line=_Marks(text, "")[began.index].line) if message else original
    return index, explained + _wide_hint(text, index)


def _wide_hint(text: str, index: int) -> str:
    """A reminder for a line with full-width punctuation, which input methods leave where YAML wants its own."""
    line = text[text.rfind("\n", 0, index) + 1 :].split("\n", 1)[0]
    wide = next((character for character in line if character in "：，［］｛｝＂＇－＃\u3000"), None)
    return f" (the line holds a full-width {wide!r}; did you mean {unicodedata.normalize('NFKC', wide)!r}?)" if wide else ""


class _Marks:
    """Index in a text -> mark. Lines end in line feeds alone; PyYAML has other ideas."""

    def __init__(self, text: str, source: str):
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.source = source

    def __getitem__(self, index: int) -> Mark:
        line = bisect_right(self.starts, index)
        return Mark(line, index - self.starts[line - 1] + 1, self.source)


def dotted(path: KeyPath) -> str:
    """A key path as people write it: phases.0.steps."""
    return ".".join(str(part) if str(part).isprintable() else repr(part) for part in path)
