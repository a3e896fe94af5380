"""A table from beginning to end: models x tasks x learning rates x seeds, one fine-tuning run each.

    <output>/table.json                                     what the runs below are of
    <output>/cells/<model>/<task>/<rate>/seed-<n>/          a run, as `wholeword finetune` writes it
    <output>/cells/<model>/<task>/<rate>/seed-<n>.failed.json
    <output>/results.json                                   every run in the table's order, written anew after each

Runs are found again by their folders, so a table goes on where it stopped, and may grow: more seeds, models, tasks. There is no clock in
results.json: killed and carried on, it is what it would have been.
"""

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wholeword.core.bert.shapes import count_parameters
from wholeword.core.config.locations import read_config, read_model
from wholeword.core.config.settings import found_settings
from wholeword.core.config.yaml import Document, Mark
from wholeword.core.console import Observer
from wholeword.core.contracts import Task
from wholeword.core.errors import DiskError, NetworkError, OtherOriginError, UserError, WholewordError
from wholeword.core.files import atomic_write, differences, locked_folder, to_json
from wholeword.core.registry.registry import registry
from wholeword.finetuning.bench.recipe import BenchModel, BenchTask, TableRecipe, finetuning_settings, folder_name, rates_to_try
from wholeword.finetuning.bench.results import NUM_LABELS, RESULTS, rate_text
from wholeword.finetuning.bench.search import Score, best_of, climb, score
from wholeword.finetuning.bench.splits import ordered_splits

CHOOSING_SPLIT = "dev"


class Cell(NamedTuple):
    """One fine-tuning run."""

    model: BenchModel
    task: BenchTask
    learning_rate: float
    seed: int

    @property
    def folder(self) -> Path:
        """Of the runs of all seeds, from the table's output."""
        return Path("cells", folder_name(self.model.name), folder_name(self.task.name), rate_text(self.learning_rate))

    def __str__(self) -> str:
        return f"{self.model.name}, {self.task.name}, {rate_text(self.learning_rate)}, seed {self.seed}"


class _OneStage:
    """What a table's observer hears of one of many runs: how far it is, and not what it says."""

    def __init__(self, observer: Observer, cell: Cell):
        self.observer, self.cell = observer, cell

    def say(self, line: str) -> None:
        pass

    def progress(self, title: str, done: float, total: float, figures: str = "") -> None:
        self.observer.progress("fine-tuning", done, total, f"{self.cell}: {figures}")


RunCell = Callable[[TableRecipe, Cell, Path, Observer], Mapping[str, Mapping[str, float]]]  # -> split -> metric -> percent


def finetune_cell(table: TableRecipe, cell: Cell, output: Path, observer: Observer) -> Mapping[str, Mapping[str, float]]:
    """Fine-tune, or find that it was done. Returns: the figures of every split."""
    from wholeword.finetuning.finetune import finetune
    from wholeword.finetuning.recipe import finetune_recipe_from

    settings = finetuning_settings(table, cell.task) | {
        "version": 1,
        "name": table.name,
        "model": cell.model.model,
        "seeds": [cell.seed],
        "learning_rate": cell.learning_rate,
        "backend": table.backend.model_dump(mode="json"),
        "output": str(output),
        "keep_model": False,
    }
    document = Document(str(cell), settings, values={(): Mark(0, 0, str(cell))})
    folder = finetune(finetune_recipe_from(document, table.base_folder), observer=_OneStage(observer, cell))
    return json.loads((folder / f"seed-{cell.seed}" / "result.json").read_bytes())["splits"]


def run_table(table: TableRecipe, *, retry: bool = False, observer: Observer, run: RunCell = finetune_cell) -> Path:
    """Fill a table, or go on with it where it was left.

    Args:
        retry: try runs that failed once more.
        run: what carries one cell out.
    Returns: the folder of the results.
    Raises: UserError if the folder holds runs of other settings, models or data, or a task's files are not there; DiskError and
        NetworkError, which no other run would escape; KeyboardInterrupt. Whatever else a run raises is its result: it failed.
    """
    folder = Path(table.output)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked_folder(folder):
            filling = _Filling(table, folder, retry, observer, run)
            filling.go()
    except BlockingIOError:
        raise UserError(f"{folder}: another process is filling this table; wait for it or set another output") from None
    return folder


def planned(table: TableRecipe) -> Iterator[str]:
    """The runs of a table, a line a model and task."""
    seeds = f"{len(table.seeds)} seed{'s' * (len(table.seeds) > 1)}"
    for model in table.models:
        for task in table.tasks:
            rates = [] if model.learning_rates_of else rates_to_try(table, task)
            made = registry.create("task", task.task.name, **found_settings("task", task.task, table.base_folder))
            start = rate_text(task.learning_rate or float(made.defaults["learning_rate"]))
            said = f"searched for from {start}" if rates is None else ", ".join(map(rate_text, rates)) or start
            said = f"of {model.learning_rates_of}" if model.learning_rates_of else said
            yield f"{model.name}, {task.name}: learning rate {said}; {seeds} each"


