"""A job and its token store -> masking strategies and batches, each made once."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from inspect import Parameter
from pathlib import Path
from typing import Any

from wholeword.core.config.job import Job
from wholeword.core.contracts import Array, BoundStrategy, MaskingStrategy
from wholeword.core.data.batches import BatchSource, evaluation_batches, load_examples
from wholeword.core.data.checked import checked_strategy
from wholeword.core.data.examples import PAIRS, Examples, ExamplesSpec
from wholeword.core.data.google_source import GoogleSource
from wholeword.core.data.store import TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import calling
from wholeword.core.registry.spec import PluginSpec

HeldOut = Sequence[Mapping[str, Array]]


def rows_identity(job: Job, fingerprint: str) -> dict[str, Any]:
    """What decides the rows of a job, as JSON, the lengths of the phases aside.

    Args:
        fingerprint: of the token store.
    """
    return {**job.rows.settings, "store": fingerprint, "held_out_rate": job.rows.held_out_rate}


def identity_of(job: Job, fingerprint: str) -> dict[str, Any]:
    """What a resumed run must agree on with the run that was begun, as JSON."""
    return rows_identity(job, fingerprint) | job.model_settings


class JobRows:
    """The rows of a job.

    The tokenizer and each masking strategy are made once; held-out batches once a phase and strategy.

    Args:
        cache: a folder for the examples, see `build_examples`; None keeps them in memory.
    """

    def __init__(self, job: Job, store: TokenStore, *, cache: Path | None):
        self.job, self.store, self.cache = job, store, cache
        self._strategies: dict[str, MaskingStrategy] = {}
        self._held_out_phase: tuple[int, Examples] | None = None
        self._held_out: dict[str, HeldOut] = {}  # of that phase, by strategy

    @cached_property
    def tokenizer(self) -> WordPieceTokenizer:
        """That of the token store."""
        return self.store.tokenizer

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides the rows, as JSON, the lengths of the phases aside."""
        return rows_identity(self.job, self.store.manifest["fingerprint"])

    def strategy(self, name: str | None = None) -> MaskingStrategy:
        """A masking strategy, ready for these rows: the job's own, or another one by name, with its default settings."""
        spec = self.job.rows.masking if name is None else PluginSpec(name, {})
        key = _strategy_key(spec)
        if key not in self._strategies:
            self._strategies[key] = bind(registry.create("masking", spec.name, **spec.settings), self.tokenizer, name=spec.name)
        return self._strategies[key]

    def training(self, number: int) -> BatchSource | GoogleSource:
        """The training batches of a phase."""
        rows, phase = self.job.rows, self.job.phases[number]
        sizes = {"max_predictions": phase.max_predictions, "batch_size": phase.batch_size, "dupe_factor": rows.dupe_factor}
        examples = self._examples(number, short_seq_rate=rows.short_seq_rate)
        if rows.compat == "google":
            rate, whole_words = rows.masking.settings["rate"], rows.masking.name == "whole-word"
            return GoogleSource(self.store, examples, **sizes, rate=rate, whole_words=whole_words)
        return BatchSource(
            self.store,
            examples,
            **sizes,
            strategy=self.strategy(),
            dynamic=rows.dynamic,
            fallback=rows.fallback,
            word_lengths=False,
            cache=self.cache,
        )

    def held_out(self, number: int, masking: str | None = None) -> HeldOut:
        """Batches of held-out documents for a phase, with fixed masks; kept until those of another phase are asked for.

        Args:
            masking: a strategy by name, as of `strategy`.
        """
        phase = self.job.phases[number]
        if self._held_out_phase is None or self._held_out_phase[0] != number:
            examples = load_examples(self.store, self._examples(number, documents="held_out"), epoch=0, cache=self.cache)
            self._held_out_phase, self._held_out = (number, examples), {}
        key = _strategy_key(self.job.rows.masking if masking is None else PluginSpec(masking, {}))
        if key not in self._held_out:
            self._held_out[key] = evaluation_batches(
                self.store,
                self._held_out_phase[1],
                strategy=self.strategy(masking),
                seed=self.job.seed,
                max_seq_length=phase.max_seq_length,
                max_predictions=phase.max_predictions,
                batch_size=phase.batch_size,
                num_batches=self.job.evaluation.batches,
            )
        return self._held_out[key]

    def _examples(self, number: int, *, documents: str = "train", short_seq_rate: float = 0.0) -> ExamplesSpec:
        return ExamplesSpec(
            kind=self.job.rows.examples,
            max_seq_length=self.job.phases[number].max_seq_length,
            seed=self.job.seed,
            short_seq_rate=short_seq_rate,
            documents=documents,
            held_out_rate=self.job.rows.held_out_rate,
        )

    def record_arguments(self, number: int) -> dict[str, Any]:
        """What a backend needs to know that may have the rows of a phase ready in files."""
        phase = self.job.phases[number]
        return {
            "number": number,
            "num_phases": len(self.job.phases),
            "steps": phase.steps,
            "batch_size": phase.batch_size,
            "max_seq_length": phase.max_seq_length,
            "max_predictions": phase.max_predictions,
            "next_sentence": self.job.rows.examples in PAIRS,
            "identity": self.identity,
        }


def bind(strategy: MaskingStrategy, tokenizer: WordPieceTokenizer, *, name: str) -> MaskingStrategy:
    """The strategy, ready for rows: bound to the tokenizer if it wants to be, and checked if it is of another distribution.

    Args:
        name: as in the recipe.
    """
    if isinstance(strategy, BoundStrategy):
        with calling("masking", name):
            strategy.bind(tokenizer)
    return checked_strategy(strategy, name)


def _strategy_key(spec: PluginSpec) -> str:
    """Equal for strategies that mask alike: the name and all settings, defaults filled in."""
    parameters = registry.parameters("masking", spec.name)
    settings = {key: spec.settings.get(key, parameter.default) for key, parameter in parameters.items()}
    name = registry.canonical_name("masking", spec.name)
    return f"{name} {sorted((key, value) for key, value in settings.items() if value is not Parameter.empty)!r}"
