"""The tensors of a BERT by Google's names: shapes, initial values, and what a training step costs."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from wholeword.core.contracts import BertConfig, Head, ModelFiles, Tensors
from wholeword.core.errors import UserError


def tensor_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a model for pre-training, by canonical name. The MLM decoder is tied to the word embeddings."""
    vocab_size, hidden_size, intermediate_size = config.vocab_size, config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {}

    def dense(name: str, size_in: int, size_out: int) -> None:
        shapes[f"{name}/kernel"] = (size_in, size_out)
        shapes[f"{name}/bias"] = (size_out,)

    def layer_norm(name: str) -> None:
        shapes[f"{name}/gamma"] = shapes[f"{name}/beta"] = (hidden_size,)

    shapes["bert/embeddings/word_embeddings"] = (vocab_size, hidden_size)
    shapes["bert/embeddings/position_embeddings"] = (config.max_position_embeddings, hidden_size)
    shapes["bert/embeddings/token_type_embeddings"] = (config.type_vocab_size, hidden_size)
    layer_norm("bert/embeddings/LayerNorm")
    for number in range(config.num_hidden_layers):
        layer = f"bert/encoder/layer_{number}"
        for projection in ("query", "key", "value"):
            dense(f"{layer}/attention/self/{projection}", hidden_size, hidden_size)
        dense(f"{layer}/attention/output/dense", hidden_size, hidden_size)
        layer_norm(f"{layer}/attention/output/LayerNorm")
        dense(f"{layer}/intermediate/dense", hidden_size, intermediate_size)
        dense(f"{layer}/output/dense", intermediate_size, hidden_size)
        layer_norm(f"{layer}/output/LayerNorm")
    dense("bert/pooler/dense", hidden_size, hidden_size)
    dense("cls/predictions/transform/dense", hidden_size, hidden_size)
    layer_norm("cls/predictions/transform/LayerNorm")
    shapes["cls/predictions/output_bias"] = (vocab_size,)
    shapes["cls/seq_relationship/output_weights"] = (2, hidden_size)
    shapes["cls/seq_relationship/output_bias"] = (2,)
    return shapes


def initial_weights(config: BertConfig, seed: int, names: Iterable[str] | None = None) -> Tensors:
    """Initial values, float32: a normal of deviation `initializer_range`, truncated at two deviations; LayerNorms 1 and 0; biases 0.

    The values of a tensor depend on nothing but the seed and its name.

    Args:
        names: the tensors to return; all by default.
    Source: `create_initializer` of google-research/bert `modeling.py`.
    """
    shapes = tensor_shapes(config)
    return {name: _initial_values(name, shapes[name], config.initializer_range, seed) for name in names or shapes}


def _initial_values(name: str, shape: tuple[int, ...], deviation: float, seed: int) -> np.ndarray:
    if name.endswith("gamma"):
        return np.ones(shape, np.float32)
    if name.endswith(("beta", "bias")):
        return np.zeros(shape, np.float32)
    key = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))
    values = generator.standard_normal(prod(shape), np.float32)
    outside = np.flatnonzero(np.abs(values) > 2)
    while len(outside):
        values[outside] = generator.standard_normal(len(outside), np.float32)
        outside = outside[np.abs(values[outside]) > 2]
    values *= np.float32(deviation)
    return values.reshape(shape)


HEADS: dict[Head, str] = {"classification": "output", "span": "cls/squad/output", "tagging": "output"}  # prefix of its two tensors
HEAD_DEVIATION = 0.02  # in run_classifier.py and run_squad.py, whatever the initializer_range of the model


