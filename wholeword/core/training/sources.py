"""A recipe and its token store -> masking strategies and batches."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wholeword.core.config.settings import described, found_settings
from wholeword.core.contracts import BoundStrategy, MaskingStrategy
from wholeword.core.data.batches import BatchSource, evaluation_batches
from wholeword.core.data.examples import PAIRS
from wholeword.core.data.google import GoogleSource
from wholeword.core.data.store import TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.registry.registry import registry

if TYPE_CHECKING:
    import numpy as np

    from wholeword.core.config import Recipe

# keys of a recipe that may differ between the start of a run and its continuation: they decide where and how fast, not what
FREE_KEYS = (
    *("name", "output", "store", "cache", "checkpoint", "log", "evaluation", "export"),
    *("prepare_workers", "loader_workers", "backend"),
)
STORE_KEYS = ("corpus", "segmenter", "tokenizer", "alignment")  # what the token store's fingerprint stands for
MODEL_KEYS = ("model", "optimizer", "clip_norm", "phases")  # what rows do not depend on, the lengths of a phase aside


def recipe_strategy(recipe: "Recipe", store: TokenStore) -> MaskingStrategy:
    """The masking strategy of a recipe."""
    return make_strategy(recipe.masking.name, found_settings("masking", recipe.masking, recipe.base_folder), store)


def make_strategy(name: str, settings: Mapping[str, Any], store: TokenStore) -> MaskingStrategy:
    """A masking strategy, ready for the rows of a store."""
    return bind(registry.create("masking", name, **settings), WordPieceTokenizer(store.vocabulary, store.lowercase))


def bind(strategy: MaskingStrategy, tokenizer: WordPieceTokenizer) -> MaskingStrategy:
    """The strategy itself, after it was shown the tokenizer, if it asks for that."""
    if isinstance(strategy, BoundStrategy):
        strategy.bind(tokenizer)
    return strategy


def rows_identity(recipe: "Recipe", store: TokenStore) -> dict[str, Any]:
    """What decides the rows of a recipe, as JSON, the lengths of its phases aside."""
    identity = {key: value for key, value in recipe.resolved().items() if key not in FREE_KEYS + STORE_KEYS + MODEL_KEYS}
    identity["masking"] |= described(found_settings("masking", recipe.masking, recipe.base_folder))
    return identity | {"store": store.manifest["fingerprint"], "held_out_rate": recipe.evaluation.held_out_rate}


def phase_source(
    recipe: "Recipe", number: int, store: TokenStore, *, strategy: MaskingStrategy, cache: Path | None
) -> BatchSource | GoogleSource:
    """The training batches of a phase."""
    masking = recipe.masking
    arguments = _phase_arguments(recipe, number)
    arguments |= {"short_seq_rate": recipe.examples.short_seq_rate, "dupe_factor": masking.dupe_factor}
    if recipe.compat == "google":
        del arguments["examples"]  # there is one kind
        return GoogleSource(store, **arguments, rate=masking.settings["rate"], whole_words=masking.name == "whole-word")
    arguments |= {"dynamic": masking.dynamic, "fallback": masking.fallback, "word_lengths": False}
    return BatchSource(store, **arguments, strategy=strategy, cache=cache)


def record_arguments(recipe: "Recipe", number: int, store: TokenStore) -> dict[str, Any]:
    """What a backend is told that may have the rows of a phase ready in files."""
    phase = recipe.phases[number]
    return {
        "number": number,
        "num_phases": len(recipe.phases),
        "steps": phase.steps,
        "batch_size": phase.batch_size,
        "max_seq_length": phase.max_seq_length,
        "max_predictions": phase.max_predictions,
        "next_sentence": recipe.examples.name in PAIRS,
        "identity": rows_identity(recipe, store),
    }


def held_out_batches(
    recipe: "Recipe", number: int, store: TokenStore, *, strategy: MaskingStrategy, cache: Path
) -> list[Mapping[str, "np.ndarray"]]:
    """Batches of held-out documents for a phase, with fixed masks."""
    arguments = _phase_arguments(recipe, number)
    return list(evaluation_batches(store, **arguments, strategy=strategy, cache=cache, num_batches=recipe.evaluation.batches))


def _phase_arguments(recipe: "Recipe", number: int) -> dict[str, Any]:
    phase = recipe.phases[number]
    return {
        "examples": recipe.examples.name,
        "seed": recipe.seed,
        "max_seq_length": phase.max_seq_length,
        "max_predictions": phase.max_predictions,
        "batch_size": phase.batch_size,
        "held_out_rate": recipe.evaluation.held_out_rate,
    }
