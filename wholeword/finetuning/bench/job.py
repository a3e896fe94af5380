"""A table's recipe, resolved: which fine-tuning runs fill it. Nothing below this module sees the recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wholeword.core.config.settings import found_settings
from wholeword.finetuning.bench.recipe import finetuning_settings, folder_name, rates_to_try
from wholeword.finetuning.bench.results import rate_text
from wholeword.finetuning.checked import CheckedTask, create_task

if TYPE_CHECKING:
    from wholeword.finetuning.bench.recipe import BenchTask, TableRecipe


class TableModel(NamedTuple):
    """A model of the table.

    Args:
        name: what the table calls it.
        location: a path from the table's folder, or zoo:NAME.
        rates_of: the name of a model above whose chosen learning rates are used.
    """

    name: str
    location: str
    rates_of: str | None


@dataclass(frozen=True)
class TableTask:
    """A task of the table.

    Args:
        name: what the table calls it.
        section: the recipe's section of the task, as JSON.
        settings: what decides the task's runs, by the names of a fine-tuning recipe; without learning rate and seed.
        start_rate: the learning rate if no others are given, and where a search starts.
        rates: the learning rates to choose from; None where they are searched for.
    """

    name: str
    task: CheckedTask
    section: Mapping[str, Any]
    settings: Mapping[str, Any]
    start_rate: float
    rates: tuple[float, ...] | None


class Cell(NamedTuple):
    """One fine-tuning run."""

    model: TableModel
    task: TableTask
    learning_rate: float
    seed: int

    @property
    def folder(self) -> Path:
        """The folder of the runs of all seeds, relative to the table's output."""
        return Path("cells", folder_name(self.model.name), folder_name(self.task.name), rate_text(self.learning_rate))

    def __str__(self) -> str:
        return f"{self.model.name}, {self.task.name}, {rate_text(self.learning_rate)}, seed {self.seed}"


@dataclass(frozen=True)
class TableJob:
    """A table to fill: every model on every task, once for each learning rate tried and each seed.

    Args:
        backend: the recipe's section, as JSON.
    """

    name: str
    base_folder: Path
    models: tuple[TableModel, ...]
    tasks: tuple[TableTask, ...]
    seeds: tuple[int, ...]
    backend: Mapping[str, Any]
    output: Path

    def cell_settings(self, cell: Cell, output: Path) -> dict[str, Any]:
        """The fine-tuning recipe of a run."""
        return {
            **cell.task.settings,
            "version": 1,
            "name": self.name,
            "model": cell.model.location,
            "seeds": [cell.seed],
            "learning_rate": cell.learning_rate,
            "backend": dict(self.backend),
            "output": str(output),
            "keep_model": False,
        }


def resolve_table(recipe: "TableRecipe") -> TableJob:
    """Make the tasks that a table names, without reading their files. Raises: PluginError if one breaks its contract."""
    return TableJob(
        name=recipe.name,
        base_folder=recipe.base_folder,
        models=tuple(TableModel(model.name, model.model, model.learning_rates_of) for model in recipe.models),
        tasks=tuple(_table_task(recipe, task) for task in recipe.tasks),
        seeds=tuple(recipe.seeds),
        backend=recipe.backend.model_dump(mode="json"),
        output=Path(recipe.output),
    )


def _table_task(recipe: "TableRecipe", section: "BenchTask") -> TableTask:
    task = create_task(section.task.name, found_settings("task", section.task, recipe.base_folder))
    start_rate = section.learning_rate or float(task.defaults["learning_rate"])
    rates = rates_to_try(recipe, section)
    return TableTask(
        name=section.name,
        task=task,
        section=section.task.model_dump(mode="json"),
        settings=finetuning_settings(recipe, section),
        start_rate=start_rate,
        rates=None if rates is None else tuple(rates or [start_rate]),
    )
