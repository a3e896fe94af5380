"""The contract of `wholeword.core.contracts.Tracker`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from wholeword.core.contracts import TrackedRun, Tracker

METRICS: Sequence[Mapping[str, float]] = (
    {"train/loss": 8.25, "train/mlm_loss": 8.25, "train/mlm_accuracy": 0.0, "train/grad_norm": 1.5, "train/lr": 0.0},
    {"train/loss": 7.5, "train/mlm_loss": 7.5, "train/mlm_accuracy": 0.125, "train/grad_norm": 1.25, "train/lr": 1e-4},
    {"held_out/whole-word/mlm_loss": 7.75, "held_out/whole-word/mlm_accuracy": 0.0625},
)


def check_tracker(create: Callable[[], Tracker], folder: Path) -> None:
    """Log a run, interrupt it, and resume it with another object, as a run in another process does.

    Args:
        create: makes a new tracker with the same settings; it should store everything locally.
        folder: the output folder of the run; empty.
    Raises: AssertionError naming the call, and what it returned or raised.
    """
    before = {path for path in folder.parent.iterdir() if path != folder}
    recipe = {"version": 1, "name": "check", "phases": [{"steps": 20, "peak_lr": 1e-4}], "corpus": {"files": ["笔记.txt"]}}
    for first_step in (0, 10):  # the resumed run logs step 20 again
        tracker = create()
        _call(tracker, "start", partial(tracker.start, TrackedRun("check", folder, recipe, first_step)))
        for number, metrics in enumerate(METRICS):
            step = first_step + 10 * min(number + 1, 2)
            _call(tracker, "log", partial(tracker.log, metrics, step=step))
        _call(tracker, "finish", tracker.finish)
    after = {path for path in folder.parent.iterdir() if path != folder}
    assert after == before, f"{_name(tracker)} wrote {sorted(map(str, after - before))}; expected files inside the run's folder only"


def _call(tracker: Tracker, method: str, call: Callable[[], object]) -> None:
    try:
        result = call()
    except Exception as error:
        raise AssertionError(f"{_name(tracker)}.{method}() raised {type(error).__name__}: {error}; expected it to return") from error
    assert result is None, f"{_name(tracker)}.{method}() returned {result!r}; expected None"


def _name(tracker: Tracker) -> str:
    return type(tracker).__name__
