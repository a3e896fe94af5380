"""The metrics that tables are made of: results of `bench run`, or a published table as a CSV.

`results.json` holds every run (see `run.py`). A CSV holds metrics alone, one on each line: `model,task,metric,split,best,average`,
in percent; `average` is empty where it is not known. A column `learning_rate` is optional.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from wholeword.core.bert.shapes import count_parameters
from wholeword.core.config.locations import zoo_config
from wholeword.core.errors import UserError, WholewordError
from wholeword.core.text_files import csv_rows, decode, lines
from wholeword.finetuning.statistics import Statistics, exact, summarise

RESULTS = "results.json"
COLUMNS = ("model", "task", "metric", "split", "best", "average")
NUM_LABELS = 3  # the published counts are those of a classifier for XNLI's three labels


class TaskColumn(NamedTuple):
    """A task in the tables."""

    name: str
    metrics: tuple[str, ...]
    splits: tuple[str, ...]

    @property
    def is_classification(self) -> bool:
        """Whether the task counts towards AVG-C."""
        return self.metrics == ("accuracy",)


class Failure(NamedTuple):
    """A run that failed; the reason fits one line."""

    model: str
    task: str
    reason: str


class ResultKey(NamedTuple):
    """What a result belongs to."""

    model: str
    task: str
    split: str
    metric: str


@dataclass
class Results:
    """Everything that tables show.

    Args:
        parameters: the number of parameters of each model, counted as in published tables: encoder, pooler and a classifier with three
            labels; None where it is not known.
        failed: the number of failed runs with the chosen learning rate, by (model, task).
        learning_rates: the chosen one, by (model, task).
    """

    parameters: dict[str, int | None] = field(default_factory=dict)
    tasks: list[TaskColumn] = field(default_factory=list)
    statistics: dict[ResultKey, Statistics] = field(default_factory=dict)
    failed: dict[tuple[str, str], int] = field(default_factory=dict)
    learning_rates: dict[tuple[str, str], float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        """Names, in the order of the tables."""
        return list(self.parameters)

    def task(self, name: str) -> TaskColumn:
        """The task called `name`, which must exist."""
        return next(task for task in self.tasks if task.name == name)

    def model(self, name: str) -> str:
        """The model's name, regardless of case. Raises: UserError with the names if there is no such model."""
        match = next((model for model in self.models if model.lower() == name.lower()), None)
        if match is None:
            raise UserError(f"{name}: no model of that name in the results; expected one of {', '.join(self.models)}")
        return match

    def best(self, model: str, split: str) -> dict[str, list[Fraction] | None]:
        """task -> a model's best values, one for each metric; None where one is missing."""
        rows = {
            task.name: [self.statistics.get(ResultKey(model, task.name, split, metric)) for metric in task.metrics] for task in self.tasks
        }
        return {name: None if None in row else [stats.best for stats in row if stats] for name, row in rows.items()}


def read_results(location: str | Path) -> tuple[Results, dict[str, Any]]:
    """Read the results in a folder of `bench run`, a results.json or a CSV; also return the content of results.json, {} for a CSV.

    Raises: UserError if the file is missing or something else.
    """
    path = Path(location)
    path = path / RESULTS if path.is_dir() else path
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a folder that `wholeword bench run` filled, its {RESULTS}, or a .csv") from None
    if path.suffix == ".csv":
        return from_csv(content, str(path)), {}
    try:
        parsed = json.loads(content)
        return from_runs(parsed), parsed
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not what `wholeword bench run` writes; run it again, or give another file") from None


def from_runs(content: Mapping[str, Any]) -> Results:
    """The content of results.json -> statistics of the runs with the chosen learning rates."""
    results = Results({model["name"]: model["parameters"] for model in content["models"]})
    results.tasks = [TaskColumn(task["name"], tuple(task["metrics"]), tuple(task["splits"])) for task in content["tasks"]]
    for name, rates in content["learning_rates"].items():
        results.learning_rates |= {(name, task): rate for task, rate in rates.items()}
    scores: dict[ResultKey, list[float]] = {}
    for run in content["runs"]:
        model, task = run["model"], run["task"]
        if "failed" in run:
            run_name = f"learning rate {rate_text(run['learning_rate'])}, seed {run['seed']}"
            results.failures.append(Failure(model, task, f"{run_name}: {run['failed']}"))
        if run["learning_rate"] != results.learning_rates.get((model, task)):
            continue
        if "failed" in run:
            results.failed[model, task] = results.failed.get((model, task), 0) + 1
        for split, metrics in run.get("scores", {}).items():
            for metric in results.task(task).metrics:
                scores.setdefault(ResultKey(model, task, split, metric), []).append(metrics[metric])
    for key, values in scores.items():
        results.statistics[key] = summarise(values, failed=results.failed.get((key.model, key.task), 0))
    return results


def from_csv(content: bytes, source: str) -> Results:
    """Read a CSV. Raises: UserError naming the wrong line."""
    results = Results()
    splits: dict[str, list[str]] = {}
    metrics: dict[str, list[str]] = {}
    for line, row in _rows(content, source):
        try:
            key = ResultKey(row["model"], row["task"], row["split"], row["metric"])
            stats = Statistics(exact(row["best"]), exact(row["average"]) if row["average"] else None)
            if row.get("learning_rate"):
                results.learning_rates[key.model, key.task] = float(row["learning_rate"])
        except ValueError:
            raise UserError(f"{source}:{line}: {row}; expected numbers in percent, such as 95.4 and 95.0") from None
        if key in results.statistics:
            raise UserError(f"{source}:{line}: {', '.join(key)} appears twice; keep one")
        results.statistics[key] = stats
        for by_task, value in ((splits, key.split), (metrics, key.metric)):
            if value not in by_task.setdefault(key.task, []):
                by_task[key.task].append(value)
        if key.model not in results.parameters:
            results.parameters[key.model] = published_parameters(key.model)
    results.tasks = [TaskColumn(name, tuple(metrics[name]), tuple(splits[name])) for name in metrics]
    return results


def _rows(content: bytes, source: str) -> Iterator[tuple[int, dict[str, str]]]:
    expected = f"{','.join(COLUMNS)} in the first line"
    text = decode(content, source, expected=expected)
    uncommented = "\n".join("" if line.startswith("#") or not line.strip() else line for line in lines(text))
    rows = ((number, cells) for number, cells in csv_rows(text._replace(content=uncommented)) if cells)
    _, names = next(rows, (0, []))
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UserError(f"{source}: no column {missing[0]!r}; expected {expected}")
    for number, cells in rows:
        if len(cells) != len(names):
            raise UserError(f"{source}:{number}: {len(cells)} columns; expected {len(names)}, as in the first line")
        yield number, dict(zip(names, cells, strict=True))


def published_parameters(name: str) -> int | None:
    """The number of parameters according to the zoo's card, if the model has one."""
    try:
        return count_parameters(zoo_config(name), num_labels=NUM_LABELS)
    except WholewordError:
        return None


def rate_text(rate: float) -> str:
    """`3e-5`, as people write learning rates."""
    mantissa, exponent = f"{rate:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
