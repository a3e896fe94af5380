"""`--set a.b=c`: one value of a recipe, from the command line."""

from typing import Any

from wholeword.core.config.fields import Section
from wholeword.core.config.messages import schema_at
from wholeword.core.config.recipe import Recipe
from wholeword.core.config.yaml import Document, KeyPath, Mark, Problem, dotted, read_yaml


def override(document: Document, text: str, model: type[Section] = Recipe) -> None:
    """Set the value of `a.b=c` in a document; `phases.0.steps` is the first phase's. Problems are added to the document.

    Missing sections are created, and `jieba` becomes `{name: jieba}` if a setting is added to it.

    Args:
        model: the model that the document is validated with later.
    """
    mark = Mark(0, 0, f"--set {' '.join(text.split())}")
    dotted_path, equals, value = text.partition("=")
    parts = dotted_path.strip().split(".")
    read = read_yaml(value.encode("utf-8", errors="surrogateescape"), mark.source, mapping=False)
    try:
        if not equals or "" in parts:
            raise ValueError("expected section.key=value, as in backend.threads=2")
        if read.problems:
            raise ValueError(read.problems[0].message)
        path = _put(document.data, parts, read.data, model)
    except ValueError as error:
        document.problems.append(Problem(mark, str(error)))
        return
    for marks in (document.keys, document.values):
        for old in [old for old in marks if old[: len(path)] == path]:
            del marks[old]
        for depth in range(1, len(path) + 1):
            marks.setdefault(path[:depth], mark)


def _put(node: Any, parts: list[str], value: Any, model: type[Section]) -> KeyPath:
    """Set a value inside plain data. Returns: its key path. Raises: ValueError if the path is impossible."""
    path: KeyPath = ()
    for part in parts:
        key: str | int = part
        if isinstance(node, list):
            if not part.isdecimal() or int(part) >= len(node):
                raise ValueError(f"{dotted(path)} has {_entries(len(node))}, found {part!r}")
            key = int(part)
        elif not isinstance(node, dict):
            raise ValueError(f"{dotted(path)} is not a section, so it has no settings")
        path = (*path, key)
        if len(path) == len(parts):
            node[key] = value
            break
        inner = node[int(key)] if isinstance(node, list) else node.get(key)
        if inner is None:
            node[key] = {}
        elif isinstance(inner, str) and "anyOf" in (schema := schema_at(path, model)):  # a section written as text
            node[key] = {next(iter(schema["properties"])): inner}
        node = node[key]
    return path


def _entries(count: int) -> str:
    if count < 2:
        return "one entry; expected 0" if count else "no entry, and cannot be extended: expected the whole list"
    return f"{count} entries; expected a number from 0 to {count - 1}"