def head_shapes(head: Head, num_labels: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a head for fine-tuning, by the names of Google's scripts. The two outputs of `span` are begin and end."""
    return {f"{HEADS[head]}_weights": (num_labels, hidden_size), f"{HEADS[head]}_bias": (num_labels,)}


def initial_head(head: Head, num_labels: int, hidden_size: int, seed: int) -> Tensors:
    """Initial values, which depend on nothing but the seed and the names; biases 0."""
    shapes = head_shapes(head, num_labels, hidden_size)
    return {name: _initial_values(name, shape, HEAD_DEVIATION, seed) for name, shape in shapes.items()}


def take_layers(model: ModelFiles, layers: Sequence[int], *, setting: str = "model.init.layers") -> ModelFiles:
    """A model with some of the layers, in the order given; embeddings, pooler and heads are kept (RBT3: layers 0, 1, 2 of RoBERTa-wwm-ext).

    Args:
        setting: where the user named the layers, for the message.
    Raises: UserError if there are no layers, or if the model lacks one of them.
    """
    num_hidden_layers = model.config.num_hidden_layers
    if not layers:
        raise UserError(f"{setting}: no layers; expected at least one of layers 0 to {num_hidden_layers - 1}")
    if missing := [layer for layer in layers if not 0 <= layer < num_hidden_layers]:
        raise UserError(f"{setting}: no layer {missing[0]}; the model has layers 0 to {num_hidden_layers - 1}")
    weights = {name: array for name, array in model.weights.items() if "/layer_" not in name}
    for new, old in enumerate(layers):
        prefix = f"bert/encoder/layer_{old}/"
        taken = {name: array for name, array in model.weights.items() if name.startswith(prefix)}
        weights |= {name.replace(prefix, f"bert/encoder/layer_{new}/"): array for name, array in taken.items()}
    return model._replace(config=replace(model.config, num_hidden_layers=len(layers)), weights=weights)


PARTS = {"pooler": "bert/pooler/", "heads": "cls/"}
NAMES = {"pooler": ("pooler",), "heads": ("MLM head", "NSP head")}  # in `Provenance.missing`


def renew(model: ModelFiles, parts: Collection[str], seed: int) -> ModelFiles:
    """The model with initial values in some of its PARTS; renewing any of them leaves no trained NSP head."""
    names = [name for name in tensor_shapes(model.config) if name.startswith(tuple(PARTS[part] for part in parts))]
    fresh = initial_weights(model.config, seed, names) if names else {}
    given = {name for part in parts for name in NAMES[part]}
    missing = [part for part in model.provenance.missing or () if part not in given]
    provenance = replace(model.provenance, missing=missing or None)
    return model._replace(weights=model.weights | fresh, next_sentence=model.next_sentence and not parts, provenance=provenance)


def count_parameters(config: BertConfig, *, num_labels: int | None = None) -> int:
    """Parameters of the model for pre-training, or of a classifier with `num_labels` labels (encoder, pooler and classifier).

    The published counts are those of a classifier for XNLI's three labels.
    """
    shapes = tensor_shapes(config)
    if num_labels is None:
        return sum(map(prod, shapes.values()))
    return sum(prod(shape) for name, shape in shapes.items() if name.startswith("bert/")) + num_labels * (config.hidden_size + 1)


def flops_per_token(config: BertConfig, max_seq_length: int, predictions_per_row: float, *, frozen_encoder: bool = False) -> float:
    """Floating-point operations of one training step, forward and backward, for each token of a row.

    6 per parameter of a matrix product, 12 L H per layer for the attention products, and the MLM head on the predicted positions only;
    recomputation and padding are not counted. The pooler and the NSP head, which see one position per row, are left out. A frozen encoder
    has no backward pass, which is two thirds of its work, and the word embeddings of the MLM head have no gradient.
    Source: Chowdhery et al. 2022 (arXiv:2204.02311), appendix B.
    """
    hidden_size, intermediate_size = config.hidden_size, config.intermediate_size
    layer: float = 6 * (4 * hidden_size**2 + 2 * hidden_size * intermediate_size) + 12 * max_seq_length * hidden_size
    head = 6 * hidden_size**2 + (4 if frozen_encoder else 6) * hidden_size * config.vocab_size
    layer /= 3 if frozen_encoder else 1
    return config.num_hidden_layers * layer + head * predictions_per_row / max_seq_length
