"""The results of fine-tuning runs: what a seed leaves in its folder, and the summary over seeds."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wholeword.core.contracts import Head, ModelFiles, Provenance, Tensors
from wholeword.core.files import MANIFEST, atomic_write, to_json
from wholeword.core.training.export import export
from wholeword.finetuning.decode import Predictions
from wholeword.finetuning.job import FinetuneJob
from wholeword.finetuning.prepare import Prepared
from wholeword.finetuning.statistics import decimal_text, summarise

EXPORTER = "pytorch-bin"
RESULT = "result.json"
MANY_CLASSES = 20  # beyond, only the worst are printed

Metrics = dict[str, float]


def seed_folder(folder: Path, seed: int) -> Path:
    """Where the run of a seed is, in the folder of all seeds."""
    return folder / f"seed-{seed}"


def is_finished(folder: Path, seed: int) -> bool:
    """Whether the run of a seed has its result."""
    return (seed_folder(folder, seed) / RESULT).exists()


def results(folder: Path, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The content of result.json by seed."""
    return {seed: json.loads((seed_folder(folder, seed) / RESULT).read_bytes()) for seed in seeds}


def summary(by_seed: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    """`dev accuracy 94.9 (94.5)`: for each split the largest value and the mean over the seeds."""
    splits: dict[str, dict[str, list[float]]] = {}
    for result in by_seed.values():
        for split, scores in result["splits"].items():
            for metric in result["metrics"]:
                splits.setdefault(split, {}).setdefault(metric, []).append(scores[metric])
    for split, metrics in splits.items():
        cells = []
        for metric, values in metrics.items():
            stats = summarise(values)
            assert stats.mean is not None
            cells.append(f"{metric} {decimal_text(stats.best)}" + (f" ({decimal_text(stats.mean)})" if len(values) > 1 else ""))
        yield f"{split} {', '.join(cells)}" + (f": largest (mean) of {len(by_seed)} seeds" if len(by_seed) > 1 else "")


def write_predictions(folder: Path, predictions: Mapping[str, Predictions]) -> None:
    """Write a seed's answers and the likeliest answers, by split."""
    atomic_write(folder / "predictions.json", to_json({split: part.answers for split, part in predictions.items()}))
    atomic_write(folder / "nbest.json", to_json({split: part.nbest for split, part in predictions.items()}))


def other_metrics(scores: Metrics, metrics: Sequence[str]) -> str:
    """The metrics of a split that the summary does not show; counts are left out."""
    return ", ".join(f"{name} {value:.1f}" for name, value in scores.items() if name not in metrics and name != name.upper())


def class_lines(classes: Mapping[str, Metrics]) -> Iterator[str]:
    """The metrics of each class of a split, those with the lowest F1 if there are many."""
    shown = sorted(classes, key=lambda name: classes[name]["F1"])[:MANY_CLASSES] if len(classes) > MANY_CLASSES else list(classes)
    if len(shown) < len(classes):
        yield f"the {len(shown)} of {len(classes)} classes with the lowest F1 (result.json has all)"
    for name in shown:
        shares = ", ".join(f"{key} {value:.1f}" for key, value in classes[name].items() if not key.isupper() or key == "F1")
        counts = f"{classes[name]['COUNT']:,} expected, {classes[name]['PREDICTED']:,} predicted" if "COUNT" in classes[name] else ""
        yield f"{name!r}: {shares}{'; ' + counts if counts else ''}"


def hint(predictions: Predictions, head: Head, classes: Mapping[str, Metrics]) -> str | None:
    """What to say if all predictions are the same; None if they are not, or if that is right.

    Args:
        classes: the metrics of each class, as far as they are known.
    """
    answers = predictions.answers.values()
    different = {tag for tags in answers for tag in tags} if head == "tagging" else set(answers)
    is_right = head == "classification" and sum(scores.get("COUNT", 1) > 0 for scores in classes.values()) == 1
    if len(different) != 1 or len(answers) < 2 or is_right or (head == "span" and different != {""}):
        return None
    (only,) = different
    what = "tags" if head == "tagging" else "answers" if head == "span" else "predictions"
    return (
        f"all {what} are {only!r}: the model has learnt nothing yet; more epochs, another learning_rate or more balanced classes may help"
    )


def seed_result(
    job: FinetuneJob,
    prepared: Prepared,
    seed: int,
    *,
    splits: Mapping[str, Metrics],
    classes: Mapping[str, Mapping[str, Metrics]],
    epochs: Sequence[Metrics],
) -> dict[str, Any]:
    """The content of result.json.

    Args:
        splits: metrics by split.
        classes: metrics of each class, by split.
        epochs: metrics on dev after each epoch.
    """
    return {
        "wholeword": version("wholeword"),
        "model": job.model,
        "task": job.recipe["task"],
        "seed": seed,
        "training": job.training._asdict() | {"steps": prepared.steps, "rows": len(prepared.trained_rows)},
        "metrics": list(job.task.metrics),
        "splits": dict(splits),
        "classes": {split: dict(scores) for split, scores in classes.items()},
        "epochs": list(epochs),
        "rows": {split: part.rows.counts for split, part in prepared.data.items()},
        "notes": list(job.task.notes),
    }


def write_model(job: FinetuneJob, prepared: Prepared, weights: Tensors, result: Mapping[str, Any], folder: Path) -> None:
    """Write the fine-tuned model to `folder`, unless it is there already."""
    if not (folder / MANIFEST).exists():
        export(_model_files(job, prepared, weights, result), EXPORTER, folder)


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write result.json: from now on the seed counts as finished."""
    atomic_write(folder / RESULT, to_json(result))


def _model_files(job: FinetuneJob, prepared: Prepared, weights: Tensors, result: Mapping[str, Any]) -> ModelFiles:
    provenance = Provenance(
        name=job.name,
        wholeword=version("wholeword"),
        python=sys.version.split()[0],
        recipe=dict(job.recipe),
        origin={"init": job.model} | prepared.model.provenance.to_dict(),
        result=dict(result),
    )
    return prepared.model._replace(
        weights=weights, next_sentence=False, provenance=provenance, head=job.task.head, labels=list(prepared.labels)
    )
