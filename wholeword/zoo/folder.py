"""Read models from folders and files: Hugging Face's layout; checkpoints of Google, HFL and Paddle; archives; runs of wholeword."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wholeword.core.bert.config import bert_config, saved_config
from wholeword.core.bert.names import TIED, from_framework, is_transposed, names, some
from wholeword.core.bert.shapes import initial_weights, tensor_shapes
from wholeword.core.contracts import BertConfig, ModelFiles, Provenance, Slots
from wholeword.core.errors import UserError
from wholeword.core.files import MANIFEST, check_manifest
from wholeword.core.formats.checkpoints import latest_checkpoint, read_checkpoint
from wholeword.core.vocabulary import Vocabulary
from wholeword.zoo.checksums import Checksums
from wholeword.zoo.formats import EXPECTED, Stored, read_json, stored_tensors
from wholeword.zoo.tokenizer_files import assets_folder, read_tokenizer_files

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

PARTS = {"bert/pooler/": "pooler", "cls/predictions/": "MLM head", "cls/seq_relationship/": "NSP head"}  # parts that a checkpoint may lack
# tensor names, and buffers, in older models or models saved by other tools
SYNONYMS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
BUFFERS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")
FINETUNED = {  # `architectures` of fine-tuned models of transformers -> name of the head
    "['BertForSequenceClassification']": "classifier",
    "['BertForTokenClassification']": "classifier",
    "['BertForQuestionAnswering']": "qa_outputs",
}
TOKEN_TYPES = "bert/embeddings/token_type_embeddings"
ROBERTA_NOTE = "the configuration says RoBERTa, the tensors are a BERT's: read as BERT, which is what RoBERTa-wwm models are"


class Folder:
    """Reads a model; see `read`."""

    def read(self, location: str) -> ModelFiles:
        """Read a model, initialising parts that its files lack.

        Args:
            location: a folder with `config.json` (or `bert_config.json`), `vocab.txt` (or `tokenizer.json`) and weights:
                `model.safetensors` or `pytorch_model.bin` (sharded or not), a TF checkpoint or `model_state.pdparams`; a PaddleHub
                module, which has these in `assets`; the prefix of a TF checkpoint; a .zip of a folder; or a run or checkpoint of wholeword.
        Returns: a model with every tensor of its configuration; its `provenance` lists notes, missing parts and the optimizer's slots.
        Raises: UserError naming files, keys or tensors that are missing, unknown or of the wrong shape; IntegrityError if a file is
            damaged, malicious, or does not match the folder's manifest.
        """
        path = Path(location)
        if path.suffix == ".zip" and path.is_file():
            from wholeword.zoo.archive import unpack

            path = unpack(path)
        if not path.is_dir() and not path.with_name(f"{path.name}.index").is_file():
            raise UserError(f"{path}: no such folder; expected a folder with config.json, vocab.txt and weights: {EXPECTED}")
        checkpoint = path if (path / "state.json").exists() else latest_checkpoint(path / "checkpoints")
        return _read_saved_model(path) if checkpoint is None else _read_run(checkpoint)


def _read_run(path: Path) -> ModelFiles:
    weights, slots, state = read_checkpoint(path)
    if not (path / "vocab.txt").exists():
        raise UserError(f"{path}: the checkpoint has no vocab.txt")
    return ModelFiles(
        config=bert_config(state["config"], f"{path}/state.json"),
        weights=weights,
        vocabulary=Vocabulary.read(path / "vocab.txt"),
        lowercase=state["lowercase"],
        next_sentence=state["next_sentence"],
        provenance=replace(Provenance.from_dict(state.get("provenance", {})), slots=_count_slots(slots)),
    )


def _count_slots(slots: "Tensors") -> Slots | None:
    return Slots(len(slots), sum(array.nbytes for array in slots.values())) if slots else None


def _read_saved_model(location: Path) -> ModelFiles:
    folder = location if location.is_dir() else location.parent
    manifest = _checked(folder) if (folder / MANIFEST).exists() else {}
    if (assets := assets_folder(folder)) != folder:
        folder = location = assets
    notes = []
    config_path = folder / "config.json" if (folder / "config.json").exists() else folder / "bert_config.json"
    raw = read_json(config_path)
    stored = stored_tensors(location)
    stored_names = _table_names(stored, folder)
    if (head := FINETUNED.get(str(raw.get("architectures")))) is not None:
        stored_names = {name: other for name, other in stored_names.items() if not name.startswith(f"{head}.")}
        notes.append(f"it was fine-tuned: {head} is left out, and the encoder is as that task left it")
    token_types = stored.shapes.get(stored_names.get(names(stored.framework, num_hidden_layers=0)[TOKEN_TYPES], ""), (0,))[0]
    if _says_roberta(raw):
        if token_types < 2 or any(name.startswith(("roberta.", "lm_head.")) for name in stored.shapes):
            raise UserError(f"{folder}: these are the weights of an actual RoBERTa, not of a BERT called RoBERTa; only BERT can be read")
        raw |= {"model_type": "bert"}
        notes.append(ROBERTA_NOTE)
    config = _bert_config(raw, config_path, token_types)
    vocabulary, lowercase, path = read_tokenizer_files(folder)
    if len(vocabulary) != config.vocab_size:
        raise UserError(f"{path} has {len(vocabulary)} entries but {config_path.name} says vocab_size {config.vocab_size}")
    if lowercase is None:
        notes.append("lowercase: true, since no tokenizer_config.json says do_lower_case")
    weights, missing = _completed(_read_weights(stored, stored_names, config, folder), config, folder)
    for part in missing:
        notes.append(f"the {part} was not in {folder.name} and is freshly initialised")
    slots = Slots(stored.num_slots, stored.slot_bytes) if stored.num_slots else None
    provenance = replace(Provenance.from_dict(manifest.get("provenance", {})), notes=notes, missing=missing or None, slots=slots)
    return ModelFiles(
        config=config,
        weights=weights,
        vocabulary=vocabulary,
        lowercase=lowercase is not False,
        next_sentence="NSP head" not in missing and raw.get("architectures") != ["BertForMaskedLM"],
        provenance=provenance,
    )


def _checked(folder: Path) -> dict[str, Any]:
    """Verify the files of a folder against its manifest, and return it. Files not modified since they were last verified are not read."""
    checksums = Checksums()
    manifest = check_manifest(folder, sha256=checksums.sha256)
    checksums.save()
    return manifest


def _says_roberta(raw: Mapping[str, Any]) -> bool:
    return raw.get("model_type") == "roberta" or "roberta" in str(raw.get("architectures")).lower()


def _bert_config(raw: Mapping[str, Any], path: Path, token_types: int) -> BertConfig:
    """The configuration in a config.json, checked.

    Args:
        token_types: their number in the weights, used if the file has none: Google's code defaults to 16, transformers to 2.
    Raises: UserError for missing or invalid settings, and for models that are not a plain BERT.
    """
    required = {"model_type": "bert", "position_embedding_type": "absolute", "tie_word_embeddings": True, "is_decoder": False}
    for key, value in required.items():
        if raw.get(key, value) != value:
            raise UserError(f"{path}: {key} is {raw[key]!r}, expected {value!r}; only plain BERT models can be read")
    return saved_config(raw, str(path), type_vocab_size=token_types)


def _table_names(stored: Stored, folder: Path) -> dict[str, str]:
    """Name of a tensor in the table of names -> its name in the file. Raises: UserError if two names mean the same tensor."""
    stored_names: dict[str, str] = {}
    bare = stored.framework != "canonical" and not any(name.startswith("bert.") for name in stored.shapes)  # saved from a BertModel
    for name in stored.shapes:
        new = f"bert.{name}" if bare and not name.startswith("cls.") else name
        for old, modern in SYNONYMS.items():
            new = new.replace(old, modern)
        if new in stored_names:
            raise UserError(f"{folder}: {stored_names[new]} and {name} are two names for the same tensor")
        stored_names[new] = name
    return stored_names


def _read_weights(stored: Stored, stored_names: Mapping[str, str], config: BertConfig, folder: Path) -> "Tensors":
    """Read those of the configuration's tensors that are stored, by canonical name. Shapes are checked before anything is read."""
    framework, num_hidden_layers = stored.framework, config.num_hidden_layers
    canonical = {other: name for name, other in names(framework, num_hidden_layers=num_hidden_layers).items()}
    tied, shapes = TIED[framework], tensor_shapes(config)
    if unknown := sorted(stored_names.keys() - canonical.keys() - tied.keys() - set(BUFFERS)):
        raise UserError(f"{folder}: unknown tensors for a BERT with {num_hidden_layers} layers: {some(unknown)}")
    wrong = []
    for name in sorted((stored_names.keys() & canonical.keys()) | (stored_names.keys() & tied.keys())):
        ours, shape = canonical[tied.get(name, name)], stored.shapes[stored_names[name]]
        shape = shape[::-1] if is_transposed(ours, framework) else shape
        if shape != shapes[ours]:
            wrong.append(f"{ours} is {list(shape)}, expected {list(shapes[ours])}")
    if wrong:
        raise UserError(f"{folder}: shapes do not match the configuration: {some(wrong)}")
    arrays = stored.read([stored_names[name] for name in sorted(stored_names.keys() - set(BUFFERS))])
    tensors = {name: arrays[other] for name, other in stored_names.items() if other in arrays}
    if not_float := [f"{name} ({array.dtype.name})" for name, array in tensors.items() if array.dtype.kind != "f"]:
        raise UserError(f"{folder}: tensors must be floating-point numbers: {some(not_float)}")
    for copy, original in tied.items():
        if copy in tensors and not np.array_equal(tensors[copy], tensors.setdefault(original, tensors[copy])):
            raise UserError(
                f"{folder}: {copy} differs from {original}; only models whose MLM decoder is tied to the embeddings can be read"
            )
    kept = {name: array.astype(np.float32, copy=False) for name, array in tensors.items() if name in canonical}
    return from_framework(kept, framework, num_hidden_layers=num_hidden_layers)


def _completed(weights: "Tensors", config: BertConfig, folder: Path) -> tuple["Tensors", list[str]]:
    """Initialise missing parts. Returns: all weights, and the names of those parts."""
    shapes = tensor_shapes(config)
    absent = {part: [name for name in shapes if name.startswith(prefix)] for prefix, part in PARTS.items()}
    absent = {part: expected for part, expected in absent.items() if not any(name in weights for name in expected)}
    if missing := [name for name in shapes if name not in weights and not any(name in expected for expected in absent.values())]:
        raise UserError(f"{folder}: missing tensors: {some(missing)}")
    fresh = initial_weights(config, 0, [name for expected in absent.values() for name in expected]) if absent else {}
    return {name: weights[name] if name in weights else fresh[name] for name in shapes}, list(absent)
