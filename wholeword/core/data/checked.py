"""Masking strategies of other distributions: each batch that they return is checked against their contract."""

from typing import Any

import numpy as np

from wholeword.core.contracts import Array, Masked, MaskingStrategy
from wholeword.core.errors import PluginError
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import calling, contract_error


def checked_strategy(strategy: MaskingStrategy, name: str) -> MaskingStrategy:
    """The strategy itself if it is wholeword's own, else one that raises PluginError for what breaks the contract.

    Args:
        name: as in the recipe.
    """
    return strategy if registry.find("masking", name).distribution == PROJECT else _CheckedStrategy(strategy, name)


def strategy_error(strategy: MaskingStrategy, message: str) -> PluginError:
    """For what a strategy returned that was not created by its name: names its distribution if a plugin offers its class."""
    target = f"{type(strategy).__module__}:{type(strategy).__qualname__}"
    entry = next((entry for entry in registry.entries if (entry.kind, entry.target) == ("masking", target)), None)
    return contract_error("masking", entry.qualified_name, message) if entry else PluginError(f"masking strategy {target}: {message}")


class _CheckedStrategy:
    def __init__(self, strategy: MaskingStrategy, name: str):
        self.strategy, self.name = strategy, name

    def mask(self, ids: Array, word_starts: Array, candidates: Array, sample_ids: Array, **context: Any) -> Masked:
        """See `wholeword.core.contracts.MaskingStrategy`."""
        with calling("masking", self.name):
            masked = self.strategy.mask(ids, word_starts, candidates, sample_ids, **context)
        if problem := _problem_of(masked, ids, candidates, context):
            raise contract_error("masking", self.name, f"mask() returned {problem}")
        return masked


def _problem_of(masked: Any, ids: Array, candidates: Array, context: dict[str, Any]) -> str | None:
    for field, kinds, expected in (("input_ids", "iu", "integers"), ("chosen", "b", "bool")):
        array = getattr(masked, field, None)
        if not isinstance(array, np.ndarray):
            return f"{type(masked).__name__} without an array {field}; expected wholeword.core.contracts.Masked"
        if array.shape != ids.shape or array.dtype.kind not in kinds:
            return f"{field} as {array.dtype} {list(array.shape)}; expected {expected} {list(ids.shape)}"
    if (masked.chosen & ~candidates).any():
        return "chosen places that are no candidates ([CLS], [SEP] or padding)"
    if masked.input_ids.min(initial=0) < 0 or masked.input_ids.max(initial=0) >= len(context["vocabulary"]):
        return f"ids outside the vocabulary of {len(context['vocabulary']):,} pieces"
    most = int(masked.chosen.sum(axis=1).max(initial=0))
    if most > context["max_predictions"]:
        return f"{most} chosen places in a row; expected at most max_predictions, {context['max_predictions']}"
    return None
