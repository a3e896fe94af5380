"""LAMB of torch_optimizer beside our NumPy reference: an implementation by other people.

Without debiasing it computes what trained BERT-wwm (`hfl`), and with `adam=True` for LayerNorms and biases what Google's ALBERT code
does (`google`). Its bound on the norm of a tensor, 10 by default, is not in any of the variants and is lifted here.
"""

import numpy as np
import pytest
import torch

from wholeword.plugins.optimizers.lamb import Lamb, Variant

TheirLamb = pytest.importorskip("torch_optimizer").Lamb

DECAYED = {"x/kernel": (40, 16), "x/embeddings": (80, 16)}
NOT_DECAYED = {"x/bias": (16,), "x/LayerNorm/gamma": (16,), "x/LayerNorm/beta": (16,)}
SHAPES = DECAYED | NOT_DECAYED


@pytest.mark.parametrize("variant", ["hfl", "google"])
def test_equal_to_that_of_torch_optimizer_over_200_steps(variant: Variant) -> None:
    generator = np.random.default_rng(7)
    parameters = {name: generator.normal(0, 3.0, shape) for name, shape in SHAPES.items()}
    parameters["x/bias"][:] = 0  # a tensor without a norm moves by the full update
    tensors = {name: torch.nn.Parameter(torch.from_numpy(values.copy())) for name, values in parameters.items()}
    theirs = [
        TheirLamb(
            [tensors[name] for name in names], eps=1e-6, weight_decay=weight_decay, debias=False, adam=plain, clamp_value=float("inf")
        )
        for names, weight_decay, plain in ((DECAYED, 0.01, False), (NOT_DECAYED, 0.0, variant == "google"))
    ]
    ours = Lamb(variant=variant).reference()
    for step in range(200):
        gradients = {name: generator.normal(0, 10 ** generator.uniform(-5, -2), shape) for name, shape in SHAPES.items()}
        for optimizer in theirs:
            optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 200)
        for name, gradient in gradients.items():
            tensors[name].grad = torch.from_numpy(gradient)
        for optimizer in theirs:
            optimizer.step()
        ours.step(parameters, gradients, 1e-2 * (1 - step / 200))
    for name, tensor in tensors.items():
        np.testing.assert_allclose(parameters[name], tensor.detach().numpy(), rtol=1e-12, atol=1e-13, err_msg=name)
