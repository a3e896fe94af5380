"""Tables of real fine-tuning runs, small ones."""

import json
import random

import pytest
from killing import kill
from toys import SECTION

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.console import Silent
from wholeword.core.contracts import ModelFiles
from wholeword.core.training.export import export
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.finetuning.bench.recipe import load_table
from wholeword.finetuning.bench.results import read_results
from wholeword.finetuning.bench.run import run_table

GOOD, BAD, EITHER = "好棒美赞喜", "坏差丑烂厌", "这个房间书很真服务的吃"

TABLE = """version: 1
name: toys
seeds: [1, 2]
models: [model]
tasks:
  - task: {name: classification, data: reviews}
    name: Reviews 评论
    batch_size: 16
    epochs: 5
    max_seq_length: 16
    learning_rates: [1.0e-5, 2.0e-3]
backend: {name: pytorch, device: cpu, precision: fp32, threads: 1}
output: OUTPUT
"""


@pytest.fixture
def table(tmp_path):
    """Reviews that say good or bad with a character or two, and a random model of two layers."""
    vocabulary = Vocabulary([*SPECIAL_PIECES, *GOOD, *BAD, *EITHER])
    config = model_config(SECTION, vocab_size=len(vocabulary))
    export(ModelFiles(config, initial_weights(config, 1), vocabulary, True, False), "pytorch-bin", tmp_path / "model")
    generator = random.Random(5)
    (tmp_path / "reviews").mkdir()
    for split, count in (("train", 320), ("dev", 80), ("test", 80)):
        rows = []
        for number in range(count):
            words = generator.choices(EITHER, k=8) + generator.choices(GOOD if number % 2 else BAD, k=2)
            generator.shuffle(words)
            rows.append(f"{number % 2}\t{''.join(words)}")
        (tmp_path / "reviews" / f"{split}.tsv").write_text("\n".join(["label\ttext_a", *rows, ""]), encoding="utf-8")
    path = tmp_path / "table.yaml"
    path.write_text(TABLE.replace("OUTPUT", str(tmp_path / "out")), encoding="utf-8")
    return path


def test_a_table_is_filled_by_fine_tuning(table):
    """The rate that learns is chosen; metrics are those of the predictions that the runs saved, and no weights are kept."""
    results, content = read_results(run_table(load_table(table), observer=Silent()))
    assert results.learning_rates == {("model", "Reviews 评论"): 2e-3}
    test = next(stats for key, stats in results.statistics.items() if key.split == "test")
    assert test.count == 2 and test.mean > 90 and len(content["runs"]) == 4
    rows = [line.split("\t") for line in (table.parent / "reviews" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    for run in content["runs"]:
        folder = table.parent / "out" / run["folder"]
        predictions = json.loads((folder / "predictions.json").read_bytes())["test"]
        right = sum(predictions[str(number)] == label for number, (label, _) in enumerate(rows, 2))
        assert run["scores"]["test"]["accuracy"] == pytest.approx(100 * right / len(rows))
        assert not list(folder.rglob("*.safetensors")) and not list(folder.rglob("*.bin"))


def test_a_run_that_cannot_be_done_is_shown_as_failed(table):
    """A row longer than the model has places for fails; the others are carried out."""
    text = table.read_text(encoding="utf-8")
    tasks = text[text.index("  - task") : text.index("backend")]
    table.write_text(
        text.replace(tasks, tasks + tasks.replace("Reviews 评论", "long").replace(": 16\n    learning", ": 500\n    learning"))
    )
    results, _ = read_results(run_table(load_table(table), observer=Silent()))
    assert {failure.task for failure in results.failures} == {"long"} and results.failed == {("model", "long"): 2}
    assert all("\n" not in failure.reason for failure in results.failures)
    assert {key.task for key in results.statistics} == {"Reviews 评论"}


def test_a_table_killed_in_the_middle_ends_the_same(table):
    counts = kill("table", table.parent, 5)
    assert counts["kills"] >= 5 and counts["finished"] and not counts["failed"] and not counts["different"], counts
