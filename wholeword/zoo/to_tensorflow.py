"""Models as instances of KerasHub's own classes on TensorFlow, with BERT's exact gelu, and BERT's epsilon in the MLM head too."""

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.task_heads import head_tensors
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError

if TYPE_CHECKING:
    from wholeword.core.contracts import ModelFiles
    from wholeword.core.vocabulary import Vocabulary

EPSILON = 1e-12  # layer norm epsilon of BERT, and the only one that KerasHub's BertBackbone supports


def to_tensorflow(model: "ModelFiles", head: str | None = None) -> Any:
    """BertBackbone, or BertMaskedLM with head "mlm"; for a fine-tuned model BertTextClassifier, or a Model of it.

    Args:
        head: that of the model, if it was fine-tuned.
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
    classes = _classes(config.hidden_act)
    backbone = classes.backbone(**backbone_arguments(config))
    if model.head is not None:
        return _with_task_head(model, classes, backbone)
    keras_model = backbone if head is None else classes.masked_lm(backbone, preprocessor=None)
    _assign(keras_model, model)
    return keras_model


def _assign(keras_model: Any, model: "ModelFiles") -> None:
    weights = {name: array for name, array in model.weights.items() if name.startswith(("bert/", "cls/predictions/"))}
    tensors = to_framework(weights, "keras_hub", num_attention_heads=model.config.num_attention_heads)
    for variable in keras_model.weights:
        if model.head is None or variable.path in tensors:  # the pooler, which spans and tags do not use, keeps its initial values
            variable.assign(tensors[variable.path])


def _with_task_head(model: "ModelFiles", classes: "Classes", backbone: Any) -> Any:
    import keras

    assert model.head is not None
    names = head_tensors(model.head, "canonical")
    weights, bias = model.weights[names.weights], model.weights[names.bias]
    _assign(backbone, model)
    if model.head == "classification":
        keras_model = classes.classifier(backbone, num_classes=len(bias), preprocessor=None)
        dense = keras_model.output_dense
    else:
        dense = keras.layers.Dense(len(bias), name="logits")
        keras_model = keras.Model(
            backbone.input, dense(backbone(backbone.input)["sequence_output"])
        )  # nested, so that it is saved as it is
    dense.kernel.assign(weights.T)
    dense.bias.assign(bias)
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


class Classes(NamedTuple):
    """KerasHub's classes with the activation of a model, which saved models keep."""

    backbone: Any
    masked_lm: Any
    classifier: Any


@cache
def _classes(hidden_act: str) -> Classes:
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

    return Classes(BertBackbone, BertMaskedLM, keras_hub.models.BertTextClassifier)


def tensorflow_tokenizer(vocabulary: "Vocabulary", *, lowercase: bool, max_length: int) -> Any:
    """KerasHub's BertTokenizer. Its ids lack [CLS] and [SEP]; KerasHub's preprocessors add these, and truncate."""
    import keras_hub

    return keras_hub.models.BertTokenizer(vocabulary=list(vocabulary.pieces), lowercase=lowercase, strip_accents=lowercase)
