"""Kernels of other distributions at work: their errors, and slots that break the contract, name the optimizer."""

from collections.abc import Mapping
from typing import Any

from wholeword.core.contracts import OptimizerKernel
from wholeword.core.errors import PluginError, WholewordError
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import FULL_DISK, calling, contract_error


class CheckedKernel:
    """An `OptimizerKernel` that keeps its contract. Raises: PluginError where it fails, naming the optimizer.

    Args:
        name: that of the optimizer in the recipe.
    """

    def __init__(self, kernel: OptimizerKernel, name: str):
        self._kernel, self._name = kernel, name
        self.error: PluginError | None = None  # that of `step`

    @property
    def slots(self) -> Mapping[str, Any]:
        """As the contract says."""
        with calling("optimizer", self._name):
            slots = self._kernel.slots
        if not isinstance(slots, Mapping) or not all(isinstance(name, str) for name in slots):
            raise contract_error("optimizer", self._name, f"slots is {type(slots).__name__}; expected a dict of tensors by name")
        return slots

    def step(self, gradients: Mapping[str, Any], learning_rate: Any, *, divisor: Any, skip: Any) -> None:
        """As the contract says."""
        try:  # subtle: not `calling`, since TensorFlow traces this, and rewrites what it raises
            self._kernel.step(gradients, learning_rate, divisor=divisor, skip=skip)
        except WholewordError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL_DISK:
                raise
            self.error = registry.explained("optimizer", self._name, error)
            raise self.error from error
