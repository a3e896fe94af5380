"""Models from a folder: in Hugging Face's layout (old or new), or a run or checkpoint of ours."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wholeword.core.checkpoints import latest_checkpoint, read_checkpoint
from wholeword.core.data.vocabulary import Vocabulary
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import MANIFEST, check_manifest
from wholeword.core.interfaces import ModelFiles
from wholeword.core.model import initial_weights, tensor_shapes
from wholeword.core.tensors import read_tensors
from wholeword.exporters.names import TRANSFORMERS_ACTIVATIONS, from_framework, to_framework

if TYPE_CHECKING:
    from wholeword.core.interfaces import Tensors

SHAPE_KEYS = (
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "type_vocab_size",  # Google's code takes 16 when it is missing, transformers 2: it has to be written
    "vocab_size",
)
OTHER_KEYS = {"attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "initializer_range": 0.02}
ACTIVATIONS = {other: name for name, other in reversed(TRANSFORMERS_ACTIVATIONS.items())} | {"gelu_new": "gelu_tanh"}
PARTS = {"bert/pooler/": "pooler", "cls/predictions/": "MLM head", "cls/seq_relationship/": "NSP head"}  # what a checkpoint may lack
# of older or other saved models: names for what we have by another one, and a buffer
SYNONYMS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
DUPLICATES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
BUFFERS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")


class Folder:
    """Reads a model from a folder; see `read`."""

    def read(self, location: str) -> ModelFiles:
        """A model with every tensor of its configuration.

        Args:
            location: a folder with `config.json` (or `bert_config.json`), `vocab.txt` and `model.safetensors` (one or in shards) or
                `pytorch_model.bin`; or a run or checkpoint of ours.
        Returns: with `provenance["notes"]` naming what was not there and had to be initialised.
        Raises: UserError naming files, keys or tensors that are missing, unknown or of a wrong shape; IntegrityError if a file is not
            what the folder's manifest says.
        """
        folder = Path(location)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected one with config.json, vocab.txt and model.safetensors")
        checkpoint = folder if (folder / "state.json").exists() else latest_checkpoint(folder / "checkpoints")
        return _read_saved_model(folder) if checkpoint is None else _read_run(checkpoint)


def _read_run(path: Path) -> ModelFiles:
    weights, _, state = read_checkpoint(path)
    if not (path / "vocab.txt").exists():
        raise UserError(f"{path}: a checkpoint without vocab.txt")
    return ModelFiles(
        config=state["config"],
        weights=weights,
        vocabulary=Vocabulary.read(path / "vocab.txt"),
        lowercase=state["lowercase"],
        next_sentence=state["next_sentence"],
        provenance=state.get("provenance", {}),
    )


def _read_saved_model(folder: Path) -> ModelFiles:
    manifest = check_manifest(folder) if (folder / MANIFEST).exists() else {}
    provenance, notes = dict(manifest.get("provenance", {})), []
    config_path = folder / "config.json" if (folder / "config.json").exists() else folder / "bert_config.json"
    raw = _read_json(config_path)
    config = _bert_config(raw, config_path)
    vocabulary = Vocabulary.read(folder / "vocab.txt")
    if len(vocabulary) != config["vocab_size"]:
        found, said = len(vocabulary), config["vocab_size"]
        raise UserError(f"{folder / 'vocab.txt'} has {found} entries but {config_path.name} says vocab_size {said}")
    lowercase = _read_json(folder / "tokenizer_config.json").get("do_lower_case") if (folder / "tokenizer_config.json").exists() else None
    if lowercase is None:
        notes.append("lowercase: true, since no tokenizer_config.json says do_lower_case")
    weights, missing = _checked(_canonical(_read_weights(folder), config, folder), config, folder)
    for part in missing:
        notes.append(f"the {part} was not in {folder.name} and is freshly initialised")
    return ModelFiles(
        config=config,
        weights=weights,
        vocabulary=vocabulary,
        lowercase=lowercase is not False,
        next_sentence="NSP head" not in missing and raw.get("architectures") != ["BertForMaskedLM"],
        provenance=provenance | {"notes": notes},
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object")
    return content


def _bert_config(raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Our keys of a config.json. Raises: UserError for what is missing, and for models that are no plain BERT."""
    if problems := [key for key in SHAPE_KEYS if not (isinstance(raw.get(key), int) and raw[key] > 0)]:
        raise UserError(f"{path}: {', '.join(problems)}: missing, or not a positive whole number")
    wanted = {"model_type": "bert", "position_embedding_type": "absolute", "tie_word_embeddings": True, "is_decoder": False}
    for key, value in wanted.items():
        if raw.get(key, value) != value:
            raise UserError(f"{path}: {key} is {raw[key]!r}; only BERT with {key} {value!r} can be read")
    config = {key: raw[key] for key in SHAPE_KEYS} | {key: raw.get(key, default) for key, default in OTHER_KEYS.items()}
    if config["hidden_act"] not in ACTIVATIONS:
        raise UserError(f"{path}: hidden_act is {config['hidden_act']!r}; expected one of {', '.join(ACTIVATIONS)}")
    config["hidden_act"] = ACTIVATIONS[config["hidden_act"]]
    if "layer_norm_eps" in raw:
        config["layer_norm_eps"] = raw["layer_norm_eps"]
    return dict(sorted(config.items()))


