"""Read initial models and vocabularies of recipes: paths relative to the recipe's folder, or `source:name`, such as `zoo:rbt3`."""

import re
from pathlib import Path

from wholeword.core.bert.config import bert_config
from wholeword.core.bert.config_files import config_file, plain_bert_config, read_config_file
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
from wholeword.core.formats.json_file import read_json
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import Vocabulary

IN_RUN = re.compile(r"runs/([^/]+)(?:/|$)")  # default output folder of a shipped recipe


def read_model(location: str, base_folder: Path) -> ModelFiles:
    """Read the model at a path relative to the recipe's folder, or from a zoo source."""
    source = _source(location)
    if source is None:
        expect_run(location, base_folder)
        source = SourceLocation(FOLDER, str(base_folder / _path(location, base_folder)))
    return read_from_source(source)


def read_vocabulary(location: str, base_folder: Path) -> Vocabulary:
    """Read a vocab.txt, or the vocabulary of a model in a folder or of a zoo source, without weights if the source supports that."""
    if source := _source(location):
        return vocabulary_from_source(source)
    expect_run(location, base_folder)
    path = base_folder / _path(location, base_folder)
    is_model = path.is_dir() or (path.suffix == ".zip" and path.is_file()) or path.with_name(f"{path.name}.index").is_file()
    return vocabulary_from_source(SourceLocation(FOLDER, str(path))) if is_model else Vocabulary.read(path)


def _source(location: str) -> SourceLocation | None:
    """The zoo source and model of a location; None for a path, including `folder:runs/x`."""
    source = source_location(location)
    return None if source and source.source == FOLDER else source


def _path(location: str, base_folder: Path) -> str:
    """The path in a location without a zoo source. Raises: UserError for an unknown source."""
    if source := source_location(location):
        return source.model
    expect_known_source(location, base_folder / location)
    return location


def expect_run(location: str, base_folder: Path) -> None:
    """Raises: UserError naming the command if a location is in the output of a shipped recipe that has not been trained yet."""
    from wholeword.core.config.recipes import shipped_recipes

    match = IN_RUN.match(location)
    if match and match[1] in shipped_recipes() and not (base_folder / location).exists():
        raise UserError(f"{base_folder / location}: does not exist yet; create it with `wholeword train {match[1]}`")


def zoo_config(name: str) -> BertConfig:
    """The configuration of a zoo model, without network access. Raises: UserError if there is no such model."""
    zoo: ConfigSource = registry.create("zoo_source", "zoo")
    return zoo.config(name)


def vocabulary_size(location: str, base_folder: Path) -> int:
    """The size of a vocabulary; without network access for paths and zoo models."""
    if source := _source(location):
        return config_from_source(source).vocab_size
    return len(read_vocabulary(location, base_folder))


def read_config(location: str, base_folder: Path) -> BertConfig | None:
    """A model's configuration, without network access; None for archives, and folders without a configuration.

    Raises: UserError if there is no model at a path; whatever a zoo source raises.
    """
    if source := _source(location):
        return config_from_source(source)
    expect_run(location, base_folder)
    folder = base_folder / _path(location, base_folder)
    if folder.is_file() and folder.suffix == ".zip":
        return None
    if not folder.is_dir():  # the prefix of a TF checkpoint, or one of its files
        if not (folder.is_file() or folder.with_name(f"{folder.name}.index").is_file()):
            expected = "expected the folder of a model or a run, a .zip, the prefix of a TF checkpoint, or zoo:NAME"
            raise UserError(f"{location}: no such model (looked in {folder.parent.absolute()}); {expected}")
        folder = folder.parent
    if path := config_file(folder):
        return plain_bert_config(read_config_file(path), path)
    state = (latest_checkpoint(folder / "checkpoints") or folder) / "state.json"  # of a run, or of a checkpoint
    if not state.is_file():
        return None
    values = read_json(state).get("config")
    if not isinstance(values, dict):
        raise UserError(f"{state}: no config; expected the state of a run of wholeword")
    return bert_config(values, str(state))
