"""Metrics in Weights & Biases: https://docs.wandb.ai/ref/python."""

from collections.abc import Mapping
from typing import Any, Literal

from wholeword.core.contracts import TrackedRun
from wholeword.plugins.trackers.ids import run_id


class WandB:
    """One run in a project; a resumed run continues it.

    Args:
        mode: offline keeps everything in the folder of the run, for `wandb sync`.
    """

    libraries = ("wandb",)

    def __init__(self, *, project: str = "wholeword", entity: str | None = None, mode: Literal["online", "offline"] = "online"):
        self.project, self.entity, self.mode = project, entity, mode
        self._run: Any = None

    def start(self, run: TrackedRun) -> None:
        """Open the run by an id that is kept in its folder."""
        import wandb

        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            name=run.name,
            id=run_id(run.folder, "wandb"),
            resume="allow",
            dir=str(run.folder),
            config=dict(run.recipe),
        )

    def log(self, metrics: Mapping[str, float], *, step: int) -> None:
        """All metrics at one step."""
        self._run.log(dict(metrics), step=step)

    def finish(self) -> None:
        """Wait until everything is sent, or written when offline."""
        self._run.finish()
