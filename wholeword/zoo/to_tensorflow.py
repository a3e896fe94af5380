"""Models as instances of KerasHub's own classes on TensorFlow, with BERT's exact gelu, and BERT's epsilon in the MLM head too."""

from functools import cache
from typing import TYPE_CHECKING, Any

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.bert.names import to_framework
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError

if TYPE_CHECKING:
    from wholeword.core.contracts import ModelFiles
    from wholeword.core.vocabulary import Vocabulary

EPSILON = 1e-12  # layer norm epsilon of BERT, and the only one that KerasHub's BertBackbone supports


def to_tensorflow(model: "ModelFiles", head: str | None = None) -> Any:
    """BertBackbone, or BertMaskedLM with head "mlm".

    Raises: UserError for head "nsp", which KerasHub lacks; for any other layer norm epsilon; if Keras runs on another backend.
    """
    if head == "nsp":
        raise UserError('KerasHub has no NSP head; load with head=None and add one to pooled_output, or use framework="torch"')
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow in the environment before importing it")
    config = model.config
    if config.epsilon != EPSILON:
        raise UserError(f'layer_norm_eps is {config.layer_norm_eps}, but KerasHub supports only {EPSILON}; load it with framework="torch"')
    backbone_class, masked_lm_class = _classes(config.hidden_act)
    backbone = backbone_class(**backbone_arguments(config))
    keras_model = backbone if head is None else masked_lm_class(backbone, preprocessor=None)
    tensors = to_framework(model.weights, "keras_hub", num_attention_heads=config.num_attention_heads)
    for variable in keras_model.weights:
        variable.assign(tensors[variable.path])
    return keras_model


def backbone_arguments(config: BertConfig) -> dict[str, Any]:
    """The arguments of KerasHub's BertBackbone."""
    return {
        "vocabulary_size": config.vocab_size,
        "num_layers": config.num_hidden_layers,
        "num_heads": config.num_attention_heads,
        "hidden_dim": config.hidden_size,
        "intermediate_dim": config.intermediate_size,
        "dropout": config.hidden_dropout_prob,
        "max_sequence_length": config.max_position_embeddings,
        "num_segments": config.type_vocab_size,
    }


@cache
def _classes(hidden_act: str) -> tuple[Any, Any]:
    """KerasHub's BertBackbone and BertMaskedLM with the given activation, which saved models keep."""
    import keras
    import keras_hub

    def activation(x: Any) -> Any:
        return keras.activations.gelu(x, approximate=ACTIVATIONS[hidden_act].is_tanh)

    @keras.saving.register_keras_serializable(f"wholeword_{hidden_act}")
    class BertBackbone(keras_hub.models.BertBackbone):  # type: ignore[misc]  # KerasHub has no types
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            for layer in self.transformer_layers:
                layer._feedforward_intermediate_dense.activation = activation

    @keras.saving.register_keras_serializable(f"wholeword_{hidden_act}")
    class BertMaskedLM(keras_hub.models.BertMaskedLM):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            self.masked_lm_head._intermediate_dense.activation = activation
            self.masked_lm_head._intermediate_layer_norm.epsilon = EPSILON

    return BertBackbone, BertMaskedLM


def tensorflow_tokenizer(vocabulary: "Vocabulary", *, lowercase: bool, max_length: int) -> Any:
    """KerasHub's BertTokenizer. Its ids lack [CLS] and [SEP]; KerasHub's preprocessors add these, and truncate."""
    import keras_hub

    return keras_hub.models.BertTokenizer(vocabulary=list(vocabulary.pieces), lowercase=lowercase, strip_accents=lowercase)
