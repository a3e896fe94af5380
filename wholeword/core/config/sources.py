"""Models by `source:name`: `zoo:rbt3`, or `npz:exp1` if a plugin offers the zoo source `npz`."""

import re
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from wholeword.core.bert.model_files import problem_of
from wholeword.core.bert.parts import completed
from wholeword.core.contracts import BertConfig, ConfigSource, ModelFiles, VocabularySource
from wholeword.core.errors import UserError
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import calling, contract_error
from wholeword.core.vocabulary import Vocabulary

PREFIX = re.compile(r"([A-Za-z0-9][\w.-]+):(?!//)(.+)")  # at least two letters: C:\models is a Windows path
Value = TypeVar("Value")
FOLDER = "folder"  # wholeword's own source that reads paths


class SourceLocation(NamedTuple):
    """A model of a zoo source."""

    source: str  # canonical name; without a prefix for wholeword's own
    model: str  # its name or location within the source

    @property
    def is_own(self) -> bool:
        """Whether the source is one of wholeword's."""
        return registry.find("zoo_source", self.source).distribution == PROJECT


def source_location(location: str) -> SourceLocation | None:
    """Parse `source:name` or `distribution:source:name`. Returns: None for a path, even if it contains a colon.

    Raises: PluginError if several plugins offer the source.
    """
    match = PREFIX.fullmatch(location)
    if match is None:
        return None
    name, model = match.groups()
    if name in registry.names("zoo_source"):
        return SourceLocation(registry.canonical_name("zoo_source", name), model)
    bare, _, model = model.partition(":")
    if model and registry.has("zoo_source", f"{name}:{bare}"):
        return SourceLocation(registry.canonical_name("zoo_source", f"{name}:{bare}"), model)
    return None


def expect_known_source(location: str, path: Path) -> None:
    """Raises: UserError listing the sources if a location looks like `source:name`, but is neither that nor a path."""
    match = PREFIX.fullmatch(location)
    if match is None or path.exists() or path.with_name(f"{path.name}.index").exists():
        return
    sources = ", ".join(name for name in registry.names("zoo_source") if name != FOLDER)
    hint = "; `wholeword zoo get hub:OWNER/NAME -o DIR` fetches models from the hub" if match[1] == "hub" else ""
    raise UserError(f"{location}: no such path, and no zoo source named {match[1]!r}; expected one of: {sources}{hint}")


def read_from_source(location: SourceLocation) -> ModelFiles:
    """Read the whole model, initialising parts that the source does not have.

    Raises: PluginError if the source does not return a model; whatever the source raises.
    """
    source = registry.create("zoo_source", location.source)
    with calling("zoo_source", location.source):
        model: ModelFiles = source.read(location.model)
    if problem := problem_of(model):
        raise contract_error("zoo_source", location.source, f"read({location.model!r}): {problem}")
    return completed(model) if model.head is None else model


def vocabulary_from_source(location: SourceLocation) -> Vocabulary:
    """Read the vocabulary, without the weights if the source supports that. Raises: as `read_from_source`."""
    source = registry.create("zoo_source", location.source)
    if not isinstance(source, VocabularySource):
        return read_from_source(location).vocabulary
    with calling("zoo_source", location.source):
        vocabulary = source.vocabulary(location.model)
    return _expect(location, "vocabulary", vocabulary, Vocabulary)


def config_from_source(location: SourceLocation) -> BertConfig:
    """Read the configuration, without network and weights if the source supports that. Raises: as `read_from_source`."""
    source = registry.create("zoo_source", location.source)
    return _config(location, source) if isinstance(source, ConfigSource) else read_from_source(location).config


def expect_model(location: SourceLocation) -> None:
    """Raises: the source's error for a model that it lacks, if it can tell without reading weights."""
    source = registry.create("zoo_source", location.source)
    if isinstance(source, ConfigSource):
        _config(location, source)


def _config(location: SourceLocation, source: ConfigSource) -> BertConfig:
    with calling("zoo_source", location.source):
        config = source.config(location.model)
    return _expect(location, "config", config, BertConfig)


def _expect(location: SourceLocation, method: str, value: Any, expected: type[Value]) -> Value:
    if not isinstance(value, expected):
        message = f"{method}({location.model!r}) returned {type(value).__name__}; expected {expected.__name__}"
        raise contract_error("zoo_source", location.source, message)
    return value
