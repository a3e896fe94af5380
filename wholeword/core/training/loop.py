"""The loop that pre-training and fine-tuning share: steps in bursts, and what is due after some of them."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wholeword.core.contracts import Array, InterruptibleTrainer
from wholeword.core.errors import DivergedError, Interrupted
from wholeword.core.training.hosts import Hosts
from wholeword.core.training.interrupts import interruptible
from wholeword.core.training.journal import Journal, NoJournal

STEPS_BETWEEN_STOP_CHECKS = 100  # with several hosts, which agree after so many steps whether to stop
SECONDS_BETWEEN_SIGNS = 10.0  # of life, while steps are taken after which nothing is due
ANSWER = "stopping: saving after this step, or before it where it takes long"


@dataclass
class Progress:
    """The progress of a run: `step` steps of the current stage are done.

    `sums` adds up the metrics of the steps since the last line of the log, under "steps" their number; `log_bytes` is the size of the log
    when the last checkpoint was saved; `interrupted_events` counts the events due after the last step that are still to take place.
    """

    step: int = 0
    log_bytes: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    interrupted_events: int = 0

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint holds: all fields, but `interrupted_events` only where there are any."""
        return {name: value for name, value in vars(self).items() if name != "interrupted_events" or value}

    def add(self, metrics: Mapping[str, float]) -> None:
        """Count one more step."""
        for name in self.sums:
            self.sums[name] += 1 if name == "steps" else metrics.get(name, 0.0)
        self.step += 1

    def take_sums(self) -> dict[str, float]:
        """The sums so far; they start again from 0."""
        sums, self.sums = self.sums, dict.fromkeys(self.sums, 0.0)
        return sums


def zero_sums(metrics: Iterable[str]) -> dict[str, float]:
    """What `Progress.sums` starts from, for the named metrics."""
    return dict.fromkeys((*metrics, "steps"), 0.0)


