"""What `wholeword check` prints about a table, and what would stop `wholeword bench run` from filling it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wholeword.core.config.yaml import Document, Mark
from wholeword.core.contracts import Example
from wholeword.core.training.problems import Problems, expect_folders
from wholeword.finetuning.bench.job import Cell, TableJob, resolve_table
from wholeword.finetuning.bench.recipe import TableRecipe
from wholeword.finetuning.bench.run import expect_same_settings, planned
from wholeword.finetuning.check import examine_text, read_data
from wholeword.finetuning.job import FinetuneJob, resolve
from wholeword.finetuning.preflight import examine
from wholeword.finetuning.recipe import finetune_recipe_from
from wholeword.finetuning.understanding import understanding_of


@dataclass(frozen=True)
class TableCheck:
    """What a table needs; see `planned` for its runs."""

    name: str
    runs: list[str]
    num_examples: dict[str, dict[str, int]]  # by task and split
    warnings: list[str]
    missing: list[str]  # what a shipped table waits for
    problems: list[str]

    def plain(self) -> dict[str, Any]:
        """What `wholeword check --json` prints."""
        return dict(vars(self))

    def lines(self) -> list[str]:
        """The same for people; warnings and problems are printed elsewhere."""
        counts = {task: ", ".join(f"{split} {count:,}" for split, count in splits.items()) for task, splits in self.num_examples.items()}
        waits = [f"not here yet: {line}" for line in self.missing]
        return [*(f"{task}: {count} examples" for task, count in counts.items() if count), *self.runs, *waits]


def check(recipe: TableRecipe, *, is_shipped: bool = False) -> TableCheck:
    """Check a table: each model with each task. The tasks' files are read, no weights are.

    Args:
        is_shipped: whether models and data are those of a shipped table, which may be missing.
    """
    problems = Problems()
    problems.warnings += recipe.warnings
    num_examples: dict[str, dict[str, int]] = {}
    runs: list[str] = []
    with problems.collected():
        runs = list(planned(recipe))
        num_examples = _examine(resolve_table(recipe), problems)
    missing, lines = (problems.problems, []) if is_shipped else ([], problems.problems)
    return TableCheck(recipe.name, runs, num_examples, problems.warnings, missing, lines)


def expect_ready(recipe: TableRecipe) -> None:
    """Raises: RecipeError with all that would make every run of a model on a task fail; BrokenPluginsError if that is plugins alone."""
    problems = Problems()
    _examine(resolve_table(recipe), problems)
    problems.expect_none()


def _examine(table: TableJob, problems: Problems) -> dict[str, dict[str, int]]:
    """Returns: the number of examples, by task and split."""
    data: dict[str, dict[str, list[Example]]] = {}
    expect_folders({"output": table.output})
    with problems.collected():
        expect_same_settings(table)
    for task in table.tasks:
        for model in table.models:
            before = len(problems.problems)
            cell = Cell(model, task, task.start_rate, table.seeds[0])
            job = None
            with problems.collected():
                job = cell_job(table, cell, table.output / cell.folder)
            if job is None:
                continue
            config = examine(job, 1, problems)
            if task.name not in data:
                data[task.name] = read_data(job, config, problems)
                with problems.collected():
                    if data[task.name]:
                        understanding_of(job.task, job.task_name, data[task.name])
            elif config is not None:
                examine_text(job, config, data[task.name].get("train", []), problems)
            named = [f"{model.name}, {task.name}: {line}" for line in problems.problems[before:]]
            problems.problems[before:] = named
    return {task: {split: len(examples) for split, examples in splits.items()} for task, splits in data.items()}


def cell_job(table: TableJob, cell: Cell, output: Path) -> FinetuneJob:
    """The fine-tuning job of a run."""
    document = Document(str(cell), table.cell_settings(cell, output), values={(): Mark(0, 0, str(cell))})
    return resolve(finetune_recipe_from(document, table.base_folder))
