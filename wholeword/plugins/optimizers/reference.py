"""What the optimizers compute, in NumPy: the definition that every framework's implementation is held to.

Arrays are changed in place and keep their dtype; run in float64 to have the exact values. Gradients come clipped.
Source: `AdamWeightDecayOptimizer` of google-research/bert `optimization.py`; `LAMBOptimizer` of ymcui/LAMB_Optimizer_TF ("hfl") and
google-research/albert ("google"); tensorflow_addons `LAMB` ("tfa"); NVIDIA apex `FusedLAMB` with `use_nvlamb=True` ("nvlamb").
"""

import re
from collections.abc import Mapping
from math import sqrt

import numpy as np


def decays(name: str) -> bool:
    """Whether weight decay applies to the tensor of this canonical name."""
    return not re.search("LayerNorm|layer_norm|bias", name)


class AdamWReference:
    """BERT's Adam with decoupled weight decay: no bias correction."""

    def __init__(self, *, weight_decay: float, beta_1: float, beta_2: float, epsilon: float):
        self.weight_decay, self.beta_1, self.beta_2, self.epsilon = weight_decay, beta_1, beta_2, epsilon
        self.slots: dict[str, np.ndarray] = {}

    def step(self, parameters: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray], learning_rate: float) -> None:
        """See `wholeword.core.contracts.OptimizerReference`."""
        for name, gradient in gradients.items():
            parameter = parameters[name]
            m, v = _moments(self.slots, name, gradient, "adam", self.beta_1, self.beta_2)
            update = m / (np.sqrt(v) + self.epsilon)
            if decays(name):
                update += self.weight_decay * parameter
            parameter -= learning_rate * update


class LambReference:
    """LAMB; `Lamb` says what its variants are."""

    def __init__(self, *, variant: str, weight_decay: float, beta_1: float, beta_2: float, epsilon: float):
        self.variant, self.weight_decay, self.beta_1, self.beta_2, self.epsilon = variant, weight_decay, beta_1, beta_2, epsilon
        self.slots: dict[str, np.ndarray] = {}
        self.num_steps = 0

    def step(self, parameters: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray], learning_rate: float) -> None:
        """See `wholeword.core.contracts.OptimizerReference`."""
        self.num_steps += 1
        correct_1 = correct_2 = scale = 1.0
        if self.variant in ("tfa", "nvlamb"):
            correct_1, correct_2 = 1 - self.beta_1**self.num_steps, 1 - self.beta_2**self.num_steps
        if self.variant == "nvlamb":
            scale = 1 / max(1.0, sqrt(sum(_norm(gradient) ** 2 for gradient in gradients.values())))
        for name, gradient in gradients.items():
            parameter = parameters[name]
            m, v = _moments(self.slots, name, gradient * scale, "lamb", self.beta_1, self.beta_2)
            update = (m / correct_1) / (np.sqrt(v / correct_2) + self.epsilon)
            if decays(name):
                update += self.weight_decay * parameter
            ratio = 1.0
            if decays(name) or self.variant in ("hfl", "nvlamb"):
                parameter_norm, update_norm = _norm(parameter), _norm(update)
                ratio = parameter_norm / update_norm if parameter_norm > 0 and update_norm > 0 else 1.0
            parameter -= learning_rate * ratio * update


def _moments(
    slots: dict[str, np.ndarray], name: str, gradient: np.ndarray, prefix: str, beta_1: float, beta_2: float
) -> tuple[np.ndarray, np.ndarray]:
    """The running means of the gradient and of its square, after this gradient."""
    m = slots.setdefault(f"{name}/{prefix}_m", np.zeros_like(gradient))
    v = slots.setdefault(f"{name}/{prefix}_v", np.zeros_like(gradient))
    m *= beta_1
    m += (1 - beta_1) * gradient
    v *= beta_2
    v += (1 - beta_2) * gradient**2
    return m, v


def _norm(array: np.ndarray) -> float:
    return sqrt(float(np.square(array, dtype=np.float64).sum()))
