"""The end of a run: held-out metrics, filled masks, and the exported model."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from wholeword.core.config.job import Job
from wholeword.core.console import Observer, doing
from wholeword.core.contracts import BertConfig, ModelFiles, Provenance, Trainer
from wholeword.core.data.store import TokenStore
from wholeword.core.files import MANIFEST, atomic_write, to_json
from wholeword.core.training.evaluation import HeldOutMetrics, fill_mask, report, unigram_baseline
from wholeword.core.training.export import export, export_folder
from wholeword.core.training.sources import JobRows


@dataclass(frozen=True)
class Trained:
    """A job whose training is done."""

    job: Job
    store: TokenStore
    rows: JobRows
    trainer: Trainer
    config: BertConfig
    origin: Mapping[str, Any]
    next_sentence: bool  # whether NSP was trained in this run


def finish(trained: Trained, evaluated: Mapping[str, HeldOutMetrics], observer: Observer) -> None:
    """Print what was learnt, and write `result.json` and the exports that are not there yet.

    Args:
        evaluated: held-out metrics by masking strategy; empty if nothing is held out.
    """
    job, store, rows = trained.job, trained.store, trained.rows
    metrics: dict[str, Any] = {}
    if evaluated:
        # any of the maskings: a baseline counts the pieces before masking
        masking = next(iter(job.evaluation.maskings), None)
        with doing("counting held-out pieces"):
            baseline = unigram_baseline(rows.held_out(len(job.phases) - 1, masking), store.vocabulary)
        metrics = {"unigram": vars(baseline)} | {name: values.to_dict() for name, values in evaluated.items()}
        for line in report(baseline, evaluated):
            observer.say(line)
    for line in fill_mask(trained.trainer, rows.tokenizer, job.evaluation.fill_mask) if job.evaluation.fill_mask else ():
        observer.say(line)
    atomic_write(job.output / "result.json", to_json(metrics))
    model = ModelFiles(
        config=trained.config,
        weights=trained.trainer.weights(),
        vocabulary=store.vocabulary,
        lowercase=store.lowercase,
        next_sentence=has_next_sentence(job, trained.origin, trained.next_sentence),
        provenance=provenance(job, store, trained.origin, metrics),
    )
    for exporter in job.export:
        target = job.output / "export" / export_folder(exporter.name)
        if not (target / MANIFEST).exists():
            with doing(f"exporting to {target}"):
                export(model, exporter.name, target, settings=exporter.settings)
        observer.say(f"{exporter.name}: {target}")


def has_next_sentence(job: Job, origin: Mapping[str, Any], trained: bool) -> bool:
    """Whether the NSP head is trained: in this run, or earlier if the encoder under it was frozen since."""
    return trained or (job.model.freeze is not None and bool(origin.get("next_sentence")))


def provenance(job: Job, store: TokenStore, origin: Mapping[str, Any], metrics: Mapping[str, Any] | None = None) -> Provenance:
    """How a model came about, for its card: recipe, versions, token store, and held-out metrics."""
    return Provenance(
        name=job.name,
        wholeword=version("wholeword"),
        python=sys.version.split()[0],
        recipe=dict(job.recipe),
        store={key: store.manifest[key] for key in ("fingerprint", "counts", "segmenter") if key in store.manifest},
        origin=dict(origin),
        held_out=dict(metrics or {}),
    )
