"""Backends at work: trainers are started here, and their returned values are checked on their way into core."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from wholeword.core.contracts import (
    Array,
    Backend,
    FineTuner,
    FineTuningBackend,
    Head,
    Optimizer,
    OptimizerReference,
    Rows,
    Tensors,
    Trainer,
)
from wholeword.core.errors import KernelError
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import calling, contract_error
from wholeword.core.training.returned import (
    FINETUNING_METRICS,
    STEP_METRICS,
    STEP_METRICS_NSP,
    Batches,
    Returned,
)


class RecipeOptimizer:
    """The optimizer of a recipe; whatever goes wrong in its `build` names its distribution."""

    def __init__(self, name: str, settings: Mapping[str, Any]):
        self.name = name
        self.optimizer: Optimizer = registry.create("optimizer", name, **settings)

    def reference(self) -> OptimizerReference:
        """See `wholeword.core.contracts.Optimizer`."""
        return self.optimizer.reference()

    def build(self, framework: str, named_parameters: Iterable[tuple[str, Any]]) -> Any:
        """See `wholeword.core.contracts.Optimizer`."""
        with calling("optimizer", self.name):
            return self.optimizer.build(framework, named_parameters)


class NoOptimizer:
    """For a model that is not trained."""

    name = "none"
    slots: Mapping[str, Any] = {}

    def reference(self) -> OptimizerReference:
        """There is none."""
        raise NotImplementedError

    def build(self, framework: str, named_parameters: Iterable[tuple[str, Any]]) -> "NoOptimizer":
        """Itself, without slots."""
        return self

    def step(self, gradients: Mapping[str, Any], learning_rate: Any, *, divisor: Any, skip: Any) -> None:
        """Change nothing."""


class CheckedTrainer:
    """A `Trainer` whose returned values keep their contract. Raises: PluginError by the method that breaks it, naming the backend."""

    def __init__(self, trainer: Trainer, *, backend: str, optimizer: str, weights: Tensors, next_sentence: bool):
        self._trainer, self._optimizer, self.next_sentence = trainer, optimizer, next_sentence
        self._returned = Returned(partial(contract_error, "backend", backend))
        self._shapes = {name: array.shape for name, array in weights.items()}
        self._returned.methods(trainer, Trainer)

    def train_steps(
        self, batches: Iterable[Mapping[str, Array]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """As the contract says."""
        counted = Batches(batches)
        try:
            steps = self._trainer.train_steps(counted, learning_rates=learning_rates, seeds=seeds)
        except KernelError as error:
            raise contract_error("optimizer", self._optimizer, str(error)) from error
        names = STEP_METRICS + STEP_METRICS_NSP * self.next_sentence
        return self._returned.metrics(steps, names, taken=counted.taken)

    def evaluate(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """As the contract says."""
        return self._returned.evaluation(self._trainer.evaluate(batch), batch, next_sentence=self.next_sentence)

    def predict(self, batch: Mapping[str, Array], top: int) -> tuple[Array, Array]:
        """As the contract says."""
        return self._returned.predictions(self._trainer.predict(batch, top), batch, top)

    def weights(self) -> Tensors:
        """As the contract says."""
        return self._returned.weights(self._trainer.weights(), self._shapes)

    def optimizer_state(self) -> Tensors:
        """As the contract says."""
        return self._returned.tensors(self._trainer.optimizer_state(), "optimizer_state")

    def load(self, weights: Tensors, optimizer_state: Tensors) -> None:
        """As the contract says."""
        self._trainer.load(weights, optimizer_state)

    def reset_optimizer(self) -> None:
        """As the contract says."""
        self._trainer.reset_optimizer()


class CheckedFineTuner:
    """A `FineTuner` whose returned values keep their contract. Raises: PluginError by the method that breaks it, naming the backend."""

    def __init__(self, tuner: FineTuner, *, backend: str, optimizer: str, head: Head, num_labels: int):
        self._tuner, self._optimizer, self._head, self._num_labels = tuner, optimizer, head, num_labels
        self._returned = Returned(partial(contract_error, "backend", backend))
        self._returned.methods(tuner, FineTuner)

    def train_steps(
        self, batches: Iterable[Mapping[str, Array]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """As the contract says."""
        counted = Batches(batches)
        try:
            steps = self._tuner.train_steps(counted, learning_rates=learning_rates, seeds=seeds)
        except KernelError as error:
            raise contract_error("optimizer", self._optimizer, str(error)) from error
        return self._returned.metrics(steps, FINETUNING_METRICS, taken=counted.taken)

    def logits(self, rows: Rows) -> Array:
        """As the contract says."""
        by_piece = self._head != "classification"
        return self._returned.logits(self._tuner.logits(rows), rows, by_piece=by_piece, num_labels=self._num_labels)

    def weights(self) -> Tensors:
        """As the contract says."""
        return self._returned.tensors(self._tuner.weights(), "weights")

    def optimizer_state(self) -> Tensors:
        """As the contract says."""
        return self._returned.tensors(self._tuner.optimizer_state(), "optimizer_state")

    def load(self, weights: Tensors, optimizer_state: Tensors) -> None:
        """As the contract says."""
        self._tuner.load(weights, optimizer_state)


def start_trainer(
    backend: Backend,
    backend_name: str,
    optimizer: RecipeOptimizer | NoOptimizer,
    *,
    weights: Tensors,
    next_sentence: bool,
    **arguments: Any,
) -> CheckedTrainer:
    """Start a backend with the optimizer of a recipe.

    Args:
        backend_name: in the recipe, for messages.
        arguments: the others of `Backend.start`.
    Raises: PluginError if a library is missing, or what the backend or the optimizer returns does not keep its contract.
    """
    with registry.explaining("backend", backend_name):
        try:
            trainer = backend.start(weights=weights, optimizer=optimizer, next_sentence=next_sentence, **arguments)
        except KernelError as error:
            raise contract_error("optimizer", optimizer.name, str(error)) from error
    return CheckedTrainer(trainer, backend=backend_name, optimizer=optimizer.name, weights=weights, next_sentence=next_sentence)


def start_fine_tuner(
    backend: FineTuningBackend,
    backend_name: str,
    optimizer: RecipeOptimizer | NoOptimizer,
    *,
    head: Head,
    num_labels: int,
    **arguments: Any,
) -> CheckedFineTuner:
    """Start a backend on fine-tuning; see `start_trainer`.

    Args:
        num_labels: outputs of the head.
    """
    with registry.explaining("backend", backend_name):
        try:
            tuner = backend.start_finetuning(head=head, optimizer=optimizer, **arguments)
        except KernelError as error:
            raise contract_error("optimizer", optimizer.name, str(error)) from error
    return CheckedFineTuner(tuner, backend=backend_name, optimizer=optimizer.name, head=head, num_labels=num_labels)
