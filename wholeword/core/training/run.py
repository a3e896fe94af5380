"""A job from beginning to end: prepare, train, evaluate, export. Knows no framework.

Everything random is a function of (seed, phase, step), so a run is determined by its job, its weights and its progress, and a checkpoint
holds just these. A run that was killed at any moment resumes from its last checkpoint and ends with the weights and the log of a run that
was never interrupted. `log.jsonl` holds the metrics and is reproducible byte by byte; timings are in `timings.jsonl`.
"""

import hashlib
import threading
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wholeword.core.bert.config import bert_config
from wholeword.core.config.job import Job
from wholeword.core.console import Observer, Silent, doing
from wholeword.core.contracts import Backend, RowSource, Tensors, TrackedRun, Trainer
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import UserError
from wholeword.core.files import MANIFEST, atomic_write, locked_folder, to_json
from wholeword.core.formats.checkpoints import latest_checkpoint, prune, read_checkpoint, save_checkpoint
from wholeword.core.formats.tensors import checksum
from wholeword.core.registry.registry import registry
from wholeword.core.training.evaluation import HeldOutMetrics, evaluate
from wholeword.core.training.finish import Trained, finish, has_next_sentence, provenance
from wholeword.core.training.hosts import HostRows, Hosts
from wholeword.core.training.journal import Journal, NoJournal
from wholeword.core.training.loop import Event, Loop, Progress, Stage, zero_sums
from wholeword.core.training.optional import hosts_of, rows_of
from wholeword.core.training.prepare import prepare
from wholeword.core.training.schedules import make_schedule, step_seed
from wholeword.core.training.sources import JobRows, identity_of
from wholeword.core.training.start import StartingModel, expect_same_run, set_aside, starting_model
from wholeword.core.training.store_lines import store_lines
from wholeword.core.training.trackers import Trackers
from wholeword.core.training.trainers import RecipeOptimizer, start_trainer

METRICS = ("loss", "mlm_loss", "mlm_correct", "mlm_count", "nsp_loss", "nsp_correct", "nsp_count", "grad_norm")


@dataclass
class PhaseProgress(Progress):
    """The progress of a run: it is in phase number `phase`, counted from 0."""

    phase: int = 0
    sums: dict[str, float] = field(default_factory=lambda: zero_sums(METRICS))


@dataclass
class State:
    """What a run continues with."""

    progress: PhaseProgress
    model: StartingModel
    optimizer_state: Tensors | None  # None at the very beginning


def train(job: Job, *, resume: str = "auto", observer: Observer) -> Path:
    """Carry out a job, or resume it.

    Args:
        resume: "auto" resumes from the last checkpoint in the output folder; "never" moves an earlier run aside and starts over.
    Returns: the run's folder.
    Raises: UserError if the folder holds a run of another recipe, or a host is missing; DivergedError at a loss that is not finite;
        KeyboardInterrupt after SIGINT or SIGTERM, a checkpoint saved.
    """
    folder = job.output
    backend = registry.create("backend", job.backend.name, **job.backend.settings)
    hosts = hosts_of(backend, job.backend.name)
    if hosts.is_chief:
        if resume == "never" and (folder / "recipe.json").exists():
            observer.say(f"{folder} held a run, which is kept as {set_aside(folder)}")
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked_folder(folder) if hosts.is_chief else nullcontext(), hosts.joined():
            if hosts.is_chief:
                prepare(job.prepare, progress=lambda done, total, tokens: observer.progress("prepare", done, total, f"{tokens:,} tokens"))
                for line in store_lines(TokenStore(job.prepare.store, verify=False)):
                    observer.say(line)
            else:
                observer.say(f"host {hosts.rank} of {hosts.world_size}: host 0, {hosts.addresses[0]}, reports the progress of the run")
            _check_hosts(job, hosts)
            with doing(f"checking {job.prepare.store} and arranging its examples"):
                run = Run(job, TokenStore(job.prepare.store), observer if hosts.is_chief else Silent(), backend, hosts)
            run.go()
    except BlockingIOError:
        raise UserError(f"{folder}: another process is training there; wait for it or set another output") from None
    return folder


def _check_hosts(job: Job, hosts: Hosts) -> None:
    """Wait until all hosts are connected and the chief has prepared. Raises: UserError if a host has another recipe or other folders."""
    hosts.expect_equal("wholeword", version("wholeword"))
    hosts.expect_equal("a recipe of sha256", hashlib.sha256(to_json(job.settings)).hexdigest()[:16])
    for number, phase in enumerate(job.phases):
        if phase.batch_size % hosts.world_size:
            raise UserError(
                f"phases.{number}.batch_size: {phase.batch_size} rows cannot be divided among {hosts.world_size} hosts; expected a multiple"
            )
    store = job.prepare.store
    if not (store / MANIFEST).exists():
        raise UserError(f"{store}: not found on host {hosts.rank}; output and store must be on a disk that all hosts share")


