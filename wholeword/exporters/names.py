"""One reversible table of tensor names: what Google's checkpoints call a tensor, and what every other framework calls it.

Canonical names and layouts are Google's (google-research/bert `modeling.py`). A framework is a column of the table; dense kernels are
[in, out] in some and [out, in] in others, everything else has one layout. Tied tensors (the MLM decoder is the word embeddings) stand once.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One tensor, or with `{layer}` one a layer."""

    canonical: str
    transformers: str


TABLE = (
    Row("bert/embeddings/word_embeddings", "bert.embeddings.word_embeddings.weight"),
    Row("bert/embeddings/position_embeddings", "bert.embeddings.position_embeddings.weight"),
    Row("bert/embeddings/token_type_embeddings", "bert.embeddings.token_type_embeddings.weight"),
    Row("bert/embeddings/LayerNorm/gamma", "bert.embeddings.LayerNorm.weight"),
    Row("bert/embeddings/LayerNorm/beta", "bert.embeddings.LayerNorm.bias"),
    Row("bert/encoder/layer_{layer}/attention/self/query/kernel", "bert.encoder.layer.{layer}.attention.self.query.weight"),
    Row("bert/encoder/layer_{layer}/attention/self/query/bias", "bert.encoder.layer.{layer}.attention.self.query.bias"),
    Row("bert/encoder/layer_{layer}/attention/self/key/kernel", "bert.encoder.layer.{layer}.attention.self.key.weight"),
    Row("bert/encoder/layer_{layer}/attention/self/key/bias", "bert.encoder.layer.{layer}.attention.self.key.bias"),
    Row("bert/encoder/layer_{layer}/attention/self/value/kernel", "bert.encoder.layer.{layer}.attention.self.value.weight"),
    Row("bert/encoder/layer_{layer}/attention/self/value/bias", "bert.encoder.layer.{layer}.attention.self.value.bias"),
    Row("bert/encoder/layer_{layer}/attention/output/dense/kernel", "bert.encoder.layer.{layer}.attention.output.dense.weight"),
    Row("bert/encoder/layer_{layer}/attention/output/dense/bias", "bert.encoder.layer.{layer}.attention.output.dense.bias"),
    Row("bert/encoder/layer_{layer}/attention/output/LayerNorm/gamma", "bert.encoder.layer.{layer}.attention.output.LayerNorm.weight"),
    Row("bert/encoder/layer_{layer}/attention/output/LayerNorm/beta", "bert.encoder.layer.{layer}.attention.output.LayerNorm.bias"),
    Row("bert/encoder/layer_{layer}/intermediate/dense/kernel", "bert.encoder.layer.{layer}.intermediate.dense.weight"),
    Row("bert/encoder/layer_{layer}/intermediate/dense/bias", "bert.encoder.layer.{layer}.intermediate.dense.bias"),
    Row("bert/encoder/layer_{layer}/output/dense/kernel", "bert.encoder.layer.{layer}.output.dense.weight"),
    Row("bert/encoder/layer_{layer}/output/dense/bias", "bert.encoder.layer.{layer}.output.dense.bias"),
    Row("bert/encoder/layer_{layer}/output/LayerNorm/gamma", "bert.encoder.layer.{layer}.output.LayerNorm.weight"),
    Row("bert/encoder/layer_{layer}/output/LayerNorm/beta", "bert.encoder.layer.{layer}.output.LayerNorm.bias"),
    Row("bert/pooler/dense/kernel", "bert.pooler.dense.weight"),
    Row("bert/pooler/dense/bias", "bert.pooler.dense.bias"),
    Row("cls/predictions/transform/dense/kernel", "cls.predictions.transform.dense.weight"),
    Row("cls/predictions/transform/dense/bias", "cls.predictions.transform.dense.bias"),
    Row("cls/predictions/transform/LayerNorm/gamma", "cls.predictions.transform.LayerNorm.weight"),
    Row("cls/predictions/transform/LayerNorm/beta", "cls.predictions.transform.LayerNorm.bias"),
    Row("cls/predictions/output_bias", "cls.predictions.bias"),
    Row("cls/seq_relationship/output_weights", "cls.seq_relationship.weight"),
    Row("cls/seq_relationship/output_bias", "cls.seq_relationship.bias"),
)
KERNELS_ARE_OUT_IN = {"transformers"}  # frameworks whose dense kernels are the transposes of Google's

# `hidden_act` of bert_config.json -> transformers' word for it; gelu_tanh and gelu_new are one function
TRANSFORMERS_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "gelu_new": "gelu_pytorch_tanh"}


def names(framework: str, *, num_hidden_layers: int) -> dict[str, str]:
    """canonical name -> the framework's name, of every tensor of a model for pre-training."""
    return {
        row.canonical.format(layer=layer): getattr(row, framework).format(layer=layer)
        for row in TABLE
        for layer in (range(num_hidden_layers) if "{layer}" in row.canonical else [0])
    }


def is_transposed(canonical: str, framework: str) -> bool:
    """Whether the framework's array is the transpose of the canonical one."""
    return canonical.endswith("/kernel") and framework in KERNELS_ARE_OUT_IN


def to_framework(weights: Mapping[str, np.ndarray], framework: str) -> dict[str, np.ndarray]:
    """Rename and transpose (without copying). Raises: KeyError for a name the table does not have."""
    renamed = names(framework, num_hidden_layers=num_layers(weights))
    return {renamed[name]: _layout(array, name, framework) for name, array in weights.items()}


def from_framework(tensors: Mapping[str, np.ndarray], framework: str, *, num_hidden_layers: int) -> dict[str, np.ndarray]:
    """The inverse of `to_framework`. Raises: KeyError for a name the table does not have."""
    canonical = {other: name for name, other in names(framework, num_hidden_layers=num_hidden_layers).items()}
    return {canonical[name]: _layout(array, canonical[name], framework) for name, array in tensors.items()}


def num_layers(canonical_names: Iterable[str]) -> int:
    """How many encoder layers the names speak of."""
    prefix = "bert/encoder/layer_"
    return 1 + max((int(name[len(prefix) :].split("/")[0]) for name in canonical_names if name.startswith(prefix)), default=-1)


def _layout(array: np.ndarray, canonical: str, framework: str) -> np.ndarray:
    return array.T if is_transposed(canonical, framework) else array