def _read_weights(folder: Path) -> "Tensors":
    """All tensors under the names they have in the file."""
    if (folder / "model.safetensors").exists():
        return read_tensors(folder / "model.safetensors")
    if (index := folder / "model.safetensors.index.json").exists():
        shards = sorted(set(_read_json(index)["weight_map"].values()))
        if strange := [shard for shard in shards if Path(shard).name != shard]:
            raise IntegrityError(f"{index}: names {strange[0]!r}, which is not a file of the folder")
        return {name: array for shard in shards for name, array in read_tensors(folder / shard).items()}
    if (path := folder / "pytorch_model.bin").exists():
        return _read_bin(path)
    raise UserError(f"{folder}: no model.safetensors and no pytorch_model.bin")


def _read_bin(path: Path) -> "Tensors":
    """The state dict in a `pytorch_model.bin`; nothing in it is executed."""
    try:
        import torch
    except ModuleNotFoundError:
        raise UserError(f'{path} needs torch: pip install "wholeword[torch]"') from None
    if zipfile.is_zipfile(path) and any(entry.compress_type != zipfile.ZIP_STORED for entry in zipfile.ZipFile(path).infolist()):
        raise IntegrityError(f"{path}: refused: it is compressed, which PyTorch never does; it may be a bomb")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # its own message tells how to load the file with code execution allowed
        raise IntegrityError(f"{path}: refused: damaged, or it holds something else than tensors") from None
    if not isinstance(content, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in content.values()):
        raise IntegrityError(f"{path}: refused: not a dictionary of tensors")
    return {name: tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy() for name, tensor in content.items()}


def _canonical(tensors: "Tensors", config: Mapping[str, Any], folder: Path) -> "Tensors":
    """Rename to canonical names; drop buffers and copies of tied tensors."""
    if not any(name.startswith("bert.") for name in tensors):  # saved from a BertModel
        tensors = {name if name.startswith("cls.") else f"bert.{name}": array for name, array in tensors.items()}
    for old, new in SYNONYMS.items():
        tensors = {name.replace(old, new): array for name, array in tensors.items()}
    for copy, original in DUPLICATES.items():
        if copy in tensors and not np.array_equal(tensors[copy], tensors.setdefault(original, tensors[copy])):
            raise UserError(f"{folder}: {copy} is not {original}; only models whose MLM decoder is tied to the embeddings can be read")
    known = to_framework(dict.fromkeys(tensor_shapes(config), np.zeros(0)), "transformers")
    unknown = sorted(tensors.keys() - known.keys() - DUPLICATES.keys() - set(BUFFERS))
    if unknown:
        raise UserError(f"{folder}: unknown tensors for a BERT of {config['num_hidden_layers']} layers: {_some(unknown)}")
    kept = {name: array.astype(np.float32, copy=False) for name, array in tensors.items() if name in known}
    return from_framework(kept, "transformers", num_hidden_layers=config["num_hidden_layers"])


def _checked(weights: "Tensors", config: Mapping[str, Any], folder: Path) -> tuple["Tensors", list[str]]:
    """The complete weights, and the parts that were not there and had to be initialised."""
    shapes = tensor_shapes(config)
    if wrong := [name for name, array in weights.items() if array.shape != shapes[name]]:
        lines = [f"{name} is {list(weights[name].shape)}, expected {list(shapes[name])}" for name in wrong]
        raise UserError(f"{folder}: shapes that do not fit its configuration: {_some(lines)}")
    absent = {part: [name for name in shapes if name.startswith(prefix)] for prefix, part in PARTS.items()}
    absent = {part: expected for part, expected in absent.items() if not any(name in weights for name in expected)}
    fresh = initial_weights(config, 0, [name for expected in absent.values() for name in expected]) if absent else {}
    complete = {**weights, **fresh}
    if missing := [name for name in shapes if name not in complete]:
        raise UserError(f"{folder}: missing tensors: {_some(missing)}")
    return {name: complete[name] for name in shapes}, list(absent)


def _some(items: list[str]) -> str:
    return "; ".join(items[:5]) + (f"; and {len(items) - 5} more" if len(items) > 5 else "")
