"""LAMB of Keras beside our NumPy reference: an implementation that nobody of ours has written.

Keras corrects the bias and adapts every tensor. Its weight decay is taken off outside of the trust ratio, so that only without one it is
`nvlamb` (whose gradients have a norm of at most 1 here and are not scaled), and `tfa` for what is not a LayerNorm or bias.
"""

import keras
import numpy as np
import pytest

from wholeword.plugins.optimizers.lamb import Lamb, Variant

SHAPES = {"x/kernel": (40, 16), "x/bias": (16,), "x/LayerNorm/gamma": (16,)}


@pytest.mark.parametrize("variant, names", [("nvlamb", list(SHAPES)), ("tfa", ["x/kernel"])])
def test_equal_to_that_of_keras_over_200_steps(variant: Variant, names: list[str]) -> None:
    generator = np.random.default_rng(5)
    parameters = {name: generator.normal(0, 0.5, SHAPES[name]).astype(np.float32) for name in names}
    variables = {name: keras.Variable(values) for name, values in parameters.items()}
    theirs = keras.optimizers.Lamb(learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-6)
    theirs.build(list(variables.values()))
    ours = Lamb(variant=variant, weight_decay=0.0).reference()
    for step in range(200):
        gradients = {name: generator.normal(0, 10 ** generator.uniform(-5, -2), SHAPES[name]).astype(np.float32) for name in names}
        theirs.learning_rate = rate = 1e-2 * (1 - step / 200)
        theirs.apply([keras.ops.convert_to_tensor(gradients[name]) for name in names])
        ours.step(parameters, gradients, rate)
    for name, variable in variables.items():
        np.testing.assert_allclose(parameters[name], variable.numpy(), rtol=0, atol=2e-5, err_msg=name)
