"""Find the files of a model by name, alias or location, fetching or unpacking them if necessary."""

import os
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wholeword.core.config.sources import SourceLocation, expect_known_source, read_from_source, source_location
from wholeword.core.console import doing
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import Vocabulary

if TYPE_CHECKING:
    from wholeword.core.contracts import ModelFiles
    from wholeword.zoo.cards import Card

MIRROR = "WHOLEWORD_ZOO"  # environment variable: a folder of models (folders or .zip) named by name or alias, searched before the hub
HUB = "hub:"  # hub:owner/name is any model on the hub
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find(name_or_location: str, *, revision: str | None = None, local_files_only: bool = False, weights: bool = True) -> Path:
    """The path of a model's files, for `zoo.folder.Folder` to read.

    Args:
        name_or_location: a name listed by `wholeword zoo ls` or an alias, optionally with the prefix `zoo:`; `hub:owner/name`; or a folder,
            a .zip or the prefix of a TF checkpoint. Names take precedence: write ./rbt3 for a folder that has the name of a model.
        revision: branch, tag or commit on the hub.
        local_files_only: never access the network.
        weights: False to fetch only configuration and vocabulary.
    Raises: UserError, suggesting the nearest name, if it is none of these; NetworkError; IntegrityError.
    """
    from wholeword.zoo.cards import find_card

    if source := foreign_source(name_or_location):
        raise UserError(
            f"{name_or_location}: models of the zoo source {source.source!r} are not files; write one to a folder with `wholeword export`"
        )
    name_or_location = without_own_source(name_or_location)
    card = find_card(name_or_location)
    if card is None and not name_or_location.startswith(HUB):
        if revision is not None:
            raise UserError(f"{name_or_location}: revision {revision!r} given for a local model; only models on the hub have revisions")
        return _local(name_or_location)
    if card is not None and revision is None and (mirrored := _mirrored(card)):
        return _local(str(mirrored))
    repo_id = card.hub if card else name_or_location.removeprefix(HUB)
    if not HUB_ID.fullmatch(repo_id):
        raise UserError(f"{name_or_location}: not a valid model ID on the hub; expected {HUB}owner/name")
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
    if path.exists() or path.with_name(f"{path.name}.index").is_file():
        from wholeword.zoo.folder import model_location

        return model_location(path)
    from wholeword.zoo.cards import did_you_mean

    expect_known_source(location, path)
    hint = did_you_mean(location) or " `wholeword zoo ls` lists the names"
    raise UserError(f"{location}: neither the name of a model nor a folder, .zip or TF checkpoint;{hint}")


def foreign_source(name_or_location: str) -> SourceLocation | None:
    """The parsed `source:name` if the source belongs to another distribution, otherwise None."""
    source = None if name_or_location.startswith(HUB) else source_location(name_or_location)
    return None if source is None or source.is_own else source


def without_own_source(name_or_location: str) -> str:
    """`rbt3` for `zoo:rbt3`, `runs/x` for `folder:runs/x`."""
    source = None if name_or_location.startswith(HUB) else source_location(name_or_location)
    return source.model if source and source.is_own else name_or_location


class Zoo:
    """The zoo as a source of models in recipes: `zoo:NAME`."""

    def read(self, location: str) -> "ModelFiles":
        """The model at a name or location."""
        return read(location)

    def vocabulary(self, location: str) -> Vocabulary:
        """The vocabulary; no weights are fetched."""
        return read_tokenizer(location)[0]

    def config(self, location: str) -> BertConfig:
        """The configuration from the model's card, without network access. Raises: UserError if there is no such model."""
        from wholeword.zoo.cards import get_card

        return get_card(location).bert_config


def read(
    name_or_location: str, *, revision: str | None = None, local_files_only: bool = False, read_elsewhere: Collection[str] = ()
) -> "ModelFiles":
    """Read a model. Arguments and Raises: as `find` and `zoo.folder.Folder.read`."""
    from wholeword.zoo.cards import find_card
    from wholeword.zoo.folder import Folder

    if source := foreign_source(name_or_location):
        if revision is not None:
            raise UserError(f"{name_or_location}: revision {revision!r} given; only models on the hub have revisions")
        return read_from_source(source)
    name_or_location = without_own_source(name_or_location)
    path = find(name_or_location, revision=revision, local_files_only=local_files_only)
    card = find_card(name_or_location)
    with doing(f"reading {path}"):
        model = Folder().read(str(path), read_elsewhere=read_elsewhere)
    if card is None:
        return model
    provenance = replace(model.provenance, name=model.provenance.name or card.name)
    return model._replace(lowercase=card.lowercase, provenance=provenance)


class Tokenizer(NamedTuple):
    """What a framework's tokenizer is made of."""

    vocabulary: Vocabulary
    lowercase: bool
    max_length: int  # positions of the model


def read_tokenizer(name_or_location: str, *, revision: str | None = None, local_files_only: bool = False) -> Tokenizer:
    """Read a vocabulary, whether text is lower-cased, and the positions of the model, without reading weights."""
    from wholeword.zoo.cards import find_card
    from wholeword.zoo.folder import read_folder_tokenizer

    if foreign_source(name_or_location):
        model = read(name_or_location, revision=revision)
        return Tokenizer(model.vocabulary, model.lowercase, model.config.max_position_embeddings)
    name_or_location = without_own_source(name_or_location)
    path = find(name_or_location, revision=revision, local_files_only=local_files_only, weights=False)
    vocabulary, lowercase, positions = read_folder_tokenizer(path)
    card = find_card(name_or_location)
    return Tokenizer(vocabulary, card.lowercase if card else lowercase, positions)
