"""Models as paddlenlp reads them: `model_state.pdparams`, configuration, tokenizer and a model card. Written without Paddle."""

from pathlib import Path
from typing import Any

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.parts import without_lacking_parts
from wholeword.core.bert.task_heads import to_framework_with_head
from wholeword.core.contracts import ModelFiles
from wholeword.core.errors import UserError
from wholeword.core.files import to_json, write_file
from wholeword.core.formats.pdparams import write_pdparams
from wholeword.exporters.finetuned import HEADS, card, head_config
from wholeword.exporters.model_card import architecture, model_card


class PaddleNLP:
    """Writes every file that paddlenlp's Bert classes and its BertTokenizer read."""

    heads = HEADS

    def export(self, model: ModelFiles, folder: Path) -> None:
        """Parts that the model lacks are left out. Raises: UserError for an activation that paddlenlp lacks; DiskError."""
        model = without_lacking_parts(model)
        write_model(model, folder)
        readme = model_card(model, "paddlenlp") if model.head is None else card(model, "paddlenlp")
        write_file(folder / "README.md", readme.encode())


def write_model(model: ModelFiles, folder: Path) -> None:
    """Everything but the model card. Raises: as `PaddleNLP.export`."""
    if ACTIVATIONS[activation := model.config.hidden_act].is_tanh:
        raise UserError(f"hidden_act is {activation!r}, and paddlenlp's BERT knows 'gelu' alone; export to pytorch-bin or tf-checkpoint")
    tensors = to_framework(model.weights, "paddlenlp") if model.head is None else to_framework_with_head(model, "paddlenlp")
    write_pdparams(folder / "model_state.pdparams", tensors)
    write_file(folder / "config.json", to_json(_config(model)))
    write_file(folder / "vocab.txt", model.vocabulary.to_bytes())
    write_file(folder / "tokenizer_config.json", to_json(_tokenizer_config(model)))


def _config(model: ModelFiles) -> dict[str, Any]:
    return {
        "layer_norm_eps": model.config.epsilon,
        **model.config.to_dict(),
        **({"architectures": [architecture(model, "paddlenlp")]} if model.head is None else head_config(model)),
        "model_type": "bert",
        "pad_token_id": model.vocabulary.pad_id,
        "pool_act": "tanh",
    }


def _tokenizer_config(model: ModelFiles) -> dict[str, Any]:
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": model.lowercase,
        "model_max_length": model.config.max_position_embeddings,
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    }
