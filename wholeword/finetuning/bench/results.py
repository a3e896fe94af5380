"""What `bench run` found, or a published table typed off: the figures that tables are made of.

`results.json` holds every run (see `run.py`). A CSV holds figures alone, one a line: `model,task,metric,split,best,average` in percent,
`average` empty where it is not known, and perhaps `learning_rate`.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from wholeword.core.bert.shapes import count_parameters
from wholeword.core.config.locations import zoo_config
from wholeword.core.errors import UserError, WholewordError
from wholeword.finetuning.statistics import Figure, exact, figure

RESULTS = "results.json"
COLUMNS = ("model", "task", "metric", "split", "best", "average")
NUM_LABELS = 3  # the published counts are those of a classifier for XNLI's three labels


class TaskColumn(NamedTuple):
    name: str
    metrics: tuple[str, ...]
    splits: tuple[str, ...]

    @property
    def is_classification(self) -> bool:
        return self.metrics == ("accuracy",)


class Failure(NamedTuple):
    model: str
    task: str
    reason: str


class Place(NamedTuple):
    model: str
    task: str
    split: str
    metric: str


@dataclass
class Results:
    """Args:
    parameters: of each model, as published: encoder, pooler and a classifier of three labels; None where it is not known.
    learning_rates: the chosen one by (model, task).
    """

    parameters: dict[str, int | None] = field(default_factory=dict)
    tasks: list[TaskColumn] = field(default_factory=list)
    figures: dict[Place, Figure] = field(default_factory=dict)
    failed: dict[tuple[str, str], int] = field(default_factory=dict)
    learning_rates: dict[tuple[str, str], float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        return list(self.parameters)

    def task(self, name: str) -> TaskColumn:
        return next(task for task in self.tasks if task.name == name)

    def model(self, name: str) -> str:
        """The model's name, whatever its case. Raises: UserError with the list."""
        found = next((model for model in self.models if model.lower() == name.lower()), None)
        if found is None:
            raise UserError(f"{name}: no model of that name in the results; expected one of {', '.join(self.models)}")
        return found

    def best(self, model: str, split: str) -> dict[str, list[Fraction] | None]:
        """task -> the best figures of a model, one a metric; None where one is missing."""
        rows = {task.name: [self.figures.get(Place(model, task.name, split, metric)) for metric in task.metrics] for task in self.tasks}
        return {name: None if None in row else [found.best for found in row if found] for name, row in rows.items()}


def read_results(location: str | Path) -> tuple[Results, dict[str, Any]]:
    """The figures in a folder of `bench run`, a results.json or a CSV; and the content of results.json, {} for a CSV.

    Raises: UserError if there is none, or it is something else.
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
        found = json.loads(content)
        return from_runs(found), found
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not what `wholeword bench run` writes; run it again, or give another file") from None


def from_runs(content: Mapping[str, Any]) -> Results:
    """`results.json` -> figures of the chosen learning rates."""
    results = Results({model["name"]: model["parameters"] for model in content["models"]})
    results.tasks = [TaskColumn(task["name"], tuple(task["metrics"]), tuple(task["splits"])) for task in content["tasks"]]
    for name, rates in content["learning_rates"].items():
        results.learning_rates |= {(name, task): rate for task, rate in rates.items()}
    scores: dict[Place, list[float]] = {}
    for run in content["runs"]:
        model, task = run["model"], run["task"]
        if "failed" in run:
            where = f"learning rate {rate_text(run['learning_rate'])}, seed {run['seed']}"
            results.failures.append(Failure(model, task, f"{where}: {run['failed']}"))
        if run["learning_rate"] != results.learning_rates.get((model, task)):
            continue
        if "failed" in run:
            results.failed[model, task] = results.failed.get((model, task), 0) + 1
        for split, metrics in run.get("scores", {}).items():
            for metric in results.task(task).metrics:
                scores.setdefault(Place(model, task, split, metric), []).append(metrics[metric])
    for place, values in scores.items():
        results.figures[place] = figure(values, failed=results.failed.get((place.model, place.task), 0))
    return results


def from_csv(content: bytes, source: str) -> Results:
    """Raises: UserError with the line that is wrong."""
    results = Results()
    splits: dict[str, list[str]] = {}
    metrics: dict[str, list[str]] = {}
    for line, row in _rows(content, source):
        try:
            place = Place(row["model"], row["task"], row["split"], row["metric"])
            found = Figure(exact(row["best"]), exact(row["average"]) if row["average"] else None)
            if row.get("learning_rate"):
                results.learning_rates[place.model, place.task] = float(row["learning_rate"])
        except ValueError:
            raise UserError(f"{source}:{line}: {row}; expected numbers in percent, such as 95.4 and 95.0") from None
        if place in results.figures:
            raise UserError(f"{source}:{line}: {', '.join(place)} stands twice; keep one")
        results.figures[place] = found
        for of_task, value in ((splits, place.split), (metrics, place.metric)):
            if value not in of_task.setdefault(place.task, []):
                of_task[place.task].append(value)
        if place.model not in results.parameters:
            results.parameters[place.model] = published_parameters(place.model)
    results.tasks = [TaskColumn(name, tuple(metrics[name]), tuple(splits[name])) for name in metrics]
    return results


def _rows(content: bytes, source: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{source}: not UTF-8 at byte {error.start}") from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(io.StringIO("\n".join(line for _, line in lines)))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise UserError(f"{source}: no column {missing[0]!r}; expected {','.join(COLUMNS)} in the first line")
    for (number, _), row in zip(lines[1:], reader, strict=True):
        if None in row or None in row.values():
            raise UserError(f"{source}:{number}: another number of columns than the first line has")
        yield number, row


def published_parameters(name: str) -> int | None:
    """By the zoo's card, if the model has one."""
    try:
        return count_parameters(zoo_config(name), num_labels=NUM_LABELS)
    except WholewordError:
        return None


def rate_text(rate: float) -> str:
    """`3e-5`, as people write it."""
    mantissa, exponent = f"{rate:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def in_order(places: Iterable[str], known: Iterable[str]) -> list[str]:
    """The known ones first, in their order."""
    given = list(places)
    return [place for place in known if place in given] + [place for place in given if place not in known]
