"""One BERT in training on TensorFlow: one step function for a CPU, GPUs and TPUs.

A host loop inside one `tf.function` takes several steps (`replica.py`), so that a fast device does not wait for Python.
What makes a step cheap: the MLM head sees only the positions that are predicted; nothing is padded but the rows themselves.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import BertConfig, OptimizerKernel
from wholeword.core.errors import KernelError
from wholeword.core.formats.tensors import expect_tensors
from wholeword.core.formats.tfrecord import FEATURES
from wholeword.plugins.tensorflow.computing import Computing
from wholeword.plugins.tensorflow.evaluation import Batch, Evaluation
from wholeword.plugins.tensorflow.hosts import lost_hosts_reported
from wholeword.plugins.tensorflow.network import Network, feature_dtype
from wholeword.plugins.tensorflow.replica import MEASURES, ReplicaStep

if TYPE_CHECKING:
    from wholeword.core.contracts import Optimizer, Tensors

NEXT_SENTENCE_PARTS = ("bert/pooler/", "cls/seq_relationship/")  # what has no gradient without NSP


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
        computing: Computing,
        trainable: Collection[str] | None = None,
    ):
        """What is not `trainable` keeps its values, has no gradient and no dropout (see `wholeword.core.contracts.Backend`)."""
        self.next_sentence, self.computing, self.hosts = next_sentence, computing, computing.hosts
        shapes = tensor_shapes(config)
        expect_tensors(shapes, weights, kind="weights")
        names = [name for name in shapes if trainable is None or name in trainable]
        learning = [name for name in names if next_sentence or not name.startswith(NEXT_SENTENCE_PARTS)]
        with computing.strategy.scope():
            self.variables = {name: tf.Variable(weights[name], dtype=tf.float32, name=name, trainable=name in names) for name in shapes}
            self.skip = tf.Variable(0.0, trainable=False)  # 1 from the first step of a call on whose gradient is not finite
            self.optimizer = _kernel(optimizer, [(name, self.variables[name]) for name in names])
        with tf.device("CPU:0"):
            self.stop = tf.Variable(0.0, trainable=False)  # 1 once the run is to stop
        network = Network(config, next_sentence, computing.dtype)
        self.replica_step = ReplicaStep(
            network, computing, self.variables, learning, self.optimizer, self.skip, self.stop, clip_norm=clip_norm
        )
        self.evaluation = Evaluation(network, computing, self.variables)
        self.steps = tf.function(self._steps)

    def train_steps(self, batches: Iterable[Batch], *, learning_rates: Sequence[float], seeds: Sequence[int]) -> list[dict[str, float]]:
        """As the contract says. A step whose gradient is not finite changes nothing, nor does any after it; its metrics are the last."""
        steps = zip(batches, learning_rates, seeds, strict=False)  # the batches may end early
        metrics: list[dict[str, float]] = []
        while some := list(itertools.islice(steps, self.computing.steps_per_call)):
            stacked = {name: np.stack([batch[name] for batch, _, _ in some]) for name in FEATURES}
            num_rows = stacked["input_ids"].shape[1] * self.hosts.world_size
            with lost_hosts_reported(self.hosts):
                measures = self.run(stacked, [rate for _, rate, _ in some], [seed for _, _, seed in some])
            for values in measures.numpy().tolist():
                step = dict(zip(MEASURES, values, strict=True))
                if not step["done"]:
                    return metrics
                metrics.append(self._metrics(step, num_rows))
                if step["skipped"]:
                    return metrics
        return metrics

    def run(self, batches: Batch, learning_rates: Sequence[float], seeds: Sequence[int]) -> Tensor:
        """MEASURES of some steps, [steps, 9]; `batches` are stacked, [steps, rows of this host, ...]."""
        self.computing.expect_rows_that_divide(batches["input_ids"].shape[1])
        return self._loop(batches)(
            {name: tf.constant(values, feature_dtype(name)) for name, values in batches.items()},
            tf.constant(learning_rates, tf.float32),
            tf.constant(np.array(seeds, np.uint64).view(np.int32).reshape(-1, 2)),
        )

    def _loop(self, batches: Batch) -> Callable[..., Tensor]:
        """`_steps` for batches of such shapes, any number of them."""
        features = {name: tf.TensorSpec([None, *values.shape[1:]], feature_dtype(name)) for name, values in batches.items()}
        loop: Callable[..., Tensor] = self.steps.get_concrete_function(
            features, tf.TensorSpec([None], tf.float32), tf.TensorSpec([None, 2], tf.int32)
        )
        return loop

    def _steps(self, batches: Mapping[str, Tensor], learning_rates: Tensor, seeds: Tensor) -> Tensor:
        strategy = self.computing.strategy
        self.skip.assign(0.0)
        measures = tf.TensorArray(tf.float32, size=tf.shape(learning_rates)[0], element_shape=[len(MEASURES)])
        for number in tf.range(tf.shape(learning_rates)[0]):
            if self.stop.read_value() > 0:
                break
            rows = self.computing.split({name: values[number] for name, values in batches.items()})
            results = strategy.run(self.replica_step, args=(rows, learning_rates[number], seeds[number]))
            measures = measures.write(number, strategy.experimental_local_results(results)[0])
        return measures.stack()

    def _metrics(self, step: Mapping[str, float], num_rows: int) -> dict[str, float]:
        mlm_loss, nsp_loss = step["mlm_sum"] / (step["total_weight"] or 1.0), step["nsp_sum"] / num_rows
        metrics = {"loss": mlm_loss + nsp_loss, "mlm_loss": mlm_loss, "mlm_correct": step["mlm_correct"], "mlm_count": step["mlm_count"]}
        if self.next_sentence:
            metrics |= {"nsp_loss": nsp_loss, "nsp_correct": step["nsp_correct"], "nsp_count": float(num_rows)}
        return metrics | {"grad_norm": step["grad_norm"]}

    def evaluate(self, batch: Batch) -> dict[str, np.ndarray]:
        """As the contract says, on this host alone; slots of weight 0 hold 0 and False."""
        return self.evaluation.evaluate(batch)

    def predict(self, batch: Batch, top: int) -> tuple[np.ndarray, np.ndarray]:
        """As the contract says, on this host alone; slots of weight 0 hold 0."""
        return self.evaluation.predict(batch, top)

    def weights(self) -> "Tensors":
        """Copies, by canonical name."""
        return {name: np.array(variable.numpy()) for name, variable in self.variables.items()}

    def optimizer_state(self) -> "Tensors":
        """Copies of the optimizer's slots."""
        return {name: np.array(variable.numpy()) for name, variable in self.optimizer.slots.items()}

    def load(self, weights: "Tensors", optimizer_state: "Tensors") -> None:
        """Load a checkpoint. Raises: UserError if names or shapes do not match."""
        _fill(self.variables, weights, kind="weights")
        _fill(self.optimizer.slots, optimizer_state, kind="optimizer state")

    def interrupt(self) -> None:
        """See `wholeword.core.contracts.InterruptibleTrainer`."""
        self.stop.assign(1.0)

    def reset_optimizer(self) -> None:
        """Reset the optimizer's slots to 0."""
        for variable in self.optimizer.slots.values():
            variable.assign(tf.zeros_like(variable))


def _kernel(optimizer: "Optimizer", parameters: Sequence[tuple[str, tf.Variable]]) -> OptimizerKernel:
    built = optimizer.build("tensorflow", parameters)
    if not isinstance(built, OptimizerKernel):
        raise KernelError(f"build('tensorflow') returned {type(built).__name__}; expected an OptimizerKernel (step and slots)")
    for name, value in built.slots.items():
        if not hasattr(value, "assign"):  # those of Keras are no tf.Variable
            raise KernelError(f"slots has {name}, a {type(value).__name__}; expected variables")
    return built


def _fill(variables: Mapping[str, tf.Variable], arrays: "Tensors", *, kind: str) -> None:
    expect_tensors({name: variable.shape for name, variable in variables.items()}, arrays, kind=kind)
    for name, variable in variables.items():
        variable.assign(arrays[name])
