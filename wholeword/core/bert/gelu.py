"""The two forms of gelu, and what every tool calls them. `hidden_act` means Google's code since 2019, not the tool that reads a file."""

from collections.abc import Callable
from math import erf, pi, sqrt
from typing import NamedTuple

import numpy as np

Array = np.ndarray


def gelu(x: Array) -> Array:
    """The erf form, element by element. Source: Hendrycks and Gimpel 2016 (arXiv:1606.08415)."""
    return 0.5 * x * (1 + np.vectorize(erf, otypes=[np.float64])(x / sqrt(2)))


def gelu_tanh(x: Array) -> Array:
    """The tanh form, element by element. Source: `gelu` of google-research/bert `modeling.py`."""
    return 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))


class Activation(NamedTuple):
    """One value of `hidden_act`."""

    function: Callable[[Array], Array]
    is_tanh: bool  # frameworks call the tanh form approximate
    transformers: str  # in its config.json
    checkpoint: str  # in the bert_config.json of a TF checkpoint, where all readers but Google's take "gelu" for the erf form


ACTIVATIONS = {
    "gelu": Activation(gelu, False, "gelu", "gelu"),
    "gelu_tanh": Activation(gelu_tanh, True, "gelu_pytorch_tanh", "gelu_new"),
    "gelu_new": Activation(gelu_tanh, True, "gelu_pytorch_tanh", "gelu_new"),  # another name of gelu_tanh
}
# what the configuration of a saved model calls an activation -> `hidden_act`
SAVED_ACTIVATIONS = {"gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}
