"""What the weights of a head tell. That a trained head is found trained: tests/torch/test_repair.py."""

import numpy as np
import pytest

from wholeword.core.bert.config import model_config
from wholeword.core.bert.heads import PARTS, inspect, inspect_model
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

CONFIG = model_config({"size": "rbt3", "num_hidden_layers": 1}, vocab_size=1000)
MLM = PARTS["MLM head"]


def with_kernels(draw, **changes):
    """Fresh weights whose kernels are drawn by another function of the shape; `changes` by last parts of names."""
    weights = initial_weights(CONFIG, 1)
    for part in PARTS.values():
        weights[part.kernel] = draw(weights[part.kernel].shape).astype(np.float32)
    return weights | changes


def states(weights, config=CONFIG):
    return [finding.state for finding in inspect(weights, config)]


@pytest.mark.parametrize("section", [{"size": "base"}, {"size": "large"}, {"size": "tiny"}, {"size": "tiny", "initializer_range": 0.2}])
def test_a_fresh_model_is_untouched(section):
    config = model_config(section | {"num_hidden_layers": 1}, vocab_size=1000)
    for seed in range(5):
        heads = inspect(initial_weights(config, seed), config)
        assert all(state == "untouched" and "cut at two deviations" in why for state, why in heads), heads


def test_a_head_another_library_made_is_untouched():
    generator = np.random.default_rng(0)
    for seed in range(5):
        normal = inspect(with_kernels(lambda shape: generator.normal(0, 0.02, shape)), CONFIG)
        assert all(state == "untouched" and "without a cut" in why for state, why in normal), (seed, normal)
    bound = 1 / np.sqrt(768)
    even = with_kernels(lambda shape: generator.uniform(-bound, bound, shape))
    for name in (*PARTS["pooler"].vectors, *PARTS["NSP head"].vectors, "cls/predictions/transform/dense/bias"):
        even[name] = generator.uniform(-bound, bound, even[name].shape).astype(np.float32)
    heads = inspect(even, CONFIG)  # as torch.nn.Linear draws them, biases too
    assert all(state == "untouched" and "PyTorch's own" in why for state, why in heads), heads


def test_half_precision_changes_nothing():
    weights = {name: array.astype(np.float16).astype(np.float32) for name, array in initial_weights(CONFIG, 1).items()}
    assert states(weights) == ["untouched"] * 3


def test_a_missing_head_is_missing():
    weights = initial_weights(CONFIG, 1)
    assert states({name: array for name, array in weights.items() if not name.startswith("cls/")}) == ["missing", "missing", "untouched"]
    del weights["cls/predictions/output_bias"]
    mlm = inspect(weights, CONFIG).mlm
    assert mlm.state == "unclear" and "1 of its 5 tensors" in mlm.why and "output_bias" in mlm.why


def test_what_a_reader_filled_in_is_missing_all_the_same():
    vocabulary = Vocabulary([*SPECIAL_PIECES, "的"])
    model = ModelFiles(CONFIG, initial_weights(CONFIG, 1), vocabulary, True, False, Provenance(missing=["NSP head", "pooler"]))
    assert [finding.state for finding in inspect_model(model)] == ["untouched", "missing", "missing"]


@pytest.mark.parametrize("part", PARTS)
def test_a_head_whose_biases_moved_is_trained(part):
    generator = np.random.default_rng(1)
    weights = initial_weights(CONFIG, 1)
    for name in PARTS[part].vectors:
        weights[name] = weights[name] + generator.normal(0, 0.01, weights[name].shape).astype(np.float32)
    finding = inspect(weights, CONFIG).named()[part]
    assert finding.state == "trained"
    size = sum(weights[name].size for name in PARTS[part].vectors)
    assert f"{size:,} of {size:,} values" in finding.why
    assert states(weights).count("trained") == 1


def test_a_head_that_says_two_things_is_unclear():
    trained_kernel = with_kernels(lambda shape: np.random.default_rng(2).laplace(0, 0.04, shape))
    assert states(trained_kernel) == ["untouched", "unclear", "unclear"]  # a LayerNorm of exactly 1 and 0 settles it
    weights = initial_weights(CONFIG, 1)
    weights["cls/predictions/output_bias"] = np.linspace(-9, -2, 1000, dtype=np.float32)  # log frequencies, say
    assert inspect(weights, CONFIG).mlm.state == "unclear"
    weights[MLM.kernel] = np.full_like(weights[MLM.kernel], np.nan)
    assert "no numbers" in inspect(weights, CONFIG).mlm.why


def test_findings_are_a_line_and_a_dictionary_each():
    heads = inspect(initial_weights(CONFIG, 1), CONFIG)
    assert [line.split(": ")[:2] for line in heads.lines()] == [[name, "untouched"] for name in PARTS]
    assert heads.plain()["pooler"] == {"state": "untouched", "why": heads.pooler.why}
