import numpy as np
import pytest

from wholeword.core.bert.config import model_config
from wholeword.core.bert.names import TABLE, TIED, from_framework, is_transposed, names, num_layers, to_framework, unknown_tensors
from wholeword.core.bert.shapes import initial_weights, tensor_shapes
from wholeword.core.bert.stored_names import is_slot
from wholeword.core.errors import UserError

CONFIG = model_config({"size": "tiny", "num_hidden_layers": 12}, vocab_size=30)
FRAMEWORKS = ["canonical", "transformers", "paddlenlp", "keras_hub"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_table_names_every_tensor_once(framework: str) -> None:
    named = names(framework, num_hidden_layers=12)
    no_place = {name for name in tensor_shapes(CONFIG) if name.startswith("cls/seq_relationship")} if framework == "keras_hub" else set()
    assert named.keys() == tensor_shapes(CONFIG).keys() - no_place
    assert len(set(named.values())) == len(named)
    assert set(TIED[framework].values()) <= set(named.values())
    assert len({row[framework] for row in TABLE} - {""}) == len(TABLE) - len(no_place)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_there_and_back_gives_the_same_arrays(framework: str) -> None:
    weights = initial_weights(CONFIG, 1)
    tensors = to_framework(weights, framework, num_attention_heads=2)
    back = from_framework(tensors, framework, num_hidden_layers=num_layers(weights))
    assert back.keys() == names(framework, num_hidden_layers=12).keys()
    assert all(back[name].shape == weights[name].shape and np.array_equal(back[name], weights[name]) for name in back)


def test_shapes_are_those_of_the_frameworks() -> None:
    weights = initial_weights(CONFIG, 1)  # 128 wide, 512 in between, 2 heads of 64
    transformers, paddlenlp = to_framework(weights, "transformers"), to_framework(weights, "paddlenlp")
    keras_hub = to_framework(weights, "keras_hub", num_attention_heads=2)
    assert transformers["bert.encoder.layer.11.intermediate.dense.weight"].shape == (512, 128)
    assert transformers["cls.seq_relationship.weight"].shape == (2, 128)
    assert paddlenlp["bert.encoder.layers.11.linear1.weight"].shape == (128, 512)
    assert paddlenlp["cls.seq_relationship.weight"].shape == (128, 2)
    assert keras_hub["transformer_layer_11/self_attention_layer/query/kernel"].shape == (128, 2, 64)
    assert keras_hub["transformer_layer_11/self_attention_layer/query/bias"].shape == (2, 64)
    assert keras_hub["transformer_layer_11/self_attention_layer/attention_output/kernel"].shape == (2, 64, 128)
    assert keras_hub["transformer_layer_11/self_attention_layer/attention_output/bias"].shape == (128,)


def test_only_dense_kernels_are_transposed_for_transformers() -> None:
    assert is_transposed("bert/pooler/dense/kernel", "transformers")
    assert not any(is_transposed(name, "transformers") for name in tensor_shapes(CONFIG) if not name.endswith("kernel"))


def test_slots_and_counters_are_no_tensors_of_the_model() -> None:
    model = tensor_shapes(CONFIG)
    slots = [f"{name}/{slot}" for name in model for slot in ("adam_m", "adam_v", "lamb_m", "lamb_v", "Adam", "Adam_1", "Momentum", "x")]
    scoped = [f"optimizer/{name}/adam_m" for name in model]
    everything = {*model, *slots, *scoped}
    assert all(is_slot(name, everything) for name in [*slots, *scoped, "global_step", "beta1_power", "beta2_power"])
    assert not any(is_slot(name, everything) for name in model)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_unknown_tensors_are_named(framework: str) -> None:
    tensors = to_framework(initial_weights(CONFIG, 1), framework, num_attention_heads=2)
    assert unknown_tensors([*tensors, "b", "a"], framework, num_hidden_layers=12) == ["a", "b"]
    with pytest.raises(UserError, match="unknown tensors for a BERT with 12 layers: classifier/weight"):
        from_framework(tensors | {"classifier/weight": np.zeros(2)}, framework, num_hidden_layers=12)
    deepest = [name for name in tensors if name not in names(framework, num_hidden_layers=11).values()]
    with pytest.raises(UserError, match=rf"11 layers: {min(deepest)}; .*and {len(deepest) - 5} more"):
        from_framework(tensors, framework, num_hidden_layers=11)
    with pytest.raises(UserError, match="classifier/weight"):
        to_framework({"classifier/weight": np.zeros(2)}, framework)
