"""Filling a table: what is run, what is chosen, what happens when it is stopped or a run fails. The runs here are planted, not trained."""

import json
import math
import random

import pytest

from wholeword.cli import main
from wholeword.core.config import load_recipe
from wholeword.core.config.origins import origins
from wholeword.core.config.recipes import read_recipe
from wholeword.core.console import Silent
from wholeword.core.errors import DiskError, DivergedError, OtherOriginError, RecipeError, UserError
from wholeword.finetuning.bench.formats import markdown
from wholeword.finetuning.bench.recipe import FINETUNING, BenchTask, finetuning_settings, load_table
from wholeword.finetuning.bench.results import read_results
from wholeword.finetuning.bench.run import planned, run_table
from wholeword.finetuning.bench.search import Score, best_of, climb, higher, lower, score
from wholeword.finetuning.bench.tables import all_tables
from wholeword.finetuning.job import Training
from wholeword.finetuning.recipe import FinetuneRecipe

TABLE = """version: 1
name: planted
seeds: [1, 2, 3]
models:
  - zoo:rbt3
  - {name: RoBERTa-wwm-ext, model: zoo:roberta-wwm-ext}
tasks:
  - task: {name: classification, data: reviews}
    name: Reviews 评论
  - task: {name: pairs, data: pairs}
    epochs: 1
    learning_rates: [2e-5, 3e-5, 4e-5, 5e-5]
output: OUTPUT
"""
OPTIMA = {"rbt3": 5e-5, "RoBERTa-wwm-ext": 3e-5}


@pytest.fixture
def folder(tmp_path):
    for name, header, rows in (
        ("reviews", "label\ttext_a", "1\t好\n0\t坏\n"),
        ("pairs", "label\ttext_a\ttext_b", "1\t好\t很好\n0\t坏\t好\n"),
    ):
        (tmp_path / name).mkdir()
        for split in ("train", "dev", "test"):
            (tmp_path / name / f"{split}.tsv").write_text(f"{header}\n{rows}", encoding="utf-8")
    return tmp_path


def table(folder, text=TABLE, output="out"):
    (folder / "table.yaml").write_text(text.replace("OUTPUT", str(folder / output)), encoding="utf-8")
    return load_table(folder / "table.yaml")


class Planted:
    """Metrics that are a function of the cell: best at the planted learning rate, with noise of the seed."""

    def __init__(self, *, stop_after=None, failing=()):
        self.done, self.stop_after, self.failing = [], stop_after, failing

    def __call__(self, table, cell, output, observer):
        result = output / f"seed-{cell.seed}" / "result.json"
        if result.exists():
            return json.loads(result.read_bytes())
        if len(self.done) == self.stop_after:
            raise KeyboardInterrupt
        self.done.append(cell)
        if (cell.model.name, cell.task.name, cell.seed) in self.failing:
            raise DivergedError(f"step 7: loss nan\nsecond line of {cell}")
        noise = random.Random(f"{cell}").uniform(-0.2, 0.2)
        value = 90 - 10 * abs(math.log(cell.learning_rate / OPTIMA[cell.model.name])) + noise
        scores = {"dev": {"accuracy": value}, "test": {"accuracy": value - 1}}
        result.parent.mkdir(parents=True)
        right = cell.model.name == "rbt3"  # which says of both examples what they are, the other model of one
        (result.parent / "predictions.json").write_text(json.dumps({split: {"2": "1", "3": "0" if right else "1"} for split in scores}))
        result.write_text(json.dumps(scores))
        return scores


