"""What the exporters `tf-checkpoint` and `tf-checkpoint-zip` write; TensorFlow's opinion of it is in tests/tensorflow."""

import json
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.formats.tensor_bundle import read_bundle
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.exporters.tf_checkpoint import TFCheckpoint, TFCheckpointZip, zip_name

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *"使用语言模型"])


def small(*, next_sentence: bool = True, lowercase: bool = True, name: str = "bert-wwm", **section: Any) -> ModelFiles:
    config = model_config({"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2} | section, vocab_size=len(VOCABULARY))
    return ModelFiles(config, initial_weights(config, 1), VOCABULARY, lowercase, next_sentence, Provenance(name=name))


def test_the_configuration_spells_out_all_that_googles_has(tmp_path: Path) -> None:
    TFCheckpoint().export(small(), tmp_path)
    assert json.loads((tmp_path / "bert_config.json").read_bytes()) == {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 8,
        "initializer_range": 0.02,
        "intermediate_size": 32,
        "max_position_embeddings": 512,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "type_vocab_size": 2,  # 16 by default there
        "vocab_size": 11,
    }
    assert (tmp_path / "vocab.txt").read_text(encoding="utf-8") == "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n使\n用\n语\n言\n模\n型\n"


def test_the_tensors_are_the_models(tmp_path: Path) -> None:
    model = small()
    TFCheckpoint().export(model, tmp_path)
    tensors = read_bundle(tmp_path / "bert_model.ckpt")
    assert tensors.keys() == model.weights.keys()
    assert all(np.array_equal(tensors[name], model.weights[name]) for name in tensors)


def test_a_head_that_was_not_trained_is_left_out(tmp_path: Path) -> None:
    model = small(next_sentence=False)
    TFCheckpoint().export(model, tmp_path)
    left_out = model.weights.keys() - read_bundle(tmp_path / "bert_model.ckpt").keys()
    assert left_out == {"cls/seq_relationship/output_weights", "cls/seq_relationship/output_bias"}


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_without_tensorflow_the_graph_is_left_out_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    TFCheckpoint().export(small(), tmp_path)
    assert not (tmp_path / "bert_model.ckpt.meta").exists()
    assert "`bert_model.ckpt.meta` (the graph) is left out, TensorFlow was not installed" in (tmp_path / "README.md").read_text("utf-8")
    said = "bert_model.ckpt.meta (the graph) is left out, since TensorFlow is not installed; no reader of the weights needs it"
    assert caplog.messages == [said]


def test_what_google_has_no_place_for(tmp_path: Path) -> None:
    TFCheckpoint().export(small(lowercase=False, hidden_act="gelu_tanh"), tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_bytes()) == {"do_lower_case": False}
    assert json.loads((tmp_path / "bert_config.json").read_bytes())["hidden_act"] == "gelu_new"
    assert "The activation is the tanh form of gelu" in (tmp_path / "README.md").read_text("utf-8")


@pytest.mark.parametrize("exporter", [TFCheckpoint, TFCheckpointZip])
def test_an_epsilon_that_googles_code_does_not_read_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, exporter: type) -> None:
    exporter().export(small(), tmp_path)
    assert "layer_norm_eps" not in caplog.text
    model = small()
    for path in tmp_path.iterdir():
        path.unlink()
    exporter().export(model._replace(config=replace(model.config, layer_norm_eps=1e-5)), tmp_path)
    assert "The model has layer_norm_eps 1e-05, which google-research/bert does not read from bert_config.json" in caplog.text
    if exporter is TFCheckpoint:
        assert "layer_norm_eps 1e-05" in (tmp_path / "README.md").read_text("utf-8")
        assert json.loads((tmp_path / "bert_config.json").read_bytes())["layer_norm_eps"] == 1e-5


def test_the_archive_holds_the_same_files_and_its_bytes_are_the_models_alone(tmp_path: Path) -> None:
    for folder in ("plain", "one", "two"):
        (tmp_path / folder).mkdir()
    TFCheckpoint().export(small(), tmp_path / "plain")
    TFCheckpointZip().export(small(), tmp_path / "one")
    TFCheckpointZip().export(small(), tmp_path / "two")
    [archive] = (tmp_path / "one").iterdir()
    assert archive.name == "chinese_wwm_L-2_H-8_A-2.zip"
    assert archive.read_bytes() == (tmp_path / "two" / archive.name).read_bytes()
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert set(opened.namelist()) == {path.name for path in (tmp_path / "plain").iterdir()} - {"README.md"}
        assert all(opened.read(member) == (tmp_path / "plain" / member).read_bytes() for member in opened.namelist())


@pytest.mark.parametrize(
    ("name", "size", "archive"),
    [
        ("bert-wwm", "base", "chinese_wwm_L-12_H-768_A-12.zip"),
        ("bert-wwm-ext", "base", "chinese_wwm_ext_L-12_H-768_A-12.zip"),
        ("roberta-wwm-ext-large", "large", "chinese_roberta_wwm_ext_large_L-24_H-1024_A-16.zip"),
        ("rbt3", "rbt3", "chinese_rbt3_L-3_H-768_A-12.zip"),
        ("bert", "base", "chinese_bert_L-12_H-768_A-12.zip"),
        ("../我的 模型", "tiny", "chinese_我的_模型_L-2_H-128_A-2.zip"),
    ],
)
def test_archives_are_called_as_the_published_ones(name: str, size: str, archive: str) -> None:
    model = ModelFiles(model_config({"size": size}, vocab_size=11), {}, VOCABULARY, True, True, Provenance(name=name))
    assert zip_name(model) == archive
