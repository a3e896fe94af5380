"""The optimizers on TensorFlow, beside their references in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from toys import two_devices

from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.optimizers.lamb import Lamb

OPTIMIZERS = [AdamW(), AdamW(weight_decay=0.1), *(Lamb(variant=variant) for variant in ("hfl", "google", "tfa", "nvlamb"))]
IDS = ["adamw", "adamw-decay", "hfl", "google", "tfa", "nvlamb"]
SHAPES = {
    "bert/embeddings/word_embeddings": (300, 32),
    "bert/encoder/layer_0/output/dense/kernel": (64, 32),
    "bert/encoder/layer_0/output/dense/bias": (32,),
    "bert/encoder/layer_0/output/LayerNorm/gamma": (32,),
    "cls/predictions/output_bias": (300,),
}
SOMETIMES = "bert/encoder/layer_0/output/dense/kernel"  # has no gradient for a while


def first_values(generator: np.random.Generator, dtype: type) -> dict[str, np.ndarray]:
    """As in a new model: biases at 0, LayerNorms at 1."""
    values = {"bias": np.zeros, "output_bias": np.zeros, "gamma": np.ones}
    return {
        name: values.get(name.rsplit("/")[-1], lambda shape: generator.normal(0, 0.02, shape))(shape).astype(dtype)
        for name, shape in SHAPES.items()
    }


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=IDS)
@pytest.mark.parametrize("devices", [1, 2])
def test_equal_to_the_reference_over_200_steps(optimizer: AdamW | Lamb, dtype: type, tolerance: float, devices: int) -> None:
    """Gradients of all sizes, clipped; a rate that changes every step; on mirrored variables every replica does the same."""
    if devices == 2 and dtype is np.float64:
        pytest.skip("once is enough")
    strategy = two_devices() if devices == 2 else tf.distribute.OneDeviceStrategy("/device:CPU:0")
    generator = np.random.default_rng(5)
    parameters = first_values(generator, dtype)
    with strategy.scope():
        variables = {name: tf.Variable(values) for name, values in parameters.items()}
        built = optimizer.build("tensorflow", variables.items())
    reference = optimizer.reference()

    @tf.function(reduce_retracing=True)
    def step(gradients: dict[str, tf.Tensor], rate: tf.Tensor, divisor: tf.Tensor) -> None:
        strategy.run(lambda: built.step(gradients, rate, divisor=divisor, skip=tf.zeros([])))

    for number in range(200):
        gradients = {name: generator.normal(0, 10 ** generator.uniform(-5, 1), shape).astype(dtype) for name, shape in SHAPES.items()}
        if number % 50 > 40:
            del gradients[SOMETIMES]
        divisor = np.float32(max(1.0, np.sqrt(sum(float(np.vdot(gradient, gradient)) for gradient in gradients.values()))))
        rate = dtype(2e-3 * (1 - number / 200))
        step({name: tf.constant(values) for name, values in gradients.items()}, tf.constant(rate), tf.constant(divisor))
        reference.step(parameters, {name: gradient / dtype(divisor) for name, gradient in gradients.items()}, float(rate))
    for name, variable in variables.items():
        for copy in strategy.experimental_local_results(variable):
            np.testing.assert_allclose(copy.numpy(), parameters[name], rtol=0, atol=tolerance, err_msg=name)
    for slot, array in reference.slots.items():
        np.testing.assert_allclose(built.slots[slot].numpy(), array, rtol=1e-4, atol=tolerance, err_msg=slot)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=IDS)
def test_a_skipped_step_changes_nothing(optimizer: AdamW | Lamb) -> None:
    variables = {name: tf.Variable(tf.ones(shape)) for name, shape in SHAPES.items()}
    built = optimizer.build("tensorflow", variables.items())
    gradients = {name: tf.fill(shape, np.float32(np.nan)) for name, shape in SHAPES.items()}
    built.step(gradients, tf.constant(0.1), divisor=tf.constant(np.nan, tf.float32), skip=tf.ones([]))
    assert all((variable.numpy() == 1).all() for variable in variables.values())
    assert all((slot.numpy() == 0).all() for slot in built.slots.values())


def test_slots_are_called_as_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for optimizer in OPTIMIZERS:
        variables = {name: tf.Variable(tf.ones(shape)) for name, shape in SHAPES.items()}
        tensors = {name: torch.ones(shape) for name, shape in SHAPES.items()}
        ours, theirs = optimizer.build("tensorflow", variables.items()).slots, optimizer.build("pytorch", tensors.items()).slots
        assert {name: tuple(slot.shape) for name, slot in ours.items()} == {name: tuple(slot.shape) for name, slot in theirs.items()}
        assert {slot.dtype.name for slot in ours.values()} == {str(slot.dtype).removeprefix("torch.") for slot in theirs.values()}
