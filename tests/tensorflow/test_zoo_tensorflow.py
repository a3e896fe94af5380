"""`zoo.load` on TensorFlow: KerasHub's classes, and the numbers that the reference in NumPy gives."""

import json
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
import pytest

from wholeword import zoo
from wholeword.core.bert.config import model_config
from wholeword.core.bert.forward import forward
from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError
from wholeword.core.formats.tensors import write_tensors
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

SENTENCE = "使用语言模型来预测下一个词的probability。"
PIECES = [*SPECIAL_PIECES, *dict.fromkeys(SENTENCE[:14]), "。", "pro", "##ba", "##bility", "É", "e"]
SMALL = {"num_hidden_layers": 3, "hidden_size": 24, "num_attention_heads": 4, "max_position_embeddings": 16}


def model_folder(folder: Path, seed: int = 1, *, lowercase: bool = True, **section: Any) -> tuple[BertConfig, dict[str, np.ndarray]]:
    """A model whose every tensor has values of its own, as the hub has it. Returns: configuration and canonical weights."""
    vocab_size = 21128 if "size" in section else len(PIECES)
    config = model_config(section or SMALL, vocab_size=vocab_size)
    generator = np.random.default_rng(seed)
    deviation = 0.02 if "size" in section else 0.1  # wide models are BERT's: its initializer_range
    weights = {name: generator.normal(0, deviation, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    for name in weights:
        if name.endswith("gamma"):
            weights[name] += 1
    folder.mkdir()
    write_tensors(folder / "model.safetensors", to_framework(weights, "transformers"))
    (folder / "config.json").write_text(
        json.dumps(config.to_dict() | {"model_type": "bert", "hidden_act": ACTIVATIONS[config.hidden_act].transformers})
    )
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lowercase}))
    (folder / "vocab.txt").write_bytes(Vocabulary([*PIECES, *(f"[unused{n}]" for n in range(vocab_size - len(PIECES)))]).to_bytes())
    return config, weights


def batch(config: BertConfig, rows: int = 2, length: int = 12) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(2)
    mask = (np.arange(length) < np.linspace(length, length // 2, rows)[:, None]).astype(np.int32)
    return {
        "input_ids": generator.integers(0, config.vocab_size, (rows, length), dtype=np.int32) * mask,
        "input_mask": mask,
        "segment_ids": generator.integers(0, 2, (rows, length), dtype=np.int32) * mask,
    }


def inputs(features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By KerasHub's names."""
    return {"token_ids": features["input_ids"], "segment_ids": features["segment_ids"], "padding_mask": features["input_mask"]}


def assert_equal_to_reference(folder: Path, config: BertConfig, weights: dict[str, np.ndarray], *, atol: float = 1e-5) -> None:
    features = batch(config)
    used, expected = features["input_mask"] > 0, forward(weights, config, features)
    backbone = zoo.load(str(folder), "tensorflow")
    assert isinstance(backbone, keras_hub.models.BertBackbone)
    outputs = backbone(inputs(features))
    np.testing.assert_allclose(np.array(outputs["sequence_output"])[used], expected["hidden_states"][-1][used], rtol=0, atol=atol)
    np.testing.assert_allclose(np.array(outputs["pooled_output"]), expected["pooler_output"], rtol=0, atol=atol)
    masked_lm = zoo.load(str(folder), "tensorflow", head="mlm")
    assert isinstance(masked_lm, keras_hub.models.BertMaskedLM)
    positions = np.tile(np.arange(6, dtype=np.int32), (2, 1))
    logits = masked_lm(inputs(features) | {"mask_positions": positions})
    np.testing.assert_allclose(np.array(logits), expected["mlm_logits"][:, :6], rtol=0, atol=atol)


@pytest.mark.parametrize("act", ["gelu", "gelu_tanh"])
def test_kerashub_computes_what_the_reference_does(tmp_path: Path, act: str) -> None:
    assert_equal_to_reference(tmp_path / "x", *model_folder(tmp_path / "x", **SMALL, hidden_act=act))


@pytest.mark.parametrize("size", ["rbt3", "rbtl3"])
def test_real_sizes_compute_what_the_reference_does(tmp_path: Path, size: str) -> None:
    assert_equal_to_reference(tmp_path / size, *model_folder(tmp_path / size, size=size))


def test_a_saved_model_keeps_its_activation_and_epsilon(tmp_path: Path) -> None:
    """Where KerasHub's own class would come back with the tanh form of gelu."""
    config, _ = model_folder(tmp_path / "x")
    features = inputs(batch(config))
    for head, more in ((None, {}), ("mlm", {"mask_positions": np.zeros((2, 1), np.int32)})):
        model = zoo.load(str(tmp_path / "x"), "tensorflow", head=head)
        model.save(tmp_path / "saved.keras")
        again = keras.models.load_model(tmp_path / "saved.keras")
        for one, other in zip(*(keras.tree.flatten(m(features | more)) for m in (model, again)), strict=True):
            assert np.array_equal(one, other)


def test_the_tokenizer_cuts_as_bert_does(tmp_path: Path) -> None:
    for lowercase, accented in ((True, "e"), (False, "É")):
        model_folder(tmp_path / str(lowercase), lowercase=lowercase)
        tokenizer = zoo.load_tokenizer(str(tmp_path / str(lowercase)), "tensorflow")
        pieces = [PIECES[number] for number in np.array(tokenizer(f"{SENTENCE}É"))]
        assert pieces == [*SENTENCE[:14], "pro", "##ba", "##bility", "。", accented]


def test_what_kerashub_lacks_is_said(tmp_path: Path) -> None:
    model_folder(tmp_path / "x")
    with pytest.raises(UserError, match="KerasHub has no NSP head; load with head=None"):
        zoo.load(str(tmp_path / "x"), "tensorflow", head="nsp")
    config = json.loads((tmp_path / "x" / "config.json").read_text())
    (tmp_path / "x" / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-5}))
    with pytest.raises(UserError, match="layer_norm_eps is 1e-05, but KerasHub supports only 1e-12"):
        zoo.load(str(tmp_path / "x"), "tensorflow")
