"""Is one model better than another? A paired bootstrap over the examples of a split, from the predictions that the runs saved."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.config.fields import PluginSection
from wholeword.core.config.settings import found_settings
from wholeword.core.contracts import Task
from wholeword.core.errors import UserError
from wholeword.finetuning.bench.results import Results
from wholeword.finetuning.bench.splits import split_title
from wholeword.finetuning.bench.tables import MISSING, Table, metric_titles, summary_split
from wholeword.finetuning.checked import create_task
from wholeword.finetuning.statistics import Comparison, example_scores, paired_bootstrap, resampled_bootstrap


def bootstrap_table(
    results: Results, content: Mapping[str, Any], folder: Path, *, relative_to: str | None, num_samples: int, seed: int
) -> Table:
    """Every other model against one, by default the first: difference of the averages over seeds, 95 % interval, p.

    Args:
        content: the content of results.json.
        folder: the folder that results.json is in; paths of runs are relative to it.
    Raises: UserError if the results come from a CSV, or predictions or a task's files are gone.
    """
    if not content:
        raise UserError("--bootstrap: a CSV of metrics cannot be resampled; expected the folder of `wholeword bench run`, with predictions")
    split = summary_split(results) or "dev"
    base = results.model(relative_to) if relative_to else results.models[0]
    rows = []
    for entry, column in zip(content["tasks"], results.tasks, strict=True):
        task = _task(entry["task"], Path(content["base_folder"]))
        examples = task.read(split)
        predictions = {model: _predictions(results, content, folder, model, column.name, split) for model in results.models}
        for metric, title in zip(column.metrics, metric_titles(column), strict=True):
            for model in results.models:
                if model != base:
                    comparison = compare(task, examples, predictions[model], predictions[base], metric, num_samples=num_samples, seed=seed)
                    rows.append([column.name, title, model, *_cells(comparison)])
    head = ["Task", "Metric", "Model", f"minus {base}", "95 % interval", "p"]
    notes = [
        f"{split_title(split)} set, averages over seeds; {num_samples:,} resamples of the examples, seed {seed}.",
        "p: share of the resamples in which the difference is zero or has the opposite sign.",
    ]
    return Table("Paired bootstrap", head, rows, notes)


def compare(
    task: Task,
    examples: Sequence[Any],
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    metric: str,
    *,
    num_samples: int,
    seed: int,
) -> Comparison | None:
    """Compare two models by their predictions, one mapping for each seed; None if either has none."""
    if not first or not second:
        return None
    first_scores, second_scores = (_mean_scores(task, examples, predictions, metric) for predictions in (first, second))
    if first_scores is None or second_scores is None:
        return resampled_bootstrap(task, examples, first, second, metric, num_samples=num_samples, seed=seed)
    return paired_bootstrap(first_scores, second_scores, num_samples=num_samples, seed=seed)


def _mean_scores(task: Task, examples: Sequence[Any], predictions: Sequence[Mapping[str, Any]], metric: str) -> np.ndarray | None:
    """A model's score on each example, averaged over its seeds; None if the metric is not a mean over examples."""
    by_seed = []
    for seed_predictions in predictions:
        scores = example_scores(task, examples, seed_predictions, metric)
        if scores is None:
            return None
        by_seed.append(scores)
    return np.asarray(np.mean(by_seed, axis=0))


def _cells(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return [MISSING] * 3
    # subtle: if none of 10,000 resamples has the opposite sign, p is below 1/10,000, not 0
    p_value = f"{comparison.p_value:.4f}" if comparison.p_value else f"<{1 / comparison.num_samples:g}"
    return [f"{comparison.difference:+.2f}", f"{comparison.low:+.2f} to {comparison.high:+.2f}", p_value]


def _task(section: Mapping[str, Any], base_folder: Path) -> Task:
    return create_task(section["name"], found_settings("task", PluginSection(**section), base_folder))


def _predictions(results: Results, content: Mapping[str, Any], folder: Path, model: str, task: str, split: str) -> list[dict[str, Any]]:
    """The predictions of a model on a split, one mapping for each seed run with the chosen learning rate."""
    rate = results.learning_rates.get((model, task))
    predictions = []
    for run in content["runs"]:
        if (run["model"], run["task"], run["learning_rate"]) == (model, task, rate) and "scores" in run:
            path = folder / run["folder"] / "predictions.json"
            try:
                predictions.append(json.loads(path.read_bytes())[split])
            except (OSError, ValueError, KeyError, TypeError):
                raise UserError(
                    f"{path}: no predictions for {split}; delete its folder, and `wholeword bench run` makes them again"
                ) from None
    return predictions
