"""Whole runs on TensorFlow through the command line, from the store and from TFRecord files."""

import os
import signal

import numpy as np
import pytest
import tiny
from killing import kill
from small_runs import log_of

from wholeword.core.formats.checkpoints import latest_checkpoint, read_checkpoint

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A recipe, its run `whole` from the store, and its rows in `rows`."""
    recipe = tiny.write_recipe(tmp_path_factory.mktemp("runs"))
    tiny.run("train", recipe, output="whole")
    tiny.run(f"prepare --to tfrecord --shards 3 --passes 12 -o {recipe.parent / 'rows'}", recipe, output="whole")
    return recipe


def assert_same_end(folder, other):
    assert (folder / "log.jsonl").read_bytes() == (other / "log.jsonl").read_bytes()
    ends = [read_checkpoint(latest_checkpoint(path / "checkpoints")) for path in (folder, other)]
    for tensors, others in zip(ends[0][:2], ends[1][:2], strict=True):
        assert tensors.keys() == others.keys() and all(np.array_equal(tensors[name], others[name]) for name in tensors)


def test_a_recipe_becomes_a_checkpoint_that_tensorflow_reads(whole):
    import tensorflow as tf

    folder = whole.parent / "whole"
    lines = log_of(folder)
    losses = [line["mlm_loss"] for line in lines[1:] if "held_out" not in line]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    exported = folder / "export" / "tf-checkpoint"
    variables = dict(tf.train.list_variables(str(next(exported.rglob("*.index"))).removesuffix(".index")))
    assert variables["bert/encoder/layer_1/attention/self/query/kernel"] == [32, 32]
    weights = read_checkpoint(latest_checkpoint(folder / "checkpoints")).weights
    reader = tf.train.load_checkpoint(str(next(exported.rglob("*.index"))).removesuffix(".index"))
    assert all(np.array_equal(reader.get_tensor(name), weights[name]) for name in weights)


def test_rows_from_files_give_the_curve_of_the_store(whole):
    folder = whole.parent
    tiny.run("train", whole, f"backend.records={folder / 'rows'}", output="recorded")
    assert_same_end(folder / "recorded", folder / "whole")


def test_ctrl_c_saves_and_the_same_command_goes_on_from_files(whole):
    folder = whole.parent
    process = tiny.start("train", whole, f"backend.records={folder / 'rows'}", output="stopped")
    for line in process.stdout:
        if line.startswith("phase 1, step 10, held out"):
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate()
    assert process.returncode == 130 and "Traceback" not in errors and "the same command resumes" in errors
    place = read_checkpoint(latest_checkpoint(folder / "stopped" / "checkpoints")).state["place"]
    assert (place["phase"], place["step"]) < (1, 13)
    tiny.run("train", whole, f"backend.records={folder / 'rows'}", output="stopped")
    assert_same_end(folder / "stopped", folder / "whole")


def test_a_run_may_change_its_input_on_the_way(whole):
    """From the store to files: where rows come from decides nothing."""
    folder = whole.parent
    process = tiny.start("train", whole, output="changed")
    for line in process.stdout:
        if line.startswith("phase 1, step 10, held out"):
            process.kill()
            break
    process.communicate()
    tiny.run("train", whole, f"backend.records={folder / 'rows'}", output="changed")
    assert_same_end(folder / "changed", folder / "whole")


def test_rows_of_another_recipe_are_refused_before_anything_is_trained(whole):
    folder = whole.parent
    process = tiny.start("train", whole, f"backend.records={folder / 'rows'}", "seed=8", output="other")
    _, errors = process.communicate()
    assert process.returncode == 2 and "rows of another recipe (seed: 7 -> 8)" in errors and "Traceback" not in errors
    assert not (folder / "other" / "checkpoints").exists()


def test_check_speaks_of_the_tpu(whole):
    printed = tiny.run("check", whole, "backend.strategy=tpu", "backend.accelerator_type=v3-8", output="whole")
    assert "TPU v3-8" in printed and "TPU phase 2" in printed
    assert "TPU error: phases.1.batch_size: 4 rows are not a multiple of 8 replicas" in printed


def test_a_killed_run_ends_with_the_bits_of_one_that_never_stopped(tmp_path):
    """WHOLEWORD_KILLS says how often it is killed."""
    kills = int(os.environ.get("WHOLEWORD_KILLS", "3"))
    tiny.write_recipe(tmp_path)
    counts = kill("train on tensorflow", tmp_path, kills)
    assert counts["kills"] >= kills and counts["finished"] and not counts["failed"] and not counts["different"], counts
    assert counts["resumed"] > 0  # some were killed after a checkpoint


def test_a_recipe_goes_from_pytorch_to_tensorflow_and_back(whole):
    """Stopped in the first phase on PyTorch and in the second on TensorFlow; without dropout, whose draws are each framework's own."""
    folder = whole.parent
    still = ["model.hidden_dropout_prob=0", "model.attention_probs_dropout_prob=0"]
    pytorch = ["backend={name: pytorch, precision: fp32, threads: 1}"]
    tiny.run("train", whole, *still, *pytorch, output="pytorch")
    for number, overrides in enumerate([pytorch, [], pytorch]):
        process = tiny.start("train", whole, *still, *overrides, output="both")
        for line in process.stdout if number < 2 else ():
            if line.startswith(("phase 1, step 10, held out", "phase 2, step 13, held out")):
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate()
        assert process.returncode in (0, 130), errors
    lines, others = log_of(folder / "both"), log_of(folder / "pytorch")
    assert len(lines) == len(others)
    for line, other in zip(lines[1:], others[1:], strict=True):
        assert line["mlm_loss"] == pytest.approx(other["mlm_loss"], rel=1e-4), (line, other)
