"""The two forms of gelu, and their names in the files of every tool: the one table of activations.

What google-research/bert calls "gelu" has been the tanh form since 2019; here, as in all other tools, it is the erf form.
"""

from collections.abc import Callable
from math import erf, pi, sqrt
from typing import Literal, NamedTuple

import numpy as np

Array = np.ndarray
HiddenAct = Literal["gelu", "gelu_tanh", "gelu_new"]


def gelu(x: Array) -> Array:
    """The erf form, element by element. Source: Hendrycks and Gimpel 2016 (arXiv:1606.08415)."""
    values: Array = 0.5 * x * (1 + np.vectorize(erf, otypes=[np.float64])(x / sqrt(2)))
    return values


def gelu_tanh(x: Array) -> Array:
    """The tanh form, element by element. Source: `gelu` of google-research/bert `modeling.py`."""
    values: Array = 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
    return values


class Activation(NamedTuple):
    """One value of `hidden_act`."""

    function: Callable[[Array], Array]
    is_tanh: bool  # which frameworks call `approximate`
    transformers: str  # in the config.json of transformers
    checkpoint: str  # in the bert_config.json of a TF checkpoint


ACTIVATIONS: dict[str, Activation] = {
    "gelu": Activation(gelu, False, "gelu", "gelu"),
    "gelu_tanh": Activation(gelu_tanh, True, "gelu_pytorch_tanh", "gelu_new"),
    "gelu_new": Activation(gelu_tanh, True, "gelu_pytorch_tanh", "gelu_new"),  # another name of gelu_tanh
}
# name in the configuration of another tool -> `hidden_act`: gelu_tanh, where that has two names
SAVED_ACTIVATIONS = {
    saved: hidden_act
    for hidden_act, activation in reversed(ACTIVATIONS.items())
    for saved in (activation.transformers, activation.checkpoint)
} | {
    "gelu_python": "gelu",  # of old transformers, and ACT2CLS in `activations.py` of those of today: the erf form in Python
    **dict.fromkeys(("gelu_fast", "gelu_accurate", "gelu_python_tanh"), "gelu_tanh"),  # other ways to write the tanh form
}
