"""Validate the models that zoo sources return."""

from typing import Any

import numpy as np

from wholeword.core.bert.config import bert_config
from wholeword.core.bert.parts import PARTS
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import BertConfig, ModelFiles, Provenance
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import Vocabulary

FIELDS = {
    "config": (BertConfig, "wholeword.core.contracts.BertConfig"),
    "weights": (dict, "tensors by Google's names as a dict"),
    "vocabulary": (Vocabulary, "wholeword.core.vocabulary.Vocabulary"),
    "lowercase": (bool, "True or False"),
    "next_sentence": (bool, "True or False"),
    "provenance": (Provenance, "wholeword.core.contracts.Provenance"),
}


def problem_of(model: Any) -> str | None:
    """What is wrong with a model, in one line; None if nothing is. Shapes and types are compared, values are not."""
    if not isinstance(model, ModelFiles):
        return f"returned {type(model).__name__}; expected wholeword.core.contracts.ModelFiles"
    for field, (expected, text) in FIELDS.items():
        if not isinstance(value := getattr(model, field), expected):
            return f"{field} is {type(value).__name__}; expected {text}"
    try:
        bert_config(model.config.to_dict(), "config")
    except UserError as error:
        return str(error)
    if model.config.vocab_size != len(model.vocabulary):
        return f"the vocabulary has {len(model.vocabulary):,} pieces, but config says vocab_size {model.config.vocab_size:,}"
    return _problem_of_weights(model) if model.head is None else None


def _problem_of_weights(model: ModelFiles) -> str | None:
    absent = tuple(prefix for prefix in PARTS if not any(name.startswith(prefix) for name in model.weights))
    shapes = {name: shape for name, shape in tensor_shapes(model.config).items() if not name.startswith(absent)}
    if missing := [name for name in shapes if name not in model.weights]:
        others = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        return f"weights lack {missing[0]}{others}; expected every tensor of the encoder, and all or none of each head"
    if unknown := [name for name in model.weights if name not in shapes]:
        return f"weights have the unknown tensor {unknown[0]!r}; expected Google's names, such as bert/embeddings/word_embeddings"
    for name, shape in shapes.items():
        array = model.weights[name]
        if not isinstance(array, np.ndarray) or array.dtype != np.float32:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            return f"{name} is {kind}; expected a NumPy array of float32"
        if array.shape != shape:
            return f"{name} has shape {list(array.shape)}; expected {list(shape)}"
    return None
