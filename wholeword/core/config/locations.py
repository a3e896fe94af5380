"""What a recipe starts from: a path from its folder, or `zoo:NAME`, a model of the zoo. The zoo is a plugin like any other."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from wholeword.core.bert.config import saved_config
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError
from wholeword.core.formats.checkpoints import latest_checkpoint
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import Vocabulary

if TYPE_CHECKING:
    from wholeword.core.contracts import ModelFiles

ZOO = "zoo:"
IN_RUN = re.compile(r"runs/([^/]+)(?:/|$)")  # where a shipped recipe's run is


def zoo_name(location: str) -> str | None:
    """NAME of zoo:NAME; None for a path."""
    return location.removeprefix(ZOO) if location.startswith(ZOO) else None


def read_model(location: str, base_folder: Path) -> "ModelFiles":
    name = zoo_name(location)
    if name is None:
        expect_run(location, base_folder)
    source, place = ("folder", str(base_folder / location)) if name is None else ("zoo", name)
    return registry.create("zoo_source", source).read(place)


def read_vocabulary(location: str, base_folder: Path) -> Vocabulary:
    """Of a vocab.txt, or of a model of the zoo without its weights."""
    if name := zoo_name(location):
        return registry.create("zoo_source", "zoo").vocabulary(name)
    expect_run(location, base_folder)
    return Vocabulary.read(base_folder / location)


def expect_run(location: str, base_folder: Path) -> None:
    """Raises: UserError naming the command if a place is inside the run of a shipped recipe that has not been carried out."""
    from wholeword.core.config.recipes import shipped_recipes

    match = IN_RUN.match(location)
    if match and match[1] in shipped_recipes() and not (base_folder / location).exists():
        raise UserError(f"{base_folder / location}: not there yet; `wholeword train {match[1]}` makes it")


def zoo_config(name: str) -> BertConfig:
    """Without network. Raises: UserError if the zoo has no such model."""
    return registry.create("zoo_source", "zoo").config(name)


def vocabulary_size(location: str, base_folder: Path) -> int:
    """Without network."""
    if name := zoo_name(location):
        return zoo_config(name).vocab_size
    return len(read_vocabulary(location, base_folder))


def read_config(location: str, base_folder: Path) -> BertConfig | None:
    """A model's configuration, without network; None for a place without one, and for an archive."""
    if name := zoo_name(location):
        return zoo_config(name)
    expect_run(location, base_folder)
    folder = base_folder / location
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