class Run:
    """One job in its folder; `go` carries it out."""

    def __init__(self, job: Job, store: TokenStore, observer: Observer, backend: Backend, hosts: Hosts):
        self.job, self.store, self.observer, self.backend, self.hosts = job, store, observer, backend, hosts
        self.folder, self.checkpoints = job.output, job.output / "checkpoints"
        self.rows = JobRows(job, store, cache=self.folder / "examples" if hosts.is_chief else None)
        self.identity = identity_of(job, store.manifest["fingerprint"])
        self.sources = [self._source(number) for number in range(len(job.phases))]
        self.schedules = [
            make_schedule(*phase.schedule, steps=phase.steps, peak_lr=phase.peak_lr, warmup_steps=phase.warmup_steps)
            for phase in job.phases
        ]
        self.next_sentence = self.sources[0].has_next_sentence
        self.metrics: dict[str, HeldOutMetrics] = {}  # of the last evaluation, by masking strategy
        self.journal: Journal | NoJournal = NoJournal()
        self.stop = threading.Event()

    def _source(self, number: int) -> RowSource:
        rows = rows_of(self.backend, self.job.backend.name, self.rows.record_arguments(number))
        if rows is not None:
            return rows
        source: RowSource = self.rows.training(number)
        return HostRows(source, self.hosts) if self.hosts.world_size > 1 else source

    # --- the whole

    def go(self) -> None:
        """Train what remains, evaluate and export."""
        job = self.job
        with doing("reading the first weights"):
            state = self._state()
        progress, model = state.progress, state.model
        where = f"at phase {progress.phase + 1}, step {progress.step}"
        self.hosts.expect_equal(f"in {self.folder} a run", f"of {checksum(model.weights)[:16]} {where}")
        trainer = self._start(state)
        config, origin = model.config, model.origin
        del state, model  # the trainer holds the weights now
        header = {"wholeword": version("wholeword"), "recipe": hashlib.sha256(to_json(self.identity)).hexdigest()}
        if self.hosts.is_chief:
            run = TrackedRun(job.name, self.folder, job.recipe, self._total(progress))
            trackers = Trackers(job.trackers, run, report=self.observer)
            self.journal = Journal(self.folder, header, size=progress.log_bytes, trackers=trackers)
        if progress.phase == len(job.phases) - 1 and progress.step == job.phases[-1].steps:
            self.observer.say(f"{self.folder}: finished earlier; no training is left")
        elif job.rows.held_out_rate and self.hosts.is_chief:  # a backend that cannot evaluate fails now, not at the end of the phase
            with doing("trying one held-out batch"):
                trainer.evaluate(self.rows.held_out(progress.phase, next(iter(job.evaluation.maskings), None))[0])
        described = {"config": config.to_dict(), "origin": origin}
        with closing(self.journal):
            for number in range(progress.phase, len(job.phases)):
                if number > progress.phase:
                    trainer.reset_optimizer()
                    progress.phase, progress.step = number, 0
                self._train_phase(trainer, progress, described)
        if self.hosts.is_chief:
            number = len(job.phases) - 1
            evaluated = (self.metrics or self._evaluate(trainer, number)) if job.rows.held_out_rate else {}
            finish(Trained(job, self.store, self.rows, trainer, config, origin, self.next_sentence), evaluated, self.observer)
        self.hosts.barrier()  # a host that ended before the chief would be missed

    def _state(self) -> State:
        """That of the last checkpoint, or of the very beginning."""
        path = latest_checkpoint(self.checkpoints)
        if path is None:
            model = starting_model(self.job.model, self.store.vocabulary, seed=self.job.seed)
            if self.hosts.is_chief:
                atomic_write(self.folder / "recipe.json", to_json(self.job.recipe))
            return State(PhaseProgress(), model, None)
        weights, optimizer_state, state = read_checkpoint(path)
        expect_same_run(self.folder, state["identity"], self.identity)
        progress = PhaseProgress(**state["place"])
        self.observer.say(f"resuming from {path}: phase {progress.phase + 1}, step {progress.step:,}")
        model = StartingModel(bert_config(state["config"], f"{path}/state.json"), weights, state["origin"])
        return State(progress, model, optimizer_state)

    def _start(self, state: State) -> Trainer:
        job, model = self.job, state.model
        frozen: dict[str, Any] = {}
        if job.model.freeze:
            frozen = {"trainable": [name for name in model.weights if not name.startswith("bert/")]}
        trainer = start_trainer(
            self.backend,
            job.backend.name,
            RecipeOptimizer(job.optimizer.name, job.optimizer.settings),
            config=model.config,
            weights=model.weights,
            next_sentence=self.next_sentence,
            clip_norm=job.clip_norm,
            **frozen,
        )
        if state.optimizer_state is not None:
            trainer.load(model.weights, state.optimizer_state)
        return trainer

    def _save(self, trainer: Trainer, progress: PhaseProgress, described: dict[str, Any]) -> None:
        progress.log_bytes = self.journal.sync()
        path = self.checkpoints / f"step-{self._total(progress):08d}"
        if path.exists():  # saved a moment ago when interrupted at a multiple of checkpoint.every
            return
        origin = described["origin"]
        state = {
            "identity": self.identity,
            "place": progress.to_json(),
            **described,
            "provenance": provenance(self.job, self.store, origin).to_dict(),
        }
        state |= {"lowercase": self.store.lowercase, "next_sentence": has_next_sentence(self.job, origin, self.next_sentence)}
        files = {"vocab.txt": self.store.vocabulary.to_bytes()}
        with doing(f"saving {path}"):
            save_checkpoint(path, trainer.weights(), trainer.optimizer_state(), state, files=files)
        prune(self.checkpoints, self.job.checkpoints_kept)

    def _total(self, progress: PhaseProgress) -> int:
        """Steps of the whole run that are done."""
        return sum(phase.steps for phase in self.job.phases[: progress.phase]) + progress.step

    # --- one phase

    def _train_phase(self, trainer: Trainer, progress: PhaseProgress, described: dict[str, Any]) -> None:
        job, number = self.job, progress.phase
        phase = job.phases[number]
        events = [Event(job.log_every, partial(self._log, progress))]
        if job.rows.held_out_rate:
            events.append(Event(job.evaluation.every, partial(self._log_held_out, trainer, progress)))
        stage = Stage(
            name=f"phase {number + 1}",
            steps=phase.steps,
            learning_rate=self.schedules[number],
            seed=lambda step: step_seed(job.seed, number, step),
            events=events,
            save=partial(self._save, trainer, progress, described),
            save_intervals=(job.checkpoint_every,),
            advice="lower peak_lr or use a longer warm-up",
            sign=partial(self._sign, number),
            samples=partial(self._samples, number),
        )
        with closing(self.sources[number].batches(progress.step, phase.steps, workers=job.loader_workers)) as batches:
            Loop(trainer, progress, self.journal, stop=self.stop, hosts=self.hosts).run(stage, batches)

    def _samples(self, number: int, step: int) -> str:
        """The samples of a step that diverged, and where to resume from, for its message."""
        samples = self.sources[number].batch(step)["sample_ids"]
        path = latest_checkpoint(self.checkpoints)
        shown = f"{', '.join(str(sample) for sample in samples[:8])}{', ...' if len(samples) > 8 else ''}"
        return f"samples {shown}; {f'the last checkpoint is {path}' if path else 'no checkpoint yet'}; "

    def _log(self, progress: PhaseProgress) -> None:
        """Log the means since the last line."""
        sums = progress.take_sums()
        line: dict[str, float] = {"phase": progress.phase + 1, "step": progress.step}
        line |= {name: sums[name] / sums["steps"] for name in ("loss", "mlm_loss")}
        line["mlm_accuracy"] = sums["mlm_correct"] / max(sums["mlm_count"], 1)
        if self.next_sentence:
            line |= {"nsp_loss": sums["nsp_loss"] / sums["steps"], "nsp_accuracy": sums["nsp_correct"] / max(sums["nsp_count"], 1)}
        line["grad_norm"] = sums["grad_norm"] / sums["steps"]
        line["lr"] = self.schedules[progress.phase](progress.step - 1)
        self.journal.write(line, total_steps=self._total(progress), prefix="train")
        speed = self.journal.clock({"phase": progress.phase + 1, "step": progress.step})
        metrics = f"loss {line['loss']:.3f}, accuracy {line['mlm_accuracy']:.3f}, {speed:,.0f} tokens/s"
        self._sign(progress.phase, progress.step, f", {metrics}")

    def _sign(self, number: int, step: int, metrics: str = "") -> None:
        """Show where the run is."""
        phases = self.job.phases
        title, steps = f"phase {number + 1}/{len(phases)}" if len(phases) > 1 else "train", phases[number].steps
        self.observer.progress(title, step, steps, f"step {step:,}/{steps:,}{metrics}")

    def _log_held_out(self, trainer: Trainer, progress: PhaseProgress) -> None:
        self.metrics = self._evaluate(trainer, progress.phase)
        for masking, metrics in self.metrics.items():
            line = {"phase": progress.phase + 1, "step": progress.step, "held_out": masking} | metrics.to_dict()
            self.journal.write(line, total_steps=self._total(progress), prefix=f"held_out/{masking}")
            values = f"loss {metrics.mlm_loss:.3f}, accuracy {metrics.mlm_accuracy:.3f}"
            where = f"phase {progress.phase + 1}, " if len(self.job.phases) > 1 else ""
            self.observer.say(f"{where}step {progress.step:,}, held out, {masking} masks: {values}")

    def _evaluate(self, trainer: Trainer, number: int) -> dict[str, HeldOutMetrics]:
        """Held-out metrics by masking strategy: the recipe's own, or those that it names."""
        masking, maskings = self.job.rows.masking.name, self.job.evaluation.maskings
        with doing("evaluating on held-out text"):
            held_out = {name: self.rows.held_out(number, name) for name in maskings} or {masking: self.rows.held_out(number)}
            return {
                name: evaluate(trainer, batches, next_sentence=self.next_sentence, stopped=self.stop.is_set)
                for name, batches in held_out.items()
            }
