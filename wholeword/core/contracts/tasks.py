"""What tasks are made of: a text or two with a label, a question about a context, a sentence with tags."""

from typing import NamedTuple, TypeAlias


class TextExample(NamedTuple):
    """Head `classification`."""

    id: str
    text: str
    pair: str | None = None  # the second text of a pair
    label: str | None = None  # one of the task's labels; None where it is not known


class Answer(NamedTuple):
    text: str
    start: int | None  # its first character in the context; None where the context does not hold it


class SpanExample(NamedTuple):
    """Head `span`."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] = ()  # all that count as right; the first one is learnt from


class TaggedExample(NamedTuple):
    """Head `tagging`."""

    id: str
    units: tuple[str, ...]  # characters or words, as the file has them; pieces never cross their borders
    tags: tuple[str, ...] | None = None  # one a unit; None where they are not known


Example: TypeAlias = TextExample | SpanExample | TaggedExample
