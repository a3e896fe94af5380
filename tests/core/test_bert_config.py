"""The configuration of a BERT: what is read, what is refused, and what is written again."""

import json

import pytest

from wholeword.core.bert.config import bert_config, model_config, saved_config
from wholeword.core.errors import UserError

VALUES = model_config({"size": "tiny"}, vocab_size=30).to_dict()


def test_what_was_read_is_written_again() -> None:
    for values in (VALUES, VALUES | {"layer_norm_eps": 1e-12}, VALUES | {"hidden_dropout_prob": 0}):
        assert json.dumps(bert_config(values, "x").to_dict()) == json.dumps(dict(sorted(values.items())))
    assert bert_config(VALUES | {"directionality": "bidi"}, "x").to_dict() == VALUES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": "128"}, "hidden_size is '128', expected a whole number from 1 to 65,536"),
        ({"vocab_size": 0, "num_hidden_layers": True}, "num_hidden_layers is True, .*; vocab_size is 0, "),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers is 1000000, expected a whole number from 1 to 1,000"),
        ({"num_attention_heads": 3}, "hidden_size is 128, expected a multiple of 3 attention heads"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', expected one of gelu"),
        ({"hidden_act": ["gelu"]}, r"hidden_act is \['gelu'\], expected one of gelu"),
        ({"initializer_range": float("nan")}, "initializer_range is nan, expected a number from 0 to 1"),
        ({"layer_norm_eps": None}, "layer_norm_eps is None, expected a number from 0 to 1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_key_and_file(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=f"^a/config.json: {message}"):
        bert_config(VALUES | changes, "a/config.json")


def test_a_missing_size_is_named() -> None:
    with pytest.raises(UserError, match="x: vocab_size is missing, expected a whole number"):
        bert_config({key: value for key, value in VALUES.items() if key != "vocab_size"}, "x")


def test_other_tools_names_are_understood() -> None:
    for spelling, hidden_act in (("gelu", "gelu"), ("gelu_new", "gelu_tanh"), ("gelu_pytorch_tanh", "gelu_tanh")):
        assert saved_config(VALUES | {"hidden_act": spelling}, "x").hidden_act == hidden_act
    assert saved_config(VALUES | {"type_vocab_size": None}, "x", type_vocab_size=16).type_vocab_size == 16
