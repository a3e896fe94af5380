"""The fine-tuning run of one seed. Knows no framework.

As in pre-training everything random is a function of the seed and the step, so a run that was killed and resumed is byte-identical to an
uninterrupted one. Unlike run_classifier.py of google-research/bert, the incomplete last batch of an epoch is kept.
"""

import hashlib
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version

import numpy as np

from wholeword.core.bert.shapes import initial_head
from wholeword.core.console import Observer, doing
from wholeword.core.contracts import Array, FineTuner
from wholeword.core.files import to_json
from wholeword.core.formats.checkpoints import latest_checkpoint, prune, read_checkpoint, save_checkpoint
from wholeword.core.training.hosts import Hosts
from wholeword.core.training.journal import Journal
from wholeword.core.training.loop import Event, Loop, Progress, Stage, zero_sums
from wholeword.core.training.schedules import step_seed
from wholeword.core.training.trainers import start_fine_tuner
from wholeword.finetuning.buckets import epoch_batches
from wholeword.finetuning.decode import Predictions, decode
from wholeword.finetuning.job import FinetuneJob
from wholeword.finetuning.prepare import Prepared
from wholeword.finetuning.results import (
    Metrics,
    class_lines,
    hint,
    other_metrics,
    seed_folder,
    seed_result,
    write_model,
    write_predictions,
    write_result,
)

CHECKPOINTS, EPOCH_SPLIT = "progress", "dev"
STEP_METRICS = ("loss", "correct", "count", "grad_norm")


@dataclass
class FinetuneProgress(Progress):
    """The progress of a fine-tuning run; `epochs` holds the metrics on dev after each completed epoch."""

    sums: dict[str, float] = field(default_factory=lambda: zero_sums(STEP_METRICS))
    epochs: list[Metrics] = field(default_factory=list)


