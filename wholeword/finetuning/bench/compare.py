"""Is one model better than another? A paired bootstrap over the examples of a split, from the predictions that the runs left."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.config.recipe import PluginSection
from wholeword.core.config.settings import found_settings
from wholeword.core.contracts import Task
from wholeword.core.errors import UserError
from wholeword.core.registry.registry import registry
from wholeword.finetuning.bench.results import Results
from wholeword.finetuning.bench.tables import MISSING, SPLITS, Table, names, summary_split
from wholeword.finetuning.statistics import Comparison, example_scores, paired_bootstrap, resampled_bootstrap


def bootstrap_table(
    results: Results, content: Mapping[str, Any], folder: Path, *, relative_to: str | None, num_samples: int, seed: int
) -> Table:
    """Every other model against one, by default the first: difference of the averages over seeds, 95 % interval, p.

    Args:
        content: of results.json.
        folder: where it stands; the runs are found from there.
    Raises: UserError if the results are those of a table typed off, or predictions or a task's files are gone.
    """
    if not content:
        raise UserError("--bootstrap: figures alone cannot be resampled; expected the folder of `wholeword bench run`, with predictions")
    split = summary_split(results) or "dev"
    base = results.model(relative_to) if relative_to else results.models[0]
    rows = []
    for entry, column in zip(content["tasks"], results.tasks, strict=True):
        task = _task(entry["task"], Path(content["base_folder"]))
        examples = task.read(split)
        predictions = {model: _predictions(results, content, folder, model, column.name, split) for model in results.models}
        for metric, written in zip(column.metrics, names(column), strict=True):
            for model in results.models:
                if model != base:
                    found = compare(task, examples, predictions[model], predictions[base], metric, num_samples=num_samples, seed=seed)
                    rows.append([column.name, written, model, *_cells(found)])
    head = ["Task", "Metric", "Model", f"minus {base}", "95 % interval", "p"]
    notes = [
        f"{SPLITS.get(split, split)} set, averages over seeds; {num_samples:,} resamples of the examples, seed {seed}.",
        "p: share of the resamples in which the difference is 0 or of the other sign.",
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
    """Two models by their predictions, one mapping a seed; None if one has none."""
    if not first or not second:
        return None
    ours, theirs = (_mean_scores(task, examples, of_model, metric) for of_model in (first, second))
    if ours is None or theirs is None:
        return resampled_bootstrap(task, examples, first, second, metric, num_samples=num_samples, seed=seed)
    return paired_bootstrap(ours, theirs, num_samples=num_samples, seed=seed)


def _mean_scores(task: Task, examples: Sequence[Any], predictions: Sequence[Mapping[str, Any]], metric: str) -> np.ndarray | None:
    """What a model scores on each example, the mean over its seeds; None if the metric is no mean over examples."""
    scores = []
    for of_seed in predictions:
        found = example_scores(task, examples, of_seed, metric)
        if found is None:
            return None
        scores.append(found)
    return np.mean(scores, axis=0)


def _cells(found: Comparison | None) -> list[str]:
    if found is None:
        return [MISSING] * 3
    # subtle: of 10,000 resamples none may be on the other side, which says p < 1/10,000 and not 0
    p_value = f"{found.p_value:.4f}" if found.p_value else f"<{1 / found.num_samples:g}"
    return [f"{found.difference:+.2f}", f"{found.low:+.2f} to {found.high:+.2f}", p_value]


def _task(section: Mapping[str, Any], base_folder: Path) -> Task:
    made: Task = registry.create("task", section["name"], **found_settings("task", PluginSection(**section), base_folder))
    return made


def _predictions(results: Results, content: Mapping[str, Any], folder: Path, model: str, task: str, split: str) -> list[dict[str, Any]]:
    rate = results.learning_rates.get((model, task))
    found = []
    for run in content["runs"]:
        if (run["model"], run["task"], run["learning_rate"]) == (model, task, rate) and "scores" in run:
            path = folder / run["folder"] / "predictions.json"
            try:
                found.append(json.loads(path.read_bytes())[split])
            except (OSError, ValueError, KeyError, TypeError):
                raise UserError(
                    f"{path}: no predictions for {split}; delete its folder, and `wholeword bench run` makes them again"
                ) from None
    return found
