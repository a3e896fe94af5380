"""A recipe from beginning to end: prepare, train, evaluate, export. Knows no framework.

Everything random is a function of (seed, phase, step), so a run is its recipe, its weights and a progress in it. A checkpoint holds just
that; a run killed at any moment goes on from its last checkpoint and ends with the weights and the log of a run that never stopped.
`log.jsonl` holds what was learnt and is reproducible byte by byte; what the clock says is in `timings.jsonl`.
"""

import hashlib
import itertools
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wholeword.core.bert.config import bert_config
from wholeword.core.config.preparation import prepare_job
from wholeword.core.config.settings import found_settings
from wholeword.core.console import Observer, Silent
from wholeword.core.contracts import (
    Backend,
    BertConfig,
    DistributedBackend,
    MaskingStrategy,
    ModelFiles,
    Provenance,
    RowsBackend,
    RowSource,
    Trainer,
)
from wholeword.core.data.store import TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.files import MANIFEST, atomic_write, differences, locked_folder, to_json
from wholeword.core.formats.checkpoints import latest_checkpoint, prune, read_checkpoint, save_checkpoint
from wholeword.core.formats.tensors import checksum
from wholeword.core.registry.registry import registry
from wholeword.core.training.evaluation import evaluate, fill_mask, report, unigram_baseline
from wholeword.core.training.export import export, export_folder
from wholeword.core.training.hosts import HostRows, Hosts
from wholeword.core.training.interrupts import interruptible
from wholeword.core.training.journal import Journal, NoJournal
from wholeword.core.training.loop import Event, Loop, Progress, Stage, zero_sums
from wholeword.core.training.prepare import prepare
from wholeword.core.training.schedules import LearningRate, make_schedule, step_seed
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
from wholeword.core.training.trainers import RecipeOptimizer, start_trainer

if TYPE_CHECKING:
    import numpy as np

    from wholeword.core.config import Recipe
    from wholeword.core.config.recipe import Phase
    from wholeword.core.contracts import Tensors

METRICS = ("loss", "mlm_loss", "mlm_correct", "mlm_count", "nsp_loss", "nsp_correct", "nsp_count", "grad_norm")


@dataclass
class PhaseProgress(Progress):
    """Where a run stands: in phase number `phase`, counted from 0."""

    phase: int = 0
    sums: dict[str, float] = field(default_factory=lambda: zero_sums(METRICS))


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
    hosts = backend.hosts() if isinstance(backend, DistributedBackend) else Hosts()
    if hosts.is_chief:
        if resume == "never" and (folder / "recipe.json").exists():
            observer.say(f"{folder} held a run; it is kept as {_set_aside(folder)}")
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked_folder(folder) if hosts.is_chief else nullcontext(), hosts.joined():
            if hosts.is_chief:
                prepare(
                    prepare_job(recipe),
                    progress=lambda done, total, tokens: observer.progress("prepare", done, total, f"{tokens:,} tokens"),
                )
            else:
                observer.say(f"host {hosts.rank} of {hosts.world_size}: host 0, {hosts.addresses[0]}, reports the progress of the run")
            _check_hosts(recipe, hosts)
            Run(recipe, folder, TokenStore(recipe.store), observer if hosts.is_chief else Silent(), backend, hosts).go()
    except BlockingIOError:
        raise UserError(f"{folder}: another process is training there; wait for it or set another output") from None
    return folder


def _check_hosts(recipe: "Recipe", hosts: Hosts) -> None:
    """Wait until all hosts are connected and the chief has prepared. Raises: UserError if a host has another recipe or other folders."""
    settings = {key: value for key, value in recipe.resolved().items() if key not in FREE_KEYS}
    hosts.expect_equal("wholeword", version("wholeword"))
    hosts.expect_equal("a recipe of sha256", hashlib.sha256(to_json(settings)).hexdigest()[:16])
    for number, phase in enumerate(recipe.phases):
        if phase.batch_size % hosts.world_size:
            raise UserError(
                f"phases.{number}.batch_size: {phase.batch_size} rows cannot be divided among {hosts.world_size} hosts; expected a multiple"
            )
    if not (Path(recipe.store) / MANIFEST).exists():
        raise UserError(f"{recipe.store}: not found on host {hosts.rank}; output and store must be on a disk that all hosts share")


