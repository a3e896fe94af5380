"""A fine-tuning recipe from beginning to end: read the task, train once for each seed, predict, score. Knows no framework.

    <output>/recipe.json            what the runs below are of; another recipe is refused
    <output>/seed-<n>/log.jsonl     what was learnt, reproducible byte by byte; the clock is in timings.jsonl
    <output>/seed-<n>/progress/     checkpoints, while the seed is unfinished
    <output>/seed-<n>/{predictions,nbest}.json   split -> id of an example -> answer, and the likeliest answers with probabilities
    <output>/seed-<n>/model/        what transformers loads; the zoo reads its encoder
    <output>/seed-<n>/result.json   written last: figures of every split, and how they came about; no clock

As in pre-training everything random is a function of the seed and the step, so a run killed at any moment ends with the same bytes. The
warm-up and decay are those of run_classifier.py of google-research/bert, whose last batch of an epoch is left out there and not here.
"""

import hashlib
import json
import math
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wholeword.core.bert.shapes import initial_head
from wholeword.core.config.locations import read_model
from wholeword.core.config.settings import found_settings
from wholeword.core.console import Observer
from wholeword.core.contracts import FineTuner, FineTuningBackend, ModelFiles, Task
from wholeword.core.contracts.tasks import NO_TARGET, Rows
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import DivergedError, OtherOriginError, UserError
from wholeword.core.files import MANIFEST, atomic_write, differences, locked_folder, to_json
from wholeword.core.formats.checkpoints import latest_checkpoint, prune, read_checkpoint, save_checkpoint
from wholeword.core.formats.tensors import checksum
from wholeword.core.registry.registry import registry
from wholeword.core.training.export import export
from wholeword.core.training.interrupts import interruptible
from wholeword.core.training.journal import Journal
from wholeword.core.training.schedules import make_schedule, step_seed
from wholeword.finetuning.buckets import epoch_batches
from wholeword.finetuning.decode import Predictions, decode
from wholeword.finetuning.rows import make_rows
from wholeword.finetuning.statistics import decimal_text, summarise

if TYPE_CHECKING:
    from wholeword.core.contracts import Head
    from wholeword.core.contracts.tasks import Example
    from wholeword.finetuning.recipe import FinetuneRecipe

# keys of a recipe that may differ between runs in one folder: which, where and how fast, not what
FREE_KEYS = {"name", "seeds", "backend", "checkpoint_every", "log_every", "keep_model", "output"}
EXPORTER = "pytorch-bin"
RESULT, PROGRESS, EPOCH_SPLIT = "result.json", "progress", "dev"
SUMS = ("loss", "correct", "count", "grad_norm", "steps")


class Split(NamedTuple):
    examples: "list[Example]"
    rows: Rows


@dataclass
class Place:
    """Where a run is: `step` steps are done; `sums` are the figures since the last line of the log, `epochs` those of dev so far."""

    step: int = 0
    log_bytes: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMS, 0.0))
    epochs: list[dict[str, float]] = field(default_factory=list)


def finetune(recipe: "FinetuneRecipe", *, observer: Observer) -> Path:
    """Carry a recipe out, or go on with it where it was left; a seed that is finished stays as it is.

    Returns: the folder of the seeds.
    Raises: OtherOriginError if the folder holds runs of another recipe; UserError if model and task do not fit; DivergedError at a loss
        that is no number; KeyboardInterrupt after SIGINT or SIGTERM, a checkpoint saved.
    """
    folder = Path(recipe.output)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked_folder(folder):
            _Finetuning(recipe, folder, observer).go()
    except BlockingIOError:
        raise UserError(f"{folder}: another process is fine-tuning there; wait for it or set another output") from None
    return folder


