"""The source of each value in a recipe, from its comments: `wholeword recipes show NAME --sources`.

Such a recipe begins with a list of its sources, one per line, and every line with a value ends with one or more of them:

    # Sources
    #   readme: the README of ymcui/Chinese-BERT-wwm
    #   #N: an issue of it, answered by its maintainers
    #   assumed: nobody has said; what follows is why
    ...
    steps: 100000 # readme
    peak_lr: 1.0e-4 # #28, #106: in both phases

`#N` means any issue, `owner/name#N` one of another repository. If a recipe has a single source, it applies to every value.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from wholeword.core.config.yaml import KeyPath, dotted, read_yaml
from wholeword.core.errors import UserError

HEAD = "# Sources"
DECLARED = re.compile(r"#   (\S+): (\S.*)")
ISSUE = re.compile(r"([\w.-]+/[\w.-]+)?#[0-9]+")
ASSUMED = "assumed"
NO_VALUES = ("version", "name")  # of the file, not of the model


class Origin(NamedTuple):
    """The source of a value in a recipe."""

    path: str  # phases.0.steps
    value: Any
    sources: list[str]  # keys of the head
    note: str  # the rest of the comment

    @property
    def assumed(self) -> bool:
        """Whether no source states the value."""
        return ASSUMED in self.sources

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict() | {"assumed": self.assumed}


def declared_sources(content: bytes) -> dict[str, str]:
    """Key -> description of each source, from the head of a recipe; {} if it has none."""
    lines = iter(content.decode("utf-8").splitlines())
    sources: dict[str, str] = {}
    for line in lines:
        if line == HEAD:
            break
    last = ""
    for line in lines:
        if match := DECLARED.fullmatch(line):
            last, meaning = match.groups()
            sources[last] = meaning
        elif last and line.startswith("#     "):  # continuation line
            sources[last] += " " + line.removeprefix("#").strip()
        else:
            break
    return sources


def origins(content: bytes, source: str) -> list[Origin]:
    """The source of every value, in the order of the file.

    Args:
        source: name of the recipe in messages.
    Raises: UserError for a value without a source, or with one that the head does not declare.
    """
    declared = declared_sources(content)
    if not declared:
        raise UserError(f"{source}: lists no sources; expected a line {HEAD!r} followed by a list, as in the shipped recipes")
    document = read_yaml(content, source)
    if document.problems:
        raise UserError("\n".join(map(str, document.problems)))
    lines = content.decode("utf-8").split("\n")
    only = [key for key in declared if len(declared) == 1]
    origins = []
    for path, value in _leaves(document.data, ()):
        place = document.place(path)
        sources, note = _comment(lines[place.line - 1], place.column - 1)
        unknown = [key for key in sources if key not in declared and not (ISSUE.fullmatch(key) and _issue(key) in declared)]
        if (unknown or not sources) and not only:
            problem = f"{unknown[0]!r} is not a declared source" if unknown else "no source"
            raise UserError(f"{place}: {dotted(path)}: {problem}; expected a comment that begins with one of {', '.join(declared)}")
        origins.append(Origin(dotted(path), value, only or sources, note if not only else ""))
    return origins


def _issue(key: str) -> str:
    """`#28` -> `#N`, `ymcui/MacBERT#8` -> `ymcui/MacBERT#N`."""
    return re.sub("[0-9]+$", "N", key)


def _leaves(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(data, dict):
        for key, value in data.items():
            if path or key not in NO_VALUES:
                yield from _leaves(value, (*path, key))
    elif isinstance(data, list) and data and any(isinstance(item, dict | list) for item in data):
        for number, item in enumerate(data):
            yield from _leaves(item, (*path, number))
    else:
        yield path, data


def _comment(line: str, start: int) -> tuple[list[str], str]:
    """The keys in a line's comment, and the rest of it. Values that contain ` #` are in quotes."""
    quoted = re.sub(r"'[^']*'|\"[^\"]*\"", lambda match: "x" * len(match[0]), line)
    at = quoted.find(" #", start)
    if at < 0:
        return [], ""
    keys, _, note = line[at + 2 :].strip().partition(": ")
    return [key.strip() for key in keys.split(", ")], note.strip()


def lines(origins: list[Origin]) -> Iterator[str]:
    """As text: setting, value, sources and comment."""
    for origin in origins:
        value = json.dumps(origin.value, ensure_ascii=False)
        yield f"{origin.path + ': ' + value:60}  {', '.join(origin.sources)}{': ' * bool(origin.note)}{origin.note}"
