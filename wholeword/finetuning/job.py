"""A fine-tuning recipe, resolved: everything a run needs as plain values and objects. Nothing below this module sees the recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wholeword.core.config.settings import found_settings
from wholeword.core.contracts import FineTuningBackend
from wholeword.core.errors import UserError
from wholeword.core.registry.registry import registry
from wholeword.core.training.trainers import RecipeOptimizer
from wholeword.finetuning.checked import CheckedTask, create_task

if TYPE_CHECKING:
    from wholeword.finetuning.recipe import FinetuneRecipe

# keys of a recipe in which runs in one folder may differ: they change which runs there are, where and how fast, but no result
FREE_KEYS = {"name", "seeds", "backend", "checkpoint_every", "log_every", "keep_model", "output"}


class Training(NamedTuple):
    """How to train, every value settled; the values here are those of run_classifier.py of google-research/bert."""

    learning_rate: float = 5e-5
    batch_size: int = 32
    epochs: int = 3
    max_seq_length: int = 128
    warmup_rate: float = 0.1
    doc_stride: int | None = None


@dataclass(frozen=True)
class Limits:
    """What bounds questions and answers.

    Args:
        max_query_length, max_answer_length: the largest number of pieces of a question and of an answer.
        n_best: the number of answers kept for each example.
    """

    max_query_length: int
    max_answer_length: int
    n_best: int


@dataclass(frozen=True)
class FinetuneJob:
    """Fine-tuning runs of one model on one task, one for each seed.

    Args:
        model: where it is read from: a path from `base_folder`, or zoo:NAME.
        task_name, backend_name: as in the recipe, for messages.
        task_paths: the files and folders that the task reads.
        splits: those to predict and score; None for all but train.
        recipe: the recipe as JSON has it, for the results and the model's provenance.
    """

    name: str
    model: str
    base_folder: Path
    task_name: str
    task: CheckedTask
    task_paths: tuple[Path, ...]
    training: Training
    limits: Limits
    splits: tuple[str, ...] | None
    optimizer: RecipeOptimizer
    schedule_name: str
    schedule_settings: Mapping[str, Any]
    clip_norm: float
    backend_name: str
    backend: FineTuningBackend
    seeds: tuple[int, ...]
    log_every: int
    checkpoint_every: int
    keep_model: bool
    output: Path
    recipe: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the results, apart from the contents of files: runs in one folder must agree on it."""
        return {key: value for key, value in self.recipe.items() if key not in FREE_KEYS} | self.training._asdict()


def resolve(recipe: "FinetuneRecipe") -> FinetuneJob:
    """Make everything that a recipe names.

    Raises: UserError if the backend cannot fine-tune; PluginError if a plugin is missing or breaks its contract.
    """
    task_settings = found_settings("task", recipe.task, recipe.base_folder)
    task = create_task(recipe.task.name, task_settings)
    backend = registry.create("backend", recipe.backend.name, **recipe.backend.settings)
    if not isinstance(backend, FineTuningBackend):
        raise UserError(f"backend.name: {recipe.backend.name} cannot fine-tune; expected one that can, such as pytorch")
    return FinetuneJob(
        name=recipe.name,
        model=recipe.model,
        base_folder=recipe.base_folder,
        task_name=recipe.task.name,
        task=task,
        task_paths=tuple(value for value in task_settings.values() if isinstance(value, Path)),
        training=settled_training(recipe, task.defaults),
        limits=Limits(recipe.max_query_length, recipe.max_answer_length, recipe.n_best),
        splits=None if recipe.splits is None else tuple(recipe.splits),
        optimizer=RecipeOptimizer(recipe.optimizer.name, recipe.optimizer.settings),
        schedule_name=recipe.schedule.name,
        schedule_settings=recipe.schedule.settings,
        clip_norm=recipe.clip_norm,
        backend_name=recipe.backend.name,
        backend=backend,
        seeds=tuple(recipe.seeds),
        log_every=recipe.log_every,
        checkpoint_every=recipe.checkpoint_every,
        keep_model=recipe.keep_model,
        output=Path(recipe.output),
        recipe=recipe.model_dump(mode="json"),
    )


def settled_training(recipe: "FinetuneRecipe", defaults: Mapping[str, Any]) -> Training:
    """The recipe's values, else the task's, else Google's."""
    own = {key: value for key in Training._fields if (value := getattr(recipe, key)) is not None}
    return Training(**{key: value for key, value in defaults.items() if key in Training._fields} | own)
