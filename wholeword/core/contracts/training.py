"""What trains a model: optimizers, backends and the trainers that they start."""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from typing import Any, Protocol

from wholeword.core.contracts.arrays import Array, Tensors
from wholeword.core.contracts.tasks import Rows


class Optimizer(Protocol):
    """Turns gradients into updates; one reference in NumPy, one implementation a framework."""

    def reference(self) -> Any:
        """The NumPy implementation: `step(parameters, gradients, learning_rate)` on dicts of arrays, in place."""
        ...

    def build(self, framework: str, named_parameters: Any) -> Any:
        """The framework's own optimizer over (canonical name, parameter) pairs."""
        ...


class Trainer(Protocol):
    """One model in training on one framework. Knows tensors and nothing of text."""

    def train_steps(
        self, batches: Iterable[Mapping[str, Array]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """Do one optimizer step a batch.

        Args:
            batches: the seven features of `wholeword.core.data.batches`, one whole step each (split further by the trainer).
            learning_rates, seeds: one a step (it ends with the batches); the seed drives dropout, so that nothing random is saved.
        Returns: per step `loss`, `mlm_loss`, `nsp_loss` (NSP only), `mlm_correct`, `mlm_count`, `nsp_correct`, `nsp_count`, `grad_norm`.
        """
        ...

    def evaluate(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Per prediction, [batch, predictions]: `mlm_loss` float, `mlm_correct` bool; with NSP also `nsp_loss`, `nsp_correct` [batch]."""
        ...

    def predict(self, batch: Mapping[str, Array], top: int) -> tuple[Array, Array]:
        """The `top` most likely ids and their probabilities, [batch, predictions, top] each."""
        ...

    def weights(self) -> Tensors: ...

    def optimizer_state(self) -> Tensors: ...

    def load(self, weights: Tensors, optimizer_state: Tensors) -> None: ...

    def reset_optimizer(self) -> None:
        """Forget the moments: a new phase is a fresh run over the same weights."""
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


class Backend(Protocol):
    """Starts a `Trainer`; its own settings (device, precision, ...) come from the recipe's `backend` section.

    Optional: a method `hosts()` that returns the `wholeword.core.training.hosts.Hosts` of the run, if it can train on several machines.
    Then `train_steps`, `load` and `reset_optimizer` are called on every host, with its rows of each batch and for figures of all;
    `evaluate`, `predict`, `weights` and `optimizer_state` on the chief alone. And a method `rows(**arguments)`, with those of
    `wholeword.core.training.sources.record_arguments`, that returns a `RowSource` to train on in place of the store, or None.

    Optional: a method `start_finetuning(*, config, weights, head, optimizer, clip_norm) -> FineTuner`, if it can fine-tune; `weights` hold
    at least what `FineTuner.weights` returns, and `head` is a `Head`.
    """

    def start(
        self,
        *,
        config: Mapping[str, Any],
        weights: Tensors,
        optimizer: Optimizer,
        next_sentence: bool,
        clip_norm: float,
        trainable: Collection[str] | None = None,
    ) -> Trainer:
        """Put a model on the device.

        Args:
            config: the keys of `bert_config.json`.
            weights: complete for it.
            trainable: names of the tensors to train, all by default; the others stay as they are, to the bit, and have no slots. Given
                only if a recipe says `model.freeze`.
        """
        ...


class FineTuner(Protocol):
    """One model in fine-tuning on one framework."""

    def train_steps(
        self, batches: Iterable[Mapping[str, Array]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """Do one optimizer step a batch; what it does does not depend on how the backend splits a batch, but for rounding and dropout.

        Args:
            batches: what `wholeword.finetuning.rows.Rows.batch` returns. The loss is the mean over the rows (classification), over rows,
                begins and ends (span), or over the places that have a tag (tagging).
            learning_rates, seeds: one a step (it ends with the batches); the seed drives dropout.
        Returns: per step `loss`, `correct`, `count` (of rows or tags), `grad_norm`.
        """
        ...

    def logits(self, rows: Rows) -> Array:
        """float32, what `wholeword.finetuning.decode.decode` asks for: [num_rows, num_labels], or [num_pieces, num_labels]."""
        ...

    def weights(self) -> Tensors:
        """The encoder, its pooler where the head uses it, and the head."""
        ...

    def optimizer_state(self) -> Tensors: ...

    def load(self, weights: Tensors, optimizer_state: Tensors) -> None: ...