def _schedule(phase: "Phase") -> LearningRate:
    schedule = phase.schedule
    return make_schedule(schedule.name, schedule.settings, steps=phase.steps, peak_lr=phase.peak_lr, warmup_steps=phase.warmup_steps)


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
        self.schedules = [_schedule(phase) for phase in recipe.phases]
        self.next_sentence = self.sources[0].has_next_sentence
        self.figures: dict[str, dict[str, Any]] = {}  # of the last evaluation
        self.journal: Journal | NoJournal = NoJournal()
        self.stop = threading.Event()

    # --- data

    def _source(self, number: int) -> RowSource:
        if isinstance(self.backend, RowsBackend) and (rows := self.backend.rows(**record_arguments(self.recipe, number, self.store))):
            return rows
        cache = self.folder / "examples" if self.hosts.is_chief else None
        source = phase_source(self.recipe, number, self.store, strategy=self.strategy, cache=cache)
        return HostRows(source, self.hosts) if self.hosts.world_size > 1 else source

    def _held_out(self, number: int, strategy: MaskingStrategy) -> list[Mapping[str, "np.ndarray"]]:
        return held_out_batches(self.recipe, number, self.store, strategy=strategy, cache=self.folder / "examples")

    # --- the whole

    def go(self) -> None:
        recipe = self.recipe
        progress, config, weights, optimizer_state, origin = self._start()
        self.hosts.expect_equal(
            f"in {self.folder} a run", f"of {checksum(weights)[:16]} at phase {progress.phase + 1}, step {progress.step}"
        )
        frozen: dict[str, Any] = {"trainable": [name for name in weights if not name.startswith("bert/")]} if recipe.model.freeze else {}
        trainer = start_trainer(
            self.backend,
            recipe.backend.name,
            RecipeOptimizer(recipe.optimizer.name, recipe.optimizer.settings),
            config=config,
            weights=weights,
            next_sentence=self.next_sentence,
            clip_norm=recipe.clip_norm,
            **frozen,
        )
        if optimizer_state is not None:
            trainer.load(weights, optimizer_state)
        del weights, optimizer_state
        header = {"wholeword": version("wholeword"), "recipe": hashlib.sha256(to_json(self.identity)).hexdigest()}
        if self.hosts.is_chief:
            self.journal = Journal(self.folder, header, size=progress.log_bytes, tensorboard=recipe.log.tensorboard)
        else:
            self.journal = NoJournal()
        finished = progress.phase == len(recipe.phases) - 1 and progress.step == recipe.phases[-1].steps
        if finished:
            self.observer.say(f"{self.folder}: finished before; nothing is left to train")
        elif recipe.evaluation.held_out_rate and self.hosts.is_chief:
            trainer.evaluate(self._held_out(progress.phase, self.strategy)[0])  # a backend that cannot fails now, not after the phase
        with interruptible(self.stop):
            for number in range(progress.phase, len(recipe.phases)):
                if number > progress.phase:
                    trainer.reset_optimizer()
                    progress.phase, progress.step = number, 0
                self._train_phase(trainer, progress, {"config": config.to_dict(), "origin": origin})
        self.journal.close()
        if self.hosts.is_chief:
            self._finish(trainer, config, origin)
        self.hosts.barrier()  # a host that ended before the chief would be missed

    def _start(self) -> tuple[PhaseProgress, BertConfig, "Tensors", "Tensors | None", dict[str, Any]]:
        """Place, config, weights, optimizer state (None at the very beginning) and where the weights came from."""
        path = latest_checkpoint(self.checkpoints)
        if path is None:
            config, weights, origin = starting_model(self.recipe, self.store.vocabulary)
            if self.hosts.is_chief:
                atomic_write(self.folder / "recipe.json", to_json(self.recipe.resolved()))
            return PhaseProgress(), config, weights, None, origin
        weights, optimizer_state, state = read_checkpoint(path)
        changed = differences(state["identity"], self.identity)
        if changed:
            raise UserError(
                f"{self.folder}: holds a run of another recipe ({'; '.join(changed[:4])}); set another output, "
                f"or --resume never to keep the old run aside and start anew"
            )
        progress = PhaseProgress(**state["place"])
        self.observer.say(f"going on from {path}: phase {progress.phase + 1}, step {progress.step:,}")
        return progress, bert_config(state["config"], f"{path}/state.json"), weights, optimizer_state, state["origin"]

    def _save(self, trainer: Trainer, progress: PhaseProgress, model: Mapping[str, Any]) -> None:
        progress.log_bytes = self.journal.sync()
        path = self.checkpoints / f"step-{self._total(progress):08d}"
        if not path.exists():  # saved a moment ago when interrupted at a multiple of checkpoint.every
            state = {
                "identity": self.identity,
                "place": vars(progress),
                **model,
                "provenance": self._provenance({}, model["origin"]).to_dict(),
            }
            state |= {"lowercase": self.store.lowercase, "next_sentence": self._has_next_sentence(model["origin"])}  # for an exporter
            files = {"vocab.txt": self.store.vocabulary.to_bytes()}
            save_checkpoint(path, trainer.weights(), trainer.optimizer_state(), state, files=files)
            prune(self.checkpoints, self.recipe.checkpoint.keep)

    def _total(self, progress: PhaseProgress) -> int:
        """Steps of the whole run that are done."""
        return sum(phase.steps for phase in self.recipe.phases[: progress.phase]) + progress.step

    # --- one phase

    def _train_phase(self, trainer: Trainer, progress: PhaseProgress, model: Mapping[str, Any]) -> None:
        recipe, number = self.recipe, progress.phase
        phase = recipe.phases[number]
        events = [Event(recipe.log.every, lambda: self._log(progress))]
        if recipe.evaluation.held_out_rate:
            events.append(Event(recipe.evaluation.every, lambda: self._log_held_out(trainer, progress)))
        stage = Stage(
            name=f"phase {number + 1}",
            steps=phase.steps,
            learning_rate=self.schedules[number],
            seed=lambda step: step_seed(recipe.seed, number, step),
            events=events,
            save=lambda: self._save(trainer, progress, model),
            save_intervals=(recipe.checkpoint.every,),
            advice="lower peak_lr or use a longer warm-up",
            samples=lambda step: self._samples(number, step),
        )
        with closing(self.sources[number].batches(progress.step, phase.steps, workers=recipe.loader_workers)) as batches:
            Loop(trainer, progress, self.journal, stop=self.stop, hosts=self.hosts).run(stage, batches)

    def _samples(self, number: int, step: int) -> str:
        """The samples of a step that diverged, and where to resume from, for its message."""
        samples = self.sources[number].batch(step)["sample_ids"]
        path = latest_checkpoint(self.checkpoints)
        shown = f"{', '.join(str(sample) for sample in samples[:8])}{', ...' if len(samples) > 8 else ''}"
        return f"samples {shown}; {f'the last checkpoint is {path}' if path else 'no checkpoint yet'}; "

    def _log(self, progress: PhaseProgress) -> None:
        """Log the means since the last line."""
        sums, phase = progress.take_sums(), self.recipe.phases[progress.phase]
        line: dict[str, float] = {"phase": progress.phase + 1, "step": progress.step}
        line |= {name: sums[name] / sums["steps"] for name in ("loss", "mlm_loss")}
        line["mlm_accuracy"] = sums["mlm_correct"] / max(sums["mlm_count"], 1)
        if self.next_sentence:
            line |= {"nsp_loss": sums["nsp_loss"] / sums["steps"], "nsp_accuracy": sums["nsp_correct"] / max(sums["nsp_count"], 1)}
        line["grad_norm"] = sums["grad_norm"] / sums["steps"]
        line["lr"] = self.schedules[progress.phase](progress.step - 1)
        self.journal.write(line, total_steps=self._total(progress), prefix="train")
        speed = self.journal.clock({"phase": progress.phase + 1, "step": progress.step})
        title = f"phase {progress.phase + 1}/{len(self.recipe.phases)}" if len(self.recipe.phases) > 1 else "train"
        metrics = f"step {progress.step:,}/{phase.steps:,}, loss {line['loss']:.3f}, accuracy {line['mlm_accuracy']:.3f}"
        self.observer.progress(title, progress.step, phase.steps, f"{metrics}, {speed:,.0f} tokens/s")

    def _log_held_out(self, trainer: Trainer, progress: PhaseProgress) -> None:
        self.figures = self._evaluate(trainer, progress.phase)
        for masking, figures in self.figures.items():
            line = {"phase": progress.phase + 1, "step": progress.step, "held_out": masking} | figures
            self.journal.write(line, total_steps=self._total(progress), prefix=f"held_out/{masking}")
            loss, accuracy = figures["mlm_loss"], figures["mlm_accuracy"]
            self.observer.say(f"step {progress.step:,}, held out, {masking} masks: loss {loss:.3f}, accuracy {accuracy:.3f}")

    def _evaluate(self, trainer: Trainer, number: int) -> dict[str, dict[str, Any]]:
        """Held-out figures by masking strategy, the recipe's own or those it names."""
        names = self.recipe.evaluation.maskings
        strategies = {name: make_strategy(name, {}, self.store) for name in names} or {self.recipe.masking.name: self.strategy}
        return {
            name: evaluate(trainer, self._held_out(number, strategy), next_sentence=self.next_sentence)
            for name, strategy in strategies.items()
        }

    # --- the end

    def _finish(self, trainer: Trainer, config: BertConfig, origin: Mapping[str, Any]) -> None:
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
        for exporter in recipe.export:
            target = self.folder / "export" / export_folder(exporter.name)
            if not (target / "manifest.json").exists():
                export(model, exporter.name, target, settings=found_settings("exporter", exporter, recipe.base_folder))
            self.observer.say(f"{exporter.name}: {target}")

    def _has_next_sentence(self, origin: Mapping[str, Any]) -> bool:
        """Whether the NSP head is trained: in this run, or before it over an encoder that stayed as it was."""
        return self.next_sentence or (self.recipe.model.freeze is not None and bool(origin.get("next_sentence")))

    def _provenance(self, figures: Mapping[str, Any], origin: Mapping[str, Any]) -> Provenance:
        return Provenance(
            name=self.recipe.name,
            wholeword=version("wholeword"),
            python=sys.version.split()[0],
            recipe=self.recipe.resolved(),
            store={key: self.store.manifest[key] for key in ("fingerprint", "counts", "segmenter") if key in self.store.manifest},
            origin=dict(origin),
            held_out=dict(figures),
        )
