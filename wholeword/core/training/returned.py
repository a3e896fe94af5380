"""What plugins return, checked where it comes in: whoever breaks a contract is named, in one line."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np

from wholeword.core.contracts import Array, Rows, Tensors

STEP_METRICS = ("loss", "mlm_loss", "mlm_correct", "mlm_count", "grad_norm")
STEP_METRICS_NSP = ("nsp_loss", "nsp_correct", "nsp_count")
FINETUNING_METRICS = ("loss", "correct", "count", "grad_norm")
KINDS = {"f": "floats", "b": "bool", "iu": "integers"}  # of numpy dtypes


class Batches:
    """Batches on their way to a trainer; counts how many it took, and keeps the error that ended them."""

    def __init__(self, batches: Iterable[Mapping[str, Array]]):
        self._batches = iter(batches)
        self.taken = 0
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        return self

    def __next__(self) -> Mapping[str, Array]:
        try:
            batch = next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise
        self.taken += 1
        return batch

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Around the trainer's call: an error of the batches is raised as it was, whatever the trainer made of it."""
        try:
            yield
        except Exception:
            if self.error is None:
                raise
        if self.error is not None:
            raise self.error


class Returned:
    """Validates the values that a backend's trainer returns.

    Args:
        error: creates the error to raise, from a message with the actual and the expected value.
    """

    def __init__(self, error: Callable[[str], Exception]):
        self._error = error

    def methods(self, trainer: Any, protocol: type) -> None:
        """Check that a trainer has the methods of its contract."""
        if not isinstance(trainer, protocol):
            required = (name for name in vars(protocol) if not name.startswith("_"))
            missing = ", ".join(sorted(name for name in required if not hasattr(trainer, name)))
            raise self._error(f"it started a {type(trainer).__name__} without {missing}; expected a {protocol.__name__}")

    def metrics(self, steps: Any, names: Sequence[str], *, taken: int, abandoned: bool = False) -> list[dict[str, float]]:
        """One dict of numbers per step; fewer than the batches that were taken only after a loss that is not finite, or if `abandoned`."""
        if not isinstance(steps, Sequence) or isinstance(steps, str):
            raise self._error(f"train_steps returned {type(steps).__name__}; expected a list of dicts, one per step")
        for step in steps:
            missing = [name for name in names if not isinstance(step, Mapping) or name not in step]
            if missing:
                raise self._error(f"train_steps returned a step without {', '.join(missing)}; expected {', '.join(names)}")
            for name in names:
                if isinstance(step[name], bool) or not isinstance(step[name], Real):
                    raise self._error(f"train_steps returned {name} = {step[name]!r}; expected a number")
        checked = [{name: float(step[name]) for name in step} for step in steps]
        diverged = bool(checked) and not math.isfinite(checked[-1]["loss"] + checked[-1]["grad_norm"])
        if len(checked) > taken or (len(checked) < taken and not (diverged or abandoned)):
            raise self._error(f"train_steps took {taken} batches and returned {len(checked)} steps; expected one step per batch")
        return checked

    def array(self, value: Any, name: str, *, kinds: str, shape: tuple[int | None, ...]) -> Array:
        """Check an array: one of the NumPy dtype kinds, and a shape in which None means any size."""
        if not isinstance(value, np.ndarray):
            raise self._error(f"{name} is {type(value).__name__}; expected a NumPy array")
        fits = len(value.shape) == len(shape) and all(size in (None, other) for size, other in zip(shape, value.shape, strict=True))
        if value.dtype.kind not in kinds or not fits:
            expected = f"{KINDS[kinds]} {['any' if size is None else size for size in shape]}".replace("'", "")
            raise self._error(f"{name} is {value.dtype} {list(value.shape)}; expected {expected}")
        return value

    def evaluation(self, result: Any, batch: Mapping[str, Array], *, next_sentence: bool) -> dict[str, Array]:
        """Check what `Trainer.evaluate` returns for a batch."""
        expected = {"mlm_loss": ("f", batch["masked_lm_ids"].shape), "mlm_correct": ("b", batch["masked_lm_ids"].shape)}
        if next_sentence:
            num_rows = len(batch["input_ids"])
            expected |= {"nsp_loss": ("f", (num_rows,)), "nsp_correct": ("b", (num_rows,))}
        if not isinstance(result, Mapping) or (missing := [name for name in expected if name not in result]):
            lacking = f"a dict without {', '.join(missing)}" if isinstance(result, Mapping) else type(result).__name__
            raise self._error(f"evaluate returned {lacking}; expected {', '.join(expected)}")
        return {
            name: self.array(result[name], f"{name} of evaluate", kinds=kinds, shape=shape) for name, (kinds, shape) in expected.items()
        }

    def predictions(self, result: Any, batch: Mapping[str, Array], top: int) -> tuple[Array, Array]:
        """Check what `Trainer.predict` returns for a batch."""
        shape = (*batch["masked_lm_ids"].shape, top)
        if not isinstance(result, tuple) or len(result) != 2:
            raise self._error(f"predict returned {type(result).__name__}; expected two arrays, ids and their probabilities")
        ids = self.array(result[0], "the ids of predict", kinds="iu", shape=shape)
        return ids, self.array(result[1], "the probabilities of predict", kinds="f", shape=shape)

    def logits(self, result: Any, rows: Rows, *, by_piece: bool, num_labels: int) -> Array:
        """Check what `FineTuner.logits` returns for some rows."""
        return self.array(result, "logits", kinds="f", shape=(len(rows.ids) if by_piece else len(rows), num_labels))

    def tensors(self, tensors: Any, method: str) -> Tensors:
        """Check arrays by name."""
        if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
            raise self._error(f"{method} returned {type(tensors).__name__}; expected a dict of arrays by name")
        for name, array in tensors.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
                kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise self._error(f"{name} of {method} is {kind}; expected a NumPy array of numbers")
        return tensors

    def weights(self, tensors: Any, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
        """The tensors of the model that was started, by canonical name."""
        checked = self.tensors(tensors, "weights")
        for name in sorted(shapes.keys() | checked.keys()):
            expected, shape = shapes.get(name), checked[name].shape if name in checked else None
            if shape == expected:
                continue
            problem = "is missing" if shape is None else "is unknown"
            if shape is not None and expected is not None:
                problem = f"has shape {list(shape)}, not {list(expected)}"
            raise self._error(f"{name} of weights {problem}; expected the tensors of the model that it was started with")
        return checked