class SeedRun:
    """The run of one seed: resumes from the last checkpoint, trains, and leaves its results."""

    def __init__(self, job: FinetuneJob, prepared: Prepared, seed: int, observer: Observer):
        self.job, self.prepared, self.seed, self.observer = job, prepared, seed, observer
        self.training, self.task = job.training, job.task
        self.folder = seed_folder(job.output, seed)
        self.checkpoints = self.folder / CHECKPOINTS
        self.steps_per_epoch, self.steps = prepared.steps_per_epoch, prepared.steps
        self.stop = threading.Event()
        self.order = lru_cache(maxsize=2)(self._order)

    def run(self) -> None:
        """Train, predict, score. Raises: DivergedError; KeyboardInterrupt after SIGINT or SIGTERM, a checkpoint saved."""
        self.folder.mkdir(exist_ok=True)
        self.tuner = self._start()
        self.progress = self._resumed()
        identity = hashlib.sha256(to_json(self.prepared.identity)).hexdigest()
        header = {"wholeword": version("wholeword"), "recipe": identity, "seed": self.seed}
        self.journal = Journal(self.folder, header, size=self.progress.log_bytes)
        loop = Loop(self.tuner, self.progress, self.journal, stop=self.stop, hosts=Hosts())
        loop.run(self._stage(), self._batches(self.progress.step))
        self._finish()
        self.journal.close()

    # --- before the first step

    def _start(self) -> FineTuner:
        job, model, head = self.job, self.prepared.model, self.task.head
        num_outputs = 2 if head == "span" else len(self.prepared.labels)
        return start_fine_tuner(
            job.backend,
            job.backend_name,
            job.optimizer,
            config=model.config,
            weights=model.weights | initial_head(head, num_outputs, model.config.hidden_size, self.seed),
            head=head,
            num_labels=num_outputs,
            clip_norm=job.clip_norm,
        )

    def _resumed(self) -> FinetuneProgress:
        """Load the last checkpoint into the tuner. Returns: its progress, or that of a new run if there is none."""
        path = latest_checkpoint(self.checkpoints)
        if path is None:
            return FinetuneProgress()
        weights, optimizer_state, state = read_checkpoint(path)
        self.tuner.load(weights, optimizer_state)
        progress = FinetuneProgress(**state["place"])
        self.observer.say(f"seed {self.seed}: resuming from step {progress.step:,}")
        return progress

    # --- training

    def _stage(self) -> Stage:
        return Stage(
            name=f"seed {self.seed}",
            steps=self.steps,
            learning_rate=self.prepared.learning_rate,
            seed=lambda step: step_seed("finetune", self.seed, step),
            events=[Event(self.job.log_every, self._log), Event(self.steps_per_epoch, self._end_epoch)],
            save=self._save,
            save_intervals=[self.job.checkpoint_every, self.steps_per_epoch],
            advice="lower learning_rate or warm up longer",
            sign=self._sign,
        )

    def _batches(self, first_step: int) -> Iterator[Mapping[str, Array]]:
        for step in range(first_step, self.steps):
            epoch, number = divmod(step, self.steps_per_epoch)
            yield self.prepared.train.batch(self.prepared.trained_rows[self.order(epoch)[number]])

    def _order(self, epoch: int) -> list[np.ndarray]:
        lengths = self.prepared.train.lengths[self.prepared.trained_rows]
        return epoch_batches(lengths, batch_size=self.training.batch_size, seed=self.seed, epoch=epoch)

    def _log(self) -> None:
        """Write the means since the last line."""
        step, sums = self.progress.step, self.progress.take_sums()
        line = {"step": step, "epoch": round(step / self.steps_per_epoch, 3), "loss": sums["loss"] / sums["steps"]}
        line |= {"correct": sums["correct"] / max(sums["count"], 1), "grad_norm": sums["grad_norm"] / sums["steps"]}
        line["lr"] = self.prepared.learning_rate(step - 1)
        self.journal.write(line, total_steps=step, prefix="train")
        speed = self.journal.clock({"step": step})
        self._sign(step, f", loss {line['loss']:.3f}, correct {line['correct']:.3f}, {speed:,.0f} tokens/s")

    def _sign(self, step: int, metrics: str = "") -> None:
        """Show where the run is."""
        self.observer.progress(f"seed {self.seed}", step, self.steps, f"step {step:,}/{self.steps:,}{metrics}")

    def _end_epoch(self) -> None:
        """Score dev after every epoch but the last, which `_finish` scores."""
        if self.progress.step < self.steps and EPOCH_SPLIT in self.prepared.splits:
            self._note_epoch(self._evaluate(EPOCH_SPLIT)[0])

    def _note_epoch(self, metrics: Metrics) -> None:
        step = self.progress.step
        self.progress.epochs.append(metrics)
        self.journal.write({"step": step, "split": EPOCH_SPLIT} | metrics, total_steps=step, prefix=EPOCH_SPLIT)
        text = ", ".join(f"{metric} {metrics[metric]:.2f}" for metric in self.task.metrics if metric in metrics)
        self.observer.say(f"seed {self.seed}, step {step:,}: {EPOCH_SPLIT} {text}")

    def _save(self) -> None:
        self.progress.log_bytes = self.journal.sync()
        path = self.checkpoints / f"step-{self.progress.step:08d}"
        if not path.exists():
            save_checkpoint(path, self.tuner.weights(), self.tuner.optimizer_state(), {"place": self.progress.to_json()})
            prune(self.checkpoints, 1)

    # --- evaluation

    def _evaluate(self, split: str) -> tuple[Metrics, Predictions]:
        """Metrics, {} if no example has a label, and predictions."""
        examples, rows = self.prepared.data[split]
        labels, limits = self.prepared.labels, self.job.limits
        with doing(f"seed {self.seed}: predicting {split}, {len(examples):,} examples"):
            logits = self.tuner.logits(rows)
        predictions = decode(
            examples,
            rows,
            logits,
            head=self.task.head,
            labels=labels,
            n_best=limits.n_best,
            max_answer_length=limits.max_answer_length,
        )
        return self.task.score(examples, predictions.answers), predictions

    def _finish(self) -> None:
        """Predict and score every split, and write the results; result.json last."""
        metrics, classes, predictions = {}, {}, {}
        for split in self.prepared.splits:
            scores, predictions[split] = self._evaluate(split)
            if scores:
                metrics[split] = scores
                classes[split] = self.task.score_classes(self.prepared.data[split].examples, predictions[split].answers)
            if scores and split == EPOCH_SPLIT:
                self._note_epoch(scores)
            self._say_classes(split, scores, classes.get(split, {}), predictions[split])
        write_predictions(self.folder, predictions)
        result = seed_result(self.job, self.prepared, self.seed, splits=metrics, classes=classes, epochs=self.progress.epochs)
        if self.job.keep_model:
            write_model(self.job, self.prepared, self.tuner.weights(), result, self.folder / "model")
        write_result(self.folder, result)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _say_classes(self, split: str, scores: Metrics, classes: Mapping[str, Metrics], predictions: Predictions) -> None:
        if others := other_metrics(scores, self.task.metrics):
            self.observer.say(f"seed {self.seed}: {split} {others}")
        for line in class_lines(classes):
            self.observer.say(f"seed {self.seed}: {split} {line}")
        if advice := hint(predictions, self.task.head, classes):
            self.observer.say(f"hint: seed {self.seed}: {split}: {advice}")