def test_every_cell_is_run_once_and_the_best_rate_on_dev_is_chosen(folder):
    planted_runs = Planted()
    path = run_table(table(folder), observer=Silent(), run=planted_runs)
    results, content = read_results(path)
    assert results.learning_rates == {
        ("rbt3", "Reviews 评论"): 2e-5,  # the task's own
        ("RoBERTa-wwm-ext", "Reviews 评论"): 2e-5,
        ("rbt3", "pairs"): 5e-5,
        ("RoBERTa-wwm-ext", "pairs"): 3e-5,
    }
    assert len(planted_runs.done) == len(set(map(str, planted_runs.done))) == 2 * 3 + 2 * 4 * 3 == len(content["runs"])
    assert results.parameters == {"rbt3": 38_479_107, "RoBERTa-wwm-ext": 102_269_955}
    written = markdown(all_tables(results, relative_to="RoBERTa-wwm-ext")["summary"])
    assert "38M (37.3%)" in written and "102M" in written


@pytest.mark.parametrize("stop_after", [0, 1, 5, 17, 29])
def test_a_table_that_was_stopped_ends_the_same(folder, stop_after):
    whole = (run_table(table(folder), observer=Silent(), run=Planted()) / "results.json").read_bytes()
    loaded = table(folder, output="stopped")
    with pytest.raises(KeyboardInterrupt):
        run_table(loaded, observer=Silent(), run=Planted(stop_after=stop_after))
    if stop_after:
        assert len(read_results(loaded.output)[1]["runs"]) == stop_after
    resumed = Planted()
    assert (run_table(loaded, observer=Silent(), run=resumed) / "results.json").read_bytes() == whole
    assert len(resumed.done) == 30 - stop_after


def test_a_failed_run_is_a_result_until_it_is_tried_again(folder):
    failing = {("rbt3", "pairs", 2), *(("RoBERTa-wwm-ext", "Reviews 评论", seed) for seed in (1, 2, 3))}
    path = run_table(table(folder), observer=Silent(), run=Planted(failing=failing))
    first = (path / "results.json").read_bytes()
    results, _ = read_results(path)
    written = markdown(all_tables(results, seeds=True)["tasks"])
    assert "| RoBERTa-wwm-ext | failed | failed | 0 of 3 |" in written and ", 1 failed" in written
    assert "* RoBERTa-wwm-ext, learning rate 2e-5, seed 1: step 7: loss nan" in written
    again = Planted()
    assert (run_table(table(folder), observer=Silent(), run=again) / "results.json").read_bytes() == first and not again.done
    retried = Planted()
    run_table(table(folder), retry=True, observer=Silent(), run=retried)
    assert len(retried.done) == 4 + 3 and not read_results(path)[0].failures
    whole = run_table(table(folder, output="whole"), observer=Silent(), run=Planted())
    assert (path / "results.json").read_bytes() == (whole / "results.json").read_bytes()


@pytest.mark.parametrize("error", [DiskError, OtherOriginError])
def test_a_full_disk_or_a_changed_model_is_no_result(folder, error):
    def stopped(table, cell, output, observer):
        raise error("no room, or of another model")

    with pytest.raises(error):
        run_table(table(folder), observer=Silent(), run=stopped)
    assert not list((folder / "out").rglob("*.failed.json"))


def test_a_table_may_grow_but_not_change(folder):
    run_table(table(folder), observer=Silent(), run=Planted())
    more = Planted()
    run_table(table(folder, TABLE.replace("[1, 2, 3]", "[1, 2, 3, 4]")), observer=Silent(), run=more)
    assert {cell.seed for cell in more.done} == {4} and len(more.done) == 2 + 2 * 4
    for before, after in (("epochs: 1", "epochs: 2"), ("zoo:roberta-wwm-ext", "zoo:bert-wwm")):
        with pytest.raises(UserError, match="set another output"):
            run_table(table(folder, TABLE.replace(before, after)), observer=Silent(), run=Planted())


def test_rates_of_another_model_are_taken(folder):
    text = TABLE.replace("model: zoo:roberta-wwm-ext}", "model: zoo:roberta-wwm-ext, learning_rates_of: rbt3}")
    planted_runs = Planted()
    path = run_table(table(folder, text), observer=Silent(), run=planted_runs)
    assert read_results(path)[0].learning_rates["RoBERTa-wwm-ext", "pairs"] == 5e-5
    assert len([cell for cell in planted_runs.done if cell.model.name == "RoBERTa-wwm-ext"]) == 2 * 3


