"""A recipe from beginning to end: prepare, train, evaluate, export. Knows no framework.

Everything random is a function of (seed, phase, step), so a run is its recipe, its weights and a place in it. A checkpoint holds just
that; a run killed at any moment goes on from its last checkpoint and ends with the weights and the log of a run that never stopped.
`log.jsonl` holds what was learnt and is reproducible byte by byte; what the clock says is in `timings.jsonl`.
"""

import hashlib
import itertools
import math
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wholeword.core.console import Observer, Silent
from wholeword.core.contracts import Backend, MaskingStrategy, ModelFiles, RowSource, Trainer
from wholeword.core.data.store import TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import DivergedError, IntegrityError, UserError
from wholeword.core.files import MANIFEST, atomic_directory, atomic_write, differences, locked_folder, to_json, write_manifest
from wholeword.core.formats.checkpoints import latest_checkpoint, prune, read_checkpoint, save_checkpoint
from wholeword.core.formats.tensors import checksum
from wholeword.core.registry.registry import registry
from wholeword.core.training.evaluation import evaluate, fill_mask, report, unigram_baseline
from wholeword.core.training.hosts import HostRows, Hosts
from wholeword.core.training.interrupts import interruptible
from wholeword.core.training.journal import Journal, NoJournal
from wholeword.core.training.prepare import prepare
from wholeword.core.training.schedules import bert_linear, step_seed
from wholeword.core.training.sources import (
    FREE_KEYS,
    MODEL_KEYS,
    held_out_batches,
    make_strategy,
    phase_source,
    recipe_strategy,
    record_arguments,
    rows_identity,
)
from wholeword.core.training.start import starting_model

if TYPE_CHECKING:
    import numpy as np

    from wholeword.core.config import Recipe
    from wholeword.core.contracts import Tensors

STEPS_WITHOUT_WORD = 100  # how many steps several hosts go before they ask each other whether to stop
SUMS = ("loss", "mlm_loss", "mlm_correct", "mlm_count", "nsp_loss", "nsp_correct", "nsp_count", "grad_norm", "steps")


@dataclass
class Place:
    """Where a run is: `step` steps of phase number `phase` are done; `sums` are the figures since the last line of the log."""

    phase: int = 0
    step: int = 0
    log_bytes: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMS, 0.0))


def train(recipe: "Recipe", *, resume: str = "auto", observer: Observer) -> Path:
    """Carry a recipe out, or go on with it where it was left.

    Args:
        resume: "auto" goes on from the last checkpoint in the recipe's output folder; "never" moves an earlier run aside and starts anew.
    Returns: the run's folder.
    Raises: UserError if the folder holds a run of another recipe, or a host is missing; DivergedError at a loss that is no number;
        KeyboardInterrupt after SIGINT or SIGTERM, a checkpoint saved.
    """
    folder = Path(recipe.output)
    backend = registry.create("backend", recipe.backend.name, **recipe.backend.settings)
    hosts = backend.hosts() if hasattr(backend, "hosts") else Hosts()
    if hosts.is_chief:
        if resume == "never" and (folder / "recipe.json").exists():
            observer.say(f"{folder} held a run; it is kept as {_set_aside(folder)}")
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked_folder(folder) if hosts.is_chief else nullcontext(), hosts.joined():
            if hosts.is_chief:
                prepare(recipe, progress=lambda done, total, tokens: observer.progress("prepare", done, total, f"{tokens:,} tokens"))
            else:
                observer.say(f"host {hosts.number} of {hosts.count}: what there is to see is said by host 0, {hosts.addresses[0]}")
            _meet(recipe, hosts)
            Run(recipe, folder, TokenStore(recipe.store), observer if hosts.is_chief else Silent(), backend, hosts).go()
    except BlockingIOError:
        raise UserError(f"{folder}: another process is training there; wait for it or set another output") from None
    return folder