class TakesSteps(Protocol):
    """What a `Trainer` and a `FineTuner` have in common."""

    def train_steps(
        self, batches: Iterable[Mapping[str, Array]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """See `wholeword.core.contracts.Trainer`."""
        ...


@dataclass(frozen=True)
class Event:
    """Something to do after every `interval` steps and at the end of a stage; 0: at the end only."""

    interval: int
    action: Callable[[], None]


@dataclass(frozen=True)
class Stage:
    """Steps under one schedule: a phase of pre-training, or a whole fine-tuning run.

    Args:
        name: for messages, such as "phase 1".
        learning_rate, seed: by step, counted from 0.
        events: in the order in which they take place when several are due.
        save: saves a checkpoint; due after `save_intervals`, at the end, and when the run is interrupted.
        advice: what to change after a loss that is not finite.
        sign: called now and then with the number of steps that are done.
        samples: describes the samples of a step, for the same message.
    """

    name: str
    steps: int
    learning_rate: Callable[[int], float]
    seed: Callable[[int], int]
    events: Sequence[Event]
    save: Callable[[], None]
    save_intervals: Sequence[int]
    advice: str
    sign: Callable[[int], None] = lambda step: None
    samples: Callable[[int], str] = lambda step: ""

    @property
    def intervals(self) -> list[int]:
        """After how many steps something may be due."""
        return [interval for interval in (*(event.interval for event in self.events), *self.save_intervals) if interval]

    def is_due(self, interval: int, step: int) -> bool:
        """Whether something with this interval is due after `step` steps."""
        return step == self.steps or (interval > 0 and step % interval == 0)


class Loop:
    """Takes the steps of a stage, and does what is due between them.

    Steps are handed to the trainer in bursts: all up to the next one after which something is due.
    """

    def __init__(self, trainer: TakesSteps, progress: Progress, journal: Journal | NoJournal, *, stop: threading.Event, hosts: Hosts):
        self.trainer, self.progress, self.journal, self.stop, self.hosts = trainer, progress, journal, stop, hosts
        self._signed = time.monotonic()

    def run(self, stage: Stage, batches: Iterator[Mapping[str, Array]]) -> None:
        """Take the remaining steps of a stage.

        Args:
            batches: one per step, beginning with that of step `progress.step`.
        Raises: DivergedError at a loss that is not finite; KeyboardInterrupt if `stop` is set, or after SIGINT or SIGTERM, a checkpoint
            saved.
        """
        with interruptible(ANSWER, self._interrupt):
            self._run(stage, batches)

    def _run(self, stage: Stage, batches: Iterator[Mapping[str, Array]]) -> None:
        progress = self.progress
        stage.sign(progress.step)
        if last := progress.interrupted_events:
            progress.interrupted_events = 0
            if self.hosts.is_chief:
                self._events(stage, last)
            self._save_or_stop(stage, due=False)
        while progress.step < stage.steps:
            begin = progress.step
            end = min([stage.steps, *((begin // interval + 1) * interval for interval in stage.intervals)])
            if self.hosts.world_size > 1:
                end = min(end, begin + STEPS_BETWEEN_STOP_CHECKS)
            self._burst(stage, batches, range(begin, end))
            if progress.step > begin and self.hosts.is_chief:
                self._events(stage)
            self._save_or_stop(stage, due=any(stage.is_due(interval, progress.step) for interval in stage.save_intervals))

    def _events(self, stage: Stage, last: int = 0) -> None:
        """Do what is due; only the `last` of them, if given. When the run is interrupted, the rest is counted."""
        due = [event for event in stage.events if stage.is_due(event.interval, self.progress.step)]
        for number, event in enumerate(due):
            if number < len(due) - (last or len(due)):
                continue
            try:
                event.action()
            except Interrupted:
                self.progress.interrupted_events = len(due) - number
                return

    def _save_or_stop(self, stage: Stage, *, due: bool) -> None:
        stop = self.hosts.any_rank(self.stop.is_set())
        if self.hosts.is_chief and (stop or due):
            stage.save()
        if stop:
            self.hosts.barrier()  # none leaves before the chief has saved
            step = f"step {self.progress.step:,} of {stage.name}"
            raise KeyboardInterrupt(f"saved after {step}; the same command resumes from there")

    def _interrupt(self) -> None:
        self.stop.set()
        if self.hosts.world_size == 1 and isinstance(self.trainer, InterruptibleTrainer):  # several hosts stop at the same step
            self.trainer.interrupt()

    def _burst(self, stage: Stage, batches: Iterator[Mapping[str, Array]], steps: range) -> None:
        """Some steps at once; fewer if the run is to stop."""
        learning_rates, seeds = [stage.learning_rate(step) for step in steps], [stage.seed(step) for step in steps]
        own = self._until_stopped(stage, batches, len(steps))
        for metrics in self.trainer.train_steps(own, learning_rates=learning_rates, seeds=seeds):
            if not math.isfinite(metrics["loss"] + metrics["grad_norm"]):
                raise self._diverged(stage, metrics)
            self.progress.add(metrics)

    def _until_stopped(self, stage: Stage, batches: Iterator[Mapping[str, Array]], count: int) -> Iterator[Mapping[str, Array]]:
        begin = self.progress.step
        for number, batch in enumerate(itertools.islice(batches, count)):
            if time.monotonic() > self._signed + SECONDS_BETWEEN_SIGNS:
                self._signed = time.monotonic()
                stage.sign(begin + number)
            if self.stop.is_set() and self.hosts.world_size == 1:  # several hosts stop at the same step
                return
            self.journal.tokens += int(batch["input_mask"].sum()) * self.hosts.world_size
            yield batch

    def _diverged(self, stage: Stage, metrics: Mapping[str, Any]) -> DivergedError:
        step = self.progress.step
        values = f"loss {metrics['loss']}, gradient norm {metrics['grad_norm']}"
        return DivergedError(f"{stage.name}, step {step + 1}: {values}; {stage.samples(step)}{stage.advice}")