@pytest.mark.parametrize("start", [1e-5, 3e-5, 8e-5, 2.5e-4])
def test_the_search_finds_a_planted_optimum(folder, start):
    text = TABLE.replace("    learning_rates: [2e-5, 3e-5, 4e-5, 5e-5]\n", f"    search: true\n    learning_rate: {start}\n")
    path = run_table(table(folder, text), observer=Silent(), run=Planted())
    rates = read_results(path)[0].learning_rates
    assert {model: rates[model, "pairs"] for model in OPTIMA} == OPTIMA


def test_plan_lists_the_runs(folder):
    text = TABLE.replace("learning_rates: [2e-5, 3e-5, 4e-5, 5e-5]", "search: true")
    assert list(planned(table(folder, text))) == [
        "rbt3, Reviews 评论: learning rate 2e-5; 3 seeds each",
        "rbt3, pairs: learning rate searched for from 2e-5; 3 seeds each",
        "RoBERTa-wwm-ext, Reviews 评论: learning rate 2e-5; 3 seeds each",
        "RoBERTa-wwm-ext, pairs: learning rate searched for from 2e-5; 3 seeds each",
    ]


def test_models_are_compared_by_their_predictions(folder, capsys):
    path = run_table(table(folder), observer=Silent(), run=Planted())
    arguments = ["bench", "table", str(path), "--bootstrap", "--only", "bootstrap", "--relative-to", "RoBERTa-wwm-ext", "--samples", "1000"]
    main(arguments)
    printed = capsys.readouterr().out
    assert "| Reviews 评论 | Accuracy | rbt3 | +50.00 | +0.00 to +100.00 | 0.2" in printed  # a quarter of the draws of two miss the second
    assert "RoBERTa-wwm-ext | +" not in printed and "Test set, averages over seeds; 1,000 resamples" in printed
    main(arguments)
    assert capsys.readouterr().out == printed
    (path / "cells" / "rbt3" / "pairs" / "5e-5" / "seed-1" / "predictions.json").unlink()
    with pytest.raises(SystemExit):
        main(arguments)
    assert "no predictions for test" in capsys.readouterr().err


# --- search


def test_the_ladder_is_that_of_the_published_rates():
    rates = [1e-5]
    while len(rates) < 8:
        rates.append(higher(rates[-1]))
    assert rates == [1e-5, 2e-5, 3e-5, 4e-5, 5e-5, 8e-5, 1e-4, 2e-4]
    for rate in rates[1:]:
        assert higher(lower(rate)) == rate
    assert (lower(2.5e-5), higher(2.5e-5), lower(1e-3), higher(0.8)) == (2e-5, 3e-5, 8e-4, 1.0)


def test_a_climb_scores_each_rate_once_and_stays_on_a_plateau():
    scored = []

    def score_of(rate):
        scored.append(rate)
        return Score(True, 90.0)

    assert climb(3e-5, score_of) == 3e-5 and sorted(scored) == [2e-5, 3e-5, 4e-5]


def test_a_rate_with_a_failed_run_loses_to_any_without():
    values = {2e-5: [99.0, None], 3e-5: [50.0, 50.0], 4e-5: [50.0, 50.0], 5e-5: [None, None]}
    assert best_of(values, lambda rate: score(values[rate])) == 3e-5  # of equals the smaller
    del values[3e-5], values[4e-5]
    assert best_of(values, lambda rate: score(values[rate])) == 2e-5


