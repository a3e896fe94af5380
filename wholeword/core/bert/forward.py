"""The forward pass of BERT in NumPy and float64, the reference for every framework.

Source: google-research/bert `modeling.py` and `run_pretraining.py`. The MLM head uses the activation of the configuration, as theirs do.
"""

# B batch, L length, D hidden, N heads, H head size, V vocabulary

from collections.abc import Mapping
from math import sqrt

import numpy as np

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.contracts import BertConfig

Array = np.ndarray


def forward(weights: Mapping[str, Array], config: BertConfig, features: Mapping[str, Array]) -> dict[str, Array]:
    """Everything that a model for pre-training computes, without dropout.

    Args:
        weights: by canonical name; without the pooler or a head, the results have no output of it.
        features: `input_ids`, `input_mask` and `segment_ids`, integers [B, L].
    Returns: float64 `hidden_states` [1 + layers, B, L, D], `pooler_output` [B, D], `mlm_logits` [B, L, V], `nsp_logits` [B, 2].
    """
    ids_BL, mask_BL = features["input_ids"], features["input_mask"] > 0
    B, L = ids_BL.shape
    activation = ACTIVATIONS[config.hidden_act].function
    epsilon = config.epsilon

    def tensor(name: str) -> Array:
        return weights[name].astype(np.float64)

    def dense(x: Array, name: str) -> Array:
        values: Array = x @ tensor(f"{name}/kernel") + tensor(f"{name}/bias")
        return values

    def layer_norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        normal = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + epsilon)
        values: Array = normal * tensor(f"{name}/gamma") + tensor(f"{name}/beta")
        return values

    def heads(x_BLD: Array) -> Array:
        return x_BLD.reshape(B, L, config.num_attention_heads, -1).transpose(0, 2, 1, 3)

    words_VD = tensor("bert/embeddings/word_embeddings")
    x_BLD = words_VD[ids_BL] + tensor("bert/embeddings/token_type_embeddings")[features["segment_ids"]]
    x_BLD = layer_norm(x_BLD + tensor("bert/embeddings/position_embeddings")[:L], "bert/embeddings/LayerNorm")
    hidden_states = [x_BLD]
    for number in range(config.num_hidden_layers):
        layer = f"bert/encoder/layer_{number}"
        query_BNLH, key_BNLH, value_BNLH = (heads(dense(x_BLD, f"{layer}/attention/self/{name}")) for name in ("query", "key", "value"))
        scores_BNLL = query_BNLH @ key_BNLH.transpose(0, 1, 3, 2) / sqrt(query_BNLH.shape[-1])
        scores_BNLL = np.where(mask_BL[:, None, None], scores_BNLL, -np.inf)
        shares_BNLL = np.exp(scores_BNLL - scores_BNLL.max(-1, keepdims=True))
        shares_BNLL /= shares_BNLL.sum(-1, keepdims=True)
        context_BLD = (shares_BNLL @ value_BNLH).transpose(0, 2, 1, 3).reshape(x_BLD.shape)
        attended_BLD = dense(context_BLD, f"{layer}/attention/output/dense")
        x_BLD = layer_norm(x_BLD + attended_BLD, f"{layer}/attention/output/LayerNorm")
        wide = activation(dense(x_BLD, f"{layer}/intermediate/dense"))
        x_BLD = layer_norm(x_BLD + dense(wide, f"{layer}/output/dense"), f"{layer}/output/LayerNorm")
        hidden_states.append(x_BLD)
    results = {"hidden_states": np.stack(hidden_states)}
    if "bert/pooler/dense/kernel" in weights:
        results["pooler_output"] = pooled_BD = np.tanh(dense(x_BLD[:, 0], "bert/pooler/dense"))
        if (output_weights := "cls/seq_relationship/output_weights") in weights:
            results["nsp_logits"] = pooled_BD @ tensor(output_weights).T + tensor("cls/seq_relationship/output_bias")
    if "cls/predictions/output_bias" in weights:
        transformed_BLD = activation(dense(x_BLD, "cls/predictions/transform/dense"))
        transformed_BLD = layer_norm(transformed_BLD, "cls/predictions/transform/LayerNorm")
        results["mlm_logits"] = transformed_BLD @ words_VD.T + tensor("cls/predictions/output_bias")
    return results
