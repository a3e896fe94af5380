"""A table from beginning to end: models x tasks x learning rates x seeds, one fine-tuning run each. The folder of a table holds

    table.json                                          the settings of the runs
    cells/<model>/<task>/<rate>/seed-<n>/               a run, as `wholeword finetune` writes it
    cells/<model>/<task>/<rate>/seed-<n>.failed.json    why a run failed
    results.json                                        every run in the table's order, written again after each

Runs are recognised by their folders, so a table resumes where it stopped, and may grow: more seeds, models, tasks. There is no clock in
results.json: that of a table that was killed and resumed is the same.
"""

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wholeword.core.bert.shapes import count_parameters
from wholeword.core.config.locations import read_config, read_model
from wholeword.core.config.yaml import Document, Mark
from wholeword.core.console import Observer
from wholeword.core.errors import DiskError, NetworkError, OtherOriginError, UserError, WholewordError
from wholeword.core.files import atomic_write, differences, locked_folder, to_json
from wholeword.core.training.problems import expect_folders
from wholeword.finetuning.bench.job import Cell, TableJob, TableModel, TableTask, resolve_table
from wholeword.finetuning.bench.results import NUM_LABELS, RESULTS, rate_text
from wholeword.finetuning.bench.search import Score, best_of, climb, score
from wholeword.finetuning.bench.splits import ordered_splits
from wholeword.finetuning.finetune import finetune
from wholeword.finetuning.recipe import finetune_recipe_from
from wholeword.finetuning.results import results

if TYPE_CHECKING:
    from wholeword.finetuning.bench.recipe import TableRecipe

CHOOSING_SPLIT = "dev"
TABLE = "table.json"

Scores = Mapping[str, Mapping[str, float]]  # split -> metric -> percent
RunCell = Callable[[TableJob, Cell, Path, Observer], Scores]


class _ProgressOnly:
    """Passes the progress and the warnings of one of many runs on to the table's observer, but not its messages."""

    def __init__(self, observer: Observer, cell: Cell):
        self.observer, self.cell = observer, cell

    def say(self, line: str) -> None:
        pass

    def warn(self, line: str) -> None:
        self.observer.warn(f"{self.cell}: {line}")

    def progress(self, title: str, done: float, total: float, detail: str = "") -> None:
        self.observer.progress("fine-tuning", done, total, f"{self.cell}: {detail}")


def finetune_cell(job: TableJob, cell: Cell, output: Path, observer: Observer) -> Scores:
    """Fine-tune, unless that is done already. Returns: the metrics of every split."""
    document = Document(str(cell), job.cell_settings(cell, output), values={(): Mark(0, 0, str(cell))})
    folder = finetune(finetune_recipe_from(document, job.base_folder), observer=_ProgressOnly(observer, cell))
    scores: Scores = results(folder, [cell.seed])[cell.seed]["splits"]
    return scores


def run_table(recipe: "TableRecipe", *, retry: bool = False, observer: Observer, run: RunCell = finetune_cell) -> Path:
    """Fill a table, or resume where it was left.

    Args:
        retry: try failed runs once more.
        run: what carries out one cell.
    Returns: the folder of the results.
    Raises: UserError if the folder holds runs of other settings, models or data, or a task's files are not there; DiskError and
        NetworkError, which would stop any other run too; KeyboardInterrupt. Any other error makes its run a failed one.
    """
    job = resolve_table(recipe)
    expect_folders({"output": job.output})
    job.output.mkdir(parents=True, exist_ok=True)
    try:
        with locked_folder(job.output):
            _Filling(job, retry, observer, run).fill()
    except BlockingIOError:
        raise UserError(f"{job.output}: another process is filling this table; wait for it or set another output") from None
    return job.output


def planned(recipe: "TableRecipe") -> Iterator[str]:
    """The runs of a table, one line for each model and task."""
    job = resolve_table(recipe)
    seeds = f"{len(job.seeds)} seed{'s' * (len(job.seeds) > 1)}"
    for model in job.models:
        for task in job.tasks:
            start = rate_text(task.start_rate)
            rates = f"searched for from {start}" if task.rates is None else ", ".join(map(rate_text, task.rates))
            rates = f"of {model.rates_of}" if model.rates_of else rates
            yield f"{model.name}, {task.name}: learning rate {rates}; {seeds} each"


@dataclass(frozen=True)
class CellResult:
    """What became of a run: `scores`, or the reason why it failed."""

    cell: Cell
    scores: Scores | None = None
    failed: str | None = None

    def to_json(self) -> dict[str, Any]:
        """An entry of `runs` in results.json."""
        cell = self.cell
        entry: dict[str, Any] = {"model": cell.model.name, "task": cell.task.name}
        entry |= {"learning_rate": cell.learning_rate, "seed": cell.seed, "folder": (cell.folder / f"seed-{cell.seed}").as_posix()}
        if self.scores is None:
            return entry | {"failed": self.failed}
        return entry | {"scores": {split: dict(metrics) for split, metrics in self.scores.items()}}

    def __str__(self) -> str:
        if self.scores is None:
            return f"{self.cell}: failed: {self.failed}"
        parts = []
        for split in ordered_splits(self.scores):
            values = " / ".join(f"{self.scores[split][metric]:.1f}" for metric in self.cell.task.task.metrics)
            parts.append(f"{split} {values}")
        return f"{self.cell}: {', '.join(parts)}"


