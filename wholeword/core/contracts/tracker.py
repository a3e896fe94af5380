"""What sends the metrics of a run to a tool that shows them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class TrackedRun(NamedTuple):
    """What a tracker knows of a run."""

    name: str  # of the recipe
    folder: Path  # of the run; the tracker may write files of its own into it
    recipe: Mapping[str, Any]  # resolved, as JSON
    step: int  # of the whole run, where training starts or resumes


class Tracker(Protocol):
    """Sends metrics to a tool such as TensorBoard, beside `log.jsonl`, which a run always writes.

    Whatever a tracker raises is reported once, and the run continues without it. Only the chief of several hosts has trackers.
    """

    def start(self, run: TrackedRun) -> None:
        """Open the run in the tool. After an interruption this is called again with the same folder, by another process.

        Steps after `run.step` may have been logged before and are logged again, with the same values.
        """
        ...

    def log(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Send metrics.

        Args:
            metrics: finite numbers by names such as `train/loss`, `train/lr`, `held_out/whole-word/mlm_loss`.
            step: of the whole run, never less than the last one.
        """
        ...

    def finish(self) -> None:
        """Close the run, also after an interruption."""
        ...
