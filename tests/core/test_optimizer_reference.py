from math import sqrt

import numpy as np
import pytest

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.optimizers.lamb import Lamb
from wholeword.plugins.optimizers.reference import decays


def test_layer_norms_and_biases_do_not_decay() -> None:
    for name in tensor_shapes(model_config({"size": "tiny"}, vocab_size=30)):
        assert decays(name) == (name.rsplit("/")[-1] not in ("gamma", "beta", "bias", "output_bias")), name


def test_adamw_has_no_bias_correction() -> None:
    """The first update of a gradient g is .1 g / sqrt(.001 g^2) = 3.16, whatever g is."""
    parameters = {"x/kernel": np.array([0.0, 0.0]), "x/bias": np.array([1.0])}
    AdamW(epsilon=0).reference().step(parameters, {"x/kernel": np.array([2.0, -0.003]), "x/bias": np.array([5.0])}, 0.01)
    assert parameters["x/kernel"] == pytest.approx([-0.01 * sqrt(10), 0.01 * sqrt(10)])
    assert parameters["x/bias"] == pytest.approx([1 - 0.01 * sqrt(10)])


def test_adamw_decays_by_the_learning_rate() -> None:
    parameters = {"x/kernel": np.array([2.0]), "x/bias": np.array([2.0])}
    AdamW(weight_decay=0.1).reference().step(parameters, {name: np.array([0.0]) for name in parameters}, 0.5)
    assert (parameters["x/kernel"][0], parameters["x/bias"][0]) == (2.0 - 0.5 * 0.1 * 2.0, 2.0)


def test_a_parameter_without_gradient_stays() -> None:
    for optimizer in (AdamW(), Lamb()):
        parameters = {"x/kernel": np.ones(2), "y/kernel": np.ones(2)}
        optimizer.reference().step(parameters, {"x/kernel": np.ones(2)}, 0.1)
        assert (parameters["x/kernel"] != 1).all() and (parameters["y/kernel"] == 1).all()


def test_lamb_moves_a_tensor_by_its_own_norm() -> None:
    """The trust ratio makes the length of a step the learning rate times the norm of the tensor."""
    for variant in ("hfl", "google", "tfa", "nvlamb"):
        before = np.array([[3.0, 4.0]])
        parameters = {"x/kernel": before.copy()}
        Lamb(variant=variant).reference().step(parameters, {"x/kernel": np.array([[0.2, -7.0]])}, 0.01)
        assert np.linalg.norm(parameters["x/kernel"] - before) == pytest.approx(0.01 * 5.0)


@pytest.mark.parametrize("variant, adapted", [("hfl", True), ("google", False), ("tfa", False), ("nvlamb", True)])
def test_variants_differ_in_the_trust_ratio_of_biases(variant: str, adapted: bool) -> None:
    """A bias starts at 0, so its first ratio is 1; in `hfl` its second step has the norm of the first times the rate: near nothing."""
    parameters, optimizer = {"x/bias": np.zeros(4)}, Lamb(variant=variant).reference()
    gradients = {"x/bias": np.full(4, 0.1)}
    optimizer.step(parameters, gradients, 0.01)
    first = parameters["x/bias"].copy()
    assert abs(first[0]) == pytest.approx(0.01 * (sqrt(10) if variant in ("hfl", "google") else 1), rel=1e-3)
    optimizer.step(parameters, gradients, 0.01)
    second = np.linalg.norm(parameters["x/bias"] - first)
    assert second == pytest.approx(0.01 * np.linalg.norm(first)) if adapted else second > 0.5 * np.linalg.norm(first)


def test_bias_correction_makes_a_constant_gradient_move_evenly() -> None:
    parameters, optimizer = {"LayerNorm/beta": np.zeros(1)}, Lamb(variant="tfa").reference()
    for step in range(1, 6):
        optimizer.step(parameters, {"LayerNorm/beta": np.array([0.5])}, 0.01)
        assert parameters["LayerNorm/beta"][0] == pytest.approx(-0.01 * step, rel=1e-4)


def test_nvlamb_first_brings_large_gradients_to_norm_one() -> None:
    def slots(variant: str, scale: float) -> np.ndarray:
        optimizer = Lamb(variant=variant).reference()
        optimizer.step({"x/kernel": np.ones(2)}, {"x/kernel": scale * np.array([0.6, 0.8])}, 0.01)
        return optimizer.slots["x/kernel/lamb_m"]

    assert slots("nvlamb", 50) == pytest.approx(slots("nvlamb", 1)) and slots("nvlamb", 0.5) == pytest.approx(slots("nvlamb", 1) / 2)
    assert slots("hfl", 50) == pytest.approx(50 * slots("hfl", 1))


def test_the_dtype_of_the_arrays_is_kept() -> None:
    for dtype in (np.float32, np.float64):
        for optimizer in (AdamW().reference(), Lamb(variant="nvlamb").reference()):
            parameters = {"x/kernel": np.ones((2, 3), dtype)}
            optimizer.step(parameters, {"x/kernel": np.ones((2, 3), dtype)}, 0.1)
            assert parameters["x/kernel"].dtype == dtype and all(slot.dtype == dtype for slot in optimizer.slots.values())
