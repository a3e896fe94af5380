"""Optimizers of other distributions on TensorFlow, which traces their steps."""

from typing import Any

import pytest
import tensorflow as tf
from toys import toy_batch, toy_config

from wholeword.core.bert.shapes import initial_weights
from wholeword.core.errors import PluginError
from wholeword.core.training.trainers import RecipeOptimizer, start_trainer
from wholeword.plugins.tensorflow import TensorFlow


class Sgd:
    """A kernel of the contract, with an `if` that TensorFlow has to convert."""

    def __init__(self, parameters: dict[str, Any]):
        self.parameters = parameters
        self.slots: Any = {"count": tf.Variable(0, dtype=tf.int64, trainable=False)}

    def step(self, gradients: Any, learning_rate: Any, *, divisor: Any, skip: Any) -> None:
        if skip <= 0:
            self.slots["count"].assign_add(1)
            for name, gradient in gradients.items():
                self.parameters[name].assign_sub(learning_rate * gradient / divisor)


class Failing(Sgd):
    def step(self, gradients: Any, learning_rate: Any, *, divisor: Any, skip: Any) -> None:
        raise ZeroDivisionError("on\nTuesdays")


class WithoutDivisor(Sgd):
    def step(self, gradients: Any, learning_rate: Any, *, skip: Any) -> None: ...  # type: ignore[override]


class WithText(Sgd):
    def __init__(self, parameters: dict[str, Any]):
        self.slots = {"a/b": "text"}


def started(plugins: Any, kernel: Any) -> Any:
    class Optimizer:
        def build(self, framework: str, named_parameters: Any) -> Any:
            return kernel(dict(named_parameters))

        def reference(self) -> Any:
            raise NotImplementedError

    plugins("optimizer", "odd", Optimizer, distribution="my-optimizers", version="1.2")
    config = toy_config()
    arguments: Any = {"config": config, "weights": initial_weights(config, 1), "next_sentence": True, "clip_norm": 1.0}
    return start_trainer(TensorFlow(), "tensorflow", RecipeOptimizer("odd", {}), **arguments)


def test_a_kernel_is_traced_as_it_is(plugins: Any) -> None:
    trainer = started(plugins, Sgd)
    steps = trainer.train_steps([toy_batch(0)] * 3, learning_rates=[0.1] * 3, seeds=[0, 1, 2])
    assert steps[2]["loss"] < steps[0]["loss"] and trainer.optimizer_state()["count"] == 3


@pytest.mark.parametrize(
    "kernel, message",
    [
        (Failing, " failed: ZeroDivisionError: on Tuesdays"),
        (WithoutDivisor, " failed: TypeError: .*unexpected keyword argument 'divisor'.*"),
        (WithText, ": slots has a/b, a str; expected variables"),
    ],
)
def test_a_kernel_that_fails_names_its_optimizer(plugins: Any, kernel: Any, message: str) -> None:
    with pytest.raises(PluginError, match=rf"^optimizer 'odd' of my-optimizers 1\.2{message}$"):
        started(plugins, kernel).train_steps([toy_batch(0)], learning_rates=[0.1], seeds=[0])
