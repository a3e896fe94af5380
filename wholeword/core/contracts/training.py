"""What trains a model: optimizers, backends and the trainers that they start."""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from wholeword.core.contracts.arrays import Array, Tensors
from wholeword.core.contracts.models import BertConfig
from wholeword.core.contracts.tasks import Head, Rows


class OptimizerReference(Protocol):
    """What `DefinedOptimizer.reference` returns: the definition that kernels are compared with, in NumPy."""

    def step(self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], learning_rate: float) -> None:
        """Change `parameters` in place. Gradients come clipped; a parameter without one stays as it is. Arrays keep their dtype."""
        ...


@runtime_checkable
class OptimizerKernel(Protocol):
    """What `Optimizer.build` returns: the optimizer over one model's parameters on one framework. It knows their canonical names."""

    @property
    def slots(self) -> Mapping[str, Any]:
        """The whole state as tensors of the framework, by `<canonical name>/<slot>`, in the layout of the parameter; or by a name without a
        slash, if it belongs to no parameter. All are there from the start, and 0 is how each begins: a new phase sets them to 0.
        """
        ...

    def step(self, gradients: Mapping[str, Any], learning_rate: Any, *, divisor: Any, skip: Any) -> None:
        """Update the parameters and the slots.

        PyTorch gives tensors, and the learning rate as a float. TensorFlow gives tensors, the learning rate too, and calls this once on
        every replica, inside a `tf.function` that XLA may compile.

        Args:
            gradients: by canonical name, those of all replicas together; a parameter that is not among them stays as it is.
            divisor: scalar; each gradient is still to be divided by it (clipping).
            skip: scalar; nothing may change where it is above 0.
        """
        ...


@runtime_checkable
class Optimizer(Protocol):
    """Turns gradients into updates: one kernel for each framework."""

    def build(self, framework: str, named_parameters: Iterable[tuple[str, Any]]) -> Any:
        """The kernel over (canonical name, parameter) pairs.

        Returns: an `OptimizerKernel`. For `pytorch` a `torch.optim.Optimizer` over these parameters will do as well: the backend clips the
            gradients, sets the learning rate of its groups (times a group's own `lr` over the optimizer's default one), and saves its
            state. One whose `step` needs a closure does not work.
        Raises: PluginError if there is none for this framework; `wholeword.core.registry.kernels.build_kernel` finds what is registered.
        """
        ...


@runtime_checkable
class DefinedOptimizer(Optimizer, Protocol):
    """An `Optimizer` with a definition in NumPy, so that `check_optimizer` can compare its kernels with it. Training never needs it."""

    def reference(self) -> OptimizerReference:
        """The definition of the update."""
        ...


@runtime_checkable
class Schedule(Protocol):
    """The learning rate of a phase. A pure function: equal arguments give equal results, since a resumed run asks again."""

    def learning_rate(self, step: int, *, steps: int, peak_lr: float, warmup_steps: int) -> float:
        """The learning rate of one step, finite and at least 0.

        Args:
            step: counted from 0 in every phase, below `steps`.
            warmup_steps: in which it should rise to `peak_lr`, at most `steps`.
        """
        ...


