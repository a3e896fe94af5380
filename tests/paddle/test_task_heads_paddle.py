"""Fine-tuned models for paddlenlp: the folders that its classes read, and `zoo.load`."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from finetuned_models import LABELS, finetuned_model, whole_model, without
from paddlenlp.transformers import BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification, BertModel

from wholeword import zoo
from wholeword.core.contracts import Head
from wholeword.core.errors import IntegrityError
from wholeword.core.training.export import export
from wholeword.zoo.finetuned import read_with_head
from wholeword.zoo.verify import _features, _paddle_inputs, expected_outputs, verify

CLASSES: dict[Head, Any] = {
    "classification": BertForSequenceClassification,
    "span": BertForQuestionAnswering,
    "tagging": BertForTokenClassification,
}


@pytest.mark.parametrize("head", CLASSES)
def test_paddlenlp_and_the_zoo_compute_the_logits_of_the_head(head: Head, tmp_path: Path) -> None:
    model = finetuned_model(head)
    export(model, "paddlenlp", tmp_path / "model")
    features = _features(model)
    expected = expected_outputs(model, features)["head_logits"]
    real = features["input_mask"] > 0 if head != "classification" else np.ones(len(expected), bool)
    for bert in (CLASSES[head].from_pretrained(str(tmp_path / "model")).eval(), zoo.load(str(tmp_path / "model"), "paddle", head=head)):
        assert type(bert) is CLASSES[head] and not bert.training
        with paddle.no_grad():
            outputs = bert(**_paddle_inputs(features))
        logits = paddle.stack(list(outputs), -1) if head == "span" else outputs
        np.testing.assert_allclose(logits.numpy()[real], expected[real], rtol=0, atol=1e-4)
        if LABELS[head]:
            assert tuple(bert.config.id2label.values()) == LABELS[head]


@pytest.mark.parametrize("head", CLASSES)
def test_what_paddlenlp_saves_is_read_with_its_head(head: Head, tmp_path: Path) -> None:
    model = finetuned_model(head)
    export(model, "paddlenlp", tmp_path / "model")
    zoo.load(str(tmp_path / "model"), "paddle", head=head).save_pretrained(str(tmp_path / "saved"))
    (tmp_path / "saved" / "vocab.txt").write_bytes(model.vocabulary.to_bytes())
    found = read_with_head(str(tmp_path / "saved"))
    assert found.head == head and tuple(found.labels) == LABELS[head]
    assert all(np.array_equal(found.weights[name], array) for name, array in model.weights.items())


@pytest.mark.parametrize("head", CLASSES)
def test_verify_compares_the_head(head: Head, tmp_path: Path, command: Any) -> None:
    export(finetuned_model(head), "tf-checkpoint", tmp_path / "model")
    ran = command("export", str(tmp_path / "model"), "--to", "paddlenlp", "-o", str(tmp_path / "out"), "--verify")
    assert ran.returncode == 0, ran.stderr
    [figure] = re.findall(r"logits of the fine-tuned head (\d\.\de[+-]\d+)", ran.stdout)
    assert 0 < float(figure) < 1e-4


def test_verify_finds_a_wrong_bias_of_the_head(tmp_path: Path) -> None:
    model = finetuned_model("span")
    other = {"cls/squad/output_bias": model.weights["cls/squad/output_bias"] + np.float32(0.01)}
    export(model._replace(weights=model.weights | other), "paddlenlp", tmp_path / "out")
    with pytest.raises(IntegrityError, match="paddlenlp computes different logits of the fine-tuned head"):
        verify(model, "paddlenlp", tmp_path / "out")


def test_an_encoder_is_exported_and_verified_without_heads(tmp_path: Path) -> None:
    model = without(whole_model(), "MLM head", "NSP head")
    export(model, "paddlenlp", tmp_path / "out")
    line = verify(model, "paddlenlp", tmp_path / "out")
    assert "hidden states" in line and "pooler" in line and "MLM" not in line and "NSP" not in line
    assert type(BertModel.from_pretrained(str(tmp_path / "out"))) is BertModel
