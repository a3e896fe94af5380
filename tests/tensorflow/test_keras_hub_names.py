"""The column `keras_hub` of the table of names, beside KerasHub's own variables."""

import keras_hub
import numpy as np

from wholeword.core.bert.config import model_config
from wholeword.core.bert.names import from_framework, to_framework
from wholeword.core.bert.shapes import initial_weights

CONFIG = model_config({"num_hidden_layers": 3, "hidden_size": 24, "num_attention_heads": 4, "max_position_embeddings": 16}, vocab_size=30)


def test_the_table_names_keras_hubs_variables_with_their_shapes() -> None:
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=CONFIG.vocab_size,
        num_layers=CONFIG.num_hidden_layers,
        num_heads=CONFIG.num_attention_heads,
        hidden_dim=CONFIG.hidden_size,
        intermediate_dim=CONFIG.intermediate_size,
        max_sequence_length=CONFIG.max_position_embeddings,
        num_segments=CONFIG.type_vocab_size,
    )
    variables = {variable.path: variable.numpy() for variable in keras_hub.models.BertMaskedLM(backbone).weights}
    weights = initial_weights(CONFIG, 1)
    tensors = to_framework(weights, "keras_hub", num_attention_heads=CONFIG.num_attention_heads)
    assert {name: array.shape for name, array in tensors.items()} == {name: array.shape for name, array in variables.items()}
    back = from_framework(variables, "keras_hub", num_hidden_layers=3)
    assert {name: array.shape for name, array in back.items()} == {
        name: array.shape for name, array in weights.items() if not name.startswith("cls/seq_relationship/")
    }
    kernel = "bert/encoder/layer_2/attention/self/value/kernel"
    assert np.array_equal(variables["transformer_layer_2/self_attention_layer/value/kernel"].reshape(24, 24), back[kernel])
