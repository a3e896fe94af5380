"""One reversible table of tensor names: that of Google's checkpoints, and those of every other framework.

Canonical names and layouts are Google's (google-research/bert `modeling.py`). A framework is a column of the tables; LAYOUTS
lists the arrays that it lays out differently. A name consists of the prefix of a part, a module and a parameter. Tied tensors (the MLM
decoder is tied to the word embeddings) are listed once; TIED lists the copies that a framework may store.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from wholeword.core.errors import UserError

# "-": no prefix, or no such tensor
MODULES = """
kind        canonical                    transformers                 paddlenlp                     keras_hub
part        bert/embeddings/             bert.embeddings.             bert.embeddings.              -
embedding   word_embeddings              word_embeddings              word_embeddings               token_embedding
embedding   position_embeddings          position_embeddings          position_embeddings           position_embedding
embedding   token_type_embeddings        token_type_embeddings        token_type_embeddings         segment_embedding
layer_norm  LayerNorm                    LayerNorm                    layer_norm                    embeddings_layer_norm
part        bert/encoder/layer_{layer}/  bert.encoder.layer.{layer}.  bert.encoder.layers.{layer}.  transformer_layer_{layer}/
dense       attention/self/query         attention.self.query         self_attn.q_proj              self_attention_layer/query
dense       attention/self/key           attention.self.key           self_attn.k_proj              self_attention_layer/key
dense       attention/self/value         attention.self.value         self_attn.v_proj              self_attention_layer/value
dense       attention/output/dense       attention.output.dense       self_attn.out_proj            self_attention_layer/attention_output
layer_norm  attention/output/LayerNorm   attention.output.LayerNorm   norm1                         self_attention_layer_norm
dense       intermediate/dense           intermediate.dense           linear1                       feedforward_intermediate_dense
dense       output/dense                 output.dense                 linear2                       feedforward_output_dense
layer_norm  output/LayerNorm             output.LayerNorm             norm2                         feedforward_layer_norm
part        bert/pooler/                 bert.pooler.                 bert.pooler.                  -
dense       dense                        dense                        dense                         pooled_dense
part        cls/predictions/             cls.predictions.             cls.predictions.              mlm_head/
dense       transform/dense              transform.dense              transform                     intermediate_dense
layer_norm  transform/LayerNorm          transform.LayerNorm          layer_norm                    intermediate_layer_norm
whole       output_bias                  bias                         decoder_bias                  output_bias
part        cls/                         cls.                         cls.                          -
classifier  seq_relationship             seq_relationship             seq_relationship              -
"""
PARAMETERS = """
kind        canonical        transformers  paddlenlp  keras_hub
embedding   -                .weight       .weight    /embeddings
dense       /kernel          .weight       .weight    /kernel
dense       /bias            .bias         .bias      /bias
layer_norm  /gamma           .weight       .weight    /gamma
layer_norm  /beta            .bias         .bias      /beta
classifier  /output_weights  .weight       .weight    -
classifier  /output_bias     .bias         .bias      -
whole       -                -             -          -
"""


class Layout(NamedTuple):
    """How another framework lays out an array."""

    to: Callable[[np.ndarray, int], np.ndarray]  # from the canonical array and the number of attention heads
    back: Callable[[np.ndarray], np.ndarray]


AS_IT_IS = Layout(lambda array, heads: array, lambda array: array)
TRANSPOSED = Layout(lambda array, heads: array.T, lambda array: array.T)
HEADS_OUT = Layout(  # [in, hidden] is [in, heads, head size], and [hidden] is [heads, head size]
    lambda array, heads: array.reshape(*array.shape[:-1], heads, array.shape[-1] // heads),
    lambda array: array.reshape(*array.shape[:-2], array.shape[-2] * array.shape[-1]),
)
HEADS_IN = Layout(  # [hidden, out] is [heads, head size, out]
    lambda array, heads: array.reshape(heads, array.shape[0] // heads, array.shape[1]),
    lambda array: array.reshape(array.shape[0] * array.shape[1], array.shape[2]),
)
LAYOUTS: dict[str, dict[tuple[str, ...], Layout]] = {  # by ends of canonical names; all else is as it is
    "canonical": {},
    "transformers": {("/kernel",): TRANSPOSED},
    "paddlenlp": {("/seq_relationship/output_weights",): TRANSPOSED},
    "keras_hub": {
        tuple(f"/self/{name}/{parameter}" for name in ("query", "key", "value") for parameter in ("kernel", "bias")): HEADS_OUT,
        ("/attention/output/dense/kernel",): HEADS_IN,
    },
}
TIED: dict[str, dict[str, str]] = {  # copies of tensors that a saved model may hold, and the tensor that each has to equal
    "canonical": {},
    "transformers": {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    "paddlenlp": {
        "cls.predictions.decoder_weight": "bert.embeddings.word_embeddings.weight",  # in older models
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.decoder_bias",
    },
    "keras_hub": {},
}


def _table(text: str) -> list[dict[str, str]]:
    header, *rows = (line.split() for line in text.strip().splitlines())
    return [dict(zip(header, ("" if cell == "-" else cell for cell in row), strict=True)) for row in rows]


def _tensors() -> list[dict[str, str]]:
    """Both tables as one: framework -> name, "" where it has no such tensor; a tensor of every layer has `{layer}` in it."""
    tensors, prefix, parameters = [], {}, _table(PARAMETERS)
    for module in _table(MODULES):
        if (kind := module.pop("kind")) == "part":
            prefix = module
            continue
        for parameter in parameters:
            if parameter["kind"] == kind:
                tensors.append({key: prefix[key] + name + parameter[key] if name else "" for key, name in module.items()})
    return tensors


TABLE = _tensors()


def names(framework: str, *, num_hidden_layers: int) -> dict[str, str]:
    """Canonical name -> name in the framework, for every tensor of a model for pre-training that the framework has.

    KerasHub has no NSP head.
    """
    return {
        row["canonical"].format(layer=layer): row[framework].format(layer=layer)
        for row in TABLE
        for layer in (range(num_hidden_layers) if "{layer}" in row["canonical"] else [0])
        if row[framework]
    }


def is_transposed(canonical: str, framework: str) -> bool:
    """Whether the framework's array is the transpose of the canonical one."""
    return _layout(canonical, framework) is TRANSPOSED


