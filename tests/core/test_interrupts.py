"""Ctrl-C and SIGTERM are answered at once, act soon, and lose nothing."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from wholeword.core.errors import Interrupted
from wholeword.core.training.hosts import Hosts
from wholeword.core.training.journal import NoJournal
from wholeword.core.training.loop import Event, Loop, Progress, Stage, zero_sums

LONG_CALL = """
import hashlib, sys
from wholeword.core.training.interrupts import interruptible

with interruptible("stopping", {request}):
    print("ready", flush=True)
    try:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # one call, which takes long and lets other threads run
    finally:
        print("unwound", flush=True)
"""


def start(request: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_CALL.format(request=request)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_answered_in_the_midst_of_a_long_call_and_a_second_one_leaves(number: signal.Signals) -> None:
    process = start("lambda: print('requested', file=sys.stderr, flush=True)")
    assert process.stderr is not None
    process.send_signal(number)
    assert process.stderr.readline() == "stopping; Ctrl-C again leaves at once\n"
    assert process.stderr.readline() == "requested\n" and process.poll() is None
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and errors == "" and "unwound" not in output


def test_without_a_request_a_library_cannot_hold_the_end_up() -> None:
    process = start("None")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)  # the call itself would take an hour
    assert errors.startswith("stopping; Ctrl-C again leaves at once\n")
    assert process.returncode in (130, -signal.SIGINT)  # the second one if the signal came before the call began


class Counter:
    """Counts steps; sends this process a signal in the midst of one of them."""

    def __init__(self, signal_at: int | None = None):
        self.signal_at, self.taken, self.interrupted = signal_at, 0, threading.Event()

    def train_steps(
        self, batches: Iterable[Mapping[str, Any]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        metrics: list[dict[str, float]] = []
        for _ in batches:
            if self.taken == self.signal_at:
                os.kill(os.getpid(), signal.SIGINT)
                assert self.interrupted.wait(20)
                return metrics  # the step is abandoned
            self.taken += 1
            metrics.append({"loss": 1.0, "grad_norm": 1.0})
        return metrics

    def interrupt(self) -> None:
        self.interrupted.set()


def endless() -> Iterable[Mapping[str, Any]]:
    while True:
        yield {"input_mask": np.ones((1, 1), np.int32)}


def take(trainer: Counter, progress: Progress, saved: list[dict[str, Any]], events: Sequence[Event], stop: threading.Event) -> None:
    stage = Stage(
        name="phase 1",
        steps=20,
        learning_rate=lambda step: 1e-3,
        seed=lambda step: step,
        events=events,
        save=lambda: saved.append(progress.to_json()),
        save_intervals=[5],
        advice="",
    )
    Loop(trainer, progress, NoJournal(), stop=stop, hosts=Hosts()).run(stage, iter(endless()))


def test_an_unfinished_step_is_dropped_and_the_last_whole_one_is_saved(capsys: pytest.CaptureFixture[str]) -> None:
    trainer, progress, saved = Counter(signal_at=7), Progress(sums=zero_sums(["loss"])), []
    with pytest.raises(KeyboardInterrupt, match="saved after step 7 of phase 1; the same command resumes from there"):
        take(trainer, progress, saved, [], threading.Event())
    assert [state["step"] for state in saved] == [5, 7]
    assert capsys.readouterr().err.startswith("stopping: saving after this step")


def test_an_interrupted_evaluation_takes_place_when_the_run_resumes() -> None:
    happened: list[str] = []
    stop = threading.Event()

    def evaluate() -> None:
        if progress.step == 10 and not happened.count("abandoned"):
            happened.append("abandoned")
            stop.set()
            raise Interrupted
        happened.append(f"evaluation {progress.step}")

    trainer, progress, saved = Counter(), Progress(sums=zero_sums(["loss"])), []
    events = [Event(5, lambda: happened.append(f"log {progress.step}")), Event(10, evaluate)]
    with pytest.raises(KeyboardInterrupt, match="saved after step 10"):
        take(trainer, progress, saved, events, stop)
    assert saved[-1]["interrupted_events"] == 1 and "interrupted_events" not in saved[0]
    progress = Progress(**saved[-1])
    take(trainer, progress, saved, events, threading.Event())
    assert happened == ["log 5", "log 10", "abandoned", "evaluation 10", "log 15", "log 20", "evaluation 20"]
    assert "interrupted_events" not in saved[-1] and trainer.taken == 20
