"""Fine-tuning: the trainer beside transformers, and whole runs from files to predictions."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finetuning import PIECES, SECTION, filler, question, write_recipe, write_task
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification, BertTokenizer

from wholeword import zoo
from wholeword.core.checkpoints import latest_checkpoint
from wholeword.core.config.finetune_recipe import load_finetune_recipe
from wholeword.core.console import Silent
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.data.vocabulary import Vocabulary
from wholeword.core.errors import DivergedError, RecipeError, UserError
from wholeword.core.finetune import finetune
from wholeword.core.interfaces import ModelFiles
from wholeword.core.model import initial_head, initial_weights, model_config
from wholeword.core.run import export
from wholeword.core.tasks.buckets import epoch_batches
from wholeword.core.tasks.examples import Answer, SpanExample, TaggedExample, TextExample
from wholeword.core.tasks.rows import NO_TARGET, Rows, make_rows
from wholeword.core.tensors import read_tensors, write_tensors
from wholeword.exporters.names import from_framework
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.pytorch import PyTorch
from wholeword.plugins.pytorch.finetune import PyTorchFineTuner

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
TASK_OF = {"classification": "classification", "span": "spans", "tagging": "tagging"}
CLASSES: dict[str, Any] = {
    "classification": BertForSequenceClassification,
    "span": BertForQuestionAnswering,
    "tagging": BertForTokenClassification,
}
LABELS = {"classification": ["差", "中", "好"], "span": [], "tagging": ["O", "B-PER", "I-PER"]}
TOKENIZER = WordPieceTokenizer(Vocabulary(PIECES), True)

Arrays = Mapping[str, np.ndarray]


def toy_rows(head: str, count: int, *, seed: int = 1, longest: int = 20, equal: bool = False) -> Rows:
    """Rows of unequal length, unless `equal`."""
    generator = np.random.default_rng(seed)
    examples: list[Any] = []
    for number in range(count):
        length = longest if equal else int(generator.integers(4, longest + 1))
        text = "".join(generator.choice(list("的一是在不了有和人这"), length))
        if head == "classification":
            examples.append(TextExample(str(number), text, None, LABELS[head][int(generator.integers(3))]))
        elif head == "span":
            start = int(generator.integers(length - 1))
            examples.append(SpanExample(str(number), "问", text, (Answer(text[start : start + 2], start),)))
        else:
            examples.append(TaggedExample(str(number), tuple(text), tuple(generator.choice(LABELS[head], length))))
    return make_rows(examples, TOKENIZER, head=head, labels=LABELS[head], max_seq_length=32, doc_stride=8, max_query_length=8)


def toy_weights(head: str, config: dict[str, Any]) -> dict[str, np.ndarray]:
    return initial_weights(config, 1) | initial_head(head, len(LABELS[head]) or 2, config["hidden_size"], 2)


def toy_tuner(head: str, *, clip_norm: float = 1.0, section: Mapping[str, Any] = NO_DROPOUT, **backend: Any) -> PyTorchFineTuner:
    config = model_config(SECTION | dict(section), vocab_size=len(PIECES))
    computing = {"precision": "fp32", "device": "cpu", "threads": 1} | backend
    tuner = PyTorch(**computing).start_finetuning(
        config=config, weights=toy_weights(head, config), head=head, optimizer=AdamW(), clip_norm=clip_norm
    )
    tuner.dropout.p = config["hidden_dropout_prob"]
    return tuner


def transformers_model(head: str, tuner: PyTorchFineTuner, folder: Path) -> torch.nn.Module:
    """The same weights, as transformers reads what we write, with its own attention."""
    weights = tuner.weights()
    model = ModelFiles(dict(tuner.config), weights, Vocabulary(PIECES), True, False, {}, head=head, labels=LABELS[head])
    export(model, "pytorch-bin", folder / "exported")
    read, report = CLASSES[head].from_pretrained(folder / "exported", attn_implementation="eager", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    return read


def transformers_inputs(batch: Arrays, head: str) -> dict[str, torch.Tensor]:
    targets = torch.from_numpy(np.where(batch["targets"] == NO_TARGET, -100, batch["targets"]))
    labels = {"start_positions": targets[:, 0], "end_positions": targets[:, 1]} if head == "span" else {"labels": targets}
    names = {"input_ids": "input_ids", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    return {name: torch.from_numpy(batch[ours]).long() for name, ours in names.items()} | labels


def one_step(tuner: PyTorchFineTuner, batch: Arrays, *, learning_rate: float = 1e-3, seed: int = 9) -> dict[str, float]:
    return tuner.train_steps([batch], learning_rates=[learning_rate], seeds=[seed])[0]


# --- the trainer


@pytest.mark.parametrize("head", list(CLASSES))
def test_loss_and_logits_are_those_of_transformers_on_the_same_weights(head: str, tmp_path: Path) -> None:
    # subtle: transformers lets a span begin in the padding; rows of equal length have none
    rows = toy_rows(head, 12, equal=head == "span")
    tuner = toy_tuner(head, micro_batch_size=5)
    batch = rows.batch(np.arange(12))
    model = transformers_model(head, tuner, tmp_path).eval()
    with torch.no_grad():
        output = model(**transformers_inputs(batch, head))
    expected = torch.stack([output.start_logits, output.end_logits], -1) if head == "span" else output.logits
    logits = expected.numpy() if head == "classification" else expected.numpy()[batch["input_mask"].astype(bool)]
    np.testing.assert_allclose(tuner.logits(rows), logits, rtol=0, atol=1e-5)
    assert one_step(tuner, batch, learning_rate=0.0)["loss"] == pytest.approx(output.loss.item(), abs=1e-5)


@pytest.mark.parametrize("head", list(CLASSES))
def test_a_step_is_googles_optimizer_on_transformers_gradients(head: str, tmp_path: Path) -> None:
    rows = toy_rows(head, 8, equal=head == "span")
    tuner = toy_tuner(head, clip_norm=0.05, micro_batch_size=3)
    before, batch = tuner.weights(), rows.batch(np.arange(8))
    model = transformers_model(head, tuner, tmp_path).train()
    model(**transformers_inputs(batch, head)).loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    norm = torch.sqrt(sum((gradient.double() ** 2).sum() for gradient in gradients.values()))
    metrics = one_step(tuner, batch)
    assert metrics["grad_norm"] == pytest.approx(float(norm), rel=1e-5) and norm > 0.05
    prefix = {"span": "qa_outputs"}.get(head, "classifier")
    head_gradients = {name: gradients.pop(f"{prefix}.{name}").numpy() for name in ("weight", "bias")}
    found = from_framework({name: g.numpy() for name, g in gradients.items()}, "transformers", num_hidden_layers=2)
    ours = "cls/squad/output" if head == "span" else "output"
    found |= {f"{ours}_weights": head_gradients["weight"], f"{ours}_bias": head_gradients["bias"]}
    after = tuner.weights()
    assert found.keys() == after.keys()
    for name, gradient in found.items():
        clipped = gradient.astype(np.float64) * (0.05 / float(norm))
        update = 0.1 * clipped / (np.sqrt(0.001 * clipped**2) + 1e-6)
        update += 0.0 if "LayerNorm" in name or "bias" in name else 0.01 * before[name]
        # where the gradient is near 0, the update leaps between -3.16 and 3.16 with its rounding
        certain = np.abs(clipped) > 1e-6
        np.testing.assert_allclose(after[name][certain], (before[name] - 1e-3 * update)[certain], rtol=0, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("head", list(CLASSES))
def test_a_step_does_not_depend_on_how_a_batch_is_split(head: str) -> None:
    rows = toy_rows(head, 16)
    results = []
    for micro_batch_size in (1, 3, 16):
        tuner = toy_tuner(head, micro_batch_size=micro_batch_size)
        metrics = [one_step(tuner, rows.batch(np.arange(16)), seed=step) for step in range(3)]
        results.append((metrics, tuner.weights(), tuner.logits(rows)))
    for metrics, weights, logits in results[1:]:
        for step, expected in zip(metrics, results[0][0], strict=True):
            assert step == pytest.approx(expected, rel=1e-4)
        np.testing.assert_allclose(logits, results[0][2], rtol=0, atol=1e-4)
        worst = max(np.abs(weights[name] - results[0][1][name]).max() for name in weights)
        assert worst < 5e-4, worst  # of updates that add up to 0.0095


def test_the_seed_of_a_step_is_all_that_dropout_depends_on() -> None:
    batch = toy_rows("classification", 8).batch(np.arange(8))
    losses = {seed: [one_step(toy_tuner("classification", section={}), batch, seed=seed)["loss"] for _ in range(2)] for seed in (1, 2)}
    assert losses[1][0] == losses[1][1] and losses[2][0] == losses[2][1] and losses[1] != losses[2]


def test_the_head_depends_on_the_seed_alone_and_is_cut_at_two_deviations() -> None:
    first, again, other = (initial_head("classification", 10, 768, seed)["output_weights"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.abs(first).max() <= 0.04 and first.std() == pytest.approx(0.02 * 0.8796, rel=0.03)
    assert not initial_head("span", 2, 768, 1)["cls/squad/output_bias"].any()


def test_a_batch_without_a_finite_gradient_changes_nothing() -> None:
    tuner = toy_tuner("classification")
    before = tuner.weights()
    batch = toy_rows("classification", 4).batch(np.arange(4))
    tuner.head_weights.data[0, 0] = torch.inf
    metrics = tuner.train_steps([batch] * 3, learning_rates=[1e-3] * 3, seeds=[1, 2, 3])
    assert len(metrics) == 1 and not np.isfinite(metrics[0]["grad_norm"])
    after = tuner.weights()
    assert all(np.array_equal(after[name], before[name]) for name in before if name != "output_weights")


# --- batches


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 33), st.integers(0, 2**63 - 1), st.integers(0, 5), st.integers(1, 7))
def test_an_epoch_has_every_row_once(num_rows: int, batch_size: int, seed: int, epoch: int, window: int) -> None:
    lengths = np.random.default_rng(num_rows).integers(3, 257, num_rows)
    batches = epoch_batches(lengths, batch_size=batch_size, seed=seed, epoch=epoch, window=window)
    assert sorted(np.concatenate(batches)) == list(range(num_rows))
    assert sorted(map(len, batches)) == sorted(
        [batch_size] * (num_rows // batch_size) + [num_rows % batch_size] * (num_rows % batch_size > 0)
    )
    again = epoch_batches(lengths, batch_size=batch_size, seed=seed, epoch=epoch, window=window)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_rows_of_like_length_come_together_in_an_order_of_their_own_each_epoch() -> None:
    lengths = np.minimum(256, np.random.default_rng(0).lognormal(4.4, 0.7, 9600).astype(int) + 3)
    epochs = [epoch_batches(lengths, batch_size=64, seed=1, epoch=epoch) for epoch in range(2)]
    for batches in epochs:
        computed = sum(len(rows) * lengths[rows].max() for rows in batches)
        assert computed / lengths.sum() < 1.03
        maxima = [lengths[rows].max() for rows in batches]
        assert abs(np.corrcoef(maxima, range(len(maxima)))[0, 1]) < 0.25  # the short ones do not come first
    assert not np.array_equal(epochs[0][0], epochs[1][0])


# --- whole runs


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
                found = {model.config.id2label[place]: float(p) for place, p in enumerate(logits.softmax(-1))}
                assert found == pytest.approx({best["label"]: best["probability"] for best in list(nbest.values())[number]}, abs=1e-5)
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


def test_without_keep_model_figures_and_predictions_stay(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "tagging")
    write_task(tmp_path / "data", "tagging", train=16, dev=4)
    folder = run(recipe, "keep_model=false", "epochs=1")
    names = sorted(path.name for path in (folder / "seed-3").iterdir())
    assert names == ["log.jsonl", "nbest.json", "predictions.json", "result.json", "timings.jsonl"]


def test_killed_runs_end_with_the_bytes_of_one_that_never_stopped(tmp_path: Path) -> None:
    write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=100, dev=10)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("seeds: [3]", "seeds: [3, 4]"), encoding="utf-8")
    command = [sys.executable, str(Path(__file__).with_name("finetune_and_kill.py")), str(tmp_path), "12"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found["kills"] >= 12 and found["finished"] >= 1 and found["failed"] == 0 and found["different"] == []
    assert {"recipe.json", "seed-3/result.json", "seed-4/model/model.safetensors", "seed-4/predictions.json"} <= set(found["files"])


def test_the_command_line_saves_at_ctrl_c_goes_on_and_says_the_figures(tmp_path: Path) -> None:
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
    assert ended or "the same command goes on" in errors
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "dev accuracy" in printed and "largest (mean) of 2 seeds" in printed
    assert files_of(tmp_path / "run") == files_of(whole)
    as_json = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert as_json["seeds"]["4"] == result_of(whole, 4)


def test_windows_of_a_long_text_see_its_end(tmp_path: Path) -> None:
    """What decides stands behind the first 30 pieces of texts of two to four rows; without windows it is cut off."""
    recipe = write_recipe(tmp_path, "classification")
    (tmp_path / "data").mkdir()
    for split, count in (("train", 400), ("dev", 40)):
        generator = random.Random(split)
        texts = [filler(generator, generator.randint(30, 50)) + "坏好"[n % 2] * 8 for n in range(count)]
        lines = [json.dumps({"text": text, "label": ("bad", "good")[n % 2]}, ensure_ascii=False) for n, text in enumerate(texts)]
        (tmp_path / "data" / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    accuracy = {}
    for stride in ("null", "16"):
        result = result_of(run(recipe, "batch_size=16", "epochs=6", f"doc_stride={stride}", f"output={tmp_path / stride}"))
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


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    write_task(tmp_path / "data", "classification", train=32, dev=8)
    weights = read_tensors(tmp_path / "model" / "model.safetensors")
    weights["bert.encoder.layer.0.intermediate.dense.weight"] = weights["bert.encoder.layer.0.intermediate.dense.weight"] * np.float32(1e38)
    write_tensors(tmp_path / "model" / "model.safetensors", weights)
    with pytest.raises(DivergedError, match="seed 3, step 1: loss nan"):
        run(recipe)


# --- recipes


@pytest.mark.parametrize("name", ["finetune-chnsenticorp", "finetune-cmrc2018"])
def test_a_shipped_recipe_loads_and_says_where_every_value_is_from(name: str) -> None:
    from wholeword.core.config.origins import origins
    from wholeword.core.config.recipes import read_recipe

    recipe = load_finetune_recipe(name)
    assert recipe.name == name and all(origin.sources for origin in origins(read_recipe(name), name))


def test_what_a_recipe_leaves_out_is_the_tasks_own() -> None:
    recipe = load_finetune_recipe("finetune-chnsenticorp")
    defaults = {"learning_rate": 2e-5, "batch_size": 64, "epochs": 3, "max_seq_length": 256, "warmup_rate": 0.1, "of_another": 1}
    assert recipe.training(defaults).learning_rate == 2e-5 and recipe.training(defaults).doc_stride is None
    assert recipe.model_copy(update={"learning_rate": 5e-5}).training(defaults).learning_rate == 5e-5


def test_every_problem_of_a_recipe_is_said_at_once_with_its_place(tmp_path: Path) -> None:
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
    with pytest.raises(RecipeError, match="for fine-tuning; wholeword finetune"):
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
