"""Models as transformers reads them: `pytorch_model.bin`, `model.safetensors`, configuration, tokenizer and a model card."""

from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.parts import without_lacking_parts
from wholeword.core.bert.task_heads import to_framework_with_head
from wholeword.core.contracts import ModelFiles
from wholeword.core.files import disk_errors, to_json, write_file
from wholeword.core.formats.tensors import write_tensors
from wholeword.core.vocabulary import Vocabulary
from wholeword.exporters.finetuned import HEADS, card, head_config
from wholeword.exporters.model_card import architecture, model_card


class PyTorchBin:
    """Writes every file that transformers' Bert classes and both BertTokenizers read."""

    heads = HEADS

    libraries = ("torch",)

    def export(self, model: ModelFiles, folder: Path) -> None:
        """Parts that the model lacks are left out. A fine-tuned model has no `pytorch_model.bin`. Raises: DiskError."""
        model = without_lacking_parts(model)
        write_file(folder / "vocab.txt", model.vocabulary.to_bytes())
        write_file(folder / "tokenizer.json", _tokenizer(model.vocabulary, model.lowercase).encode())
        write_file(folder / "tokenizer_config.json", to_json(_tokenizer_config(model)))
        tensors = to_framework(model.weights, "transformers") if model.head is None else to_framework_with_head(model, "transformers")
        write_tensors(folder / "model.safetensors", tensors, metadata={"format": "pt"})
        if model.head is None:
            _write_bin(folder / "pytorch_model.bin", tensors)
        write_file(folder / "config.json", to_json(_config(model)))
        write_file(folder / "README.md", (model_card(model) if model.head is None else card(model)).encode())


def _write_bin(path: Path, tensors: dict[str, np.ndarray]) -> None:
    import torch

    state = {name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in tensors.items()}
    with disk_errors(path), open(path, "wb") as file:  # given a path, torch.save would hide the error of the file system
        torch.save(state, file)


def _config(model: ModelFiles) -> dict[str, Any]:
    return {
        "layer_norm_eps": model.config.epsilon,
        **model.config.to_dict(),
        **({"architectures": [architecture(model)]} if model.head is None else head_config(model)),
        "hidden_act": ACTIVATIONS[model.config.hidden_act].transformers,
        "model_type": "bert",  # without these two, transformers guesses classes from the folder's name
        "tokenizer_class": "BertTokenizer",
        "pad_token_id": model.vocabulary.pad_id,
    }


def _tokenizer(vocabulary: Vocabulary, lowercase: bool) -> str:
    from tokenizers import BertWordPieceTokenizer

    text: str = BertWordPieceTokenizer(vocabulary.ids, lowercase=lowercase).to_str(pretty=True)
    return text


def _tokenizer_config(model: ModelFiles) -> dict[str, Any]:
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": model.lowercase,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "model_max_length": model.config.max_position_embeddings,
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    }