def results(folder: Path, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What is in the result.json of each of the seeds."""
    return {seed: json.loads((seed_folder(folder, seed) / RESULT).read_bytes()) for seed in seeds}


def summary(found: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    """`dev accuracy 94.9 (94.5)`: the largest and the mean over the seeds, a line a split."""
    splits: dict[str, dict[str, list[float]]] = {}
    for result in found.values():
        for split, figures in result["splits"].items():
            for metric in result["metrics"]:
                splits.setdefault(split, {}).setdefault(metric, []).append(figures[metric])
    for split, metrics in splits.items():
        cells = []
        for metric, values in metrics.items():
            stats = summarise(values)
            assert stats.mean is not None
            cells.append(f"{metric} {decimal_text(stats.best)}" + (f" ({decimal_text(stats.mean)})" if len(values) > 1 else ""))
        yield f"{split} {', '.join(cells)}" + (f": largest (mean) of {len(found)} seeds" if len(found) > 1 else "")


def seed_folder(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}"


class _Finetuning:
    """The runs of one recipe in one folder."""

    def __init__(self, recipe: "FinetuneRecipe", folder: Path, observer: Observer):
        self.recipe, self.folder, self.observer = recipe, folder, observer
        given = found_settings("task", recipe.task, recipe.base_folder)
        self.task: Task = registry.create("task", recipe.task.name, **given)
        self.places = [recipe.base_folder / recipe.model, *(value for value in given.values() if isinstance(value, Path))]
        self.training = recipe.training(self.task.defaults)
        settings = {key: value for key, value in recipe.model_dump(mode="json").items() if key not in FREE_KEYS}
        self.identity: dict[str, Any] = {"settings": settings | self.training._asdict()}

    def go(self) -> None:
        self._expect_same("settings")
        todo = [seed for seed in self.recipe.seeds if not (seed_folder(self.folder, seed) / RESULT).exists()]
        for seed in self.recipe.seeds:
            if seed not in todo:
                self.observer.say(f"{seed_folder(self.folder, seed)}: finished before")
                shutil.rmtree(seed_folder(self.folder, seed) / PROGRESS, ignore_errors=True)  # killed just after its result was written
        if todo or self._files_changed():
            self._prepare()
        for seed in todo:
            _Run(self, seed).go()
            for line in summary(results(self.folder, [seed])):
                self.observer.say(f"seed {seed}: {line}")

    def _prepare(self) -> None:
        """Read model and data, and compare them with those of earlier seeds."""
        recipe, training, task = self.recipe, self.training, self.task
        files = self._files()
        self.backend = registry.create("backend", recipe.backend.name, **recipe.backend.settings)
        if not isinstance(self.backend, FineTuningBackend):
            raise UserError(f"backend.name: {recipe.backend.name} cannot fine-tune; expected one that can, such as pytorch")
        self.model = read_model(recipe.model, recipe.base_folder)
        positions = self.model.config["max_position_embeddings"]
        if training.max_seq_length > positions:
            raise UserError(f"max_seq_length: {training.max_seq_length}; {recipe.model} has positions for {positions}: set that or less")
        if task.head == "classification" and "pooler" in self.model.provenance.get("missing", ()):
            self.observer.say(f"{recipe.model}: no pooler in it; this one starts with random values")
        self.tokenizer = WordPieceTokenizer(self.model.vocabulary, self.model.lowercase)
        self.splits = [split for split in task.splits if split != "train"] if recipe.splits is None else recipe.splits
        self.data = {split: self._read(split) for split in dict.fromkeys(("train", *self.splits))}
        self.numbers = learnable(self.data["train"].rows, task.head)
        if not len(self.numbers):
            raise UserError(f"{recipe.task.name}: no example in train has a label; nothing is to be learnt from it")
        encoder = {name: array for name, array in self.model.weights.items() if name.startswith("bert/")}
        self.identity["model"] = {
            "weights": checksum(encoder),
            "vocabulary": self.model.vocabulary.sha256,
            "lowercase": self.model.lowercase,
        }
        self.identity["data"] = {split: _fingerprint(data.examples) for split, data in self.data.items()}
        self.identity["labels"] = list(task.labels)
        for key in ("model", "data", "labels"):
            self._expect_same(key)
        atomic_write(self.folder / "recipe.json", to_json(self.identity | {"files": files}))
        for note in task.notes:
            self.observer.say(note)
        counts = ", ".join(f"{split} {len(data.examples):,}" for split, data in self.data.items())
        self.observer.say(f"{recipe.task.name}: {counts} examples; {len(self.numbers):,} rows to learn from")

    def _read(self, split: str) -> Split:
        examples = self.task.read(split)
        rows = make_rows(
            examples,
            self.tokenizer,
            head=self.task.head,
            labels=self.task.labels,
            max_seq_length=self.training.max_seq_length,
            doc_stride=self.training.doc_stride,
            max_query_length=self.recipe.max_query_length,
        )
        return Split(examples, rows)

    def _held(self) -> dict[str, Any]:
        """What the folder's runs are of; empty if there are none."""
        path = self.folder / "recipe.json"
        return json.loads(path.read_bytes()) if path.exists() else {}

    def _files(self) -> dict[str, list[int]]:
        """Size and time of each file of model and task on this machine."""
        found = [file for place in self.places for file in (place.iterdir() if place.is_dir() else [place]) if file.is_file()]
        return {str(file.absolute()): [file.stat().st_size, file.stat().st_mtime_ns] for file in found}

    def _files_changed(self) -> bool:
        """Whether a file that is there is another one than when model and task were last read; then they are read again."""
        held = self._held().get("files", {})
        return any(held.get(name) != stamp for name, stamp in self._files().items())

    def _expect_same(self, key: str) -> None:
        """Raises: OtherOriginError if the folder holds runs of something else."""
        held = self._held()
        if not held:
            return
        changed = differences(held[key], self.identity[key], key) if "settings" in held else ["it is no fine-tuning"]
        if changed:
            raise OtherOriginError(
                f"{self.folder}: holds runs of another recipe ({'; '.join(changed[:4])}); set another output, or remove it"
            )


class _Run:
    """One seed."""

    def __init__(self, whole: _Finetuning, seed: int):
        self.whole, self.seed, self.folder = whole, seed, seed_folder(whole.folder, seed)
        self.training, self.observer = whole.training, whole.observer
        self.rows, self.numbers = whole.data["train"].rows, whole.numbers
        self.steps_per_epoch = -(-len(self.numbers) // self.training.batch_size)
        self.total = self.steps_per_epoch * self.training.epochs
        schedule, warmup_steps = whole.recipe.schedule, int(self.total * self.training.warmup_rate)
        self.learning_rate = make_schedule(
            schedule.name, schedule.settings, steps=self.total, peak_lr=self.training.learning_rate, warmup_steps=warmup_steps
        )
        self.stop = threading.Event()
        self.order = lru_cache(maxsize=2)(self._order)

    def go(self) -> None:
        recipe, task, model = self.whole.recipe, self.whole.task, self.whole.model
        self.folder.mkdir(exist_ok=True)
        num_outputs = 2 if task.head == "span" else len(task.labels)
        with registry.explaining("backend", recipe.backend.name):
            tuner: FineTuner = self.whole.backend.start_finetuning(
                config=model.config,
                weights=model.weights | initial_head(task.head, num_outputs, model.config["hidden_size"], self.seed),
                head=task.head,
                optimizer=registry.create("optimizer", recipe.optimizer.name, **recipe.optimizer.settings),
                clip_norm=recipe.clip_norm,
            )
        place = Place()
        if path := latest_checkpoint(self.folder / PROGRESS):
            weights, optimizer_state, state = read_checkpoint(path)
            tuner.load(weights, optimizer_state)
            place = Place(**state["place"])
            self.observer.say(f"seed {self.seed}: going on from step {place.step:,}")
        header = {"wholeword": version("wholeword"), "recipe": hashlib.sha256(to_json(self.whole.identity)).hexdigest(), "seed": self.seed}
        self.journal = Journal(self.folder, header, size=place.log_bytes, tensorboard=False)
        with interruptible(self.stop):
            self._train(tuner, place)
        self._finish(tuner, place)
        self.journal.close()

    def _train(self, tuner: FineTuner, place: Place) -> None:
        recipe = self.whole.recipe
        intervals = (recipe.log_every, recipe.checkpoint_every, self.steps_per_epoch)
        while place.step < self.total:
            begin = place.step
            end = min([self.total, *((begin // interval + 1) * interval for interval in intervals)])
            self._burst(tuner, place, range(begin, end))
            if place.step > begin and (place.step % recipe.log_every == 0 or place.step == self.total):
                self._log(place)
            ended_epoch = place.step > begin and place.step % self.steps_per_epoch == 0
            if ended_epoch and place.step < self.total and EPOCH_SPLIT in self.whole.splits:
                self._note_figures(place, self._scored(tuner, EPOCH_SPLIT)[0])
            if ended_epoch or place.step % recipe.checkpoint_every == 0 or self.stop.is_set():
                self._save(tuner, place)
            if self.stop.is_set():
                raise KeyboardInterrupt(f"saved after step {place.step:,} of seed {self.seed}; the same command goes on from there")

    def _burst(self, tuner: FineTuner, place: Place, steps: range) -> None:
        """Some steps at once; fewer if the run is to stop."""
        rates = [self.learning_rate(step) for step in steps]
        seeds = [step_seed("finetune", self.seed, step) for step in steps]

        def batches() -> Iterator[Mapping[str, np.ndarray]]:
            for step in steps:
                if self.stop.is_set():
                    return
                epoch, number = divmod(step, self.steps_per_epoch)
                batch = self.rows.batch(self.numbers[self.order(epoch)[number]])
                self.journal.tokens += int(batch["input_mask"].sum())
                yield batch

        for figures in tuner.train_steps(batches(), learning_rates=rates, seeds=seeds):
            if not math.isfinite(figures["loss"] + figures["grad_norm"]):
                raise DivergedError(
                    f"seed {self.seed}, step {place.step + 1}: loss {figures['loss']}, gradient norm {figures['grad_norm']}; "
                    f"lower learning_rate or warm up longer"
                )
            for name in SUMS[:-1]:
                place.sums[name] += figures[name]
            place.sums["steps"] += 1
            place.step += 1

    def _order(self, epoch: int) -> list[np.ndarray]:
        lengths = self.rows.lengths[self.numbers]
        return epoch_batches(lengths, batch_size=self.training.batch_size, seed=self.seed, epoch=epoch)

    def _log(self, place: Place) -> None:
        """The means since the last line; the sums start anew."""
        sums = place.sums
        line = {"step": place.step, "epoch": round(place.step / self.steps_per_epoch, 3), "loss": sums["loss"] / sums["steps"]}
        line |= {"correct": sums["correct"] / max(sums["count"], 1), "grad_norm": sums["grad_norm"] / sums["steps"]}
        line["lr"] = self.learning_rate(place.step - 1)
        place.sums = dict.fromkeys(SUMS, 0.0)
        self.journal.write(line, total_steps=place.step, prefix="train")
        speed = self.journal.clock({"step": place.step})
        figures = f"step {place.step:,}/{self.total:,}, loss {line['loss']:.3f}, correct {line['correct']:.3f}, {speed:,.0f} tokens/s"
        self.observer.progress(f"seed {self.seed}", place.step, self.total, figures)

    def _note_figures(self, place: Place, figures: dict[str, float]) -> None:
        place.epochs.append(figures)
        self.journal.write({"step": place.step, "split": EPOCH_SPLIT} | figures, total_steps=place.step, prefix=EPOCH_SPLIT)
        said = ", ".join(f"{metric} {figures[metric]:.2f}" for metric in self.whole.task.metrics if metric in figures)
        self.observer.say(f"seed {self.seed}, step {place.step:,}: {EPOCH_SPLIT} {said}")

    def _save(self, tuner: FineTuner, place: Place) -> None:
        place.log_bytes = self.journal.sync()
        path = self.folder / PROGRESS / f"step-{place.step:08d}"
        if not path.exists():
            save_checkpoint(path, tuner.weights(), tuner.optimizer_state(), {"place": vars(place)})
            prune(self.folder / PROGRESS, 1)

    def _scored(self, tuner: FineTuner, split: str) -> tuple[dict[str, float], Predictions]:
        """Figures, {} if no example has a label, and predictions."""
        recipe, task, (examples, rows) = self.whole.recipe, self.whole.task, self.whole.data[split]
        limits = {"n_best": recipe.n_best, "max_answer_length": recipe.max_answer_length}
        predictions = decode(examples, rows, tuner.logits(rows), head=task.head, labels=task.labels, **limits)
        return task.score(examples, predictions.answers), predictions

    def _finish(self, tuner: FineTuner, place: Place) -> None:
        """Predict and score every split, and write all that stays; the result last."""
        whole, task = self.whole, self.whole.task
        figures, predictions = {}, {}
        for split in whole.splits:
            scores, predictions[split] = self._scored(tuner, split)
            if scores:
                figures[split] = scores
            if scores and split == EPOCH_SPLIT:
                self._note_figures(place, scores)
        atomic_write(self.folder / "predictions.json", to_json({split: found.answers for split, found in predictions.items()}))
        atomic_write(self.folder / "nbest.json", to_json({split: found.nbest for split, found in predictions.items()}))
        result = {
            "wholeword": version("wholeword"),
            "model": whole.recipe.model,
            "task": whole.recipe.task.model_dump(mode="json"),
            "seed": self.seed,
            "training": self.training._asdict() | {"steps": self.total, "rows": len(self.numbers)},
            "metrics": list(task.metrics),
            "splits": figures,
            "epochs": place.epochs,
            "rows": {split: data.rows.counts for split, data in whole.data.items()},
            "notes": list(task.notes),
        }
        if whole.recipe.keep_model and not (self.folder / "model" / MANIFEST).exists():
            export(self._model(tuner, result), EXPORTER, self.folder / "model")
        atomic_write(self.folder / RESULT, to_json(result))
        shutil.rmtree(self.folder / PROGRESS, ignore_errors=True)

    def _model(self, tuner: FineTuner, result: Mapping[str, Any]) -> ModelFiles:
        model, task = self.whole.model, self.whole.task
        provenance = {
            "name": self.whole.recipe.name,
            "wholeword": version("wholeword"),
            "python": sys.version.split()[0],
            "recipe": self.whole.recipe.model_dump(mode="json"),
            "origin": {"init": self.whole.recipe.model} | model.provenance,
            "result": dict(result),
        }
        return model._replace(weights=tuner.weights(), next_sentence=False, provenance=provenance, head=task.head, labels=list(task.labels))


def learnable(rows: Rows, head: "Head") -> np.ndarray:
    """The numbers of the rows to train on.

    Left out are rows without a label; and of questions, those whose answer is in none of their windows. Other windows without the answer
    stay, and teach to begin and end at [CLS], as in run_squad.py.
    """
    if head == "classification":
        return np.flatnonzero(rows.targets != NO_TARGET)
    if head == "tagging":
        return np.unique(np.repeat(np.arange(len(rows)), rows.lengths)[rows.targets != NO_TARGET])
    answered = np.unique(rows.examples[rows.targets[:, 0] > 0])
    return np.flatnonzero(np.isin(rows.examples, answered))


def _fingerprint(examples: "Sequence[Example]") -> str:
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps(example, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
