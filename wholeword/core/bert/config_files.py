"""The configuration files of other tools: which file of a folder is one, and whether it describes a plain BERT."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wholeword.core.bert.config import saved_config
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError
from wholeword.core.formats.json_file import read_json

# transformers and PaddleNLP; Google and HFL; PaddleNLP before version 2.5
NAMES = ("config.json", "bert_config.json", "model_config.json")
PLAIN = {"model_type": "bert", "position_embedding_type": "absolute", "tie_word_embeddings": True, "is_decoder": False, "pool_act": "tanh"}


def config_file(folder: Path) -> Path | None:
    """The configuration in a folder, also under a name such as `bert_config_rbt3.json`; None if there is none, or several of those."""
    if found := next((folder / name for name in NAMES if (folder / name).exists()), None):
        return found
    others = list(folder.glob("bert_config*.json"))
    return others[0] if len(others) == 1 else None


def read_config_file(path: Path) -> dict[str, Any]:
    """The settings in a configuration file. PaddleNLP's `model_config.json` has those of the encoder inside `init_args`.

    Raises: UserError.
    """
    content = inner = read_json(path)
    while "hidden_size" not in inner and isinstance(arguments := inner.get("init_args"), list | dict):
        candidates = [arguments] if isinstance(arguments, dict) else [item for item in arguments if isinstance(item, dict)]
        inner = next(iter(candidates), {})
    return content | inner if inner is not content else content


def says_roberta(raw: Mapping[str, Any]) -> bool:
    """Whether a configuration calls the model RoBERTa, as those of RoBERTa-wwm models do, which are BERTs."""
    return raw.get("model_type") == "roberta" or "roberta" in str(raw.get("architectures")).lower()


def plain_bert_config(raw: Mapping[str, Any], path: Path, *, type_vocab_size: int = 2) -> BertConfig:
    """The configuration, checked. Whether a model that is called RoBERTa is a BERT, its weights show.

    Args:
        raw: as `read_config_file` returns it.
        type_vocab_size: that of the weights, used if the file has none: Google's code defaults to 16, transformers to 2.
    Raises: UserError for missing or invalid settings, and for models that are not a plain BERT.
    """
    raw = raw if not says_roberta(raw) else {**raw, "model_type": "bert"}
    for key, value in PLAIN.items():
        if raw.get(key, value) != value:
            raise UserError(f"{path}: {key} is {raw[key]!r}, expected {value!r}; only plain BERT models can be read")
    return saved_config(raw, str(path), type_vocab_size=type_vocab_size)
