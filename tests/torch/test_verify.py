"""`wholeword export --verify`: the exported folder, computed by transformers in a process of its own, against NumPy."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from test_folder_and_export import trained_model

from wholeword.cli import main
from wholeword.core.bert.forward import forward
from wholeword.core.bert.names import from_framework
from wholeword.core.contracts import ModelFiles
from wholeword.core.errors import IntegrityError, PluginError
from wholeword.core.formats.checkpoints import read_checkpoint, save_checkpoint
from wholeword.core.formats.tensor_bundle import read_bundle, write_bundle
from wholeword.core.formats.tensors import checksum, read_tensors
from wholeword.core.training.export import export
from wholeword.zoo.verify import _features, verify


def as_checkpoint(model: ModelFiles, path: Path) -> Path:
    """The model as a checkpoint of a run, its optimizer's moments beside it."""
    moments = {f"{name}/{slot}": np.ones_like(array) for name, array in model.weights.items() for slot in ("adam_m", "adam_v")}
    state = {
        "config": model.config.to_dict(),
        "lowercase": True,
        "next_sentence": model.next_sentence,
        "provenance": model.provenance.to_dict(),
    }
    save_checkpoint(path, model.weights, moments, state, files={"vocab.txt": model.vocabulary.to_bytes()})
    return path


