"""Fine-tuning runs from a recipe to metrics: learnt, interrupted, refused."""

import json
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finetuning import CLASSES, filler, question, write_recipe, write_task
from killing import kill
from transformers import BertTokenizer

from wholeword import zoo
from wholeword.core.console import Silent
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import DivergedError, RecipeError, UserError
from wholeword.core.formats.checkpoints import latest_checkpoint
from wholeword.core.formats.tensors import read_tensors, write_tensors
from wholeword.core.registry.registry import Registry
from wholeword.finetuning import prepare
from wholeword.finetuning.decode import Predictions
from wholeword.finetuning.finetune import finetune
from wholeword.finetuning.job import settled_training
from wholeword.finetuning.recipe import load_finetune_recipe
from wholeword.finetuning.results import hint

TASK_OF = {"classification": "classification", "span": "spans", "tagging": "tagging"}


def run(recipe: Path, *overrides: str) -> Path:
    return finetune(load_finetune_recipe(str(recipe), [f"output={recipe.parent / 'run'}", *overrides]), observer=Silent())


def result_of(folder: Path, seed: int = 3) -> dict[str, Any]:
    return json.loads((folder / f"seed-{seed}" / "result.json").read_bytes())


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("timings.jsonl", "manifest.json")  # a clock, and the folder's name
    }