def to_framework(weights: Mapping[str, np.ndarray], framework: str, *, num_attention_heads: int = 1) -> dict[str, np.ndarray]:
    """Rename and lay out, without copying; tensors that the framework does not have are left out.

    Args:
        num_attention_heads: only for KerasHub, whose kernels have an axis for them.
    Raises: UserError naming the tensors that are not in the table.
    """
    num_hidden_layers = num_layers(weights)
    _refuse_unknown(weights, "canonical", num_hidden_layers)
    renamed = names(framework, num_hidden_layers=num_hidden_layers)
    return {renamed[name]: _layout(name, framework).to(array, num_attention_heads) for name, array in weights.items() if name in renamed}


def from_framework(tensors: Mapping[str, np.ndarray], framework: str, *, num_hidden_layers: int) -> dict[str, np.ndarray]:
    """The inverse of `to_framework`. Raises: UserError naming the tensors that are not in the table."""
    _refuse_unknown(tensors, framework, num_hidden_layers)
    canonical = {other: name for name, other in names(framework, num_hidden_layers=num_hidden_layers).items()}
    return {canonical[name]: _layout(canonical[name], framework).back(array) for name, array in tensors.items()}


def num_layers(canonical_names: Iterable[str]) -> int:
    """The number of encoder layers among the names."""
    prefix = "bert/encoder/layer_"
    return 1 + max((int(name[len(prefix) :].split("/")[0]) for name in canonical_names if name.startswith(prefix)), default=-1)


def unknown_tensors(tensor_names: Iterable[str], framework: str, *, num_hidden_layers: int) -> list[str]:
    """The names that no tensor of such a model has in the framework, sorted."""
    return sorted(set(tensor_names) - set(names(framework, num_hidden_layers=num_hidden_layers).values()))


def some(items: list[str]) -> str:
    """The first five items for a message, and how many more there are."""
    return "; ".join(items[:5]) + (f"; and {len(items) - 5} more" if len(items) > 5 else "")


def _refuse_unknown(tensor_names: Iterable[str], framework: str, num_hidden_layers: int) -> None:
    if unknown := unknown_tensors(tensor_names, framework, num_hidden_layers=num_hidden_layers):
        raise UserError(f"unknown tensors for a BERT with {num_hidden_layers} layers: {some(unknown)}")


def _layout(canonical: str, framework: str) -> Layout:
    return next((layout for ends, layout in LAYOUTS[framework].items() if canonical.endswith(ends)), AS_IT_IS)
