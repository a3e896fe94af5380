"""The results of fine-tuning runs: what a seed leaves in its folder, and the summary over seeds."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wholeword.core.contracts import ModelFiles, Provenance, Tensors
from wholeword.core.files import MANIFEST, atomic_write, to_json
from wholeword.core.training.export import export
from wholeword.finetuning.decode import Predictions
from wholeword.finetuning.job import FinetuneJob
from wholeword.finetuning.prepare import Prepared
from wholeword.finetuning.statistics import decimal_text, summarise

EXPORTER = "pytorch-bin"
RESULT = "result.json"

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


def seed_result(
    job: FinetuneJob, prepared: Prepared, seed: int, *, splits: Mapping[str, Metrics], epochs: Sequence[Metrics]
) -> dict[str, Any]:
    """The content of result.json.

    Args:
        splits: metrics by split.
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
