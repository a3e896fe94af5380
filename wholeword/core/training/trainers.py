"""Backends at work: trainers are started here, and their returned values are checked on their way into core."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from wholeword.core.console import doing
from wholeword.core.contracts import (
    Array,
    Backend,
    FineTuner,
    FineTuningBackend,
    Head,
    InterruptibleTrainer,
    Optimizer,
    OptimizerKernel,
    Rows,
    Tensors,
    Trainer,
)
from wholeword.core.errors import KernelError, PluginError
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import calling, contract_error
from wholeword.core.training.kernels import CheckedKernel
from wholeword.core.training.returned import (
    FINETUNING_METRICS,
    STEP_METRICS,
    STEP_METRICS_NSP,
    Batches,
    Returned,
)


class RecipeOptimizer:
    """The optimizer of a recipe; whatever goes wrong in its `build`, or in the kernel that this returns, names its distribution."""

    def __init__(self, name: str, settings: Mapping[str, Any]):
        self.name = name
        self.optimizer: Optimizer = registry.create("optimizer", name, **settings)
        self.plugin = ("optimizer", name)  # kind and name of the plugin whose kernel it is
        self.kernel: CheckedKernel | None = None  # that of another distribution, once it is built

    def build(self, framework: str, named_parameters: Iterable[tuple[str, Any]]) -> Any:
        """See `wholeword.core.contracts.Optimizer`."""
        with calling("optimizer", self.name):
            built = self.optimizer.build(framework, named_parameters)
        entry = registry.find("optimizer", self.name)
        kernel = f"{entry.name}.{framework}"
        if entry.distribution == PROJECT and registry.has("optimizer_kernel", kernel):
            self.plugin = ("optimizer_kernel", kernel)
        with calling(*self.plugin):
            if registry.find(*self.plugin).distribution == PROJECT or not isinstance(built, OptimizerKernel):
                return built
        self.kernel = CheckedKernel(built, self.plugin)
        return self.kernel

    @property
    def error(self) -> PluginError | None:
        """What the kernel raised, as it is shown: frameworks that trace a step rewrite its errors."""
        return self.kernel.error if self.kernel else None


class NoOptimizer:
    """For a model that is not trained."""

    plugin = ("optimizer", "none")
    slots: Mapping[str, Any] = {}
    error: PluginError | None = None

    def build(self, framework: str, named_parameters: Iterable[tuple[str, Any]]) -> "NoOptimizer":
        """Itself, without slots."""
        return self

    def step(self, gradients: Mapping[str, Any], learning_rate: Any, *, divisor: Any, skip: Any) -> None:
        """Change nothing."""


AnyOptimizer = RecipeOptimizer | NoOptimizer


class CheckedTrainer:
    """A `Trainer` that keeps its contract. Raises: PluginError by the method that breaks it or fails, naming the backend."""

    def __init__(self, trainer: Trainer, *, backend: str, optimizer: AnyOptimizer, weights: Tensors, next_sentence: bool):
        self._trainer, self.next_sentence = trainer, next_sentence
        self._calling = partial(_calling, backend, optimizer)
        self._returned = Returned(partial(contract_error, "backend", backend))
        self._shapes = {name: array.shape for name, array in weights.items()}
        self._interrupted = False
        self._returned.methods(trainer, Trainer)

    def train_steps(
        self, batches: Iterable[Mapping[str, Array]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """As the contract says."""
        counted = Batches(batches)
        with counted.own_errors(), self._calling():
            steps = self._trainer.train_steps(counted, learning_rates=learning_rates, seeds=seeds)
        names = STEP_METRICS + STEP_METRICS_NSP * self.next_sentence
        return self._returned.metrics(steps, names, taken=counted.taken, abandoned=self._interrupted)

    def evaluate(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """As the contract says."""
        with self._calling():
            result = self._trainer.evaluate(batch)
        return self._returned.evaluation(result, batch, next_sentence=self.next_sentence)

    def predict(self, batch: Mapping[str, Array], top: int) -> tuple[Array, Array]:
        """As the contract says."""
        with self._calling():
            result = self._trainer.predict(batch, top)
        return self._returned.predictions(result, batch, top)

    def weights(self) -> Tensors:
        """As the contract says."""
        with self._calling():
            tensors = self._trainer.weights()
        return self._returned.weights(tensors, self._shapes)

    def optimizer_state(self) -> Tensors:
        """As the contract says."""
        with self._calling():
            tensors = self._trainer.optimizer_state()
        return self._returned.tensors(tensors, "optimizer_state")

    def load(self, weights: Tensors, optimizer_state: Tensors) -> None:
        """As the contract says."""
        with self._calling():
            self._trainer.load(weights, optimizer_state)

    def reset_optimizer(self) -> None:
        """As the contract says."""
        with self._calling():
            self._trainer.reset_optimizer()

    def interrupt(self) -> None:
        """As the contract says; nothing where the trainer cannot abandon a step."""
        if isinstance(self._trainer, InterruptibleTrainer):
            self._interrupted = True
            self._trainer.interrupt()


class CheckedFineTuner:
    """A `FineTuner` that keeps its contract. Raises: PluginError by the method that breaks it or fails, naming the backend."""

    def __init__(self, tuner: FineTuner, *, backend: str, optimizer: AnyOptimizer, head: Head, num_labels: int):
        self._tuner, self._head, self._num_labels = tuner, head, num_labels
        self._calling = partial(_calling, backend, optimizer)
        self._returned = Returned(partial(contract_error, "backend", backend))
        self._interrupted = False
        self._returned.methods(tuner, FineTuner)

    def train_steps(
        self, batches: Iterable[Mapping[str, Array]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """As the contract says."""
        counted = Batches(batches)
        with counted.own_errors(), self._calling():
            steps = self._tuner.train_steps(counted, learning_rates=learning_rates, seeds=seeds)
        return self._returned.metrics(steps, FINETUNING_METRICS, taken=counted.taken, abandoned=self._interrupted)

    def logits(self, rows: Rows) -> Array:
        """As the contract says."""
        by_piece = self._head != "classification"
        with self._calling():
            result = self._tuner.logits(rows)
        return self._returned.logits(result, rows, by_piece=by_piece, num_labels=self._num_labels)

    def weights(self) -> Tensors:
        """As the contract says."""
        with self._calling():
            tensors = self._tuner.weights()
        return self._returned.tensors(tensors, "weights")

    def optimizer_state(self) -> Tensors:
        """As the contract says."""
        with self._calling():
            tensors = self._tuner.optimizer_state()
        return self._returned.tensors(tensors, "optimizer_state")

    def load(self, weights: Tensors, optimizer_state: Tensors) -> None:
        """As the contract says."""
        with self._calling():
            self._tuner.load(weights, optimizer_state)

    def interrupt(self) -> None:
        """As the contract says; nothing where the tuner cannot abandon a step."""
        if isinstance(self._tuner, InterruptibleTrainer):
            self._interrupted = True
            self._tuner.interrupt()


def start_trainer(
    backend: Backend,
    backend_name: str,
    optimizer: AnyOptimizer,
    *,
    weights: Tensors,
    next_sentence: bool,
    **arguments: Any,
) -> CheckedTrainer:
    """Start a backend with the optimizer of a recipe.

    Args:
        backend_name: in the recipe, for messages.
        arguments: the others of `Backend.start`.
    Raises: PluginError if a library is missing, or the backend or the optimizer fails or does not keep its contract.
    """
    with doing(f"starting {backend_name}"), _calling(backend_name, optimizer):
        trainer = backend.start(weights=weights, optimizer=optimizer, next_sentence=next_sentence, **arguments)
    return CheckedTrainer(trainer, backend=backend_name, optimizer=optimizer, weights=weights, next_sentence=next_sentence)


def start_fine_tuner(
    backend: FineTuningBackend,
    backend_name: str,
    optimizer: AnyOptimizer,
    *,
    head: Head,
    num_labels: int,
    **arguments: Any,
) -> CheckedFineTuner:
    """Start a backend on fine-tuning; see `start_trainer`.

    Args:
        num_labels: outputs of the head.
    """
    with doing(f"starting {backend_name}"), _calling(backend_name, optimizer):
        tuner = backend.start_finetuning(head=head, optimizer=optimizer, **arguments)
    return CheckedFineTuner(tuner, backend=backend_name, optimizer=optimizer, head=head, num_labels=num_labels)


@contextmanager
def _calling(backend: str, optimizer: AnyOptimizer) -> Iterator[None]:
    """Around a call of a backend, which calls the optimizer: errors name the one of them that failed."""
    try:
        with calling("backend", backend):
            yield
    except KernelError as error:
        raise contract_error(*optimizer.plugin, str(error)) from error
    except Exception:
        if optimizer.error is not None:
            raise optimizer.error from optimizer.error.__cause__
        raise
