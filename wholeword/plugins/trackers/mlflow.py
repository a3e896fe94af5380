"""Metrics in MLflow: https://mlflow.org/docs/latest/ml/tracking."""

import time
from collections.abc import Mapping
from typing import Any

from wholeword.core.contracts import TrackedRun
from wholeword.plugins.trackers.ids import kept_id


class MLflow:
    """One run in an experiment; a resumed run continues it.

    Args:
        tracking_uri: of a server, or of a local store such as sqlite:///mlflow.db; by default MLFLOW_TRACKING_URI, or MLflow's own default.
    """

    libraries = ("mlflow",)

    def __init__(self, *, experiment: str = "wholeword", tracking_uri: str | None = None):
        self.experiment, self.tracking_uri = experiment, tracking_uri
        self._client: Any = None
        self._run_id = ""

    def start(self, run: TrackedRun) -> None:
        """Open the run whose id is kept in its folder, or create one."""
        from mlflow import MlflowClient

        self._client = MlflowClient(self.tracking_uri)
        self._run_id = kept_id(run.folder, "mlflow", lambda: self._create(run))

    def _create(self, run: TrackedRun) -> str:
        experiment = self._client.get_experiment_by_name(self.experiment)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(self.experiment)
        return str(self._client.create_run(experiment_id, run_name=run.name).info.run_id)

    def log(self, metrics: Mapping[str, float], *, step: int) -> None:
        """All metrics at one step, in one request."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._client.log_batch(self._run_id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])

    def finish(self) -> None:
        """Close the run."""
        self._client.set_terminated(self._run_id)