def _meet(recipe: "Recipe", hosts: Hosts) -> None:
    """Wait until all hosts are there and the chief has prepared. Raises: UserError if one has come with another recipe or other folders."""
    settings = {key: value for key, value in recipe.resolved().items() if key not in FREE_KEYS}
    hosts.agree("wholeword", version("wholeword"))
    hosts.agree("a recipe of sha256", hashlib.sha256(to_json(settings)).hexdigest()[:16])
    for number, phase in enumerate(recipe.phases):
        if phase.batch_size % hosts.count:
            raise UserError(
                f"phases.{number}.batch_size: {phase.batch_size} rows cannot be shared by {hosts.count} hosts; make it a multiple"
            )
    if not (Path(recipe.store) / MANIFEST).exists():
        raise UserError(f"{recipe.store}: not on host {hosts.number}; output and store must be on a disk that all hosts see")


def _set_aside(folder: Path) -> Path:
    for number in itertools.count(1):
        aside = folder.with_name(f"{folder.name}.{number}")
        if not aside.exists():
            os.rename(folder, aside)
            return aside
    raise AssertionError


class Run:
    """One recipe in one folder. `go` does everything; the rest are its parts."""

    def __init__(self, recipe: "Recipe", folder: Path, store: TokenStore, observer: Observer, backend: Backend, hosts: Hosts):
        self.recipe, self.folder, self.store, self.observer, self.backend, self.hosts = recipe, folder, store, observer, backend, hosts
        self.strategy = recipe_strategy(recipe, store)
        self.identity = rows_identity(recipe, store) | {key: recipe.resolved()[key] for key in MODEL_KEYS}
        self.checkpoints = folder / "checkpoints"
        self.sources = [self._source(number) for number in range(len(recipe.phases))]
        self.next_sentence = self.sources[0].has_next_sentence
        self.figures: dict[str, dict[str, Any]] = {}  # of the last evaluation
        self.stop = threading.Event()

    # --- data

    def _source(self, number: int) -> RowSource:
        if hasattr(self.backend, "rows") and (rows := self.backend.rows(**record_arguments(self.recipe, number, self.store))):
            return rows
        cache = self.folder / "examples" if self.hosts.is_chief else None
        source = phase_source(self.recipe, number, self.store, strategy=self.strategy, cache=cache)
        return HostRows(source, self.hosts) if self.hosts.count > 1 else source

    def _held_out(self, number: int, strategy: MaskingStrategy) -> list[Mapping[str, "np.ndarray"]]:
        return held_out_batches(self.recipe, number, self.store, strategy=strategy, cache=self.folder / "examples")

    # --- the whole

    def go(self) -> None:
        recipe = self.recipe
        place, config, weights, optimizer_state, origin = self._start()
        self.hosts.agree(f"in {self.folder} a run", f"of {checksum(weights)[:16]} at phase {place.phase + 1}, step {place.step}")
        frozen: dict[str, Any] = {"trainable": [name for name in weights if not name.startswith("bert/")]} if recipe.model.freeze else {}
        with registry.explaining("backend", recipe.backend.name):
            trainer = self.backend.start(
                config=config,
                weights=weights,
                optimizer=registry.create("optimizer", recipe.optimizer.name, **recipe.optimizer.settings),
                next_sentence=self.next_sentence,
                clip_norm=recipe.clip_norm,
                **frozen,
            )
        if optimizer_state is not None:
            trainer.load(weights, optimizer_state)
        del weights, optimizer_state
        header = {"wholeword": version("wholeword"), "recipe": hashlib.sha256(to_json(self.identity)).hexdigest()}
        self.journal = (
            Journal(self.folder, header, size=place.log_bytes, tensorboard=recipe.log.tensorboard) if self.hosts.is_chief else NoJournal()
        )
        finished = place.phase == len(recipe.phases) - 1 and place.step == recipe.phases[-1].steps
        if finished:
            self.observer.say(f"{self.folder}: finished before; nothing is left to train")
        with interruptible(self.stop):
            for number in range(place.phase, len(recipe.phases)):
                if number > place.phase:
                    trainer.reset_optimizer()
                    place.phase, place.step = number, 0
                self._train_phase(trainer, place, {"config": config, "origin": origin})
        self.journal.close()
        if self.hosts.is_chief:
            self._finish(trainer, config, origin)
        self.hosts.any(False)  # a host that ended before the chief would be missed

    def _start(self) -> tuple[Place, dict[str, Any], "Tensors", "Tensors | None", dict[str, Any]]:
        """Place, config, weights, optimizer state (None at the very beginning) and where the weights came from."""
        path = latest_checkpoint(self.checkpoints)
        if path is None:
            config, weights, origin = starting_model(self.recipe, self.store.vocabulary)
            if self.hosts.is_chief:
                atomic_write(self.folder / "recipe.json", to_json(self.recipe.resolved()))
            return Place(), config, weights, None, origin
        weights, optimizer_state, state = read_checkpoint(path)
        changed = differences(state["identity"], self.identity)
        if changed:
            raise UserError(
                f"{self.folder}: holds a run of another recipe ({'; '.join(changed[:4])}); set another output, "
                f"or --resume never to keep the old run aside and start anew"
            )
        place = Place(**state["place"])
        self.observer.say(f"going on from {path}: phase {place.phase + 1}, step {place.step:,}")
        return place, state["config"], weights, optimizer_state, state["origin"]

    def _save(self, trainer: Trainer, place: Place, model: Mapping[str, Any]) -> None:
        place.log_bytes = self.journal.sync()
        path = self.checkpoints / f"step-{self._total(place):08d}"
        if not path.exists():  # saved a moment ago when interrupted at a multiple of checkpoint.every
            state = {"identity": self.identity, "place": vars(place), **model, "provenance": self._provenance({}, model["origin"])}
            state |= {"lowercase": self.store.lowercase, "next_sentence": self._has_next_sentence(model["origin"])}  # for an exporter
            files = {"vocab.txt": self.store.vocabulary.to_bytes()}
            save_checkpoint(path, trainer.weights(), trainer.optimizer_state(), state, files=files)
            prune(self.checkpoints, self.recipe.checkpoint.keep)

    def _total(self, place: Place) -> int:
        """Steps of the whole run that are done."""
        return sum(phase.steps for phase in self.recipe.phases[: place.phase]) + place.step

    # --- one phase

    def _train_phase(self, trainer: Trainer, place: Place, model: Mapping[str, Any]) -> None:
        recipe, number = self.recipe, place.phase
        phase = recipe.phases[number]
        every = {"log": recipe.log.every, "held out": recipe.evaluation.every, "checkpoint": recipe.checkpoint.every}

        def due(what: str) -> bool:
            return place.step == phase.steps or (every[what] > 0 and place.step % every[what] == 0)

        with closing(self.sources[number].batches(place.step, phase.steps, workers=recipe.loader_workers)) as batches:
            while place.step < phase.steps:
                begin = place.step
                end = min([phase.steps, *((begin // interval + 1) * interval for interval in every.values() if interval)])
                if self.hosts.count > 1:
                    end = min(end, begin + STEPS_WITHOUT_WORD)
                self._burst(trainer, place, batches, range(begin, end))
                if due("log") and place.step > begin and self.hosts.is_chief:
                    self._log(place)
                if due("held out") and place.step > begin and recipe.evaluation.held_out_rate and self.hosts.is_chief:
                    self._log_held_out(trainer, place)
                stop = self.hosts.any(self.stop.is_set())
                if (due("checkpoint") or stop) and self.hosts.is_chief:
                    self._save(trainer, place, model)
                if stop:
                    self.hosts.any(True)  # none leaves before the chief has saved
                    raise KeyboardInterrupt(f"saved after step {place.step:,} of phase {number + 1}; the same command goes on from there")

    def _burst(self, trainer: Trainer, place: Place, batches: Iterator[Mapping[str, "np.ndarray"]], steps: range) -> None:
        """Some steps at once; fewer if the run is to stop."""
        phase = self.recipe.phases[place.phase]
        rates = [bert_linear(step, peak_lr=phase.peak_lr, warmup_steps=phase.warmup_steps, steps=phase.steps) for step in steps]
        seeds = [step_seed(self.recipe.seed, place.phase, step) for step in steps]

        def until_stopped() -> Iterator[Mapping[str, "np.ndarray"]]:
            for batch in itertools.islice(batches, len(steps)):
                if self.stop.is_set() and self.hosts.count == 1:  # several hosts stop at the same step
                    return
                self.journal.tokens += int(batch["input_mask"].sum()) * self.hosts.count
                yield batch

        for figures in trainer.train_steps(until_stopped(), learning_rates=rates, seeds=seeds):
            if not math.isfinite(figures["loss"] + figures["grad_norm"]):
                raise self._diverged(place, figures)
            for name in SUMS[:-1]:
                place.sums[name] += figures.get(name, 0.0)
            place.sums["steps"] += 1
            place.step += 1

    def _log(self, place: Place) -> None:
        """The means since the last line; the sums start anew."""
        sums, phase = place.sums, self.recipe.phases[place.phase]
        means = {name: sums[name] / sums["steps"] for name in ("loss", "mlm_loss", "nsp_loss", "grad_norm")}
        line = {"phase": place.phase + 1, "step": place.step, "loss": means["loss"], "mlm_loss": means["mlm_loss"]}
        line["mlm_accuracy"] = sums["mlm_correct"] / max(sums["mlm_count"], 1)
        if self.next_sentence:
            line |= {"nsp_loss": means["nsp_loss"], "nsp_accuracy": sums["nsp_correct"] / max(sums["nsp_count"], 1)}
        line["grad_norm"] = means["grad_norm"]
        line["lr"] = bert_linear(place.step - 1, peak_lr=phase.peak_lr, warmup_steps=phase.warmup_steps, steps=phase.steps)
        place.sums = dict.fromkeys(SUMS, 0.0)
        self.journal.write(line, total_steps=self._total(place), prefix="train")
        speed = self.journal.clock({"phase": place.phase + 1, "step": place.step})
        title = f"phase {place.phase + 1}/{len(self.recipe.phases)}" if len(self.recipe.phases) > 1 else "train"
        figures = f"step {place.step:,}/{phase.steps:,}, loss {line['loss']:.3f}, accuracy {line['mlm_accuracy']:.3f}"
        self.observer.progress(title, place.step, phase.steps, f"{figures}, {speed:,.0f} tokens/s")

    def _log_held_out(self, trainer: Trainer, place: Place) -> None:
        self.figures = self._evaluate(trainer, place.phase)
        for masking, figures in self.figures.items():
            line = {"phase": place.phase + 1, "step": place.step, "held_out": masking} | figures
            self.journal.write(line, total_steps=self._total(place), prefix=f"held_out/{masking}")
            loss, accuracy = figures["mlm_loss"], figures["mlm_accuracy"]
            self.observer.say(f"step {place.step:,}, held out, {masking} masks: loss {loss:.3f}, accuracy {accuracy:.3f}")

    def _evaluate(self, trainer: Trainer, number: int) -> dict[str, dict[str, Any]]:
        """Held-out figures by masking strategy, the recipe's own or those it names."""
        names = self.recipe.evaluation.maskings
        strategies = {name: make_strategy(name, {}, self.store) for name in names} or {self.recipe.masking.name: self.strategy}
        return {
            name: evaluate(trainer, self._held_out(number, strategy), next_sentence=self.next_sentence)
            for name, strategy in strategies.items()
        }

    def _diverged(self, place: Place, figures: Mapping[str, float]) -> DivergedError:
        samples = self.sources[place.phase].batch(place.step)["sample_ids"]
        path = latest_checkpoint(self.checkpoints)
        return DivergedError(
            f"phase {place.phase + 1}, step {place.step + 1}: loss {figures['loss']}, gradient norm {figures['grad_norm']}; samples "
            f"{', '.join(str(sample) for sample in samples[:8])}{', ...' if len(samples) > 8 else ''}; "
            f"{f'the last checkpoint is {path}' if path else 'no checkpoint yet'}; lower peak_lr or warm up longer"
        )

    # --- the end

    def _finish(self, trainer: Trainer, config: dict[str, Any], origin: Mapping[str, Any]) -> None:
        recipe, number = self.recipe, len(self.recipe.phases) - 1
        figures: dict[str, Any] = {}
        if recipe.evaluation.held_out_rate:
            baseline = unigram_baseline(self._held_out(number, self.strategy), self.store.vocabulary)
            figures = {"unigram": baseline} | (self.figures or self._evaluate(trainer, number))
            for line in report(figures):
                self.observer.say(line)
        if recipe.evaluation.fill_mask:
            for line in fill_mask(trainer, WordPieceTokenizer(self.store.vocabulary, self.store.lowercase), recipe.evaluation.fill_mask):
                self.observer.say(line)
        atomic_write(self.folder / "result.json", to_json(figures))
        model = ModelFiles(
            config=config,
            weights=trainer.weights(),
            vocabulary=self.store.vocabulary,
            lowercase=self.store.lowercase,
            next_sentence=self._has_next_sentence(origin),
            provenance=self._provenance(figures, origin),
        )
        for name in recipe.export:
            target = self.folder / "export" / name
            if not (target / "manifest.json").exists():
                export(model, name, target)
            self.observer.say(f"{name}: {target}")

    def _has_next_sentence(self, origin: Mapping[str, Any]) -> bool:
        """Whether the NSP head is trained: in this run, or before it over an encoder that stayed as it was."""
        return self.next_sentence or (self.recipe.model.freeze is not None and bool(origin.get("next_sentence")))

    def _provenance(self, figures: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "name": self.recipe.name,
            "wholeword": version("wholeword"),
            "python": sys.version.split()[0],
            "recipe": self.recipe.resolved(),
            "store": {key: self.store.manifest[key] for key in ("fingerprint", "counts", "segmenter") if key in self.store.manifest},
            "origin": dict(origin),
            "held_out": dict(figures),
        }


def export(model: ModelFiles, name: str, target: Path) -> None:
    """Write a model with the exporter called `name`; `target` appears whole, with a manifest, or not at all."""
    exporter = registry.create("exporter", name)
    with registry.explaining("exporter", name), atomic_directory(target) as folder:
        exporter.export(model, folder)
        provenance = {key: value for key, value in model.provenance.items() if key not in ("missing", "slots")}  # not true of these files
        write_manifest(folder, {"exporter": name, "provenance": provenance})


def read_back(model: ModelFiles, written: ModelFiles) -> Iterator[str]:
    """What an export kept and what it left out, a line each. Raises: IntegrityError naming a tensor that is another one."""
    kept = [name for name in model.weights if model.next_sentence or not name.startswith("cls/seq_relationship/")]
    before, after = ({name: files.weights[name] for name in kept} for files in (model, written))
    for name in kept:
        if checksum({name: before[name]}) != checksum({name: after[name]}):
            raise IntegrityError(f"{name}: what was read back is not what was written")
    yield f"read back {len(kept)} tensors, largest difference 0.0"
    if slots := model.provenance.get("slots"):
        size = sum(array.nbytes for array in before.values())
        left_out = f"{slots['tensors']:,} optimizer slots left out, {size + slots['bytes']:,} -> {size:,} bytes"
        yield f"{left_out}; the other tensors have sha256 {checksum(before)[:16]}... before and {checksum(after)[:16]}... after"