@pytest.mark.parametrize("act", ["gelu", "gelu_tanh"])
def test_the_reference_is_what_transformers_computes_in_float64(act: str, tmp_path: Path) -> None:
    from transformers import BertForPreTraining

    model, target = trained_model(hidden_act=act), tmp_path / "model"
    export(model, "pytorch-bin", target)
    features = _features(model)
    inputs = {"input_ids": "input_ids", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    bert = BertForPreTraining.from_pretrained(target).eval().double()
    with torch.no_grad():
        expected = bert(**{theirs: torch.from_numpy(features[ours]) for theirs, ours in inputs.items()}, output_hidden_states=True)
        pooled = bert.bert.pooler(expected.hidden_states[-1])
    found = forward(model.weights, model.config, features)
    real = features["input_mask"] > 0
    assert not real.all() and features["segment_ids"].any()  # rows with padding, and pairs
    for theirs, ours in zip(expected.hidden_states, found["hidden_states"], strict=True):
        np.testing.assert_allclose(theirs[real], ours[real], rtol=0, atol=1e-12)
    np.testing.assert_allclose(expected.prediction_logits[real], found["mlm_logits"][real], rtol=0, atol=1e-12)
    np.testing.assert_allclose(expected.seq_relationship_logits, found["nsp_logits"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(pooled, found["pooler_output"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("next_sentence", [True, False])
def test_a_good_export_is_verified_and_says_by_how_much(next_sentence: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = as_checkpoint(trained_model(next_sentence=next_sentence), tmp_path / "step-1")
    main(["export", str(source), "--to", "pytorch-bin", "-o", str(tmp_path / "out"), "--verify"])
    printed = capsys.readouterr().out
    figures = dict(re.findall(r"(hidden states|pooler|MLM logits|NSP logits) (\d\.\de-\d+)", printed))
    assert figures.keys() == {"hidden states", "pooler", "MLM logits"} | ({"NSP logits"} if next_sentence else set())
    assert all(0 < float(figure) < 1e-5 for figure in figures.values()), printed  # float32 beside float64
    assert re.search(r"pytorch-bin: transformers \d+\.\d+", printed)


def test_slots_are_left_out_and_nothing_else_is_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = as_checkpoint(trained_model(), tmp_path / "step-1")
    main(["export", str(source), "--to", "pytorch-bin", "-o", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    weights = read_checkpoint(source).weights
    size, sha256 = sum(array.nbytes for array in weights.values()), checksum(weights)
    assert f"92 optimizer slots left out, {3 * size:,} -> {size:,} bytes" in printed
    assert f"{sha256[:16]}... before and {sha256[:16]}... after" in printed
    written = from_framework(read_tensors(tmp_path / "out" / "model.safetensors"), "transformers", num_hidden_layers=2)
    assert checksum(written) == sha256
    main(["export", str(tmp_path / "out"), "--to", "pytorch-bin", "-o", str(tmp_path / "again")])
    assert "optimizer slots" not in capsys.readouterr().out


def test_slots_of_a_tf_checkpoint_are_left_out_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, source = trained_model(), tmp_path / "trained"
    source.mkdir()
    slots = {f"{name}/{slot}": np.full_like(array, 0.5) for name, array in model.weights.items() for slot in ("adam_m", "adam_v")}
    write_bundle(source / "model.ckpt-20", model.weights | slots | {"global_step": np.array(20, np.int64)})
    (source / "bert_config.json").write_text(json.dumps(model.config.to_dict()))
    (source / "vocab.txt").write_bytes(model.vocabulary.to_bytes())
    main(["export", str(source), "--to", "pytorch-bin,tf-checkpoint", "-o", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    sha256 = checksum(model.weights)[:16]
    size = sum(array.nbytes for array in model.weights.values())
    assert printed.count(f"93 optimizer slots left out, {3 * size + 8:,} -> {size:,} bytes") == 2
    assert printed.count(f"{sha256}... before and {sha256}... after") == 2
    assert checksum(read_bundle(tmp_path / "out" / "tf-checkpoint" / "bert_model.ckpt"))[:16] == sha256


def test_a_checksum_is_of_names_types_shapes_and_values_alone() -> None:
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2, np.float32)}
    same = {"b": tensors["b"].copy(), "a": np.asfortranarray(tensors["a"])}
    assert checksum(same) == checksum(tensors)
    for other in (
        {"a": tensors["a"]},
        tensors | {"a": tensors["a"].reshape(3, 2)},
        tensors | {"a": tensors["a"].astype(np.int32)},
        tensors | {"b": np.array([0, 1e-45], np.float32)},
        {"a": tensors["a"], "c": tensors["b"]},
    ):
        assert checksum(other) != checksum(tensors)


def spoil(folder: Path, name: str, change: object) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = change(tensors[name])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    "name, output",
    [
        ("bert.encoder.layer.1.output.dense.weight", "hidden states"),
        ("cls.seq_relationship.weight", "NSP logits"),
    ],
)
def test_one_wrong_number_is_found(name: str, output: str, tmp_path: Path) -> None:
    model, target = trained_model(), tmp_path / "out"
    export(model, "pytorch-bin", target)

    def change(array: np.ndarray) -> np.ndarray:
        array.flat[0] += 1.0
        return array

    spoil(target, name, change)
    with pytest.raises(IntegrityError, match=f"computes different {output}"):
        verify(model, "pytorch-bin", target)


@pytest.mark.skipif(find_spec("paddlehub") is not None, reason="PaddleHub is installed")
def test_what_cannot_be_verified_is_named_and_the_rest_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = as_checkpoint(trained_model(), tmp_path / "step-1")
    with pytest.raises(SystemExit) as ended:
        main(["export", str(source), "--to", "paddlehub-module,pytorch-bin", "-o", str(tmp_path / "out"), "--verify"])
    printed, errors = capsys.readouterr()
    assert ended.value.code == 4 and len(errors.splitlines()) == 1
    assert re.match(r"paddlehub-module: not verified: paddle(hub)? is not installed: pip install paddlehub", errors)
    assert printed.count("read back 46 tensors, largest difference 0.0") == 2 and "pytorch-bin: transformers" in printed


def test_what_the_tool_refuses_or_nobody_knows_is_said(tmp_path: Path) -> None:
    model, target = trained_model(), tmp_path / "out"
    export(model, "pytorch-bin", target)
    with pytest.raises(PluginError, match="unknown exporter 'of-somebody-else'"):
        verify(model, "of-somebody-else", target)
    (target / "model.safetensors").unlink()
    (target / "pytorch_model.bin").write_bytes(b"nothing")
    with pytest.raises(IntegrityError, match="transformers cannot read"):
        verify(model, "pytorch-bin", target)