@pytest.mark.parametrize(("head", "metric", "least"), [("classification", "accuracy", 95), ("span", "EM", 90), ("tagging", "F1", 90)])
def test_a_planted_task_is_learnt(head: str, metric: str, least: float, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, TASK_OF[head])
    write_task(tmp_path / "data", TASK_OF[head], train=960)
    folder = run(recipe, "epochs=5", "batch_size=16")
    result = result_of(folder)
    assert result["splits"]["dev"][metric] >= least
    assert len(result["epochs"]) == 5 and result["epochs"][-1] == result["splits"]["dev"] and result["metrics"][0] == metric
    predictions = json.loads((folder / "seed-3" / "predictions.json").read_bytes())["dev"]
    nbest = json.loads((folder / "seed-3" / "nbest.json").read_bytes())["dev"]
    assert len(predictions) == 40 and predictions.keys() == nbest.keys()
    log = [json.loads(line) for line in (folder / "seed-3" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < losses[0] / 2 and [line["step"] for line in log if "split" in line] == [60 * epoch for epoch in range(1, 6)]
    assert not any("second" in key or "time" in key for line in log for key in line)
    assert not (folder / "seed-3" / "progress").exists()


@pytest.mark.parametrize("head", list(CLASSES))
def test_transformers_and_the_zoo_read_the_model(head: str, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, TASK_OF[head])
    write_task(tmp_path / "data", TASK_OF[head], train=64, dev=8)
    folder = run(recipe, "epochs=2")
    exported = folder / "seed-3" / "model"
    model, report = CLASSES[head].from_pretrained(exported, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    tokenizer = BertTokenizer.from_pretrained(exported)
    nbest = json.loads((folder / "seed-3" / "nbest.json").read_bytes())["dev"]
    with torch.no_grad():
        if head == "classification":
            for number, line in enumerate((tmp_path / "data" / "dev.jsonl").read_text(encoding="utf-8").splitlines()):
                logits = model(**tokenizer(json.loads(line)["text"], return_tensors="pt")).logits[0]
                probabilities = {model.config.id2label[place]: float(p) for place, p in enumerate(logits.softmax(-1))}
                assert probabilities == pytest.approx(
                    {best["label"]: best["probability"] for best in list(nbest.values())[number]}, abs=1e-5
                )
        elif head == "span":
            paragraph = json.loads((tmp_path / "data" / "dev.json").read_text(encoding="utf-8"))["data"][0]["paragraphs"][0]
            output = model(**tokenizer("问", paragraph["context"], return_tensors="pt"))
            begin, end = output.start_logits[0], output.end_logits[0]
            first, second = nbest["0"][:2]
            scores = [float(begin[3 + best["start"]] + end[3 + best["end"] - 1]) for best in (first, second)]  # behind [CLS] 问 [SEP]
            assert scores[0] - scores[1] == pytest.approx(np.log(first["probability"] / second["probability"]), abs=1e-4)
        else:
            units = [
                line.split("\t")[0] for line in (tmp_path / "data" / "dev.txt").read_text(encoding="utf-8").split("\n\n")[0].split("\n")
            ]
            probabilities = model(**tokenizer("".join(units), return_tensors="pt")).logits[0, 1:-1].softmax(-1).max(-1)
            assert [model.config.id2label[int(tag)] for tag in probabilities.indices] == [best["tag"] for best in nbest["0"]]
            np.testing.assert_allclose(probabilities.values.numpy(), [best["probability"] for best in nbest["0"]], atol=1e-5)
    if head == "classification":
        encoder = zoo.load(str(exported), "torch")
        assert torch.equal(encoder.embeddings.word_embeddings.weight, model.bert.embeddings.word_embeddings.weight)
        again = run(recipe, f"model={exported}", f"output={tmp_path / 'again'}", "epochs=1")
        assert result_of(again)["splits"]["dev"]["TOTAL"] == 8


def test_a_run_is_a_function_of_its_seed(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=50, dev=10)
    first = files_of(run(recipe, "seeds=[3, 4]"))
    again = files_of(run(recipe, "seeds=[4, 3]", f"output={tmp_path / 'again'}"))
    assert first.keys() == again.keys()
    assert [name for name in first if first[name] != again[name]] == []
    assert first["seed-3/log.jsonl"] != first["seed-4/log.jsonl"] and first["seed-3/nbest.json"] != first["seed-4/nbest.json"]


def test_a_finished_seed_is_not_run_again_and_another_recipe_is_refused(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=32, dev=8)
    folder = run(recipe, "epochs=1")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert before == {path: path.stat().st_mtime_ns for path in run(recipe, "epochs=1").rglob("*") if path.is_file()}
    run(recipe, "epochs=1", "seeds=[3, 8]", "log_every=1", "checkpoint_every=1")
    assert (folder / "seed-8" / "result.json").exists() and (folder / "seed-3" / "result.json").stat().st_mtime_ns in before.values()
    with pytest.raises(UserError, match=r"another recipe \(settings\.epochs: 1 -> 2\)"):
        run(recipe, "epochs=2")
    with open(tmp_path / "data" / "train.jsonl", "a", encoding="utf-8") as file:
        file.write('{"text": "好", "label": "good"}\n')
    with pytest.raises(UserError, match=r"another recipe \(data\.train"):
        run(recipe, "epochs=1", "seeds=[9]")


def test_model_tokenizer_rows_and_plugins_are_made_once_for_all_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=32, dev=8)
    counts: Counter[str] = Counter()

    def count(module: Any, name: str, key: Callable[..., str]) -> None:
        original = getattr(module, name)

        def counted(*arguments: Any, **settings: Any) -> Any:
            counts[key(*arguments)] += 1
            return original(*arguments, **settings)

        monkeypatch.setattr(module, name, counted)

    count(WordPieceTokenizer, "__init__", lambda *_: "tokenizer")
    count(prepare, "read_model", lambda *_: "model")
    count(prepare, "make_rows", lambda examples, *_: f"rows of {len(examples)}")
    count(Registry, "create", lambda _, kind, name: kind)
    run(recipe, "epochs=1", "seeds=[3, 4, 5]", "keep_model=false")
    made = {kind: counts[kind] for kind in ("task", "backend", "optimizer", "schedule")}
    assert made == dict.fromkeys(made, 1)
    assert (counts["tokenizer"], counts["model"], counts["rows of 32"], counts["rows of 8"]) == (1, 1, 1, 1)


def test_finished_runs_are_not_taken_for_those_of_a_model_that_has_changed(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=32, dev=8)
    folder = run(recipe, "epochs=1")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
    data = tmp_path / "data" / "train.jsonl"
    data.write_bytes(data.read_bytes())  # the same again: read, and nothing is run
    run(recipe, "epochs=1")
    assert [path.name for path, time in before.items() if path.stat().st_mtime_ns != time] == ["recipe.json"]
    weights = next((tmp_path / "model").glob("*.safetensors"))
    tensors = read_tensors(weights)
    name = next(name for name in tensors if name.endswith("query/kernel") or name.endswith("query.weight"))
    write_tensors(weights, {**tensors, name: tensors[name] + 1}, {"format": "pt"})
    with pytest.raises(UserError, match=r"another recipe \(model\.weights: "):
        run(recipe, "epochs=1")
    data.unlink()
    weights.unlink()
    run(recipe, "epochs=1")  # what is finished does without both


def test_without_keep_model_metrics_and_predictions_stay(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "tagging")
    write_task(tmp_path / "data", "tagging", train=16, dev=4)
    folder = run(recipe, "keep_model=false", "epochs=1")
    names = sorted(path.name for path in (folder / "seed-3").iterdir())
    assert names == ["log.jsonl", "nbest.json", "predictions.json", "result.json", "timings.jsonl"]


def test_killed_runs_are_byte_identical_to_an_uninterrupted_one(tmp_path: Path) -> None:
    write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=100, dev=10)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("seeds: [3]", "seeds: [3, 4]"), encoding="utf-8")
    counts = kill("finetune", tmp_path, 12)
    assert counts["kills"] >= 12 and counts["finished"] >= 1 and counts["failed"] == 0 and counts["different"] == []
    assert {"recipe.json", "seed-3/result.json", "seed-4/model/model.safetensors", "seed-4/predictions.json"} <= set(counts["compared"])


