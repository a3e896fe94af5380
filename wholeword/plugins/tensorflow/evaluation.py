"""Losses, hits and predictions on this host alone, without dropout.

A batch is computed in parts of a few shapes, for each of which there is a graph.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from wholeword.core.formats.tfrecord import FEATURES
from wholeword.plugins.tensorflow.computing import Computing
from wholeword.plugins.tensorflow.model import embed
from wholeword.plugins.tensorflow.network import WORDS, Network, feature_dtype

Batch = Mapping[str, np.ndarray]


class Evaluation:
    """Evaluates a network at the values that its variables have."""

    def __init__(self, network: Network, computing: Computing, variables: Mapping[str, tf.Variable]):
        self.network, self.computing, self.variables = network, computing, variables
        self._rows = tf.function(self._rows_of_replicas)

    def evaluate(self, batch: Batch) -> dict[str, np.ndarray]:
        """As `Trainer.evaluate`; slots of weight 0 hold 0 and False."""
        mlm_nll, mlm_correct, nsp_nll, nsp_correct = self._by_row(batch, top=0)
        results = {"mlm_loss": np.where(batch["masked_lm_weights"] != 0, mlm_nll, np.float32(0)), "mlm_correct": mlm_correct}
        return results | ({"nsp_loss": nsp_nll, "nsp_correct": nsp_correct} if self.network.next_sentence else {})

    def predict(self, batch: Batch, top: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Trainer.predict`; slots of weight 0 hold 0."""
        ids, probabilities = self._by_row(batch, top=top)
        real = batch["masked_lm_weights"][..., None] != 0
        return np.where(real, ids, 0).astype(np.int64), np.where(real, probabilities, np.float32(0))

    def _by_row(self, batch: Batch, *, top: int) -> list[np.ndarray]:
        """What `_judge` gives, for each row of a batch."""
        config, computing = self.network.config, self.computing
        num_rows, length = batch["input_ids"].shape
        slots = batch["masked_lm_ids"].shape[1]
        long, wide = min(_up(length, 64), max(length, config.max_position_embeddings)), _up(slots, 8)
        share = 1 << (-(-num_rows // computing.num_local) - 1).bit_length()  # rows of a replica, a power of two
        part = computing.num_local * min(share, computing.micro_batch_size or computing.comfortable_rows(config, long, wide))
        sizes = {name: wide if name.startswith("masked_lm_") else long for name in FEATURES}
        values_of_parts = []
        for first in range(0, num_rows, part):
            rows = {name: _padded(batch[name][first : first + part], part, sizes[name]) for name in FEATURES}
            values = self._rows({name: tf.constant(array, feature_dtype(name)) for name, array in rows.items()}, top)
            values_of_parts.append([value.numpy()[: num_rows - first] for value in values])
        joined = [np.concatenate(parts) for parts in zip(*values_of_parts, strict=True)]
        return [values[:, :slots] if values.ndim > 1 else values for values in joined]

    def _rows_of_replicas(self, batch: Mapping[str, Tensor], top: int) -> list[Tensor]:
        """What `_judge` gives, by the replicas of this host."""
        strategy = self.computing.strategy
        results = strategy.run(self._judge, args=(self.computing.split(batch), top))
        parts = [strategy.experimental_local_results(result) for result in results]
        return [tf.concat(part, 0) for part in parts]

    def _judge(self, rows: Mapping[str, Tensor], top: int) -> tuple[Tensor, ...]:
        """MLM loss and hits [rows, predictions], NSP loss and hits [rows] (0 without); or the `top` ids and their probabilities."""
        weights = {name: variable.read_value() for name, variable in self.variables.items()}
        embedded_TD = embed(weights[WORDS], rows["input_ids"])
        if not top:
            return self.network.judge(weights, embedded_TD, rows, None)
        logits, _ = self.network.logits(weights, embedded_TD, rows, None)
        best = tf.math.top_k(tf.nn.softmax(logits), top)
        shape = [*rows["masked_lm_ids"].shape, top]
        return tf.reshape(best.indices, shape), tf.reshape(best.values, shape)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _padded(values: np.ndarray, rows: int, width: int) -> np.ndarray:
    """Filled up with zeros to [rows, width], or [rows] if it has one dimension."""
    return np.pad(values, [(0, size - have) for size, have in zip((rows, width), values.shape, strict=False)])
