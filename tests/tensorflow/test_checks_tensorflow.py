"""Our backend and optimizers go through the checks that are there for everybody's."""

from typing import Any

import pytest
import tensorflow as tf

from wholeword.core.registry.registry import registry
from wholeword.core.testing import check_backend, check_optimizer
from wholeword.plugins.tensorflow import TensorFlow


@pytest.mark.parametrize(
    "name, settings",
    [("adamw", {}), ("adamw", {"weight_decay": 0.1}), *(("lamb", {"variant": name}) for name in ("hfl", "google", "tfa", "nvlamb"))],
)
def test_our_optimizers_keep_the_contract(name: str, settings: dict[str, Any]) -> None:
    optimizer = registry.create("optimizer", name, **settings)
    check_optimizer(optimizer, "tensorflow", variable=tf.Variable, tensor=tf.constant, array=lambda tensor: tensor.numpy(), steps=60)


@pytest.mark.parametrize("next_sentence", [True, False])
def test_our_backend_keeps_the_contract(next_sentence: bool) -> None:
    check_backend(TensorFlow(strategy="one-device", devices=["CPU:0"], precision="fp32"), next_sentence=next_sentence)
