"""What a recipe starts from: a path from its folder, or `source:place`, such as `zoo:NAME`. The zoo is a plugin like any other."""

import json
import re
from pathlib import Path

from wholeword.core.bert.config import saved_config
from wholeword.core.config.sources import (
    FOLDER,
    SourceLocation,
    config_from_source,
    expect_known_source,
    read_from_source,
    source_location,
    vocabulary_from_source,
)
from wholeword.core.contracts import BertConfig, ConfigSource, ModelFiles
from wholeword.core.errors import UserError
from wholeword.core.formats.checkpoints import latest_checkpoint
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import Vocabulary

IN_RUN = re.compile(r"runs/([^/]+)(?:/|$)")  # where a shipped recipe's run is


def read_model(location: str, base_folder: Path) -> ModelFiles:
    """The model at a path from the recipe's folder, or of a zoo source."""
    source = _source(location)
    if source is None:
        expect_run(location, base_folder)
        source = SourceLocation(FOLDER, str(base_folder / _path(location, base_folder)))
    return read_from_source(source)


def read_vocabulary(location: str, base_folder: Path) -> Vocabulary:
    """Of a vocab.txt, or of a model of a zoo source, without its weights if the source can."""
    if source := _source(location):
        return vocabulary_from_source(source)
    expect_run(location, base_folder)
    return Vocabulary.read(base_folder / _path(location, base_folder))


def _source(location: str) -> SourceLocation | None:
    """The zoo source that has a model; None for a path, also one that is written `folder:runs/x`."""
    source = source_location(location)
    return None if source and source.source == FOLDER else source


def _path(location: str, base_folder: Path) -> str:
    """The path of a location that has no zoo source. Raises: UserError for an unknown source."""
    if source := source_location(location):
        return source.place
    expect_known_source(location, base_folder / location)
    return location


def expect_run(location: str, base_folder: Path) -> None:
    """Raises: UserError naming the command if a place is inside the run of a shipped recipe that has not been carried out."""
    from wholeword.core.config.recipes import shipped_recipes

    match = IN_RUN.match(location)
    if match and match[1] in shipped_recipes() and not (base_folder / location).exists():
        raise UserError(f"{base_folder / location}: not there yet; `wholeword train {match[1]}` makes it")


def zoo_config(name: str) -> BertConfig:
    """Without network. Raises: UserError if the zoo has no such model."""
    zoo: ConfigSource = registry.create("zoo_source", "zoo")
    return zoo.config(name)


def vocabulary_size(location: str, base_folder: Path) -> int:
    """Without network, if it is a path, or of the zoo."""
    if source := _source(location):
        return config_from_source(source).vocab_size
    return len(read_vocabulary(location, base_folder))


def read_config(location: str, base_folder: Path) -> BertConfig | None:
    """A model's configuration, without network; None for a folder without one, and for an archive."""
    if source := _source(location):
        return config_from_source(source)
    expect_run(location, base_folder)
    folder = base_folder / _path(location, base_folder)
    if not folder.is_dir():  # the prefix of a TF checkpoint
        folder = folder.parent
    state = (latest_checkpoint(folder / "checkpoints") or folder) / "state.json"  # of a run, or of a checkpoint
    path = next((path for path in (folder / "config.json", folder / "bert_config.json", state) if path.is_file()), None)
    if path is None:
        return None
    try:
        values = dict(json.loads(path.read_bytes()))
        values = dict(values["config"]) if path == state else values
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path}: no JSON; expected the configuration of a BERT") from None
    return saved_config(values, str(path))
