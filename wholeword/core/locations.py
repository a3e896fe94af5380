"""What a recipe starts from: a path from its folder, or `zoo:NAME`, a model of the zoo. The zoo is a plugin like any other."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wholeword.core.data.vocabulary import Vocabulary
from wholeword.core.errors import UserError
from wholeword.core.registry import registry

if TYPE_CHECKING:
    from wholeword.core.interfaces import ModelFiles

ZOO = "zoo:"


def zoo_name(location: str) -> str | None:
    """NAME of zoo:NAME; None for a path."""
    return location.removeprefix(ZOO) if location.startswith(ZOO) else None


def read_model(location: str, base_folder: Path) -> "ModelFiles":
    name = zoo_name(location)
    source, place = ("folder", str(base_folder / location)) if name is None else ("zoo", name)
    return registry.create("zoo_source", source).read(place)


def read_vocabulary(location: str, base_folder: Path) -> Vocabulary:
    """Of a vocab.txt, or of a model of the zoo without its weights."""
    name = zoo_name(location)
    return Vocabulary.read(base_folder / location) if name is None else registry.create("zoo_source", "zoo").vocabulary(name)


def zoo_config(name: str) -> dict[str, Any]:
    """The keys of bert_config.json, without network. Raises: UserError if the zoo has no such model."""
    return registry.create("zoo_source", "zoo").config(name)


def vocabulary_size(location: str, base_folder: Path) -> int:
    """Without network."""
    name = zoo_name(location)
    return len(Vocabulary.read(base_folder / location)) if name is None else zoo_config(name)["vocab_size"]


def read_config(location: str, base_folder: Path) -> dict[str, Any]:
    """The keys of a model's configuration, without network; {} for a folder without one."""
    if name := zoo_name(location):
        return zoo_config(name)
    folder = base_folder / location
    path = next((folder / name for name in ("config.json", "bert_config.json") if (folder / name).is_file()), None)
    if path is None:
        return {}
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise UserError(f"{path}: no JSON; expected the configuration of a BERT") from None
