"""The questions in a JSON file, every value checked: SQuAD's form, and the form in which CMRC 2018 was first released."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from wholeword.core.errors import UserError
from wholeword.core.text_files import quoted
from wholeword.plugins.tasks.files import shown

UNKNOWN = -1  # no answer_start
FORM = "SQuAD's data / paragraphs / context and qas, or a list of context_text and qas"


class Given(NamedTuple):
    """An answer as the file has it."""

    text: str
    start: int  # UNKNOWN if the file does not say
    was_number: bool = False


class Question(NamedTuple):
    """A question as the file has it."""

    id: str
    question: str
    context: str
    answers: list[Given]
    impossible: bool = False


def read_questions(content: Any, path: str) -> Iterator[Question]:
    """The questions of a file.

    Numbers as answers and ids are read as Python prints them, as cmrc2018_evaluate.py does with `str`.

    Raises: UserError that names the file and the article, paragraph or question.
    """
    if isinstance(content, list):
        for number, paragraph in enumerate(content, 1):
            yield from _original(paragraph, f"{path}: paragraph {number}")
        return
    for number, article in enumerate(_items(content, "data", path), 1):
        where = f"{path}: article {number}"
        for place, paragraph in enumerate(_items(article, "paragraphs", where), 1):
            yield from _squad(paragraph, f"{where}, paragraph {place}")


READ = frozenset(("data", "paragraphs", "qas", "context", "id", "question", "answers", "is_impossible", "text", "answer_start"))
READ_ORIGINAL = frozenset(("qas", "context_text", "query_id", "query_text", "answers"))


def unread_keys(content: Any) -> list[str]:
    """The keys of a file that `read_questions` does not read, in their order."""
    read = READ_ORIGINAL if isinstance(content, list) else READ
    unread: dict[str, None] = {}
    rest = [content]
    while rest:
        value = rest.pop()
        if isinstance(value, list):
            rest.extend(reversed(value))
        elif isinstance(value, dict):
            unread.update(dict.fromkeys(key for key in value if key not in read))
            rest.extend(child for key, child in value.items() if key in read)
    return list(unread)


def _squad(paragraph: Any, where: str) -> Iterator[Question]:
    items = _items(paragraph, "qas", where)
    context = _text(paragraph, "context", where)
    for item in items:
        id = _id(item, "id", where)
        place = f"{where}, question {quoted(id)}"
        impossible = str(item.get("is_impossible", False)).lower() == "true"
        yield Question(id, _text(item, "question", place), context, list(_answers(item.get("answers"), place)), impossible)


def _original(paragraph: Any, where: str) -> Iterator[Question]:
    items = _items(paragraph, "qas", where)
    context = _text(paragraph, "context_text", where)
    for item in items:
        id = _id(item, "query_id", where)
        place = f"{where}, question {quoted(id)}"
        answers = item.get("answers")
        if not isinstance(answers, list | None):
            raise UserError(f"{place}: answers is {shown(answers)}; expected a list of texts")
        yield Question(id, _text(item, "query_text", place), context, [_answer(answer, UNKNOWN, place) for answer in answers or ()])


def _answers(answers: Any, where: str) -> Iterator[Given]:
    """Of SQuAD's list of objects, or of an object of two lists as libraries for data frames write it."""
    if isinstance(answers, dict):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise UserError(f"{where}: answers is {shown(answers)}; expected a list of objects with text and answer_start")
        answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(answers, list | None):
        raise UserError(f"{where}: answers is {shown(answers)}; expected a list of objects with text and answer_start")
    for answer in answers or ():
        if not isinstance(answer, dict) or "text" not in answer:
            raise UserError(f"{where}: an answer is {shown(answer)}; expected an object with text and answer_start")
        yield _answer(answer["text"], _start(answer.get("answer_start"), where), where)


def _answer(value: Any, start: int, where: str) -> Given:
    if isinstance(value, str):
        return Given(value, start)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"{where}: an answer is {shown(value)}; expected text")
    return Given(str(value), start, was_number=True)


def _start(value: Any, where: str) -> int:
    """An answer_start; null, NaN and empty text mean that there is none."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return UNKNOWN
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not number.is_integer():
        raise UserError(f"{where}: answer_start is {shown(value)}; expected a whole number")
    return int(number) if number >= 0 else UNKNOWN


def _items(parent: Any, key: str, where: str) -> list[dict[str, Any]]:
    """A list of objects. Raises: UserError if it is something else."""
    if not isinstance(parent, dict):
        raise UserError(f"{where} is {shown(parent)}; expected {FORM}")
    items = parent.get(key)
    if not isinstance(items, list):
        problem = f"{key} is {shown(items)}" if key in parent else f"no {key}"
        raise UserError(f"{where}: {problem}; expected {FORM}")
    for item in items:
        if not isinstance(item, dict):
            raise UserError(f"{where}: {key} has {shown(item)}; expected {FORM}")
    return items


def _text(parent: Mapping[str, Any], key: str, where: str) -> str:
    if key not in parent:
        raise UserError(f"{where}: no {key}; expected {FORM}")
    if not isinstance(parent[key], str):
        raise UserError(f"{where}: {key} is {shown(parent[key])}; expected text")
    return str(parent[key])


def _id(item: Mapping[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise UserError(f"{where}: {key} is {shown(value)}; expected the id of a question")
    return str(value).strip()
