"""A recipe, resolved once: `resolve` turns it into a `Job`, the plain values that a run is carried out from.

Everything below (preparing, training, exporting) takes a job and never sees the recipe. By then, the files that settings name
have been located, and the identities of rows and run have been computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wholeword.core.config.fields import PluginSection
from wholeword.core.config.preparation import PrepareJob, prepare_job
from wholeword.core.config.recipe import EvaluationSection, MaskingSection, ModelSection, Phase, Recipe
from wholeword.core.config.settings import described, found_settings
from wholeword.core.registry.local_source import source_of
from wholeword.core.registry.registry import registry
from wholeword.core.registry.spec import PluginSpec

# keys of a recipe that may differ between the start of a run and its continuation: they decide where and how fast, not what
FREE_KEYS = (
    *("name", "output", "store", "cache", "checkpoint", "log", "evaluation", "export"),
    *("prepare_workers", "loader_workers", "backend"),
)
STORE_KEYS = ("corpus", "segmenter", "tokenizer", "alignment")  # the fingerprint of the token store stands for them
MODEL_KEYS = ("model", "optimizer", "clip_norm", "phases")  # rows do not depend on them, the lengths of a phase aside


@dataclass(frozen=True)
class RowsSpec:
    """How sentences become masked rows: the sections `examples` and `masking`, and `compat`."""

    examples: str  # the kind
    short_seq_rate: float
    masking: PluginSpec
    dynamic: bool
    dupe_factor: int
    fallback: str
    compat: str | None
    held_out_rate: float
    settings: Mapping[str, Any]  # what decides the rows of a store, as JSON, the lengths of the phases aside


@dataclass(frozen=True)
class ModelSpec:
    """The model to train: random, or another one to start from. The settings of a recipe's `model` section."""

    shape: Mapping[str, Any]  # what the recipe sets, by the keys of bert_config.json, and `size`
    init: str | None  # the folder of a model, or zoo:NAME; None for random weights
    layers: tuple[int, ...] | None  # to take from it; None for all
    renewed: tuple[str, ...]  # parts that start with random values
    new_rows: str  # how the embeddings of added pieces start: "mean" or "random"
    adds_pieces: bool
    freeze: str | None
    base_folder: Path


@dataclass(frozen=True)
class PhaseSpec:
    """One run of the schedule."""

    max_seq_length: int
    max_predictions: int
    batch_size: int
    steps: int
    peak_lr: float
    warmup_steps: int
    schedule: PluginSpec


@dataclass(frozen=True)
class EvaluationSpec:
    """What is evaluated on held-out documents, and when."""

    every: int  # steps; 0: at the end of a phase
    batches: int
    maskings: tuple[str, ...]  # names of masking strategies, as they are by default; empty: the recipe's own
    fill_mask: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A pre-training run, from text to exported model.

    `recipe` is the resolved recipe as JSON: it is written down, and compared with that of an earlier run, but nothing is read from it.
    """

    name: str
    seed: int
    recipe: Mapping[str, Any]
    prepare: PrepareJob
    rows: RowsSpec
    model: ModelSpec
    optimizer: PluginSpec
    backend: PluginSpec
    phases: tuple[PhaseSpec, ...]
    clip_norm: float
    evaluation: EvaluationSpec
    checkpoint_every: int
    checkpoints_kept: int
    log_every: int
    trackers: tuple[PluginSpec, ...]
    loader_workers: int
    export: tuple[PluginSpec, ...]
    output: Path

    @property
    def settings(self) -> dict[str, Any]:
        """What may not differ between the hosts of a run, or when it is resumed; as JSON."""
        return {key: value for key, value in self.recipe.items() if key not in FREE_KEYS}

    @property
    def model_settings(self) -> dict[str, Any]:
        """What decides the training of the model, beside the rows; as JSON."""
        return {key: self.recipe[key] for key in MODEL_KEYS}


def resolve(recipe: Recipe) -> Job:
    """The job of a recipe. Raises: PluginError if one of its plugins cannot be loaded."""
    folder, resolved = recipe.base_folder, recipe.resolved()
    return Job(
        name=recipe.name,
        seed=recipe.seed,
        recipe=resolved,
        prepare=prepare_job(recipe),
        rows=_rows(recipe, resolved),
        model=_model(recipe.model, folder, adds_pieces=recipe.tokenizer.add is not None),
        optimizer=_plugin("optimizer", recipe.optimizer, folder),
        backend=_plugin("backend", recipe.backend, folder),
        phases=tuple(_phase(phase, folder) for phase in recipe.phases),
        clip_norm=recipe.clip_norm,
        evaluation=_evaluation(recipe.evaluation),
        checkpoint_every=recipe.checkpoint.every,
        checkpoints_kept=recipe.checkpoint.keep,
        log_every=recipe.log.every,
        trackers=tuple(_plugin("tracker", tracker, folder) for tracker in recipe.log.all_trackers),
        loader_workers=recipe.loader_workers,
        export=tuple(_plugin("exporter", exporter, folder) for exporter in recipe.export),
        output=Path(recipe.output),
    )


def masking_spec(masking: MaskingSection, base_folder: Path) -> PluginSpec:
    """The masking strategy of a recipe."""
    return _plugin("masking", masking, base_folder)


def _plugin(kind: str, section: PluginSection, base_folder: Path) -> PluginSpec:
    return PluginSpec(section.name, found_settings(kind, section, base_folder))


def _rows(recipe: Recipe, resolved: Mapping[str, Any]) -> RowsSpec:
    masking = masking_spec(recipe.masking, recipe.base_folder)
    settings = {key: value for key, value in resolved.items() if key not in FREE_KEYS + STORE_KEYS + MODEL_KEYS}
    settings["masking"] = settings["masking"] | described(masking.settings)
    if source := source_of(registry.find("masking", masking.name)):
        settings["masking"]["source"] = source
    return RowsSpec(
        examples=recipe.examples.name,
        short_seq_rate=recipe.examples.short_seq_rate,
        masking=masking,
        dynamic=recipe.masking.dynamic,
        dupe_factor=recipe.masking.dupe_factor,
        fallback=recipe.masking.fallback,
        compat=recipe.compat,
        held_out_rate=recipe.evaluation.held_out_rate,
        settings=settings,
    )


def _model(model: ModelSection, base_folder: Path, *, adds_pieces: bool) -> ModelSpec:
    return ModelSpec(
        shape=model.sizes(),
        init=model.init_folder,
        layers=None if model.layers is None else tuple(model.layers),
        renewed=tuple(model.renewed),
        new_rows=model.init.new_rows,
        adds_pieces=adds_pieces,
        freeze=model.freeze,
        base_folder=base_folder,
    )


def _phase(phase: Phase, base_folder: Path) -> PhaseSpec:
    return PhaseSpec(
        max_seq_length=phase.max_seq_length,
        max_predictions=phase.max_predictions,
        batch_size=phase.batch_size,
        steps=phase.steps,
        peak_lr=phase.peak_lr,
        warmup_steps=phase.warmup_steps,
        schedule=_plugin("schedule", phase.schedule, base_folder),
    )


def _evaluation(evaluation: EvaluationSection) -> EvaluationSpec:
    return EvaluationSpec(
        every=evaluation.every,
        batches=evaluation.batches,
        maskings=tuple(evaluation.maskings),
        fill_mask=tuple(evaluation.fill_mask),
    )
