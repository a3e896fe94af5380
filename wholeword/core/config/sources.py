"""Models by `source:place`: `zoo:rbt3`, or `npz:exp1` of a plugin that offers the zoo source `npz`."""

import re
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from wholeword.core.bert.model_files import problem_of
from wholeword.core.contracts import BertConfig, ConfigSource, ModelFiles, VocabularySource
from wholeword.core.errors import UserError
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import calling, contract_error
from wholeword.core.vocabulary import Vocabulary

PREFIX = re.compile(r"([A-Za-z0-9][\w.-]+):(?!//)(.+)")  # two letters at least: C:\models is a path of Windows
Value = TypeVar("Value")
FOLDER = "folder"  # wholeword's own source that reads paths


class SourceLocation(NamedTuple):
    """A model of a zoo source."""

    source: str  # its canonical name: bare for wholeword's own
    place: str  # what the source calls the model

    @property
    def is_own(self) -> bool:
        """Whether the source is one of wholeword's."""
        return registry.find("zoo_source", self.source).distribution == PROJECT


def source_location(location: str) -> SourceLocation | None:
    """What `source:place` or `distribution:source:place` means; None for a path, also one with a colon in it.

    Raises: PluginError if several plugins offer the source.
    """
    match = PREFIX.fullmatch(location)
    if match is None:
        return None
    name, place = match.groups()
    if name in registry.names("zoo_source"):
        return SourceLocation(registry.canonical_name("zoo_source", name), place)
    bare, _, place = place.partition(":")
    if place and registry.has("zoo_source", f"{name}:{bare}"):
        return SourceLocation(registry.canonical_name("zoo_source", f"{name}:{bare}"), place)
    return None


def expect_known_source(location: str, path: Path) -> None:
    """Raises: UserError naming the sources, for what looks like `source:place`, is none, and is no path either."""
    match = PREFIX.fullmatch(location)
    if match is None or path.exists() or path.with_name(f"{path.name}.index").exists():
        return
    sources = ", ".join(name for name in registry.names("zoo_source") if name != FOLDER)
    hint = "; `wholeword zoo get hub:OWNER/NAME -o DIR` fetches models of the hub" if match[1] == "hub" else ""
    raise UserError(f"{location}: no such path, and no zoo source is called {match[1]!r}; expected one of: {sources}{hint}")


def read_from_source(location: SourceLocation) -> ModelFiles:
    """The whole model. Raises: PluginError if what the source returns is none; what the source raises."""
    source = registry.create("zoo_source", location.source)
    with calling("zoo_source", location.source):
        model: ModelFiles = source.read(location.place)
    if problem := problem_of(model):
        raise contract_error("zoo_source", location.source, f"read({location.place!r}): {problem}")
    return model


def vocabulary_from_source(location: SourceLocation) -> Vocabulary:
    """The vocabulary, without the weights if the source can. Raises: as `read_from_source`."""
    source = registry.create("zoo_source", location.source)
    if not isinstance(source, VocabularySource):
        return read_from_source(location).vocabulary
    with calling("zoo_source", location.source):
        vocabulary = source.vocabulary(location.place)
    return _expect(location, "vocabulary", vocabulary, Vocabulary)


def config_from_source(location: SourceLocation) -> BertConfig:
    """The configuration, without network and without the model if the source can. Raises: as `read_from_source`."""
    source = registry.create("zoo_source", location.source)
    return _config(location, source) if isinstance(source, ConfigSource) else read_from_source(location).config


def expect_model(location: SourceLocation) -> None:
    """Raises: what a source says of a model that it does not have, as far as it knows without reading it."""
    source = registry.create("zoo_source", location.source)
    if isinstance(source, ConfigSource):
        _config(location, source)


def _config(location: SourceLocation, source: ConfigSource) -> BertConfig:
    with calling("zoo_source", location.source):
        config = source.config(location.place)
    return _expect(location, "config", config, BertConfig)


def _expect(location: SourceLocation, method: str, value: Any, expected: type[Value]) -> Value:
    if not isinstance(value, expected):
        message = f"{method}({location.place!r}) returned {type(value).__name__}; expected {expected.__name__}"
        raise contract_error("zoo_source", location.source, message)
    return value
