"""One BERT in training on TensorFlow: one step function for a CPU, GPUs and TPUs.

`replica_step` is what a replica does in a step; on a TPU `strategy.run` compiles it as it is. A host loop inside of one `tf.function` calls
it for several steps, so that a fast device does not wait for Python. Losses are sums over the rows of a replica, divided by what all
replicas have together, so that the gradients of the replicas add up to that of the whole batch.
What makes a step cheap: the MLM head sees only the positions that are predicted; nothing is padded but the rows themselves.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from wholeword.core.bert.activations import comfortable_rows, rows_at_once
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import BertConfig, OptimizerKernel
from wholeword.core.errors import KernelError, UserError
from wholeword.core.formats.tensors import expect_tensors
from wholeword.core.formats.tfrecord import FEATURES
from wholeword.core.training.hosts import Hosts
from wholeword.plugins.tensorflow.hosts import noticing_losses
from wholeword.plugins.tensorflow.model import embed, encode, mlm_logits, nsp_logits
from wholeword.plugins.tensorflow.optimizers import norm

if TYPE_CHECKING:
    from wholeword.core.contracts import Optimizer, Tensors

Batch = Mapping[str, np.ndarray]
WORDS = "bert/embeddings/word_embeddings"
NEXT_SENTENCE_PARTS = ("bert/pooler/", "cls/seq_relationship/")  # what has no gradient without NSP
SUMS = ("mlm_sum", "mlm_correct", "nsp_sum", "nsp_correct")
FIGURES = (*SUMS, "total_weight", "mlm_count", "grad_norm", "skipped")  # of a step, float32 [8]


class TensorFlowTrainer:
    """See `wholeword.core.contracts.Trainer`."""

    def __init__(
        self,
        *,
        config: BertConfig,
        weights: "Tensors",
        optimizer: "Optimizer",
        next_sentence: bool,
        clip_norm: float,
        strategy: tf.distribute.Strategy,
        bf16: bool,
        micro_batch_size: int | None,
        replica_bytes: int | None = None,
        steps_per_call: int = 1,
        clip: Literal["global", "per-replica"] = "global",
        jit_compile: bool = False,
        trainable: Collection[str] | None = None,
        hosts: Hosts | None = None,
    ):
        """What is not `trainable` keeps its values, has no gradient and no dropout (see `wholeword.core.contracts.Backend`).

        Args:
            micro_batch_size: rows computed at once on a replica; by default as many as are comfortable.
            replica_bytes: the memory of a replica; None where there is enough.
            steps_per_call: of the host loop.
            clip: by the norm of the gradient of the whole batch, or of each replica before they are averaged, as Google's code did on TPUs.
                There a replica's loss is the mean over its own predictions.
            jit_compile: whether XLA compiles on devices where nothing else does; a TPU's programs always are.
        """
        self.config, self.next_sentence, self.clip_norm, self.clip = config, next_sentence, clip_norm, clip
        self.strategy, self.hosts = strategy, hosts or Hosts()
        self.dtype = tf.bfloat16 if bf16 else tf.float32
        self.micro_batch_size, self.replica_bytes, self.steps_per_call = micro_batch_size, replica_bytes, steps_per_call
        self.num_local = strategy.num_replicas_in_sync // self.hosts.world_size
        shapes = tensor_shapes(config)
        expect_tensors(shapes, weights, what="weights")
        names = [name for name in shapes if trainable is None or name in trainable]
        self.trains_encoder = any(name.startswith("bert/") for name in names)
        self.learning = [name for name in names if next_sentence or not name.startswith(NEXT_SENTENCE_PARTS)]
        with strategy.scope():
            self.variables = {name: tf.Variable(weights[name], dtype=tf.float32, name=name, trainable=name in names) for name in shapes}
            self.skip = tf.Variable(0.0, trainable=False)  # 1 from the first step of a call on whose gradient is not finite
            self.optimizer = _kernel(optimizer, [(name, self.variables[name]) for name in names])
        compiled: Callable[[Any], Any] = tf.function(jit_compile=True) if jit_compile else lambda function: function
        self._gradients, self._update = compiled(self._gradients_of_replica), compiled(self._update_of_replica)
        self.steps = tf.function(self._steps)
        self._rows = tf.function(self._rows_of_replicas)

    # --- training

    def train_steps(self, batches: Iterable[Batch], *, learning_rates: Sequence[float], seeds: Sequence[int]) -> list[dict[str, float]]:
        """As the interface says. A step whose gradient is not finite changes nothing, nor does any after it; its metrics are the last."""
        steps = zip(batches, learning_rates, seeds, strict=False)  # the batches may end early
        metrics: list[dict[str, float]] = []
        while some := list(itertools.islice(steps, self.steps_per_call)):
            stacked = {name: np.stack([batch[name] for batch, _, _ in some]) for name in FEATURES}
            num_rows = stacked["input_ids"].shape[1] * self.hosts.world_size
            with noticing_losses(self.hosts):
                figures = self.run(stacked, [rate for _, rate, _ in some], [seed for _, _, seed in some])
            for values in figures.numpy().tolist():
                step = dict(zip(FIGURES, values, strict=True))
                metrics.append(self._metrics(step, num_rows))
                if step["skipped"]:
                    return metrics
        return metrics

    def run(self, batches: Batch, learning_rates: Sequence[float], seeds: Sequence[int]) -> Tensor:
        """FIGURES of some steps, [steps, 8]; `batches` are stacked, [steps, rows of this host, ...]."""
        self._check_rows(batches["input_ids"].shape[1])
        return self._loop(batches)(
            {name: tf.constant(values, _dtype(name)) for name, values in batches.items()},
            tf.constant(learning_rates, tf.float32),
            tf.constant(np.array(seeds, np.uint64).view(np.int32).reshape(-1, 2)),
        )

    def _loop(self, batches: Batch) -> Callable[..., Tensor]:
        """`_steps` for batches of such shapes, any number of them."""
        features = {name: tf.TensorSpec([None, *values.shape[1:]], _dtype(name)) for name, values in batches.items()}
        return self.steps.get_concrete_function(features, tf.TensorSpec([None], tf.float32), tf.TensorSpec([None, 2], tf.int32))

    def _steps(self, batches: Mapping[str, Tensor], learning_rates: Tensor, seeds: Tensor) -> Tensor:
        self.skip.assign(0.0)
        figures = tf.TensorArray(tf.float32, size=tf.shape(learning_rates)[0], element_shape=[len(FIGURES)])
        for number in tf.range(tf.shape(learning_rates)[0]):
            rows = self._deal({name: values[number] for name, values in batches.items()})
            results = self.strategy.run(self.replica_step, args=(rows, learning_rates[number], seeds[number]))
            figures = figures.write(number, self.strategy.experimental_local_results(results)[0])
        return figures.stack()

    def _deal(self, batch: Mapping[str, Tensor]) -> Any:
        """A part of the rows for each replica of this host."""
        parts = {name: tf.split(values, self.num_local) for name, values in batch.items()}

        def part(context: tf.distribute.experimental.ValueContext) -> dict[str, Tensor]:
            number = context.replica_id_in_sync_group % self.num_local
            return {name: values[number] for name, values in parts.items()}

        return self.strategy.experimental_distribute_values_from_function(part)

    def replica_step(self, batch: Mapping[str, Tensor], learning_rate: Tensor, seed: Tensor) -> Tensor:
        """What a replica does with its rows in a step.

        Args:
            seed: of the step, int32 [2].
        Returns: FIGURES of all replicas together, float32 [8].
        """
        replica, num_replicas = tf.distribute.get_replica_context(), self.strategy.num_replicas_in_sync
        own = tf.stack([tf.reduce_sum(batch["masked_lm_weights"]), tf.math.count_nonzero(batch["masked_lm_weights"], dtype=tf.float32)])
        weights = {name: variable.read_value() for name, variable in self.variables.items()}
        seed = tf.random.fold_in(seed, replica.replica_id_in_sync_group)
        # subtle: collectives that do not depend on each other may come in another order on another replica; so there is never a choice
        if self.clip == "per-replica":
            gradients, sums = self._gradients(weights, batch, own[0] * num_replicas, seed)
            own_norm = norm(gradients.values()) * num_replicas  # that of the mean over the replica's own predictions
            shrink = tf.maximum(own_norm / self.clip_norm, 1)
            gradients = {name: gradient / shrink for name, gradient in gradients.items()}
            gradients, sums, totals, norms = _sum(replica, (gradients, sums, own, own_norm))
            grad_norm = norms / num_replicas
        else:
            totals, grad_norm = _sum(replica, own), None
            gradients, sums = _sum(replica, self._gradients(weights, batch, totals[0], seed))
        grad_norm, skipped = self._update(gradients, grad_norm, learning_rate)
        return tf.concat([sums, totals, tf.stack([grad_norm, skipped])], 0)

    def _update_of_replica(
        self, gradients: Mapping[str, Tensor], clipped_norm: Tensor | None, learning_rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Take the step, if gradients are finite; clip, if they have not been. Returns: the norm, and whether steps are skipped by now."""
        grad_norm = norm(gradients.values()) if clipped_norm is None else clipped_norm
        divisor = tf.maximum(grad_norm / self.clip_norm, 1) if clipped_norm is None else tf.ones([])
        skip = tf.maximum(self.skip.read_value(), 1 - tf.cast(tf.math.is_finite(grad_norm), tf.float32))
        self.skip.assign(skip)
        self.optimizer.step(gradients, learning_rate, divisor=divisor, skip=skip)
        return grad_norm, skip

    def _gradients_of_replica(
        self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor], total_weight: Tensor, seed: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The gradients of what a replica's rows add to the loss, and their SUMS, added up over micro batches."""
        rows = batch["input_ids"].shape[0]
        size = self._rows_at_once(batch)
        if size == rows:
            return self._gradients_of_rows(weights, batch, total_weight, rows, seed)
        parts = {name: tf.reshape(values, [rows // size, size, *values.shape[1:]]) for name, values in batch.items()}

        def add(number: Tensor, gradients: Mapping[str, Tensor], sums: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
            part = {name: values[number] for name, values in parts.items()}
            more, more_sums = self._gradients_of_rows(weights, part, total_weight, rows, tf.random.fold_in(seed, number))
            return number + 1, {name: gradients[name] + more[name] for name in gradients}, sums + more_sums

        start = (tf.constant(0), {name: tf.zeros_like(weights[name]) for name in self.learning}, tf.zeros([len(SUMS)]))
        _, gradients, sums = tf.while_loop(
            lambda number, *_: number < rows // size, add, start, maximum_iterations=rows // size, parallel_iterations=1
        )
        return gradients, sums

    def _gradients_of_rows(
        self, weights: Mapping[str, Tensor], rows: Mapping[str, Tensor], total_weight: Tensor, replica_rows: int, seed: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        learns_words = WORDS in self.learning
        embedded_TD = embed(weights[WORDS], rows["input_ids"])
        sources = [weights[name] for name in self.learning] + [embedded_TD] * learns_words
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            mlm_nll, mlm_hits, nsp_nll, nsp_hits = self._forward(weights, embedded_TD, rows, seed if self.trains_encoder else None)
            mlm_sum, nsp_sum = tf.reduce_sum(mlm_nll * rows["masked_lm_weights"]), tf.reduce_sum(nsp_nll)
            loss = mlm_sum / total_weight + nsp_sum / (replica_rows * self.strategy.num_replicas_in_sync)
        gradients = dict(zip([*self.learning, *["embedded"] * learns_words], tape.gradient(loss, sources), strict=True))
        if learns_words:
            # subtle: the lookup stands outside of the tape, which would fill and add a whole [vocab_size, hidden_size] for these few rows
            ids = tf.reshape(rows["input_ids"], [-1, 1])
            gradients[WORDS] = tf.tensor_scatter_nd_add(gradients[WORDS], ids, gradients.pop("embedded"))
        mlm_correct, nsp_correct = (tf.reduce_sum(tf.cast(hits, tf.float32)) for hits in (mlm_hits, nsp_hits))
        return gradients, tf.stack([mlm_sum, mlm_correct, nsp_sum, nsp_correct])

    def _forward(
        self, weights: Mapping[str, Tensor], embedded_TD: Tensor, rows: Mapping[str, Tensor], seed: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Negative log likelihood and hits, [rows, predictions] for MLM and [rows] for NSP ([0] without)."""
        mlm, nsp = self._logits(weights, embedded_TD, rows, seed)
        mlm_nll, mlm_hits = _judge(mlm, tf.reshape(rows["masked_lm_ids"], [-1]))
        nsp_nll, nsp_hits = (tf.zeros([0]), tf.zeros([0], tf.bool)) if nsp is None else _judge(nsp, rows["next_sentence_labels"])
        shape, counts = rows["masked_lm_ids"].shape, rows["masked_lm_weights"] != 0
        return tf.reshape(mlm_nll, shape), tf.reshape(mlm_hits, shape) & counts, nsp_nll, nsp_hits

    def _logits(
        self, weights: Mapping[str, Tensor], embedded_TD: Tensor, rows: Mapping[str, Tensor], seed: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """MLM logits [rows * predictions, vocab_size] and NSP logits [rows, 2]."""
        length = rows["input_ids"].shape[1]
        x_TD = encode(weights, self.config, embedded_TD, rows, seed=seed, dtype=self.dtype)
        mlm = mlm_logits(weights, self.config, x_TD, rows["masked_lm_positions"], length=length)
        return mlm, nsp_logits(weights, x_TD, length=length) if self.next_sentence else None

    def _check_rows(self, rows: int) -> None:
        if rows % self.num_local:
            raise UserError(f"batch_size: {rows} rows on this host cannot be shared by {self.num_local} replicas; make it a multiple")
        if self.micro_batch_size and rows // self.num_local % min(self.micro_batch_size, rows // self.num_local):
            raise UserError(
                f"backend.micro_batch_size: {self.micro_batch_size} rows at once do not divide the {rows // self.num_local} rows of a "
                "replica; on TensorFlow all micro batches have one shape"
            )

    def _rows_at_once(self, batch: Mapping[str, Tensor]) -> int:
        """Rows of a micro batch: as asked, or the most that divide those of a replica and are comfortable."""
        rows = batch["input_ids"].shape[0]
        if self.micro_batch_size:
            return min(self.micro_batch_size, rows)
        return rows_at_once(rows, self._comfortable_rows(batch["input_ids"].shape[1], batch["masked_lm_ids"].shape[1]))

    def _comfortable_rows(self, length: int, predictions: int) -> int:
        if self.replica_bytes is None:
            return max(1, 2048 // length)  # more are no faster on a CPU
        return comfortable_rows(self.config, self.replica_bytes, length, predictions, bf16=self.dtype == tf.bfloat16)

    def _metrics(self, step: Mapping[str, float], num_rows: int) -> dict[str, float]:
        mlm_loss, nsp_loss = step["mlm_sum"] / step["total_weight"], step["nsp_sum"] / num_rows
        metrics = {"loss": mlm_loss + nsp_loss, "mlm_loss": mlm_loss, "mlm_correct": step["mlm_correct"], "mlm_count": step["mlm_count"]}
        if self.next_sentence:
            metrics |= {"nsp_loss": nsp_loss, "nsp_correct": step["nsp_correct"], "nsp_count": float(num_rows)}
        return metrics | {"grad_norm": step["grad_norm"]}

    # --- evaluation, on this host alone

    def evaluate(self, batch: Batch) -> dict[str, np.ndarray]:
        """As the interface says; slots of weight 0 hold 0 and False."""
        mlm_nll, mlm_correct, nsp_nll, nsp_correct = self._of_rows(batch, top=0)
        results = {"mlm_loss": np.where(batch["masked_lm_weights"] != 0, mlm_nll, np.float32(0)), "mlm_correct": mlm_correct}
        return results | ({"nsp_loss": nsp_nll, "nsp_correct": nsp_correct} if self.next_sentence else {})

    def predict(self, batch: Batch, top: int) -> tuple[np.ndarray, np.ndarray]:
        """As the interface says; slots of weight 0 hold 0."""
        ids, probabilities = self._of_rows(batch, top=top)
        real = batch["masked_lm_weights"][..., None] != 0
        return np.where(real, ids, 0).astype(np.int64), np.where(real, probabilities, np.float32(0))

    def _of_rows(self, batch: Batch, *, top: int) -> list[np.ndarray]:
        """What `_judged` gives for each row of a batch, which is computed in parts of a few shapes, for each of which there is a graph."""
        num_rows, length = batch["input_ids"].shape
        slots = batch["masked_lm_ids"].shape[1]
        long, wide = min(_up(length, 64), max(length, self.config.max_position_embeddings)), _up(slots, 8)
        share = 1 << (-(-num_rows // self.num_local) - 1).bit_length()  # rows of a replica, a power of two
        part = self.num_local * min(share, self.micro_batch_size or self._comfortable_rows(long, wide))
        found = []
        for first in range(0, num_rows, part):
            sizes = {name: wide if name.startswith("masked_lm_") else long for name in FEATURES}
            rows = {name: _padded(batch[name][first : first + part], part, sizes[name]) for name in FEATURES}
            values = self._rows({name: tf.constant(array, _dtype(name)) for name, array in rows.items()}, top)
            found.append([value.numpy()[: num_rows - first] for value in values])
        joined = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        return [values[:, :slots] if values.ndim > 1 else values for values in joined]

    def _rows_of_replicas(self, batch: Mapping[str, Tensor], top: int) -> list[Tensor]:
        """What `_judged` gives, by the replicas of this host."""
        results = self.strategy.run(self._judged, args=(self._deal(batch), top))
        parts = [self.strategy.experimental_local_results(result) for result in results]
        return [tf.concat(part, 0) for part in parts]

    def _judged(self, rows: Mapping[str, Tensor], top: int) -> tuple[Tensor, ...]:
        """MLM loss and hits [rows, predictions], NSP loss and hits [rows] (0 without); or the `top` ids and their probabilities."""
        weights = {name: variable.read_value() for name, variable in self.variables.items()}
        embedded_TD = embed(weights[WORDS], rows["input_ids"])
        if not top:
            mlm_nll, mlm_hits, nsp_nll, nsp_hits = self._forward(weights, embedded_TD, rows, None)
            return mlm_nll, mlm_hits, nsp_nll, nsp_hits
        logits, _ = self._logits(weights, embedded_TD, rows, None)
        best = tf.math.top_k(tf.nn.softmax(logits), top)
        shape = [*rows["masked_lm_ids"].shape, top]
        return tf.reshape(best.indices, shape), tf.reshape(best.values, shape)

    # --- state

    def weights(self) -> "Tensors":
        """Copies, by canonical name."""
        return {name: np.array(variable.numpy()) for name, variable in self.variables.items()}

    def optimizer_state(self) -> "Tensors":
        """Copies of the optimizer's slots."""
        return {name: np.array(variable.numpy()) for name, variable in self.optimizer.slots.items()}

    def load(self, weights: "Tensors", optimizer_state: "Tensors") -> None:
        """Raises: UserError if they are those of another model or optimizer."""
        _fill(self.variables, weights, what="weights")
        _fill(self.optimizer.slots, optimizer_state, what="optimizer state")

    def reset_optimizer(self) -> None:
        for variable in self.optimizer.slots.values():
            variable.assign(tf.zeros_like(variable))


def _kernel(optimizer: "Optimizer", parameters: Sequence[tuple[str, tf.Variable]]) -> OptimizerKernel:
    built = optimizer.build("tensorflow", parameters)
    if not isinstance(built, OptimizerKernel):
        raise KernelError(f"build('tensorflow') returned {type(built).__name__}; expected an OptimizerKernel (step and slots)")
    return built


def _sum(replica: tf.distribute.ReplicaContext, values: Any) -> Any:
    """Over all replicas."""
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)


def _judge(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log likelihood and hits, one a label."""
    nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return nll, tf.argmax(logits, -1, output_type=labels.dtype) == labels


def _dtype(name: str) -> tf.DType:
    return tf.float32 if name == "masked_lm_weights" else tf.int32


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _padded(values: np.ndarray, rows: int, width: int) -> np.ndarray:
    """Filled up with zeros to [rows, width], or [rows] if it has one dimension."""
    return np.pad(values, [(0, size - have) for size, have in zip((rows, width), values.shape, strict=False)])


def _fill(variables: Mapping[str, tf.Variable], arrays: "Tensors", *, what: str) -> None:
    expect_tensors({name: variable.shape for name, variable in variables.items()}, arrays, what=what)
    for name, variable in variables.items():
        variable.assign(arrays[name])
