"""A model's name, alias or location -> its files, fetched or unpacked where they have to be."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wholeword.core.config.sources import SourceLocation, expect_known_source, read_from_source, source_location
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import Vocabulary

if TYPE_CHECKING:
    from wholeword.core.contracts import ModelFiles
    from wholeword.zoo.cards import Card

MIRROR = "WHOLEWORD_ZOO"  # environment variable: a folder of models (folders or .zip) by name or alias, looked at before the hub
HUB = "hub:"  # hub:owner/name is any model of the hub
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find(name_or_location: str, *, revision: str | None = None, local_files_only: bool = False, weights: bool = True) -> Path:
    """Where a model's files are: what `zoo.folder.Folder` reads.

    Args:
        name_or_location: a name or an alias of `wholeword zoo ls`; `hub:owner/name`; or a folder, a .zip or a TF checkpoint's prefix. What
            is a name is never a folder: write ./rbt3 for a folder called like a model. `zoo:` may stand before a name.
        revision: of the hub; branch, tag or commit.
        local_files_only: ask no network.
        weights: False for configuration and vocabulary alone.
    Raises: UserError for what is none of these, with the nearest name; NetworkError; IntegrityError.
    """
    from wholeword.zoo.cards import find_card

    if source := foreign_source(name_or_location):
        raise UserError(f"{name_or_location}: the zoo source {source.source!r} has no files to show; `wholeword export` writes its models")
    name_or_location = without_own_source(name_or_location)
    card = find_card(name_or_location)
    if card is None and not name_or_location.startswith(HUB):
        if revision is not None:
            raise UserError(f"{name_or_location}: revision {revision!r} of a local model; only models of the hub have revisions")
        return _local(name_or_location)
    if card is not None and revision is None and (mirrored := _mirrored(card)):
        return _local(str(mirrored))
    repo_id = card.hub if card else name_or_location.removeprefix(HUB)
    if not HUB_ID.fullmatch(repo_id):
        raise UserError(f"{name_or_location}: no model of the hub; expected {HUB}owner/name")
    from wholeword.zoo.hub import fetch, model_files, tokenizer_files

    files = model_files if weights else tokenizer_files
    return fetch(repo_id, revision=revision, files=files, local_files_only=local_files_only)


def _mirrored(card: "Card") -> Path | None:
    folder = os.environ.get(MIRROR)
    if not folder:
        return None
    candidates = [Path(folder, f"{name}{suffix}") for name in (card.name, *card.aliases) for suffix in ("", ".zip")]
    return next((path for path in candidates if path.exists()), None)


def _local(location: str) -> Path:
    path = Path(location)
    if path.is_file() and path.suffix == ".zip":
        from wholeword.zoo.archive import unpack

        return unpack(path)
    if path.is_dir() or path.with_name(f"{path.name}.index").is_file():
        return path
    from wholeword.zoo.cards import did_you_mean

    expect_known_source(location, path)
    hint = did_you_mean(location) or " `wholeword zoo ls` has the names"
    raise UserError(f"{location}: neither a model's name nor a folder, .zip or TF checkpoint;{hint}")


def foreign_source(name_or_location: str) -> SourceLocation | None:
    """The zoo source of another distribution, of `source:place`; None for everything else."""
    source = None if name_or_location.startswith(HUB) else source_location(name_or_location)
    return None if source is None or source.is_own else source


def without_own_source(name_or_location: str) -> str:
    """`rbt3` for `zoo:rbt3`, `runs/x` for `folder:runs/x`."""
    source = None if name_or_location.startswith(HUB) else source_location(name_or_location)
    return source.place if source and source.is_own else name_or_location


class Zoo:
    """The zoo as a source of models for recipes: `zoo:NAME`."""

    def read(self, location: str) -> "ModelFiles":
        """The model at a name or location."""
        return read(location)

    def vocabulary(self, location: str) -> Vocabulary:
        """The vocabulary alone, without weights to fetch."""
        return read_tokenizer(location)[0]

    def config(self, location: str) -> BertConfig:
        """Without network. Raises: UserError if there is no such model."""
        from wholeword.zoo.cards import get_card

        return get_card(location).bert_config


def read(name_or_location: str, *, revision: str | None = None, local_files_only: bool = False) -> "ModelFiles":
    """The model. Raises: as `find` and `zoo.folder.Folder.read`."""
    from wholeword.zoo.cards import find_card
    from wholeword.zoo.folder import Folder

    if source := foreign_source(name_or_location):
        if revision is not None:
            raise UserError(f"{name_or_location}: revision {revision!r}; only models of the hub have revisions")
        return read_from_source(source)
    name_or_location = without_own_source(name_or_location)
    path = find(name_or_location, revision=revision, local_files_only=local_files_only)
    card = find_card(name_or_location)
    model = Folder().read(str(path))
    if card is None:
        return model
    provenance = replace(model.provenance, name=model.provenance.name or card.name)
    return model._replace(lowercase=card.lowercase, provenance=provenance)


def read_tokenizer(name_or_location: str, *, revision: str | None = None, local_files_only: bool = False) -> tuple[Vocabulary, bool]:
    """Vocabulary, and whether text is lower-cased, without reading weights."""
    from wholeword.core.formats.checkpoints import latest_checkpoint
    from wholeword.zoo.cards import find_card
    from wholeword.zoo.formats import read_json
    from wholeword.zoo.tokenizer_files import assets_folder, read_tokenizer_files

    if foreign_source(name_or_location):
        model = read(name_or_location, revision=revision)
        return model.vocabulary, model.lowercase
    name_or_location = without_own_source(name_or_location)
    path = find(name_or_location, revision=revision, local_files_only=local_files_only, weights=False)
    folder = path if path.is_dir() else path.parent
    folder = latest_checkpoint(folder / "checkpoints") or folder
    vocabulary, said, _ = read_tokenizer_files(assets_folder(folder))
    if card := find_card(name_or_location):
        return vocabulary, card.lowercase
    if (folder / "state.json").exists():  # of a run
        said = read_json(folder / "state.json").get("lowercase")
    return vocabulary, said is not False
