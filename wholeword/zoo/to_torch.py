"""Models as instances of transformers' own classes, as from `from_pretrained` but without random initialisation."""

from typing import TYPE_CHECKING, Any

import numpy as np

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.task_heads import TASK_HEADS, label_config, to_framework_with_head
from wholeword.core.threads import bound_spinning

if TYPE_CHECKING:
    from wholeword.core.contracts import ModelFiles
    from wholeword.core.vocabulary import Vocabulary

CLASSES: dict[str | None, str] = {
    **{None: "BertModel", "mlm": "BertForMaskedLM", "nsp": "BertForPreTraining"},
    **{head: task_head.architecture for head, task_head in TASK_HEADS.items()},
}
LEFT_OUT: dict[str | None, tuple[str, ...]] = {  # weights that a class lacks
    None: ("cls/",),
    "mlm": ("bert/pooler/", "cls/seq_relationship/"),
    "nsp": (),
}


def to_torch(model: "ModelFiles", head: str | None = None) -> Any:
    """An instance of a key's class of CLASSES, in eval mode. Memory of arrays is shared where possible.

    Args:
        head: that of the model, if it was fine-tuned.
    """
    bound_spinning()
    import torch
    import transformers
    from transformers.initialization import no_init_weights

    config = transformers.BertConfig(
        **model.config.to_dict()
        | {"layer_norm_eps": model.config.epsilon, "hidden_act": ACTIVATIONS[model.config.hidden_act].transformers},
        architectures=[CLASSES[head]],
        pad_token_id=model.vocabulary.pad_id,
        **label_config(model),
    )
    with torch.device("meta"), no_init_weights():
        bert = getattr(transformers, CLASSES[head])(config)
    if model.head is not None:
        tensors = to_framework_with_head(model, "transformers")
    else:
        kept = {name: array for name, array in model.weights.items() if not name.startswith(LEFT_OUT[head])}
        tensors = to_framework(kept, "transformers")
    state = {name if head else name.removeprefix("bert."): torch.from_numpy(_writable(array)) for name, array in tensors.items()}
    modules = dict(bert.named_modules())
    for name, tensor in state.items():
        prefix, _, key = name.rpartition(".")
        assert getattr(modules[prefix], key).shape == tensor.shape, name
        modules[prefix].register_parameter(key, torch.nn.Parameter(tensor))
    for name, buffer in list(bert.named_buffers()):  # positions and token types, which no file contains
        prefix, _, key = name.rpartition(".")
        values = torch.arange(buffer.shape[-1]) if key == "position_ids" else torch.zeros(1, dtype=buffer.dtype)
        modules[prefix].register_buffer(key, values.expand(buffer.shape).clone(), persistent=False)
    bert.tie_weights()
    uninitialised = [name for name, parameter in bert.named_parameters() if parameter.is_meta]
    assert not uninitialised, uninitialised
    return bert.eval()


def _writable(array: np.ndarray) -> np.ndarray:
    """The array in C order and writable, as PyTorch requires; copied if necessary."""
    return np.require(array, requirements=["C", "W"])


def torch_tokenizer(vocabulary: "Vocabulary", *, lowercase: bool, max_length: int) -> Any:
    """transformers' BertTokenizer; with `truncation=True` it cuts at `max_length` pieces."""
    from transformers import BertTokenizer

    return BertTokenizer(vocab=vocabulary.ids, do_lower_case=lowercase, model_max_length=max_length)
