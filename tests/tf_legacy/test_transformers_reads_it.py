"""The last transformers that read original checkpoints reads ours."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_checkpoint import FEATURES, exported
from transformers import BertConfig, BertForPreTraining, load_tf_weights_in_bert

from wholeword.core.bert.forward import forward
from wholeword.core.bert.names import TIED, to_framework


def load(folder: Path) -> BertForPreTraining:
    config = BertConfig.from_json_file(str(folder / "bert_config.json"))
    return load_tf_weights_in_bert(BertForPreTraining(config), config, str(folder / "bert_model.ckpt")).eval()


@pytest.mark.parametrize("next_sentence", [True, False])
def test_transformers_finds_every_tensor(tmp_path: Path, next_sentence: bool) -> None:
    model = exported(tmp_path, next_sentence=next_sentence)
    state = load(tmp_path).state_dict()
    expected = to_framework(model.weights, "transformers")
    if not next_sentence:  # it was not trained, and is not in the file
        expected = {name: array for name, array in expected.items() if "seq_relationship" not in name}
    assert max(np.abs(state[name].numpy() - array).max() for name, array in expected.items()) == 0.0
    left = {name for name in state if name not in expected and name not in TIED["transformers"]}
    assert left == (set() if next_sentence else {"cls.seq_relationship.weight", "cls.seq_relationship.bias"})


def test_transformers_computes_the_same(tmp_path: Path) -> None:
    model = exported(tmp_path)
    inputs = {"input_ids": "input_ids", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    with torch.no_grad():
        outputs = load(tmp_path)(**{name: torch.from_numpy(FEATURES[key]) for name, key in inputs.items()})
    expected, real = forward(model.weights, model.config, FEATURES), FEATURES["input_mask"] > 0
    assert np.abs(outputs.prediction_logits.numpy() - expected["mlm_logits"])[real].max() < 2e-5
    assert np.abs(outputs.seq_relationship_logits.numpy() - expected["nsp_logits"]).max() < 2e-5
