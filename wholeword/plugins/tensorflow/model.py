"""BERT for pre-training in plain TensorFlow operations: pure functions of its weights, which go by Google's names and layouts.

Every shape is static and nothing is left to the framework's state, so that one function runs on a CPU, a GPU and, compiled by XLA, on a
TPU. Activations are kept as [tokens, hidden], for which a dense layer is one matrix product.
Source: google-research/bert `modeling.py` and `run_pretraining.py`. Left out: what fine-tuning needs, and the MLM head at positions that
are not predicted.
"""

# B batch, L length, T = B * L tokens, D hidden, N heads, H head size, P predictions of a row, V vocabulary

from collections.abc import Mapping

import tensorflow as tf

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.contracts import BertConfig

Weights = Mapping[str, tf.Tensor]

MASKED = -1e9  # added to the score of padding; finite, so that a row of padding alone is no NaN


class Dropout:
    """The dropout of one forward pass; the n-th use has the n-th draw of the seed.

    Args:
        seed: int32 [2], or None for no dropout.
        count: how often it is used at most.
    """

    def __init__(self, seed: tf.Tensor | None, count: int):
        self.seeds = None if seed is None else iter(tf.unstack(tf.random.split(seed, count)))

    def __call__(self, x: tf.Tensor, rate: float) -> tf.Tensor:
        """Drop some of x, as the next draw says."""
        if self.seeds is None or rate == 0:
            return x
        # subtle: whole numbers rather than uniform floats, which in bfloat16 would be too coarse for the rate
        bits = tf.random.stateless_uniform(x.shape, next(self.seeds), minval=None, maxval=None, dtype=tf.uint32)
        return tf.where(bits >= tf.constant(int(rate * 2**32), tf.uint32), x * (1 / (1 - rate)), tf.zeros([], x.dtype))


def embed(words_VD: tf.Tensor, ids_BL: tf.Tensor) -> tf.Tensor:
    """Look up word embeddings, [T, D]."""
    return tf.gather(words_VD, tf.reshape(ids_BL, [-1]))


def encode(
    weights: Weights,
    config: BertConfig,
    embedded_TD: tf.Tensor,
    features: Mapping[str, tf.Tensor],
    *,
    seed: tf.Tensor | None = None,
    dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """The last hidden states, [T, D] of `dtype`.

    Args:
        embedded_TD: what `embed` gives.
        features: `input_mask` and `segment_ids`, integers [B, L].
        seed: of dropout, int32 [2]; None for none.
        dtype: of matrix products and what is between; LayerNorms and softmax are computed in float32.
    """
    B, L = features["input_mask"].shape
    hidden_rate, attention_rate = config.hidden_dropout_prob, config.attention_probs_dropout_prob
    drop = Dropout(seed, 1 + 3 * config.num_hidden_layers)
    penalty_B11L = (1 - tf.cast(features["input_mask"], tf.float32)[:, None, None, :]) * MASKED

    def norm(x: tf.Tensor, name: str) -> tf.Tensor:
        return layer_norm(x, weights, name, config)

    # subtle: a lookup in so small a table, and above all its gradient, is quicker as a product
    segments_TS = tf.one_hot(tf.reshape(features["segment_ids"], [-1]), config.type_vocab_size)
    summed_TD = embedded_TD + segments_TS @ weights["bert/embeddings/token_type_embeddings"]
    summed_BLD = tf.reshape(summed_TD, [B, L, -1]) + weights["bert/embeddings/position_embeddings"][:L]
    x_TD = norm(tf.reshape(summed_BLD, [B * L, -1]), "bert/embeddings/LayerNorm")
    x_TD = drop(tf.cast(x_TD, dtype), hidden_rate)
    for number in range(config.num_hidden_layers):
        layer = f"bert/encoder/layer_{number}"
        query_BNLH, key_BNLH, value_BNLH = (
            _split_heads(dense(x_TD, weights, f"{layer}/attention/self/{name}"), B, L, config.num_attention_heads)
            for name in ("query", "key", "value")
        )
        query_BNLH *= query_BNLH.shape[-1] ** -0.5
        scores_BNLL = tf.cast(tf.matmul(query_BNLH, key_BNLH, transpose_b=True), tf.float32)
        shares_BNLL = drop(tf.cast(tf.nn.softmax(scores_BNLL + penalty_B11L), dtype), attention_rate)
        context_TD = tf.reshape(tf.transpose(shares_BNLL @ value_BNLH, [0, 2, 1, 3]), x_TD.shape)
        attended_TD = drop(dense(context_TD, weights, f"{layer}/attention/output/dense"), hidden_rate)
        x_TD = norm(x_TD + attended_TD, f"{layer}/attention/output/LayerNorm")
        wide = gelu(dense(x_TD, weights, f"{layer}/intermediate/dense"), config)
        x_TD = norm(x_TD + drop(dense(wide, weights, f"{layer}/output/dense"), hidden_rate), f"{layer}/output/LayerNorm")
    return x_TD


def mlm_logits(weights: Weights, config: BertConfig, x_TD: tf.Tensor, positions_BP: tf.Tensor, *, length: int) -> tf.Tensor:
    """float32 [B * P, V], at the positions that are predicted alone."""
    first_tokens_B1 = tf.range(positions_BP.shape[0], dtype=positions_BP.dtype)[:, None] * length
    predicted = tf.gather(x_TD, tf.reshape(first_tokens_B1 + positions_BP, [-1]))
    transformed = gelu(dense(predicted, weights, "cls/predictions/transform/dense"), config)
    transformed = layer_norm(transformed, weights, "cls/predictions/transform/LayerNorm", config)
    words_VD = tf.cast(weights["bert/embeddings/word_embeddings"], x_TD.dtype)
    logits = tf.matmul(transformed, words_VD, transpose_b=True)
    return tf.cast(logits, tf.float32) + weights["cls/predictions/output_bias"]


def nsp_logits(weights: Weights, x_TD: tf.Tensor, *, length: int) -> tf.Tensor:
    """float32 [B, 2]: whether the second segment is the next (0) or a random one (1)."""
    pooled_BD = tf.tanh(dense(x_TD[::length], weights, "bert/pooler/dense"))
    output_weights = tf.cast(weights["cls/seq_relationship/output_weights"], x_TD.dtype)
    return tf.cast(tf.matmul(pooled_BD, output_weights, transpose_b=True), tf.float32) + weights["cls/seq_relationship/output_bias"]


def dense(x: tf.Tensor, weights: Weights, name: str) -> tf.Tensor:
    """In the dtype of x, [T, in] -> [T, out]."""
    return tf.nn.bias_add(x @ tf.cast(weights[f"{name}/kernel"], x.dtype), tf.cast(weights[f"{name}/bias"], x.dtype))


def gelu(x: tf.Tensor, config: BertConfig) -> tf.Tensor:
    """The variant of gelu in the configuration."""
    return tf.nn.gelu(x, approximate=ACTIVATIONS[config.hidden_act].is_tanh)


def layer_norm(x: tf.Tensor, weights: Weights, name: str, config: BertConfig) -> tf.Tensor:
    """In float32, given back in the dtype of x."""
    wide = tf.cast(x, tf.float32)
    centred = wide - tf.reduce_mean(wide, -1, keepdims=True)
    scale = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + config.epsilon)
    return tf.cast(centred * scale * weights[f"{name}/gamma"] + weights[f"{name}/beta"], x.dtype)


def _split_heads(x_TD: tf.Tensor, B: int, L: int, N: int) -> tf.Tensor:
    return tf.transpose(tf.reshape(x_TD, [B, L, N, -1]), [0, 2, 1, 3])