class Lines(Silent):
    """An observer that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def said(recipe: Path, *overrides: str) -> list[str]:
    lines = Lines()
    finetune(load_finetune_recipe(str(recipe), [f"output={recipe.parent / 'run'}", *overrides]), observer=lines)
    return lines.lines


def test_what_was_understood_is_printed_before_training_and_metrics_of_classes_after_it(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=40, dev=20)
    lines = said(recipe, "epochs=1", "learning_rate=1e-8")
    before = lines.index("classification: train 40, dev 20 examples; 40 rows to learn from")
    assert "text is 'text', label is 'label'" in lines[0]
    assert re.fullmatch(r"train: 40 examples; classes: '(good|bad)' \d+, '(good|bad)' \d+", lines[2])
    assert lines[4] == "[UNK]: train 0.00% of the pieces, dev 0.00% of the pieces" and before > 4
    classes = result_of(tmp_path / "run")["classes"]["dev"]
    assert list(classes) == ["bad", "good"] and sum(scores["COUNT"] for scores in classes.values()) == 20
    assert f"seed 3: dev 'good': precision {classes['good']['precision']:.1f}" in "\n".join(lines)
    assert f"seed 3: dev macro_F1 {result_of(tmp_path / 'run')['splits']['dev']['macro_F1']:.1f}, micro_F1" in "\n".join(lines)
    one_class = {scores["PREDICTED"] for scores in classes.values()} == {0, 20}
    assert any(line.startswith("hint: seed 3: dev: all predictions are") for line in lines) == one_class


def test_a_vocabulary_that_has_nothing_of_the_text_is_refused(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.tsv").write_text("label\ttext_a\n1\t繁體\n0\t標題\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"classification: every piece of train is \[UNK\]"):
        run(recipe)


def test_hidden_answers_are_predicted_and_not_scored(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "spans")
    write_task(tmp_path / "data", "spans", train=16, dev=4)
    test = json.loads((tmp_path / "data" / "dev.json").read_bytes())
    for paragraph in test["data"][0]["paragraphs"]:
        paragraph["qas"][0]["answers"] = [{"text": f"FAKE_ANSWER_{number}", "answer_start": -1} for number in (1, 2, 3)]
    (tmp_path / "data" / "test.json").write_text(json.dumps(test), encoding="utf-8")
    lines = said(recipe, "epochs=1")
    predictions = json.loads((tmp_path / "run" / "seed-3" / "predictions.json").read_bytes())
    assert len(predictions["test"]) == 4 and list(result_of(tmp_path / "run")["splits"]) == ["dev"]
    assert "test: 4 examples; none has a label: predicted, not scored" in lines


def test_a_hint_is_given_where_all_predictions_are_one_class() -> None:
    classes = {"a": {"COUNT": 1.0}, "b": {"COUNT": 1.0}}
    same = Predictions({"0": "a", "1": "a"}, {})
    assert (hint(same, "classification", classes) or "").startswith("all predictions are 'a'")
    assert hint(Predictions({"0": "a", "1": "b"}, {}), "classification", classes) is None
    assert hint(same, "classification", {"a": {"COUNT": 2.0}}) is None  # and that is right
    assert (hint(Predictions({"0": ["O", "O"], "1": ["O"]}, {}), "tagging", {}) or "").startswith("all tags are 'O'")


def test_the_command_line_saves_at_ctrl_c_resumes_and_prints_metrics(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=160, dev=20)
    whole = run(recipe, "seeds=[3, 4]", f"output={tmp_path / 'whole'}")
    command = [sys.executable, "-m", "wholeword", "finetune", str(recipe), "--set", f"output={tmp_path / 'run'}", "--set", "seeds=[3, 4]"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("seed 3, step 20: dev"):
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate()
    assert process.returncode == 130 and "Traceback" not in errors
    ended = latest_checkpoint(tmp_path / "run" / "seed-3" / "progress") is None
    assert ended or "the same command resumes" in errors
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "dev accuracy" in printed and "largest (mean) of 2 seeds" in printed
    assert files_of(tmp_path / "run") == files_of(whole)
    as_json = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert as_json["seeds"]["4"] == result_of(whole, 4)


def test_windows_of_a_long_text_see_its_end(tmp_path: Path) -> None:
    """The decisive part comes after the first 30 pieces of texts of two to four rows; without windows it is truncated."""
    recipe = write_recipe(tmp_path, "classification")
    (tmp_path / "data").mkdir()
    for split, count in (("train", 400), ("dev", 40)):
        generator = random.Random(split)
        texts = [filler(generator, generator.randint(30, 50)) + "坏好"[n % 2] * 8 for n in range(count)]
        lines = [json.dumps({"text": text, "label": ("bad", "good")[n % 2]}, ensure_ascii=False) for n, text in enumerate(texts)]
        (tmp_path / "data" / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    accuracy = {}
    for stride in ("null", "16"):
        result = result_of(
            run(recipe, "batch_size=16", "epochs=6", "learning_rate=2.0e-3", f"doc_stride={stride}", f"output={tmp_path / stride}")
        )
        accuracy[stride] = result["splits"]["dev"]["accuracy"]
        assert result["rows"]["dev"]["truncated" if stride == "null" else "windowed"] == 40
    assert accuracy["16"] >= 90 and accuracy["null"] <= 75, accuracy


def test_answers_are_found_in_every_window_and_across_their_borders(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "spans")
    write_task(tmp_path / "data", "spans", train=640, dev=1)
    generator = random.Random(0)
    paragraphs = [question(generator, at, 60, at) for at in range(57)]
    (tmp_path / "data" / "dev.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}, ensure_ascii=False), encoding="utf-8")
    folder = run(recipe, "epochs=6", "batch_size=16", "doc_stride=10")
    result = result_of(folder)
    assert result["rows"]["dev"]["windowed"] == 57 and result["rows"]["dev"]["answers_not_in_a_window"] == 0
    assert result["splits"]["dev"]["EM"] >= 90
    nbest = json.loads((folder / "seed-3" / "nbest.json").read_bytes())["dev"]
    for paragraph in paragraphs:
        for best in nbest[paragraph["qas"][0]["id"]]:
            assert paragraph["context"][best["start"] : best["end"]] == best["text"]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=32, dev=8)
    weights = read_tensors(tmp_path / "model" / "model.safetensors")
    weights["bert.encoder.layer.0.intermediate.dense.weight"] = weights["bert.encoder.layer.0.intermediate.dense.weight"] * np.float32(1e38)
    write_tensors(tmp_path / "model" / "model.safetensors", weights)
    with pytest.raises(DivergedError, match="seed 3, step 1: loss nan"):
        run(recipe)


# --- recipes


@pytest.mark.parametrize("name", ["finetune-chnsenticorp", "finetune-cmrc2018"])
def test_a_shipped_recipe_loads_and_every_value_has_a_source(name: str) -> None:
    from wholeword.core.config.origins import origins
    from wholeword.core.config.recipes import read_recipe

    recipe = load_finetune_recipe(name)
    assert recipe.name == name and all(origin.sources for origin in origins(read_recipe(name), name))


def test_what_a_recipe_leaves_out_comes_from_the_task() -> None:
    recipe = load_finetune_recipe("finetune-chnsenticorp")
    defaults = {"learning_rate": 2e-5, "batch_size": 64, "epochs": 3, "max_seq_length": 256, "warmup_rate": 0.1, "of_another": 1}
    training = settled_training(recipe, defaults)
    assert training.learning_rate == 2e-5 and training.doc_stride is None
    assert settled_training(recipe.model_copy(update={"learning_rate": 5e-5}), defaults).learning_rate == 5e-5


def test_every_problem_of_a_recipe_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "version: 1\nname: Small\nmodel: m\ntask: {name: classification, dat: x}\nseeds: [1, x]\nlearning_rat: 1e-5\n", encoding="utf-8"
    )
    with pytest.raises(RecipeError) as caught:
        load_finetune_recipe(path)
    problems = "\n".join(caught.value.problems)
    for expected in ("wrong.yaml:2:7: name", ":4:30: task.dat: unknown setting; did you mean 'data'?", ":5:12: seeds", "'learning_rate'"):
        assert expected in problems, (expected, problems)


def test_recipes_of_the_other_kind_are_told_apart() -> None:
    from wholeword.core.config import load_recipe

    with pytest.raises(RecipeError, match="for pre-training; wholeword train"):
        load_finetune_recipe("quickstart")
    with pytest.raises(RecipeError, match="fine-tuning recipe; run it with wholeword finetune"):
        load_recipe("finetune-chnsenticorp")


def test_a_task_may_be_completed_on_the_command_line() -> None:
    recipe = load_finetune_recipe("finetune-chnsenticorp", ["task=lcqmc", "task.data=there", "backend.threads=1"])
    assert recipe.backend.settings == {"precision": "auto", "device": "auto", "micro_batch_size": None, "threads": 1}
    assert recipe.task.name == "lcqmc" and recipe.task.settings == {"data": "there", "check": True}


def test_rows_longer_than_the_model_has_positions_are_refused(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=8, dev=2)
    with pytest.raises(UserError, match="max_seq_length: 49; model has positions for 48"):
        run(recipe, "max_seq_length=49")
