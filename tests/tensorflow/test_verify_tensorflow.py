"""`wholeword export --to tf-checkpoint --verify`: TensorFlow reads it and KerasHub computes with it, in a process of its own."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.errors import IntegrityError
from wholeword.core.training.export import export
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.zoo.verify import verify

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *dict.fromkeys("使用语言模型来预测下一个词的。，图书馆新系统将于年月日上线")])


def model(**section: object) -> ModelFiles:
    """Every tensor has values of its own."""
    config = model_config({"size": "tiny", "num_hidden_layers": 3, "initializer_range": 0.1, **section}, vocab_size=len(VOCABULARY))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.1, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    return ModelFiles(config, weights, VOCABULARY, True, True, Provenance(name="mine"))


@pytest.mark.parametrize("exporter, act", [("tf-checkpoint", "gelu"), ("tf-checkpoint-zip", "gelu_tanh")])
def test_a_checkpoint_is_verified_by_tensorflow_and_keras_hub(exporter: str, act: str, tmp_path: Path) -> None:
    pytest.importorskip("keras_hub")
    source = model(hidden_act=act)
    export(source, exporter, tmp_path / "out")
    line = verify(source, exporter, tmp_path / "out")
    figures = dict(re.findall(r"((?:hidden states|pooler|MLM logits|NSP logits)(?: of KerasHub)?) (\d\.\de[+-]\d+)", line))
    assert len(figures) == 7, line
    for name, figure in figures.items():
        assert (0 < float(figure) < 1e-5) if "KerasHub" in name else float(figure) == 0, line  # the same bytes, in float64


def test_another_layer_norm_epsilon_is_verified_without_keras_hub(tmp_path: Path) -> None:
    """KerasHub has 1e-12 alone, which is no fault of the checkpoint."""
    source = model()
    source = source._replace(config=replace(source.config, layer_norm_eps=1e-5))
    export(source, "tf-checkpoint", tmp_path / "out")
    line = verify(source, "tf-checkpoint", tmp_path / "out")
    assert "computes the same outputs" in line and "of KerasHub" not in line
    assert line.endswith("; not compared with KerasHub, which supports only layer_norm_eps 1e-12")


def test_one_wrong_number_is_found(tmp_path: Path) -> None:
    source = model()
    other = source.weights | {"cls/predictions/output_bias": source.weights["cls/predictions/output_bias"] + np.float32(0.01)}
    export(source._replace(weights=other), "tf-checkpoint", tmp_path / "out")
    with pytest.raises(IntegrityError, match="tensorflow computes different MLM logits"):
        verify(source, "tf-checkpoint", tmp_path / "out")
