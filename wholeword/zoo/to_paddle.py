"""Models as instances of paddlenlp's own classes, as from `from_pretrained` but without random initialisation."""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.bert.names import TIED, to_framework
from wholeword.core.bert.task_heads import TASK_HEADS, label_config, to_framework_with_head
from wholeword.core.errors import UserError

if TYPE_CHECKING:
    from wholeword.core.contracts import ModelFiles
    from wholeword.core.vocabulary import Vocabulary

CLASSES: dict[str | None, str] = {
    **{None: "BertModel", "mlm": "BertForMaskedLM", "nsp": "BertForPretraining"},
    **{head: task_head.architecture for head, task_head in TASK_HEADS.items()},
}
LEFT_OUT: dict[str | None, tuple[str, ...]] = {None: ("cls/",), "mlm": ("cls/seq_relationship/",), "nsp": ()}  # weights that a class lacks


def to_paddle(model: "ModelFiles", head: str | None = None) -> Any:
    """An instance of a key's class of CLASSES, in eval mode.

    Args:
        head: that of the model, if it was fine-tuned.
    Raises: UserError if TensorFlow was imported before Paddle, which would crash the process.
    """
    refuse_after_tensorflow()
    import paddle
    from paddlenlp import transformers
    from paddlenlp.transformers.model_utils import no_init_weights

    settings = model.config.to_dict() | {"layer_norm_eps": model.config.epsilon, "hidden_act": "gelu"}
    config = transformers.BertConfig(**settings, **label_config(model), pad_token_id=model.vocabulary.pad_id)
    with paddle.LazyGuard(), no_init_weights():
        bert = getattr(transformers, CLASSES[head])(config)
    tensors = _tensors(model, head)
    state = {name if head else name.removeprefix("bert."): np.ascontiguousarray(array) for name, array in tensors.items()}
    state |= {copy: state[original] for copy, original in TIED["paddlenlp"].items() if head and copy in bert.state_dict()}
    missing, unexpected = bert.set_state_dict(state)
    assert not unexpected and not missing, (unexpected, missing)
    is_tanh = ACTIVATIONS[model.config.hidden_act].is_tanh
    for layer in bert.sublayers():
        if isinstance(layer, paddle.nn.LayerNorm):
            layer._epsilon = model.config.epsilon  # paddlenlp sets it during random initialisation
        if is_tanh and hasattr(layer, "activation") and layer.activation is paddle.nn.functional.gelu:
            layer.activation = partial(paddle.nn.functional.gelu, approximate=True)  # paddlenlp has no name for this activation
    return bert.eval()


def _tensors(model: "ModelFiles", head: str | None) -> dict[str, np.ndarray]:
    """By paddlenlp's names, whose classes for spans and tags have a pooler too: zeros, for nothing uses it."""
    if model.head is None:
        return to_framework({name: array for name, array in model.weights.items() if not name.startswith(LEFT_OUT[head])}, "paddlenlp")
    tensors, size = to_framework_with_head(model, "paddlenlp"), model.config.hidden_size
    unused = {"bert.pooler.dense.weight": np.zeros((size, size), np.float32), "bert.pooler.dense.bias": np.zeros(size, np.float32)}
    return unused | tensors


def paddle_tokenizer(vocabulary: "Vocabulary", *, lowercase: bool, max_length: int) -> Any:
    """paddlenlp's BertTokenizer; with `truncation=True` it cuts at `max_length` pieces."""
    refuse_after_tensorflow()
    from paddlenlp.transformers import BertTokenizer

    with tempfile.TemporaryDirectory() as folder:  # it can only read a file
        path = Path(folder, "vocab.txt")
        path.write_bytes(vocabulary.to_bytes())
        return BertTokenizer(str(path), do_lower_case=lowercase, model_max_length=max_length)


def refuse_after_tensorflow() -> None:
    """Raises: UserError if importing Paddle would crash the process."""
    if "tensorflow" in sys.modules and "paddle" not in sys.modules:
        raise UserError("Paddle crashes if it is imported after TensorFlow; import paddle first, or use separate processes")
