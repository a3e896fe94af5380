"""What the user points `wholeword report` at: the folder of a token store or of a run, a recipe, or (to compare segmenters) text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wholeword.core.config import Recipe, load_recipe
from wholeword.core.config.checks import DEFAULT_RATE
from wholeword.core.config.job import masking_spec
from wholeword.core.config.preparation import PrepareJob, prepare_job
from wholeword.core.data.store import VOCABULARY, TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer, definition_of
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import MANIFEST
from wholeword.core.registry.registry import registry
from wholeword.core.registry.spec import PluginSpec
from wholeword.core.training.sources import bind
from wholeword.core.vocabulary import Vocabulary
from wholeword.reports.masks import Masking
from wholeword.reports.preview import display_vocabulary

LENGTHS = ((128, 0), (512, 0))  # of the phases of BERT-wwm, with as many predictions as the rate gives; the default without a recipe
TEXT = (".txt", ".gz", ".zst")


@dataclass(frozen=True)
class Source:
    """What reports need of a recipe."""

    prepare: PrepareJob
    store: Path
    masking: PluginSpec
    masking_settings: Mapping[str, Any]  # as in the recipe
    fallback: str
    examples: str
    short_seq_rate: float
    held_out_rate: float
    seed: int
    lengths: tuple[tuple[int, int], ...]  # max_seq_length and max_predictions of the phases


def open_source(location: str) -> tuple[TokenStore, Source | None]:
    """The token store, verified, and the recipe that masks it (None for a store alone).

    Raises: UserError if it is none of the three, or the recipe's store has not been built; IntegrityError if the store is damaged.
    """
    path = Path(location)
    if (path / MANIFEST).exists():
        return TokenStore(path), None
    if path.suffix in TEXT:
        raise UserError(f"{location}: a report needs a token store, a run or a recipe; text is for --compare jieba,characters")
    source = read_source(location)
    if not (source.store / MANIFEST).exists():
        raise UserError(f"{source.store}: not there yet; build it with: wholeword prepare {location}")
    return TokenStore(source.store), source


def read_source(location: str) -> Source:
    """A recipe, or the recipe of a run, given its folder. A run that was moved still has its store in its folder."""
    path = Path(location)
    recipe = _recipe_of_run(path) if path.is_dir() else load_recipe(location)
    moved = path.is_dir() and recipe.store == f"{recipe.output}/store"
    return Source(
        prepare=prepare_job(recipe),
        store=path / "store" if moved else Path(recipe.store),
        masking=masking_spec(recipe.masking, recipe.base_folder),
        masking_settings=recipe.masking.settings,
        fallback=recipe.masking.fallback,
        examples=recipe.examples.name,
        short_seq_rate=recipe.examples.short_seq_rate,
        held_out_rate=recipe.evaluation.held_out_rate,
        seed=recipe.seed,
        lengths=tuple((phase.max_seq_length, phase.max_predictions) for phase in recipe.phases),
    )


def _recipe_of_run(folder: Path) -> Recipe:
    resolved = folder / "recipe.json"
    try:
        return Recipe.model_validate(json.loads(resolved.read_bytes()))
    except FileNotFoundError:
        raise UserError(
            f"{folder}: neither a token store (no {MANIFEST} in it) nor a run (no {resolved.name}); expected one of them, or a recipe"
        ) from None
    except (ValueError, ValidationError):
        raise IntegrityError(f"{resolved}: damaged; it is not a recipe") from None


def tokenizer_of(source: Source | None) -> WordPieceTokenizer:
    """The tokenizer of a recipe, with a vocabulary for display for a text file or a vocabulary that has not been trained."""
    if source is None:
        return WordPieceTokenizer(display_vocabulary(), lowercase=True, definition="transformers")
    spec, definition = source.prepare.tokenizer, definition_of(source.prepare.compat)
    trained = source.store / VOCABULARY
    if spec.vocab is not None:
        return WordPieceTokenizer(spec.vocabulary, spec.lowercase, definition=definition)
    vocabulary = Vocabulary.read(trained) if trained.exists() else display_vocabulary()
    return WordPieceTokenizer(vocabulary, spec.lowercase, definition=definition)


def masking_of(
    source: Source | None,
    tokenizer: WordPieceTokenizer,
    *,
    strategy: str | None = None,
    rate: float | None = None,
    lengths: Sequence[int] = (),
) -> Masking:
    """How a recipe masks, unless the arguments override it.

    Args:
        strategy: another strategy, with its default settings.
        lengths: instead of those of the phases.
    Raises: UserError for an invalid setting; PluginError if the strategy does not exist.
    """
    spec, shown = PluginSpec(strategy or "whole-word", {}), {}
    if source and strategy in (None, source.masking.name):
        spec, shown = source.masking, dict(source.masking_settings)
    parameters = registry.parameters("masking", spec.name)
    if rate is not None and "rate" not in parameters:
        raise UserError(f"--rate: {spec.name} has no rate")
    settings = spec.settings if rate is None else spec.settings | {"rate": rate}
    bound = bind(registry.create("masking", spec.name, **settings), tokenizer, name=spec.name)
    used_rate = settings.get("rate", parameters["rate"].default if "rate" in parameters else DEFAULT_RATE)
    shapes = source.lengths if source else LENGTHS
    if lengths or rate is not None:
        shapes = tuple((length, 0) for length in lengths or [length for length, _ in shapes])
    masking = Masking(
        bound,
        name=spec.name,
        settings={key: value for key, value in shown.items() if key != "rate" and value != parameters[key].default},
        rate=used_rate,
        lengths=[(length, predictions or max(1, round(length * used_rate))) for length, predictions in dict.fromkeys(shapes)],
    )
    if source is None:
        return masking
    return replace(
        masking,
        examples=source.examples,
        short_seq_rate=source.short_seq_rate,
        held_out_rate=source.held_out_rate,
        seed=source.seed,
        fallback=source.fallback,
    )
