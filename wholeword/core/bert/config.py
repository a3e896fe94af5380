"""BERT's configuration: read from `bert_config.json`, `config.json` or `state.json`, or made from a recipe's `model` section."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from wholeword.core.bert.gelu import ACTIVATIONS, SAVED_ACTIVATIONS
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError

# name: (num_hidden_layers, hidden_size, num_attention_heads)
SIZES = {
    "tiny": (2, 128, 2),
    "mini": (4, 256, 4),
    "small": (4, 512, 8),
    "rbt3": (3, 768, 12),
    "rbt4": (4, 768, 12),
    "rbt6": (6, 768, 12),
    "rbtl3": (3, 1024, 16),
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
}
SHAPE_LIMITS = {  # key: the largest value that is accepted, before memory is allocated for it
    "hidden_size": 1 << 16,
    "intermediate_size": 1 << 18,
    "max_position_embeddings": 1 << 20,
    "num_attention_heads": 1 << 10,
    "num_hidden_layers": 1000,
    "type_vocab_size": 1 << 10,
    "vocab_size": 10_000_000,
}
RATES = ("attention_probs_dropout_prob", "hidden_dropout_prob", "initializer_range", "layer_norm_eps")  # in [0, 1]


def bert_config(values: Mapping[str, Any], source: str) -> BertConfig:
    """The configuration in a JSON object; keys that BertConfig does not have are ignored.

    Args:
        values: the seven sizes have to be there; the other keys have the defaults of BertConfig.
        source: the file, for the message.
    Raises: UserError naming all keys that are missing, of a wrong type or out of range.
    """
    known = {field.name: values[field.name] for field in fields(BertConfig) if field.name in values}
    problems = []
    for key, largest in SHAPE_LIMITS.items():
        if not (type(values.get(key)) is int and 1 <= values[key] <= largest):
            value = f"is {values[key]!r}" if key in values else "is missing"
            problems.append(f"{key} {value}, expected a whole number from 1 to {largest:,}")
    for key in RATES:
        if key in known and not (type(known[key]) in (int, float) and 0 <= known[key] <= 1):
            problems.append(f"{key} is {known[key]!r}, expected a number from 0 to 1")
    activation = known.get("hidden_act", "gelu")
    if not (isinstance(activation, str) and activation in ACTIVATIONS):
        problems.append(f"hidden_act is {activation!r}, expected one of {', '.join(ACTIVATIONS)}")
    if not problems and known["hidden_size"] % known["num_attention_heads"]:
        problems.append(f"hidden_size is {known['hidden_size']}, expected a multiple of {known['num_attention_heads']} attention heads")
    if problems:
        raise UserError(f"{source}: {'; '.join(problems)}")
    return BertConfig(**known)


def saved_config(values: Mapping[str, Any], source: str, *, type_vocab_size: int = 2) -> BertConfig:
    """The configuration in another tool's `config.json` or `bert_config.json`, which may spell `hidden_act` differently.

    Args:
        type_vocab_size: if the file has none, as old ones do; the weights know best.
    Raises: as `bert_config`.
    """
    values = {key: value for key, value in values.items() if not (key == "type_vocab_size" and value is None)}
    activation = values.get("hidden_act")
    if isinstance(activation, str) and activation in SAVED_ACTIVATIONS:
        values["hidden_act"] = SAVED_ACTIVATIONS[activation]
    return bert_config({"type_vocab_size": type_vocab_size} | values, source)


def model_config(section: Mapping[str, Any], vocab_size: int) -> BertConfig:
    """The configuration of a recipe's `model` section.

    Args:
        section: optionally `size`, a key of SIZES; any key of BertConfig beside it wins. Without a size the model is `base`.
    Raises: UserError for an unknown size, or a hidden size that is not a multiple of the heads.
    """
    size = section.get("size") or "base"
    if size not in SIZES:
        raise UserError(f"model.size: {size!r}; expected one of {', '.join(SIZES)}")
    num_hidden_layers, hidden_size, num_attention_heads = SIZES[size]
    values: dict[str, Any] = {
        "num_hidden_layers": num_hidden_layers,
        "hidden_size": hidden_size,
        "num_attention_heads": num_attention_heads,
        "vocab_size": vocab_size,
    }
    settable = {field.name for field in fields(BertConfig)} - {"layer_norm_eps"}
    values |= {key: section[key] for key in settable & section.keys() if section[key] is not None}
    config = BertConfig(**{"intermediate_size": 4 * values["hidden_size"]} | values)
    if config.hidden_size % config.num_attention_heads:
        raise UserError(f"model.hidden_size: {config.hidden_size} is not a multiple of {config.num_attention_heads} attention heads")
    return config
