"""Kernels of optimizers, by optimizer and framework."""

from typing import Any

import numpy as np
import pytest

from wholeword.core.contracts import OptimizerKernel
from wholeword.core.errors import PluginError
from wholeword.core.registry.kernels import frameworks
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.optimizers.lamb import Lamb


class NumpyKernel:
    """AdamW for a framework that wholeword does not know: its own reference over dicts of arrays."""

    def __init__(self, named_parameters: Any, **settings: Any):
        self.parameters, self.reference = dict(named_parameters), AdamW(**settings).reference()
        self.slots = self.reference.slots

    def step(self, gradients: Any, learning_rate: float, *, divisor: float, skip: float) -> None:
        if not skip:
            self.reference.step(self.parameters, {name: gradient / divisor for name, gradient in gradients.items()}, learning_rate)


def test_a_third_party_brings_adamw_to_its_framework(plugins: Any) -> None:
    plugins("optimizer_kernel", "adamw.numpy", NumpyKernel)
    assert frameworks("adamw") == ["numpy", "pytorch", "tensorflow"] and frameworks("lamb") == ["pytorch", "tensorflow"]
    parameters = {"x/bias": np.zeros(3)}
    kernel = AdamW(epsilon=0).build("numpy", parameters.items())
    assert isinstance(kernel, OptimizerKernel)
    kernel.step({"x/bias": np.full(3, 0.2)}, 0.01, divisor=2.0, skip=0.0)
    assert parameters["x/bias"] == pytest.approx([-0.01 * 10**0.5] * 3)


@pytest.mark.parametrize("optimizer, name", [(AdamW(), "adamw"), (Lamb(), "lamb")])
def test_a_framework_without_a_kernel_is_one_clear_line(optimizer: Any, name: str) -> None:
    with pytest.raises(PluginError) as error:
        optimizer.build("jax", [])
    assert str(error.value) == (
        f"optimizer {name!r} has no kernel for 'jax', only for pytorch, tensorflow; "
        "a plugin can offer one with the hook register_optimizer_kernels"
    )


def test_a_kernel_that_cannot_be_made_names_its_distribution(plugins: Any) -> None:
    class Old:
        def __init__(self, named_parameters: Any, weight_decay: float):
            pass

    plugins("optimizer_kernel", "adamw.old", Old, distribution="my-kernels", version="0.1")
    with pytest.raises(PluginError, match=r"^optimizer_kernel 'adamw.old' of my-kernels 0.1 failed: TypeError: .*beta_1"):
        AdamW().build("old", [])
