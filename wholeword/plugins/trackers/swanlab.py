"""Metrics in SwanLab: https://docs.swanlab.cn/api/py-init.html."""

from collections.abc import Mapping
from typing import Any, Literal

from wholeword.core.contracts import TrackedRun


class SwanLab:
    """One experiment in a project.

    Args:
        mode: local keeps everything in the folder of the run, for `swanlab watch`.
    """

    libraries = ("swanlab",)

    def __init__(self, *, project: str = "wholeword", workspace: str | None = None, mode: Literal["cloud", "local", "offline"] = "cloud"):
        self.project, self.workspace, self.mode = project, workspace, mode
        self._swanlab: Any = None  # the module, which has the experiment

    def start(self, run: TrackedRun) -> None:
        """Open an experiment; SwanLab has one at a time in a process."""
        import swanlab

        self._swanlab = swanlab
        swanlab.init(
            project=self.project,
            workspace=self.workspace,
            experiment_name=run.name,
            config=dict(run.recipe),
            logdir=str(run.folder / "swanlab"),
            mode=self.mode,
        )

    def log(self, metrics: Mapping[str, float], *, step: int) -> None:
        """All metrics at one step."""
        self._swanlab.log(dict(metrics), step=step)

    def finish(self) -> None:
        """Close the experiment."""
        self._swanlab.finish()
