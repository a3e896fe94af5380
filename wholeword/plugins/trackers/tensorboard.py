"""Metrics as TensorBoard event files: `tensorboard --logdir runs`."""

from collections.abc import Mapping
from typing import Any

from wholeword.core.contracts import TrackedRun


class TensorBoard:
    """Writes event files into the folder `tensorboard` of the run."""

    libraries = ("tensorboard",)

    def __init__(self) -> None:
        self._writer: Any = None

    def start(self, run: TrackedRun) -> None:
        """Begin another event file; TensorBoard joins those of one folder."""
        from tensorboard.summary import Writer

        self._writer = Writer(str(run.folder / "tensorboard"))

    def log(self, metrics: Mapping[str, float], *, step: int) -> None:
        """One scalar for each metric."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        """Write what is buffered."""
        self._writer.close()
