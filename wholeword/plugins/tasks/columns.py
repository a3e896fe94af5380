"""Which column of a table, or key of a JSON line, is the text, the second text and the label."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from wholeword.core.errors import UserError
from wholeword.core.text_files import printable, quoted

# names in published and common files; of several in one file, published tasks take the first
PAIRS = (
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("premise", "hypo"),
    ("premise", "hypothesis"),
    ("text", "text_pair"),
    ("query1", "query2"),
    ("question1", "question2"),
    ("s1", "s2"),
    ("text1", "text2"),
    ("q1", "q2"),
    ("sentence_a", "sentence_b"),
)
ENGLISH = ("text_a", "sentence1", "premise", "text", "sentence", "query1", "s1", "content", "review", "comment", "title")
TEXT = (*ENGLISH, "文本", "内容", "正文", "标题", "评论", "句子")
LABEL = ("gold_label", "label", "class", "category", "labels", "sentiment", "target", "标签", "类别", "分类")
LABEL_TEXT = ("label_desc", "label_des", "label_name")  # the same label in words: read where there is no other
KNOWN = frozenset((*TEXT, *LABEL, *LABEL_TEXT, *(name for pair in PAIRS for name in pair), "language", "id"))


class Settings(NamedTuple):
    """What the user says of the columns; None to look for common names."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None


COMMON = Settings()


class Columns(NamedTuple):
    """What is read. None where there is no such column."""

    text: str | None
    pair: str | None
    label: str | None

    def describe(self, names: Iterable[str], *, is_paired: bool) -> str:
        """`text is 'content', label is 'label'; not read: id`."""
        parts = (("text", self.text), ("second text", self.pair if is_paired else None), ("label", self.label))
        read = ", ".join(f"{part} is {quoted(name)}" for part, name in parts if name is not None)
        rest = printable(name for name in names if name not in self)
        return read + ("" if self.label is not None else ", no label") + (f"; not read: {rest}" if rest else "")


def is_header(cells: Sequence[str], settings: Settings, *, is_published: bool = False) -> bool:
    """Whether the first row of a table names its columns. Published files name them in English: a Chinese word is text there."""
    if is_published:
        cells = [cell for cell in cells if cell.isascii()]
    return not KNOWN.isdisjoint(map(plain, cells)) or any(name in cells for name in settings if name)


def plain(name: str) -> str:
    """A name without differences of case and blanks."""
    return name.strip().casefold()


def choose(names: Sequence[str], settings: Settings, *, is_paired: bool, is_published: bool, where: str) -> Columns:
    """Find the columns.

    Args:
        names: those of the file.
        is_published: whether the form of the file is known, so that the first of several names is right.
        where: what a message begins with.
    Raises: UserError if a column that is set does not exist, if there are several that it could be, or if there is a second text that
        the task would not read.
    """
    for setting, name in settings._asdict().items():
        if name is not None and name not in names:
            raise UserError(f"{where}: no {name!r}, which task.{setting}_column names; it has {printable(names)}")
    twice = next((name for name in settings if name is not None and settings.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{where}: {twice!r} is set for two columns; expected another for each")
    by_name: Mapping[str, str] = {plain(name): name for name in reversed(names)}
    rest = {known: name for known, name in by_name.items() if name not in (settings.text, settings.pair)}
    label = settings.label or _only([*LABEL], rest, "label", is_published, where) or _only([*LABEL_TEXT], rest, "label", True, where)
    if is_paired:
        text, pair = _texts_of_pair(by_name, settings, is_published, where)
        return Columns(text, pair, label)
    text = settings.text or _only([name for name in TEXT if by_name.get(name) != label], by_name, "text", is_published, where)
    second = next((by_name[b] for a, b in PAIRS if text is not None and plain(text) == a and b in by_name), None)
    if second and not settings.text:
        raise UserError(
            f"{where}: {text} and {second} are a pair, which task pairs reads; to classify {text} alone set task.text_column: {text}"
        )
    return Columns(text, None, label)


def _texts_of_pair(by_name: Mapping[str, str], settings: Settings, is_published: bool, where: str) -> tuple[str | None, str | None]:
    if settings.text and settings.pair:
        return settings.text, settings.pair
    found = [(by_name[a], by_name[b]) for a, b in PAIRS if a in by_name and b in by_name]
    found = [(a, b) for a, b in found if settings.text in (None, a) and settings.pair in (None, b)]
    if len(found) > 1 and not is_published:
        raise UserError(f"{where}: {' or '.join(f'{a} and {b}' for a, b in found)}; set task.text_column and task.pair_column")
    if found:
        return found[0]
    first = next((by_name[name] for name, _ in PAIRS if name in by_name), None)
    second = next((by_name[name] for _, name in PAIRS if name in by_name), None)
    return settings.text or first, settings.pair or second


def _only(known: Sequence[str], by_name: Mapping[str, str], part: str, is_published: bool, where: str) -> str | None:
    names = [by_name[name] for name in known if name in by_name]
    if len(names) > 1 and not is_published:
        raise UserError(f"{where}: {' or '.join(names)} could be the {part}; set task.{part}_column")
    return names[0] if names else None
