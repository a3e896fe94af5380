"""Whole runs, from a text file to an exported model."""

import math
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from killing import kill
from small_runs import log_of, write_recipe

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.errors import DivergedError, UserError
from wholeword.core.formats.checkpoints import latest_checkpoint, read_checkpoint
from wholeword.core.training.run import train


@pytest.fixture
def recipe(tmp_path):
    return write_recipe(tmp_path)


def run(recipe, *overrides, **arguments):
    output = recipe.parent / "run"
    return train(resolve(load_recipe(str(recipe), overrides=[f"output={output}", *overrides])), observer=Silent(), **arguments)


def test_a_recipe_becomes_a_model_that_transformers_loads(recipe):
    folder = run(recipe)
    from transformers import AutoModelForPreTraining, AutoTokenizer

    exported = folder / "export" / "pytorch-bin"
    tokenizer, model = AutoTokenizer.from_pretrained(exported), AutoModelForPreTraining.from_pretrained(exported)
    inputs = tokenizer("他说今年的鱼比去年少了许多。", return_tensors="pt")
    assert torch.isfinite(model(**inputs).prediction_logits).all() and type(model).__name__ == "BertForPreTraining"
    lines = log_of(folder)
    steps = [(line["phase"], line["step"]) for line in lines[1:] if "held_out" not in line]
    assert steps == [(1, step) for step in [*range(3, 31, 3), 31]] + [(2, step) for step in [*range(3, 20, 3), 20]]
    assert [line["lr"] for line in lines[1:] if line.get("step") == 3] == pytest.approx([5e-3 * 2 / 3, 5e-3 * (1 - 2 / 20)])
    held_out = [(line["phase"], line["step"], line["held_out"]) for line in lines if "held_out" in line]
    stops = [(1, 10), (1, 20), (1, 30), (1, 31), (2, 10), (2, 20)]
    assert held_out == [(phase, step, masking) for phase, step in stops for masking in ("whole-word", "wordpiece")]
    assert lines[-1]["mlm_loss"] < lines[1]["mlm_loss"] and math.isfinite(lines[-2]["nsp_loss"])
    assert len(list((folder / "checkpoints").iterdir())) == 2


def test_a_run_is_exported_once_more_and_read_back(recipe):
    folder = run(recipe, "phases.1.steps=2")
    command = [sys.executable, "-m", "wholeword", "export", str(folder), "--to", "pytorch-bin", "-o", str(recipe.parent / "roberta-mine")]
    printed = subprocess.run([*command, "--verify"], capture_output=True, text=True, check=True).stdout
    assert "read back 46 tensors, largest difference 0.0" in printed
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2 and "already exists" in again.stderr and "Traceback" not in again.stderr


def test_a_finished_run_is_not_trained_again(recipe):
    folder = run(recipe)
    before = (folder / "log.jsonl").read_bytes(), latest_checkpoint(folder / "checkpoints")
    assert run(recipe) == folder
    assert before == ((folder / "log.jsonl").read_bytes(), latest_checkpoint(folder / "checkpoints"))


def test_another_recipe_does_not_go_on_with_a_run(recipe):
    run(recipe, "phases.1.steps=4")
    with pytest.raises(UserError, match=r"phases\.1\.peak_lr: 0\.005 -> 0\.004"):
        run(recipe, "phases.1.steps=4", "phases.1.peak_lr=0.004")
    with pytest.raises(UserError, match="held_out_rate"):
        run(recipe, "phases.1.steps=4", "evaluation.held_out_rate=0.3")
    folder = run(recipe, "phases.1.steps=4", "phases.1.peak_lr=0.004", resume="never")
    assert (folder.parent / "run.1" / "log.jsonl").exists() and log_of(folder) != log_of(folder.parent / "run.1")


def test_a_run_on_googles_rows_learns_and_is_another_run(recipe):
    lines = log_of(run(recipe, "compat=google", "phases.1.steps=2"))
    losses = [line["mlm_loss"] for line in lines[1:] if line["phase"] == 1 and "held_out" not in line]
    assert sum(losses[-3:]) < sum(losses[:3])
    with pytest.raises(UserError, match=r"compat was .google., is None"):
        run(recipe, "phases.1.steps=2")


def test_what_decides_nothing_may_change_when_a_run_goes_on(recipe):
    whole = run(recipe, f"output={recipe.parent / 'whole'}")
    run(recipe, "loader_workers=2", "checkpoint.every=7", "backend.micro_batch_size=5")
    assert (recipe.parent / "run" / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()


def test_ctrl_c_saves_and_the_same_command_goes_on_to_the_same_end(recipe):
    whole = run(recipe, f"output={recipe.parent / 'whole'}")
    command = [sys.executable, "-m", "wholeword", "train", str(recipe), "--set", f"output={recipe.parent / 'run'}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("phase 1, step 10, held out"):
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate()
    assert process.returncode == 130 and "Traceback" not in errors and "the same command resumes" in errors
    _, _, state = read_checkpoint(latest_checkpoint(recipe.parent / "run" / "checkpoints"))
    assert (state["place"]["phase"], state["place"]["step"]) < (1, 20)
    resumed = run(recipe)
    assert (resumed / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()
    ends = [read_checkpoint(latest_checkpoint(folder / "checkpoints")) for folder in (whole, resumed)]
    for tensors, others in zip(ends[0][:2], ends[1][:2], strict=True):
        assert tensors.keys() == others.keys() and all(np.array_equal(tensors[name], others[name]) for name in tensors)


def test_a_run_killed_at_twenty_random_moments_ends_as_one_never_killed(recipe):
    counts = kill("train on pytorch", recipe.parent, 20)
    assert counts["kills"] >= 20 and counts["finished"] and not counts["failed"] and not counts["different"], counts


def test_the_comparison_would_notice_one_forgotten_piece_of_state(recipe):
    counts = kill("train on pytorch", recipe.parent, 6, "forget")
    assert counts["different"], counts


def test_a_loss_that_is_no_number_stops_the_run_and_names_step_and_samples(recipe):
    folder = run(recipe, "phases.1.steps=2")
    source = folder / "export" / "pytorch-bin"
    from safetensors.numpy import load_file, save_file

    weights = load_file(source / "model.safetensors")
    broken = recipe.parent / "broken"
    broken.mkdir()
    for name in ("config.json", "vocab.txt", "tokenizer_config.json"):
        (broken / name).write_bytes((source / name).read_bytes())
    weights["bert.embeddings.word_embeddings.weight"] = np.full_like(weights["bert.embeddings.word_embeddings.weight"], np.nan)
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    overrides = [f"output={recipe.parent / 'nan'}", f"model.init={broken}", f"tokenizer={{vocab: {broken / 'vocab.txt'}}}"]
    with pytest.raises(DivergedError, match=r"phase 1, step 1: loss nan.*samples \d+, \d+"):
        run(recipe, *overrides)