@runtime_checkable
class Trainer(Protocol):
    """What `Backend.start` returns: one model in training on one framework. Knows tensors and nothing of text."""

    def train_steps(
        self, batches: Iterable[Mapping[str, Array]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """Do one optimizer step a batch.

        Args:
            batches: the seven features of `wholeword.core.data.batches`, one whole step each (split further by the trainer).
            learning_rates, seeds: one per step (training ends with the batches); the seed drives dropout, so that nothing random is saved.
        Returns: per step `loss`, `mlm_loss`, `mlm_correct`, `mlm_count`, `grad_norm` (before clipping), and with NSP `nsp_loss`,
            `nsp_correct`, `nsp_count`; losses are means, the others counts. One dict per batch, or fewer if the last has a loss or
            norm that is not finite, which ends the run.
        """
        ...

    def evaluate(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Per prediction, [batch, predictions]: `mlm_loss` float, `mlm_correct` bool; with NSP also `nsp_loss`, `nsp_correct` [batch]."""
        ...

    def predict(self, batch: Mapping[str, Array], top: int) -> tuple[Array, Array]:
        """The `top` most likely ids and their probabilities, [batch, predictions, top] each."""
        ...

    def weights(self) -> Tensors:
        """Copies of all weights, by canonical name and in the layouts of Google's checkpoints."""
        ...

    def optimizer_state(self) -> Tensors:
        """Copies of all that the optimizer needs to continue as if it had not stopped."""
        ...

    def load(self, weights: Tensors, optimizer_state: Tensors) -> None:
        """Continue from what `weights` and `optimizer_state` returned."""
        ...

    def reset_optimizer(self) -> None:
        """Forget the moments: a new phase is a fresh run over the same weights."""
        ...


@runtime_checkable
class InterruptibleTrainer(Protocol):
    """A `Trainer` or `FineTuner` that can abandon the step that it is taking. Without this, a run that is to stop waits for its end."""

    def interrupt(self) -> None:
        """Abandon the current step, and change nothing from now on: the run is to stop. Called from another thread.

        `train_steps` returns the metrics of the steps before it, and weights and optimizer state are those behind them. `FineTuner.logits`
        raises `wholeword.core.errors.Interrupted`.
        """
        ...


class RowSource(Protocol):
    """The batches of one phase, with the features of `wholeword.core.data.batches`."""

    has_next_sentence: bool

    def batch(self, step: int) -> Mapping[str, Array]:
        """The whole batch of a step, counted from 0."""
        ...

    def batches(self, first_step: int, end_step: int, *, workers: int = 1) -> Generator[Mapping[str, Array], None, None]:
        """The batches of some steps in order; with several hosts this one's rows of each, `[host::number of hosts]`."""
        ...


@runtime_checkable
class Backend(Protocol):
    """Starts a `Trainer`; its own settings (device, precision, ...) come from the recipe's `backend` section.

    What else a backend may have: `DistributedBackend`, `RowsBackend`, `FineTuningBackend`, `DescribedBackend`.
    """

    def start(
        self,
        *,
        config: BertConfig,
        weights: Tensors,
        optimizer: Optimizer,
        next_sentence: bool,
        clip_norm: float,
        trainable: Collection[str] | None = None,
    ) -> Trainer:
        """Put a model on the device.

        Args:
            weights: complete for it.
            trainable: names of the tensors to train, all by default; the others stay as they are, to the bit, and have no slots. Given
                only if a recipe says `model.freeze`.
        """
        ...


@runtime_checkable
class DistributedBackend(Protocol):
    """A backend that can train in several processes.

    `train_steps`, `load` and `reset_optimizer` of its trainer are called in each, with the rows of that process, and return metrics of all;
    `evaluate`, `predict`, `weights` and `optimizer_state` are called on rank 0 alone.
    """

    def hosts(self) -> Any:
        """The `wholeword.core.training.hosts.Hosts` of the run. Raises: UserError if they are not known."""
        ...


@runtime_checkable
class RowsBackend(Protocol):
    """A backend that may have the rows of a phase ready in files."""

    def rows(self, **arguments: Any) -> RowSource | None:
        """The rows to train on in place of those of the token store; None if there are none.

        Args:
            arguments: what `wholeword.core.training.sources.record_arguments` returns.
        """
        ...


@runtime_checkable
class DescribedBackend(Protocol):
    """A backend that tells `wholeword doctor` what it would compute on."""

    def describe(self) -> str:
        """One line, such as `cuda:0; precision auto is bf16`."""
        ...


@runtime_checkable
class FineTuningBackend(Protocol):
    """A backend that can fine-tune."""

    def start_finetuning(self, *, config: BertConfig, weights: Tensors, head: Head, optimizer: Optimizer, clip_norm: float) -> "FineTuner":
        """Put an encoder and a head on the device.

        Args:
            weights: at least what `FineTuner.weights` returns.
        """
        ...


@runtime_checkable
class FineTuner(Protocol):
    """What `FineTuningBackend.start_finetuning` returns: one model in fine-tuning on one framework."""

    def train_steps(
        self, batches: Iterable[Mapping[str, Array]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """Do one optimizer step a batch; what it does does not depend on how the backend splits a batch, but for rounding and dropout.

        Args:
            batches: what `wholeword.finetuning.rows.Rows.batch` returns. The loss is the mean over the rows (classification), over rows,
                begins and ends (span), or over the places that have a tag (tagging).
            learning_rates, seeds: one per step (training ends with the batches); the seed drives dropout.
        Returns: per step `loss`, `correct`, `count` (of rows or tags), `grad_norm`.
        """
        ...

    def logits(self, rows: Rows) -> Array:
        """float32, what `wholeword.finetuning.decode.decode` asks for: [num_rows, num_labels], or [num_pieces, num_labels]."""
        ...

    def weights(self) -> Tensors:
        """The encoder, its pooler where the head uses it, and the head."""
        ...

    def optimizer_state(self) -> Tensors:
        """Copies of all that the optimizer needs to continue as if it had not stopped."""
        ...

    def load(self, weights: Tensors, optimizer_state: Tensors) -> None:
        """Continue from what `weights` and `optimizer_state` returned."""
        ...
