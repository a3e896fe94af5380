"""What a replica does in a training step; on a TPU `strategy.run` compiles it as it is.

Losses are sums over the rows of a replica, divided by what all replicas have together, so that the gradients of the replicas add up to that
of the whole batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from wholeword.core.contracts import OptimizerKernel
from wholeword.plugins.tensorflow.computing import Computing
from wholeword.plugins.tensorflow.model import embed
from wholeword.plugins.tensorflow.network import WORDS, Network
from wholeword.plugins.tensorflow.optimizers import norm

SUMS = ("mlm_sum", "mlm_correct", "nsp_sum", "nsp_correct")
MEASURES = (*SUMS, "total_weight", "mlm_count", "grad_norm", "skipped", "done")  # of a step, float32 [9]; all 0 if it was not begun


class ReplicaStep:
    """The step of one replica.

    Args:
        learning: names of the variables that have gradients.
        skip: 1 from the first step of a call on whose gradient is not finite.
        stop: 1 if the run is to stop: a step is then abandoned between two micro batches, on one replica that XLA does not compile.
    """

    def __init__(
        self,
        network: Network,
        computing: Computing,
        variables: Mapping[str, tf.Variable],
        learning: Sequence[str],
        optimizer: OptimizerKernel,
        skip: tf.Variable,
        stop: tf.Variable,
        *,
        clip_norm: float,
    ):
        self.network, self.computing, self.variables, self.learning = network, computing, variables, learning
        self.optimizer, self.skip, self.clip_norm = optimizer, skip, clip_norm
        can_abandon = isinstance(computing.strategy, tf.distribute.OneDeviceStrategy) and not computing.jit_compile
        self.stop = stop if can_abandon else None
        self.trains_encoder = any(name.startswith("bert/") for name in learning)
        compiled: Callable[[Any], Any] = tf.function(jit_compile=True) if computing.jit_compile else lambda function: function
        self._gradients, self._update = compiled(self._gradients_of_replica), compiled(self._update_of_replica)

    def __call__(self, batch: Mapping[str, Tensor], learning_rate: Tensor, seed: Tensor) -> Tensor:
        """Take one step with a replica's rows.

        Args:
            seed: of the step, int32 [2].
        Returns: MEASURES of all replicas together, float32 [9].
        """
        replica, num_replicas = tf.distribute.get_replica_context(), self.computing.strategy.num_replicas_in_sync
        own = tf.stack([tf.reduce_sum(batch["masked_lm_weights"]), tf.math.count_nonzero(batch["masked_lm_weights"], dtype=tf.float32)])
        weights = {name: variable.read_value() for name, variable in self.variables.items()}
        seed = tf.random.fold_in(seed, replica.replica_id_in_sync_group)
        # subtle: collectives that do not depend on each other may come in another order on another replica; so there is never a choice
        if self.computing.clip == "per-replica":
            gradients, sums = self._gradients(weights, batch, _or_one(own[0]) * num_replicas, seed)
            own_norm = norm(gradients.values()) * num_replicas  # that of the mean over the replica's own predictions
            shrink = tf.maximum(own_norm / self.clip_norm, 1)
            gradients = {name: gradient / shrink for name, gradient in gradients.items()}
            gradients, sums, totals, norms = _sum(replica, (gradients, sums, own, own_norm))
            grad_norm = norms / num_replicas
        else:
            totals, grad_norm = _sum(replica, own), None
            gradients, sums = _sum(replica, self._gradients(weights, batch, _or_one(totals[0]), seed))
        grad_norm, skipped, done = self._update(gradients, grad_norm, learning_rate)
        return tf.concat([sums, totals, tf.stack([grad_norm, skipped, done])], 0)

    def _update_of_replica(
        self, gradients: Mapping[str, Tensor], clipped_norm: Tensor | None, learning_rate: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take the step, if gradients are finite; clip, if they have not been.

        Returns: the norm, whether steps are skipped by now, and 0 if the step was abandoned.
        """
        grad_norm = norm(gradients.values()) if clipped_norm is None else clipped_norm
        divisor = tf.maximum(grad_norm / self.clip_norm, 1) if clipped_norm is None else tf.ones([])
        skip = tf.maximum(self.skip.read_value(), 1 - tf.cast(tf.math.is_finite(grad_norm), tf.float32))
        self.skip.assign(skip)
        stop = tf.zeros([]) if self.stop is None else self.stop.read_value()
        self.optimizer.step(gradients, learning_rate, divisor=divisor, skip=skip if self.stop is None else tf.maximum(skip, stop))
        return grad_norm, skip, 1 - stop

    def _gradients_of_replica(
        self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor], total_weight: Tensor, seed: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The gradients of what a replica's rows add to the loss, and their SUMS, added up over micro batches."""
        rows = batch["input_ids"].shape[0]
        size = self.computing.rows_at_once(self.network.config, batch)
        if size == rows:
            return self._gradients_of_rows(weights, batch, total_weight, rows, seed)
        parts = {name: tf.reshape(values, [rows // size, size, *values.shape[1:]]) for name, values in batch.items()}

        def add(number: Tensor, gradients: Mapping[str, Tensor], sums: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
            part = {name: values[number] for name, values in parts.items()}
            more, more_sums = self._gradients_of_rows(weights, part, total_weight, rows, tf.random.fold_in(seed, number))
            return number + 1, {name: gradients[name] + more[name] for name in gradients}, sums + more_sums

        start = (tf.constant(0), {name: tf.zeros_like(weights[name]) for name in self.learning}, tf.zeros([len(SUMS)]))

        def goes_on(number: Tensor, *_: Any) -> Tensor:
            more = number < rows // size
            return more if self.stop is None else tf.logical_and(more, self.stop.read_value() < 1)

        _, gradients, sums = tf.while_loop(goes_on, add, start, maximum_iterations=rows // size, parallel_iterations=1)
        return gradients, sums

    def _gradients_of_rows(
        self, weights: Mapping[str, Tensor], rows: Mapping[str, Tensor], total_weight: Tensor, replica_rows: int, seed: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        learns_words = WORDS in self.learning
        embedded_TD = embed(weights[WORDS], rows["input_ids"])
        sources = [weights[name] for name in self.learning] + [embedded_TD] * learns_words
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            dropout_seed = seed if self.trains_encoder else None
            mlm_nll, mlm_hits, nsp_nll, nsp_hits = self.network.judge(weights, embedded_TD, rows, dropout_seed)
            mlm_sum, nsp_sum = tf.reduce_sum(mlm_nll * rows["masked_lm_weights"]), tf.reduce_sum(nsp_nll)
            loss = mlm_sum / total_weight + nsp_sum / (replica_rows * self.computing.strategy.num_replicas_in_sync)
        gradients = dict(zip([*self.learning, *["embedded"] * learns_words], tape.gradient(loss, sources), strict=True))
        if learns_words:
            # subtle: the lookup stands outside of the tape, which would fill and add a whole [vocab_size, hidden_size] for these few rows
            ids = tf.reshape(rows["input_ids"], [-1, 1])
            gradients[WORDS] = tf.tensor_scatter_nd_add(gradients[WORDS], ids, gradients.pop("embedded"))
        mlm_correct, nsp_correct = (tf.reduce_sum(tf.cast(hits, tf.float32)) for hits in (mlm_hits, nsp_hits))
        return gradients, tf.stack([mlm_sum, mlm_correct, nsp_sum, nsp_correct])


def _or_one(total_weight: Tensor) -> Tensor:
    """The weight of the predictions; 1 where there are none, whose loss is 0. (Google divides by the sum + 1e-5.)"""
    return tf.where(total_weight == 0, 1.0, total_weight)


def _sum(replica: tf.distribute.ReplicaContext, values: Any) -> Any:
    """Over all replicas."""
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)