def expect_same_settings(job: TableJob) -> dict[str, dict[str, Any]]:
    """Compare a table with that of its output folder; new models and tasks make no difference. Returns: what is recorded there.

    Raises: UserError if the folder's runs were made with other settings.
    """
    path = job.output / TABLE
    recorded: dict[str, dict[str, Any]] = json.loads(path.read_bytes()) if path.exists() else {"models": {}, "tasks": {}}
    for key, entries in _settings(job).items():
        shared = sorted(entries.keys() & recorded[key].keys())
        if changed := differences({name: recorded[key][name] for name in shared}, {name: entries[name] for name in shared}):
            raise UserError(f"{job.output}: holds runs of other settings ({key}.{'; '.join(changed[:4])}); set another output")
    return recorded


def _settings(job: TableJob) -> dict[str, dict[str, Any]]:
    """What decides the runs of a table, by model and by task."""
    return {
        "models": {model.name: model.location for model in job.models},
        "tasks": {task.name: dict(task.settings) for task in job.tasks},
    }


class _Filling:
    """A table on its way to be filled."""

    def __init__(self, job: TableJob, retry: bool, observer: Observer, run: RunCell):
        self.job, self.retry, self.observer, self.run_cell = job, retry, observer, run
        for task in job.tasks:
            task.task.read(CHOOSING_SPLIT)  # before anything runs: UserError if its files are not there
        self.parameters = {model.name: self._count_parameters(model) for model in job.models}
        self.chosen_rates: dict[str, dict[str, float]] = {model.name: {} for model in job.models}
        self.results: dict[tuple[str, str], dict[tuple[float, int], CellResult]] = {
            (model.name, task.name): {} for model in job.models for task in job.tasks
        }

    def fill(self) -> None:
        """Carry out every run, and choose the learning rates."""
        recorded = expect_same_settings(self.job)
        current = _settings(self.job)
        atomic_write(self.job.output / TABLE, to_json({key: recorded[key] | entries for key, entries in current.items()}))
        for model in self.job.models:
            for task in self.job.tasks:
                self.chosen_rates[model.name][task.name] = self._choose_rate(model, task)
                self._write()
        for name, rates in self.chosen_rates.items():
            text = ", ".join(f"{task} {rate_text(rate)}" for task, rate in rates.items())
            self.observer.say(f"{name}: learning rates {text}")

    def _count_parameters(self, model: TableModel) -> int:
        """As published: encoder, pooler and a classifier with three labels."""
        config = read_config(model.location, self.job.base_folder) or read_model(model.location, self.job.base_folder).config
        return count_parameters(config, num_labels=NUM_LABELS)

    def _choose_rate(self, model: TableModel, task: TableTask) -> float:
        """Carry out the runs of a model and a task. Returns: the chosen learning rate."""

        def score_of(rate: float) -> Score:
            return score(self._choosing_value(Cell(model, task, rate, seed)) for seed in self.job.seeds)

        if model.rates_of is not None:
            return best_of([self.chosen_rates[model.rates_of][task.name]], score_of)
        if task.rates is None:
            return climb(task.start_rate, score_of)
        return best_of(task.rates, score_of)

    def _choosing_value(self, cell: Cell) -> float | None:
        """The value on dev that decides; None if the run failed."""
        result = self._carry_out(cell)
        self.results[cell.model.name, cell.task.name][cell.learning_rate, cell.seed] = result
        self.observer.say(str(result))
        self._write()
        return None if result.scores is None else float(result.scores[CHOOSING_SPLIT][cell.task.task.metrics[0]])

    def _carry_out(self, cell: Cell) -> CellResult:
        output = self.job.output / cell.folder
        note = output / f"seed-{cell.seed}.failed.json"
        if note.exists() and not self.retry:
            return CellResult(cell, failed=json.loads(note.read_bytes())["reason"])
        try:
            scores = self.run_cell(self.job, cell, output, self.observer)
        except (DiskError, NetworkError, OtherOriginError):
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, WholewordError) else f"{type(error).__name__}: {error}"
            reason = next(iter(reason.strip().splitlines()), type(error).__name__)
            output.mkdir(parents=True, exist_ok=True)
            atomic_write(note, to_json({"reason": reason, "traceback": traceback.format_exc().splitlines()}))
            return CellResult(cell, failed=reason)
        note.unlink(missing_ok=True)
        return CellResult(cell, scores=scores)

    def _write(self) -> None:
        """`results.json`: the results so far."""
        job = self.job
        content = {
            "version": 1,
            "name": job.name,
            "base_folder": str(job.base_folder.absolute()),
            "seeds": list(job.seeds),
            "models": [{"name": model.name, "model": model.location, "parameters": self.parameters[model.name]} for model in job.models],
            "tasks": [self._task_entry(task) for task in job.tasks],
            "learning_rates": self.chosen_rates,
            "runs": [results[key].to_json() for results in self.results.values() for key in sorted(results)],
        }
        atomic_write(job.output / RESULTS, to_json(content))

    def _task_entry(self, task: TableTask) -> dict[str, Any]:
        of_task = [result for (_, name), results in self.results.items() if name == task.name for result in results.values()]
        scored = {split for result in of_task for split in result.scores or {}}
        metrics = list(task.task.metrics)
        return {"name": task.name, "task": task.section, "metrics": metrics, "splits": ordered_splits(sorted(scored))}
