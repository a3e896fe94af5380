"""Kernels of other distributions at work: their errors, and slots that break the contract, name the plugin."""

from collections.abc import Mapping
from typing import Any

from wholeword.core.contracts import OptimizerKernel
from wholeword.core.errors import PluginError, WholewordError
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import FULL_DISK, calling, contract_error


class CheckedKernel:
    """An `OptimizerKernel` that keeps its contract. Raises: PluginError where it fails, naming the plugin.

    Args:
        plugin: kind and name, of the optimizer or of its registered kernel.
    """

    def __init__(self, kernel: OptimizerKernel, plugin: tuple[str, str]):
        self._kernel, self._plugin = kernel, plugin
        self.error: PluginError | None = None  # that of `step`

    @property
    def slots(self) -> Mapping[str, Any]:
        """As the contract says."""
        with calling(*self._plugin):
            slots = self._kernel.slots
        if not isinstance(slots, Mapping) or not all(isinstance(name, str) for name in slots):
            raise contract_error(*self._plugin, f"slots is {type(slots).__name__}; expected a dict of tensors by name")
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
            self.error = registry.explained(*self._plugin, error)
            raise self.error from error