# --- the file


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("seeds: [1, 2, 3]", "seed: [1, 2, 3]", ":3:1: seed: unknown setting; did you mean 'seeds'?"),
        ("seeds: [1, 2, 3]", "seeds: [1, 2, 2]", ":3:8: seeds: 2 appears 2 times"),
        ("seeds: [1, 2, 3]", "seeds: [one]", ":3:9: seeds.0: 'one' is text; expected a whole number"),
        ("zoo:rbt3", "zoo:rbt33", ":5:5: models.0: rbt33: unknown model; did you mean 'rbt3'?"),
        ("zoo:rbt3", "nowhere", ":5:5: models.0: "),
        ("    name: Reviews 评论", "    name: pairs", "tasks.0: duplicate name 'pairs'"),
        ("name: classification", "name: clasification", "tasks.0.task.name: unknown task 'clasification'; did you mean 'classification'?"),
        ("data: reviews", "date: reviews", "tasks.0.task.date: unknown setting; did you mean 'data'?"),
        ("data: pairs", "labels: [a]", "tasks.1.task.data: missing; pairs needs it"),
        ("epochs: 1", "epochs: 0", ":11:13: tasks.1.epochs: 0; expected a whole number of at least 1"),
        ("epochs: 1", "search: true", ":11:13: tasks.1.search: true beside learning_rates"),
        ("epochs: 1", "learning_rate: 20", ":11:20: tasks.1.learning_rate: 20; expected a number"),
        ("{name: RoBERTa-wwm-ext,", "{learning_rates_of: x,", "models.1.learning_rates_of: 'x'; expected the name of a model above: rbt3"),
        ("name: planted", "name: Planted Table", "name: 'Planted Table'; expected text"),
        ("version: 1\n", "", "version: missing; expected 1"),
    ],
)
def test_problems_are_reported_with_line_and_column(folder, before, after, message):
    assert before in TABLE
    with pytest.raises(RecipeError) as caught:
        table(folder, TABLE.replace(before, after, 1))
    assert message in str(caught.value) and "table.yaml:" in str(caught.value)


def test_all_problems_are_reported_at_once(folder):
    text = TABLE.replace("epochs: 1", "epoch: 1").replace("seeds:", "seed:").replace("data: reviews", "data: 3")
    with pytest.raises(RecipeError) as caught:
        table(folder, text)
    assert len(caught.value.problems) == 3
    assert [int(problem.split("table.yaml:")[1].split(":")[0]) for problem in caught.value.problems] == [3, 8, 11]


def test_missing_files_are_reported_before_anything_runs(folder):
    (folder / "pairs" / "dev.tsv").unlink()
    with pytest.raises(UserError, match="dev"):
        run_table(table(folder), observer=Silent(), run=Planted())
    with pytest.raises(RecipeError, match=r"no such file; did you mean .*table\.yaml"):
        load_table(folder / "tabel.yaml")


def test_the_shipped_table_loads_and_its_values_have_sources():
    loaded = load_table("table-chnsenticorp", ["models.0.model=zoo:rbt3", "tasks.0.epochs=1", "models.0.name=x"])
    assert (loaded.models[0].name, loaded.tasks[0].name, loaded.tasks[0].epochs) == ("x", "ChnSentiCorp", 1)
    assert {origin.path for origin in origins(read_recipe("table-chnsenticorp"), "x")} >= {"seeds", "output", "tasks.0.learning_rates"}
    with pytest.raises(RecipeError, match="a table; run it with wholeword bench run"):
        load_recipe("table-chnsenticorp")


def test_a_table_can_set_whatever_of_fine_tuning_changes_metrics(folder):
    assert {*Training._fields, "max_query_length", "max_answer_length"} == {"learning_rate", *FINETUNING}
    assert set(FINETUNING) <= BenchTask.model_fields.keys() & FinetuneRecipe.model_fields.keys()
    given = table(folder, TABLE.replace("epochs: 1", "epochs: 1\n    max_query_length: 24"))
    settings = finetuning_settings(given, given.tasks[1])
    assert {key: settings[key] for key in FINETUNING if key in settings} == {"epochs": 1, "max_query_length": 24}
