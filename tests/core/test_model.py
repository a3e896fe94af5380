from dataclasses import replace
from math import erf, exp, pi, sqrt

import numpy as np
import pytest

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import count_parameters, flops_per_token, initial_weights, take_layers, tensor_shapes
from wholeword.core.contracts import ModelFiles
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

TINY = model_config({"size": "tiny", "hidden_size": 32, "num_hidden_layers": 4}, vocab_size=100)


@pytest.mark.parametrize(
    "size, parameters",  # the seed project's models, "based on XNLI"
    [
        ("base", 102_269_955),
        ("large", 325_525_507),
        ("rbt3", 38_479_107),
        ("rbt4", 45_566_979),
        ("rbt6", 59_742_723),
        ("rbtl3", 61_004_803),
    ],
)
def test_sizes_have_the_published_numbers_of_parameters(size: str, parameters: int) -> None:
    assert count_parameters(model_config({"size": size}, vocab_size=21128), num_labels=3) == parameters


def test_a_model_for_pre_training_has_two_heads_more() -> None:
    config = model_config({"size": "base"}, vocab_size=21128)
    assert count_parameters(config) == count_parameters(config, num_labels=0) + 613_256 + 1_538  # the released heads


def test_keys_spelled_out_win_over_the_size() -> None:
    config = model_config(
        {"size": "rbt3", "hidden_act": "gelu_tanh", "max_position_embeddings": 64, "intermediate_size": None}, vocab_size=50
    )
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (3, 768, 3072)
    assert (config.hidden_act, config.max_position_embeddings, config.vocab_size) == ("gelu_tanh", 64, 50)


@pytest.mark.parametrize(
    "section, said", [({"size": "huge"}, "'huge'; expected one of tiny"), ({"hidden_size": 100}, "100 is not a multiple of 12")]
)
def test_impossible_models_are_refused(section: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        model_config(section, vocab_size=100)


def test_initial_weights_are_a_normal_cut_at_two_deviations() -> None:
    weights = initial_weights(model_config({"size": "tiny", "initializer_range": 0.1}, vocab_size=21128), seed=7)
    values = weights["bert/embeddings/word_embeddings"].astype(np.float64).ravel() / 0.1
    density, mass = exp(-2) / sqrt(2 * pi), erf(2 / sqrt(2))
    assert np.abs(values).max() <= 2.000001
    assert values.mean() == pytest.approx(0, abs=5 / sqrt(len(values)))
    assert values.var() == pytest.approx(1 - 4 * density / mass, abs=0.005)  # 0.774, of the cut normal
    for name, array in weights.items():
        assert array.dtype == np.float32
        if name.endswith(("gamma", "beta", "bias")):
            assert (array == float(name.endswith("gamma"))).all()
        else:
            assert array.std() > 0.05


def test_a_tensors_first_values_depend_on_seed_and_name_alone() -> None:
    name = "bert/encoder/layer_1/output/dense/kernel"
    alone = initial_weights(TINY, 1, [name])[name]
    assert np.array_equal(alone, initial_weights(replace(TINY, num_hidden_layers=2), 1)[name])
    assert not np.array_equal(alone, initial_weights(TINY, 2, [name])[name])
    other = name.replace("layer_1", "layer_0")
    assert not np.array_equal(alone, initial_weights(TINY, 1, [other])[other])


def test_taken_layers_are_the_parents_layers() -> None:
    parent = ModelFiles(TINY, initial_weights(TINY, 1), Vocabulary(SPECIAL_PIECES), True, False)
    child = take_layers(parent, [3, 0])
    assert child.config == replace(TINY, num_hidden_layers=2)
    assert {name: array.shape for name, array in child.weights.items()} == tensor_shapes(child.config)
    for name, array in child.weights.items():
        source = name.replace("layer_0", "layer_x").replace("layer_1", "layer_0").replace("layer_x", "layer_3")
        assert np.array_equal(array, parent.weights[source]), name
    with pytest.raises(UserError, match="no layer 4; the model has layers 0 to 3"):
        take_layers(parent, [0, 4])


def test_flops_are_six_a_parameter_and_the_attention() -> None:
    config = model_config({"size": "base"}, vocab_size=21128)
    shapes = tensor_shapes(config)
    kernels = sum(a * b for name, (a, b) in ((n, s) for n, s in shapes.items() if n.startswith("bert/encoder") and n.endswith("kernel")))
    head = 768 * 768 + 768 * 21128
    expected = 6 * (128 * kernels + 20 * head) + 12 * (12 * 128 * 128 * 768)  # of a row of 128 with 20 predictions
    assert 128 * flops_per_token(config, 128, 20) == pytest.approx(expected)
    frozen = 2 * 128 * kernels + 4 * (12 * 128 * 128 * 768) + 20 * (6 * 768 * 768 + 4 * 768 * 21128)  # forward, and back to the embeddings
    assert 128 * flops_per_token(config, 128, 20, frozen_encoder=True) == pytest.approx(frozen)