class _Filling:
    def __init__(self, table: TableRecipe, folder: Path, retry: bool, observer: Observer, run: RunCell):
        self.table, self.folder, self.retry, self.observer, self.run_cell = table, folder, retry, observer, run
        self.tasks: dict[str, Task] = {task.name: self.make_task(task) for task in table.tasks}
        self.parameters = {model.name: self.count(model) for model in table.models}
        self.chosen: dict[str, dict[str, float]] = {model.name: {} for model in table.models}
        self.runs: dict[tuple[str, str], dict[tuple[float, int], dict[str, Any]]] = {
            (model.name, task.name): {} for model in table.models for task in table.tasks
        }
        self.num_done = 0

    def make_task(self, task: BenchTask) -> Task:
        """Raises: UserError if its files are not there."""
        made: Task = registry.create("task", task.task.name, **found_settings("task", task.task, self.table.base_folder))
        made.read(CHOOSING_SPLIT)
        return made

    def count(self, model: BenchModel) -> int:
        """Parameters as published: of encoder, pooler and a classifier of three labels."""
        location, base_folder = model.model, self.table.base_folder
        config = read_config(location, base_folder) or read_model(location, base_folder).config
        return count_parameters(config, num_labels=NUM_LABELS)

    def go(self) -> None:
        self.expect_same_settings()
        for model in self.table.models:
            for task in self.table.tasks:
                self.chosen[model.name][task.name] = self.fill(model, task)
                self.write()
        for name, rates in self.chosen.items():
            found = ", ".join(f"{task} {rate_text(rate)}" for task, rate in rates.items())
            self.observer.say(f"{name}: learning rates {found}")

    def expect_same_settings(self) -> None:
        """Raises: UserError if the runs in the folder were made with other settings; what is new in the table is no difference."""
        path = self.folder / "table.json"
        ours: dict[str, dict[str, Any]] = {
            "models": {model.name: model.model for model in self.table.models},
            "tasks": {task.name: finetuning_settings(self.table, task) for task in self.table.tasks},
        }
        theirs = json.loads(path.read_bytes()) if path.exists() else {"models": {}, "tasks": {}}
        for key, entries in ours.items():
            shared = entries.keys() & theirs[key].keys()
            before, now = ({name: of[name] for name in sorted(shared)} for of in (theirs[key], entries))
            if changed := differences(before, now):
                raise UserError(f"{self.folder}: holds runs of other settings ({key}.{'; '.join(changed[:4])}); set another output")
        atomic_write(path, to_json({key: theirs[key] | entries for key, entries in ours.items()}))

    def fill(self, model: BenchModel, task: BenchTask) -> float:
        """Carry out the runs of a model and a task. Returns: the learning rate chosen."""

        def score_of(rate: float) -> Score:
            return score(self.choosing_value(Cell(model, task, rate, seed)) for seed in self.table.seeds)

        rates = rates_to_try(self.table, task)
        start = task.learning_rate or float(self.tasks[task.name].defaults["learning_rate"])
        if model.learning_rates_of is not None:
            start, rates = self.chosen[model.learning_rates_of][task.name], []
        if rates is None:
            return climb(start, score_of)
        return best_of(rates or [start], score_of)

    def choosing_value(self, cell: Cell) -> float | None:
        """The figure on dev that decides; None if the run failed."""
        found = self.carry_out(cell)
        self.runs[cell.model.name, cell.task.name][cell.learning_rate, cell.seed] = found
        self.num_done += 1
        self.observer.say(f"{cell}: {self.summary(cell, found)}")
        self.write()
        if "failed" in found:
            return None
        return float(found["scores"][CHOOSING_SPLIT][self.tasks[cell.task.name].metrics[0]])

    def carry_out(self, cell: Cell) -> dict[str, Any]:
        """`scores` or `failed`, and what the run was."""
        what = {"model": cell.model.name, "task": cell.task.name, "learning_rate": cell.learning_rate, "seed": cell.seed}
        output = self.folder / cell.folder
        what["folder"] = (cell.folder / f"seed-{cell.seed}").as_posix()
        note = output / f"seed-{cell.seed}.failed.json"
        if note.exists() and not self.retry:
            return what | {"failed": json.loads(note.read_bytes())["reason"]}
        try:
            scores = self.run_cell(self.table, cell, output, self.observer)
        except (DiskError, NetworkError, OtherOriginError):
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, WholewordError) else f"{type(error).__name__}: {error}"
            reason = next(iter(reason.strip().splitlines()), type(error).__name__)
            output.mkdir(parents=True, exist_ok=True)
            atomic_write(note, to_json({"reason": reason, "traceback": traceback.format_exc().splitlines()}))
            return what | {"failed": reason}
        note.unlink(missing_ok=True)
        return what | {"scores": {split: dict(metrics) for split, metrics in scores.items()}}

    def summary(self, cell: Cell, found: Mapping[str, Any]) -> str:
        if "failed" in found:
            return f"failed: {found['failed']}"
        metrics, scores = self.tasks[cell.task.name].metrics, found["scores"]
        figures = {split: " / ".join(f"{scores[split][metric]:.1f}" for metric in metrics) for split in ordered_splits(scores)}
        return ", ".join(f"{split} {written}" for split, written in figures.items())

    def write(self) -> None:
        """`results.json`: what is there so far."""
        tasks = []
        for task in self.table.tasks:
            made = self.tasks[task.name]
            runs_of_task = [run for (_, name), runs in self.runs.items() if name == task.name for run in runs.values()]
            scored = {split for run in runs_of_task for split in run.get("scores", {})}
            tasks.append(
                {
                    "name": task.name,
                    "task": task.task.model_dump(mode="json"),
                    "metrics": list(made.metrics),
                    "splits": ordered_splits(sorted(scored)),
                }
            )
        content = {
            "version": 1,
            "name": self.table.name,
            "base_folder": str(self.table.base_folder.absolute()),
            "seeds": self.table.seeds,
            "models": [
                {"name": model.name, "model": model.model, "parameters": self.parameters[model.name]} for model in self.table.models
            ],
            "tasks": tasks,
            "learning_rates": self.chosen,
            "runs": [runs[key] for runs in self.runs.values() for key in sorted(runs)],
        }
        atomic_write(self.folder / RESULTS, to_json(content))
