"""The optimizer of BERT's fine-tuning and of RoBERTa-wwm-ext."""

from collections.abc import Iterable
from typing import Any

from wholeword.core.contracts import OptimizerKernel
from wholeword.core.registry.kernels import build_kernel
from wholeword.plugins.optimizers.reference import AdamWReference


class AdamW:
    """Adam with decoupled weight decay and, like BERT's, without bias correction: a first update is 3.16 times PyTorch's own.

    LayerNorms and biases do not decay.
    """

    def __init__(self, *, weight_decay: float = 0.01, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-6):
        self.settings = {"weight_decay": weight_decay, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}

    def reference(self) -> AdamWReference:
        """See `wholeword.core.contracts.Optimizer`."""
        return AdamWReference(**self.settings)

    def build(self, framework: str, named_parameters: Iterable[tuple[str, Any]]) -> OptimizerKernel:
        """See `wholeword.core.contracts.Optimizer`."""
        return build_kernel("adamw", framework, named_parameters, **self.settings)
