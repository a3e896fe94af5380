import numpy as np

from wholeword.core.model import initial_weights, model_config, tensor_shapes
from wholeword.exporters.names import TABLE, from_framework, is_transposed, names, num_layers, to_framework

CONFIG = model_config({"size": "tiny", "num_hidden_layers": 12}, vocab_size=30)


def test_the_table_names_every_tensor_once() -> None:
    canonical = names("transformers", num_hidden_layers=12)
    assert canonical.keys() == tensor_shapes(CONFIG).keys()
    assert len(set(canonical.values())) == len(canonical)
    assert len({row.transformers for row in TABLE}) == len(TABLE)


def test_there_and_back_gives_the_same_arrays() -> None:
    weights = initial_weights(CONFIG, 1)
    tensors = to_framework(weights, "transformers")
    assert tensors["bert.encoder.layer.11.intermediate.dense.weight"].shape == (512, 128)
    assert tensors["cls.seq_relationship.weight"].shape == (2, 128)
    back = from_framework(tensors, "transformers", num_hidden_layers=num_layers(weights))
    assert back.keys() == weights.keys()
    assert all(np.array_equal(back[name], weights[name]) for name in weights)


def test_only_dense_kernels_are_transposed() -> None:
    assert is_transposed("bert/pooler/dense/kernel", "transformers")
    assert not any(is_transposed(name, "transformers") for name in tensor_shapes(CONFIG) if not name.endswith("kernel"))
