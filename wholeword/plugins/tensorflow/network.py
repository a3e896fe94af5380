"""The network of a run as functions of its weights: logits, and what the losses are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf
from tensorflow import Tensor

from wholeword.core.contracts import BertConfig
from wholeword.plugins.tensorflow.model import encode, mlm_logits, nsp_logits

WORDS = "bert/embeddings/word_embeddings"


@dataclass(frozen=True)
class Network:
    """A BERT with its heads. Everywhere `embedded_TD` is what `wholeword.plugins.tensorflow.model.embed` gives for the rows.

    Args:
        dtype: of matrix products and what is between.
    """

    config: BertConfig
    next_sentence: bool
    dtype: tf.DType

    def logits(
        self, weights: Mapping[str, Tensor], embedded_TD: Tensor, rows: Mapping[str, Tensor], seed: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """MLM logits [rows * predictions, vocab_size] and NSP logits [rows, 2].

        Args:
            seed: of dropout; None for none.
        """
        length = rows["input_ids"].shape[1]
        x_TD = encode(weights, self.config, embedded_TD, rows, seed=seed, dtype=self.dtype)
        mlm = mlm_logits(weights, self.config, x_TD, rows["masked_lm_positions"], length=length)
        return mlm, nsp_logits(weights, x_TD, length=length) if self.next_sentence else None

    def judge(
        self, weights: Mapping[str, Tensor], embedded_TD: Tensor, rows: Mapping[str, Tensor], seed: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Negative log likelihood and hits, [rows, predictions] for MLM and [rows] for NSP ([0] without)."""
        mlm, nsp = self.logits(weights, embedded_TD, rows, seed)
        mlm_nll, mlm_hits = _judge(mlm, tf.reshape(rows["masked_lm_ids"], [-1]))
        nsp_nll, nsp_hits = (tf.zeros([0]), tf.zeros([0], tf.bool)) if nsp is None else _judge(nsp, rows["next_sentence_labels"])
        shape, counts = rows["masked_lm_ids"].shape, rows["masked_lm_weights"] != 0
        return tf.reshape(mlm_nll, shape), tf.reshape(mlm_hits, shape) & counts, nsp_nll, nsp_hits


def feature_dtype(name: str) -> tf.DType:
    """Of a feature of `wholeword.core.data.batches`."""
    return tf.float32 if name == "masked_lm_weights" else tf.int32


def _judge(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log likelihood and hits, one per label."""
    nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return nll, tf.argmax(logits, -1, output_type=labels.dtype) == labels
