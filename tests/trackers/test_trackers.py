"""Trackers write what their own tools read: each tool's files are opened with the tool."""

import json
from pathlib import Path

import pytest

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.testing import check_tracker
from wholeword.core.training.run import train
from wholeword.plugins.trackers.mlflow import MLflow
from wholeword.plugins.trackers.swanlab import SwanLab
from wholeword.plugins.trackers.tensorboard import TensorBoard
from wholeword.plugins.trackers.wandb import WandB

DOCUMENTS = ["酒店的房间很干净，服务员的态度也很好。\n下次还会再来。", "这本书写得非常精彩，值得一看。\n推荐给大家。"] * 6
RECIPE = """
version: 1
name: reviews
corpus: {files: [corpus.txt]}
segmenter: characters
tokenizer: {train: 64, min_frequency: 1}
examples: full-sentences
model: {num_hidden_layers: 1, hidden_size: 16, num_attention_heads: 2, intermediate_size: 32, max_position_embeddings: 32}
phases:
  - {max_seq_length: 16, batch_size: 4, steps: 6, peak_lr: 1.0e-3}
log: {every: 2}
export: []
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "corpus.txt").write_text("\n\n".join(DOCUMENTS) + "\n", encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path / "recipe.yaml"


class Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def warn(self, line: str) -> None:
        self.lines.append(f"warning: {line}")


def carry_out(recipe: Path, trackers: str, observer: Silent | None = None) -> Path:
    overrides = [f"output={recipe.parent / 'run'}", f"log.trackers={trackers}", "prepare_workers=1"]
    return train(resolve(load_recipe(str(recipe), overrides)), observer=observer or Silent())


def log_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()[1:]]


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return {
        name: [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(name)] for name in events.Tags()["tensors"]
    }


def test_tensorboard_reads_the_metrics_of_the_log(recipe):
    run = carry_out(recipe, "[tensorboard]")
    values = scalars(run)
    for name in ("loss", "mlm_accuracy", "grad_norm", "lr"):
        assert values[f"train/{name}"] == [(line["step"], pytest.approx(line[name], rel=1e-6)) for line in log_of(run)]


def test_tensorboard_keeps_the_contract(folder):
    check_tracker(TensorBoard, folder)
    assert scalars(folder)["train/loss"] == [(10, 8.25), (20, 7.5), (20, 8.25), (30, 7.5)]


def test_wandb_keeps_the_contract_offline(folder, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    check_tracker(lambda: WandB(project="reviews", mode="offline"), folder)
    runs = sorted((folder / "wandb").glob("offline-run-*"))
    ids = {run.name.rsplit("-", 1)[1] for run in runs}
    assert len(runs) == 2 and ids == {(folder / "trackers" / "wandb").read_text()}  # resumed under one id


def test_swanlab_keeps_the_contract_offline(folder):
    check_tracker(lambda: SwanLab(project="reviews", mode="offline"), folder)
    assert any((folder / "swanlab").iterdir())


def test_mlflow_reads_the_metrics_of_the_log_and_continues_a_resumed_run(recipe, folder):
    from mlflow import MlflowClient

    uri = f"sqlite:///{recipe.parent / 'run' / 'mlflow.db'}"
    run = carry_out(recipe, f"[{{name: mlflow, experiment: reviews, tracking_uri: '{uri}'}}]")
    client = MlflowClient(uri)
    history = client.get_metric_history((run / "trackers" / "mlflow").read_text(), "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(line["step"], line["loss"]) for line in log_of(run)]
    check_tracker(lambda: MLflow(experiment="check", tracking_uri=uri), run)
    experiment = client.get_experiment_by_name("reviews")
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_a_tracker_that_fails_is_reported_once_and_stops_nothing(recipe, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # MLflow's default keeps trying for minutes
    lines = Lines()
    run = carry_out(recipe, "[{name: mlflow, tracking_uri: 'http://127.0.0.1:9'}, tensorboard]", lines)
    warnings = [line for line in lines.lines if line.startswith("warning")]
    assert len(warnings) == 1 and warnings[0].startswith("warning: tracker 'mlflow' of wholeword ")
    assert "is switched off; training continues" in warnings[0]
    assert len(scalars(run)["train/loss"]) == len(log_of(run)) == 3


class Exiting:
    def __init__(self, *, when: str = "log"):
        self.when = when
        if when == "made":
            raise RuntimeError("no such project")

    def start(self, run):
        pass

    def log(self, metrics, *, step):
        raise SystemExit(9)

    def finish(self):
        pass


@pytest.mark.parametrize("when", ["made", "log"])
def test_a_tracker_that_exits_or_cannot_be_made_stops_nothing(recipe, plugins, when):
    plugins("tracker", "exiting", Exiting)
    lines = Lines()
    run = carry_out(recipe, f"[{{name: exiting, when: {when}}}, tensorboard]", lines)
    assert len([line for line in lines.lines if line.startswith("warning: tracker 'exiting' of others 1.0 failed")]) == 1
    assert len(log_of(run)) == 3
