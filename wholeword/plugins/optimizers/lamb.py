"""The optimizer of BERT-wwm's large batches (You et al. 2019, arXiv:1904.00962)."""

from collections.abc import Iterable
from typing import Any, Literal

from wholeword.core.contracts import OptimizerKernel
from wholeword.core.registry.kernels import build_kernel
from wholeword.plugins.optimizers.reference import LambReference

Variant = Literal["hfl", "google", "tfa", "nvlamb"]


class Lamb:
    """AdamW whose update of a tensor has that tensor's own norm, times the learning rate.

    | variant | bias correction | trust ratio on LayerNorms and biases | gradients brought to norm 1 if above |
    | ------- | --------------- | ------------------------------------ | ------------------------------------ |
    | hfl     | no              | yes                                  | no                                   |
    | google  | no              | no                                   | no                                   |
    | tfa     | yes             | no                                   | no                                   |
    | nvlamb  | yes             | yes                                  | yes                                  |

    `hfl` is what trained BERT-wwm. Its biases start at 0 and move once by the full update, then by ever their own small norm.
    """

    def __init__(
        self, *, variant: Variant = "hfl", weight_decay: float = 0.01, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-6
    ):
        self.variant: Variant = variant
        self.settings = {"weight_decay": weight_decay, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}

    def reference(self) -> LambReference:
        """See `wholeword.core.contracts.Optimizer`."""
        return LambReference(variant=self.variant, **self.settings)

    def build(self, framework: str, named_parameters: Iterable[tuple[str, Any]]) -> OptimizerKernel:
        """See `wholeword.core.contracts.Optimizer`."""
        return build_kernel("lamb", framework, named_parameters, variant=self.variant, **self.settings)
