"""Checks of optimizers."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wholeword.core.contracts import Array, DefinedOptimizer, OptimizerKernel, Tensors

SHAPES = {
    "bert/embeddings/word_embeddings": (50, 8),
    "bert/encoder/layer_0/output/dense/kernel": (16, 8),
    "bert/encoder/layer_0/output/dense/bias": (8,),
    "bert/encoder/layer_0/output/LayerNorm/gamma": (8,),
}
SOMETIMES = "bert/encoder/layer_0/output/dense/kernel"  # has no gradient for a while


def check_optimizer(
    optimizer: DefinedOptimizer,
    framework: str,
    *,
    variable: Callable[[Array], Any] = np.copy,
    tensor: Callable[[Array], Any] = np.asarray,
    array: Callable[[Any], Array] = np.asarray,
    steps: int = 200,
    tolerance: float = 1e-6,
) -> None:
    """Check the contract of `contracts.DefinedOptimizer`: its kernel for a framework computes what its reference computes.

    Args:
        variable: makes a parameter of the framework from float32 values.
        tensor: makes any other tensor of the framework; numbers come as arrays without dimensions.
        array: the opposite of both.
        steps, tolerance: how many steps are compared, and the largest difference of a parameter.
    Raises: AssertionError that says which rule was broken, in which step and by which tensor.
    """
    name = type(optimizer).__name__
    assert isinstance(optimizer, DefinedOptimizer), f"{name} has no methods reference() and build(framework, named_parameters)"
    generator = np.random.default_rng(5)
    expected = {name: _first_values(generator, name, shape) for name, shape in SHAPES.items()}
    parameters = {name: variable(values) for name, values in expected.items()}
    kernel = optimizer.build(framework, parameters.items())
    assert isinstance(kernel, OptimizerKernel), f"build() returned {type(kernel).__name__}; expected an OptimizerKernel: step and slots"
    slots = {name: array(value).copy() for name, value in kernel.slots.items()}
    for name, value in slots.items():
        assert not value.any(), f"slot {name} begins with {value.flat[0]!r}; expected 0"
        assert "/" not in name or name.rpartition("/")[0] in SHAPES, f"slot {name}; expected <canonical name>/<slot>"

    def take(gradients: Tensors, rate: float, *, divisor: float = 1.0, skip: float = 0.0) -> None:
        given = {name: tensor(gradient) for name, gradient in gradients.items()}
        learning_rate = rate if framework == "pytorch" else tensor(np.array(rate, np.float32))
        kernel.step(given, learning_rate, divisor=tensor(np.array(divisor, np.float32)), skip=tensor(np.array(skip, np.float32)))

    nothing = {name: np.full(shape, np.nan, np.float32) for name, shape in SHAPES.items()}
    take(nothing, 0.1, divisor=np.nan, skip=1.0)
    _expect_equal(parameters, expected, array, tolerance=0.0, message="a skipped step changed it")
    _expect_equal(kernel.slots, slots, array, tolerance=0.0, message="a skipped step changed the slot")

    reference = optimizer.reference()
    for step in range(steps):
        gradients = {name: _gradient(generator, shape) for name, shape in SHAPES.items()}
        if step % 50 > 40:
            del gradients[SOMETIMES]
        divisor = max(1.0, float(np.sqrt(sum(np.square(gradient, dtype=np.float64).sum() for gradient in gradients.values()))))
        rate = 2e-3 * (1 - step / steps)
        take(gradients, rate, divisor=divisor)
        reference.step(expected, {name: gradient / np.float32(divisor) for name, gradient in gradients.items()}, rate)
        message = f"step {step + 1}: the kernel and the reference differ"
        _expect_equal(parameters, expected, array, tolerance=tolerance, message=message)
    assert kernel.slots.keys() == slots.keys(), "the set of slots changed; expected all slots from the start"


def check_kernel(kernel: Any) -> None:
    """Check what is registered as an optimizer's kernel, without its framework.

    Raises: AssertionError that says what is missing.
    """
    assert callable(kernel), f"it is a {type(kernel).__name__}; expected a class or function that makes a kernel"
    parameters = inspect.signature(kernel).parameters.values()
    takes = any(parameter.name == "named_parameters" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    assert takes, f"{kernel.__name__} takes no named_parameters; expected it beside the optimizer's settings, by keyword"
    if inspect.isclass(kernel):
        assert callable(getattr(kernel, "step", None)), f"{kernel.__name__} has no method step; expected contracts.OptimizerKernel"


def _first_values(generator: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
    """Initial values as in a new model: biases 0, LayerNorm scales 1."""
    if name.endswith("bias"):
        return np.zeros(shape, np.float32)
    return np.ones(shape, np.float32) if name.endswith("gamma") else generator.normal(0, 0.02, shape).astype(np.float32)


def _gradient(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A random gradient of a random magnitude."""
    return generator.normal(0, 10 ** generator.uniform(-5, 1), shape).astype(np.float32)


def _expect_equal(tensors: Mapping[str, Any], expected: Tensors, array: Callable[[Any], Array], *, tolerance: float, message: str) -> None:
    for name, values in expected.items():
        difference = np.abs(array(tensors[name]).astype(np.float64) - values).max(initial=0)
        assert difference <= tolerance, f"{name}: {message} by {difference:.2g}"  # NaN fails too
