"""Fine-tuned models on TensorFlow: the checkpoint that TensorFlow reads, and KerasHub's encoder under their head."""

import re
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from finetuned_models import LABELS, finetuned_model, whole_model, without

from wholeword import zoo
from wholeword.core.bert.shapes import head_shapes
from wholeword.core.contracts import Head
from wholeword.core.errors import IntegrityError
from wholeword.core.training.export import export
from wholeword.zoo.verify import _features, expected_outputs, verify

HEADS: tuple[Head, ...] = ("classification", "span", "tagging")


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("act", ["gelu", "gelu_tanh"])
def test_the_zoo_computes_the_logits_of_the_head(head: Head, act: str, tmp_path: Path) -> None:
    """Also after Keras has saved the model and loaded it again."""
    model = finetuned_model(head, hidden_act=act)
    export(model, "tf-checkpoint", tmp_path / "model")
    loaded = zoo.load(str(tmp_path / "model"), "tensorflow", head=head)
    assert isinstance(loaded, keras_hub.models.BertTextClassifier) == (head == "classification")
    features = _features(model)
    inputs = {"token_ids": features["input_ids"], "segment_ids": features["segment_ids"], "padding_mask": features["input_mask"]}
    expected = expected_outputs(model, features)["head_logits"]
    real = features["input_mask"] > 0 if head != "classification" else np.ones(len(expected), bool)
    loaded.save(tmp_path / "saved.keras")
    for keras_model in (loaded, keras.models.load_model(tmp_path / "saved.keras")):
        np.testing.assert_allclose(np.array(keras_model(inputs))[real], expected[real], rtol=0, atol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_tensorflow_finds_the_names_of_googles_scripts(head: Head, tmp_path: Path) -> None:
    model = finetuned_model(head)
    export(model, "tf-checkpoint", tmp_path / "model")
    variables = dict(tf.train.list_variables(str(tmp_path / "model" / "bert_model.ckpt")))
    expected = head_shapes(head, len(LABELS[head]) or 2, model.config.hidden_size)
    assert {name: tuple(shape) for name, shape in variables.items() if not name.startswith("bert/")} == expected
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.train.import_meta_graph(str(tmp_path / "model" / "bert_model.ckpt.meta")).restore(
            session, str(tmp_path / "model" / "bert_model.ckpt")
        )


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["tf-checkpoint", "tf-checkpoint-zip"])
def test_verify_compares_the_head(head: Head, name: str, tmp_path: Path, command: Any) -> None:
    export(finetuned_model(head), "tf-checkpoint", tmp_path / "model")
    ran = command("export", str(tmp_path / "model"), "--to", name, "-o", str(tmp_path / "out"), "--verify")
    assert ran.returncode == 0, ran.stderr
    figures = dict(re.findall(r"(logits of the fine-tuned head(?: of KerasHub)?) (\d\.\de[+-]\d+)", ran.stdout))
    assert len(figures) == 2 and float(figures["logits of the fine-tuned head"]) == 0  # the same bytes, in float64
    assert 0 < float(figures["logits of the fine-tuned head of KerasHub"]) < 1e-4


def test_verify_finds_a_wrong_bias_of_the_head(tmp_path: Path) -> None:
    model = finetuned_model("classification")
    other = {"output_bias": model.weights["output_bias"] + np.float32(0.01)}
    export(model._replace(weights=model.weights | other), "tf-checkpoint", tmp_path / "out")
    with pytest.raises(IntegrityError, match="tensorflow computes different logits of the fine-tuned head"):
        verify(model, "tf-checkpoint", tmp_path / "out")


def test_verify_compares_what_an_encoder_has(tmp_path: Path) -> None:
    model = without(whole_model(), "MLM head", "NSP head")
    export(model, "tf-checkpoint", tmp_path / "out")
    line = verify(model, "tf-checkpoint", tmp_path / "out")
    assert "hidden states of KerasHub" in line and "pooler of KerasHub" in line and "MLM" not in line and "NSP" not in line
