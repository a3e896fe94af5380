"""What the user points `wholeword report` at: the folder of a token store or of a run, a recipe, or (to compare segmenters) text."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wholeword.core.config import Recipe, load_recipe
from wholeword.core.config.checks import DEFAULT_RATE
from wholeword.core.config.locations import read_vocabulary
from wholeword.core.config.recipe import MaskingSection
from wholeword.core.config.settings import found_settings
from wholeword.core.data.store import VOCABULARY, TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import MANIFEST
from wholeword.core.registry.registry import registry
from wholeword.core.training.sources import bind
from wholeword.core.vocabulary import Vocabulary
from wholeword.reports.masks import Masking
from wholeword.reports.preview import display_vocabulary

LENGTHS = (128, 512)  # of the phases of BERT-wwm; the default without a recipe
TEXT = (".txt", ".gz", ".zst")


def open_source(location: str) -> tuple[TokenStore, Recipe | None]:
    """The token store, verified, and the recipe that masks it (None for a store alone).

    Raises: UserError if it is none of the three, or the recipe's store has not been built; IntegrityError if the store is damaged.
    """
    path = Path(location)
    if (path / MANIFEST).exists():
        return TokenStore(path), None
    if path.suffix in TEXT:
        raise UserError(f"{location}: a report needs a token store, a run or a recipe; text is for --compare jieba,characters")
    recipe = read_recipe(location)
    store = store_of(recipe, path)
    if not (store / MANIFEST).exists():
        raise UserError(f"{store}: not there yet; build it with: wholeword prepare {location}")
    return TokenStore(store), recipe


def read_recipe(location: str) -> Recipe:
    """A recipe, or the recipe of a run, given its folder."""
    path = Path(location)
    if not path.is_dir():
        return load_recipe(location)
    resolved = path / "recipe.json"
    try:
        return Recipe.model_validate(json.loads(resolved.read_bytes()))
    except FileNotFoundError:
        raise UserError(
            f"{location}: neither a token store (no {MANIFEST} in it) nor a run (no {resolved.name}); expected one of them, or a recipe"
        ) from None
    except (ValueError, ValidationError):
        raise IntegrityError(f"{resolved}: damaged; it is not a recipe") from None


def store_of(recipe: Recipe, path: Path) -> Path:
    """The store of a recipe that was read from `path`; a run that was moved has its store in its folder still."""
    return path / "store" if path.is_dir() and recipe.store == f"{recipe.output}/store" else Path(recipe.store)


def tokenizer_of(recipe: Recipe | None, path: Path) -> WordPieceTokenizer:
    """The tokenizer of a recipe, with a vocabulary for display for a text file or a vocabulary that has not been trained."""
    if recipe is None:
        return WordPieceTokenizer(display_vocabulary(), lowercase=True)
    trained = store_of(recipe, path) / VOCABULARY
    if recipe.tokenizer.vocab is not None:
        vocabulary = read_vocabulary(recipe.tokenizer.vocab, recipe.base_folder)
    else:
        vocabulary = Vocabulary.read(trained) if trained.exists() else display_vocabulary()
    return WordPieceTokenizer(vocabulary, recipe.tokenizer.lowercase)


def masking_of(
    recipe: Recipe | None,
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
    section = recipe.masking if recipe and strategy in (None, recipe.masking.name) else MaskingSection(name=strategy or "whole-word")
    given: dict[str, Any] = {} if rate is None else {"rate": rate}
    parameters = registry.parameters("masking", section.name)
    if given and "rate" not in parameters:
        raise UserError(f"--rate: {section.name} has no rate")
    found = found_settings("masking", section, recipe.base_folder if recipe else Path()) | given
    made = bind(registry.create("masking", section.name, **found), tokenizer)
    rate = found.get("rate", parameters["rate"].default if "rate" in parameters else DEFAULT_RATE)
    phases = [(phase.max_seq_length, phase.max_predictions) for phase in recipe.phases] if recipe else [(length, 0) for length in LENGTHS]
    if lengths or given:
        phases = [(length, 0) for length in lengths or [length for length, _ in phases]]
    phases = [(length, predictions or max(1, round(length * rate))) for length, predictions in dict.fromkeys(phases)]
    settings = {key: value for key, value in section.settings.items() if key != "rate" and value != parameters[key].default}
    about: dict[str, Any] = {"name": section.name, "settings": settings, "rate": rate, "lengths": phases}
    if recipe:
        about |= {"examples": recipe.examples.name, "short_seq_rate": recipe.examples.short_seq_rate, "seed": recipe.seed}
        about |= {"held_out_rate": recipe.evaluation.held_out_rate, "fallback": recipe.masking.fallback}
    return Masking(made, **about)
