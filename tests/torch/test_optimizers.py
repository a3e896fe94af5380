import numpy as np
import pytest
import torch

from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.optimizers.lamb import Lamb
from wholeword.plugins.pytorch.optimizers import norms

OPTIMIZERS = [AdamW(), AdamW(weight_decay=0.1), *(Lamb(variant=variant) for variant in ("hfl", "google", "tfa", "nvlamb"))]
IDS = ["adamw", "adamw-decay", "hfl", "google", "tfa", "nvlamb"]
SHAPES = {
    "bert/embeddings/word_embeddings": (300, 32),
    "bert/encoder/layer_0/output/dense/kernel": (64, 32),
    "bert/encoder/layer_0/output/dense/bias": (32,),
    "bert/encoder/layer_0/output/LayerNorm/gamma": (32,),
    "cls/predictions/output_bias": (300,),
}


def first_values(generator: np.random.Generator, dtype: type) -> dict[str, np.ndarray]:
    """As in a new model: biases at 0, LayerNorms at 1."""
    values = {"bias": np.zeros, "output_bias": np.zeros, "gamma": np.ones}
    return {
        name: values.get(name.rsplit("/")[-1], lambda shape: generator.normal(0, 0.02, shape))(shape).astype(dtype)
        for name, shape in SHAPES.items()
    }


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=IDS)
def test_equal_to_the_reference_over_200_steps(optimizer: AdamW | Lamb, dtype: type, tolerance: float) -> None:
    """Gradients of all sizes, clipped; a rate that changes every step; a tensor that has no gradient for a while."""
    generator = np.random.default_rng(5)
    parameters = first_values(generator, dtype)
    tensors = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in parameters.items()}
    reference, built = optimizer.reference(), optimizer.build("pytorch", tensors.items())
    for step in range(200):
        gradients = {name: generator.normal(0, 10 ** generator.uniform(-5, 1), shape).astype(dtype) for name, shape in SHAPES.items()}
        if step % 50 > 40:
            del gradients["bert/encoder/layer_0/output/dense/kernel"]
        norm = np.sqrt(sum(float(np.vdot(gradient, gradient)) for gradient in gradients.values()))
        divisor = np.float32(max(1.0, norm))
        rate = 2e-3 * (1 - step / 200)
        given = {name: torch.from_numpy(gradient.copy()) for name, gradient in gradients.items()}
        built.step(given, rate, divisor=torch.tensor(divisor), skip=torch.zeros(()))
        reference.step(parameters, {name: gradient / dtype(divisor) for name, gradient in gradients.items()}, rate)
        for name, tensor in tensors.items():
            np.testing.assert_allclose(tensor.detach().numpy(), parameters[name], rtol=0, atol=tolerance, err_msg=f"{name}, step {step}")
    for slot, array in reference.slots.items():
        np.testing.assert_allclose(built.slots[slot].numpy(), array, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=IDS)
def test_a_skipped_step_changes_nothing(optimizer: AdamW | Lamb) -> None:
    tensors = {name: torch.ones(shape, requires_grad=True) for name, shape in SHAPES.items()}
    built = optimizer.build("pytorch", tensors.items())
    built.step(
        {name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()},
        0.1,
        divisor=torch.tensor(torch.nan),
        skip=torch.ones(()),
    )
    assert all((tensor == 1).all() for tensor in tensors.values())
    assert all((slot == 0).all() for slot in built.slots.values())


def test_it_is_not_pytorchs_own_adamw() -> None:
    """Pinned: PyTorch corrects the bias, so that its first step is the learning rate; BERT's is sqrt(10) times as long."""
    tensors = {"x/bias": torch.zeros(3, requires_grad=True)}
    gradients = {"x/bias": torch.full((3,), 0.2)}
    AdamW().build("pytorch", tensors.items()).step(gradients, 0.01, divisor=torch.ones(()), skip=torch.zeros(()))
    assert tensors["x/bias"].tolist() == pytest.approx([-0.01 * 10**0.5] * 3, rel=1e-3)


def test_the_norm_of_a_large_matrix_is_right() -> None:
    """torch.linalg.vector_norm is off by 5e-4 for the word embeddings of a base model."""
    matrix = torch.randn(21128, 768, generator=torch.Generator().manual_seed(0)) * 1e-3 + 1e-3
    assert norms([matrix, torch.tensor([3.0, -4.0])]).tolist() == pytest.approx([matrix.double().norm().item(), 5.0], rel=1e-6)
