"""Read models from folders and files: Hugging Face's layout; checkpoints of Google, HFL and Paddle; archives; runs of wholeword."""

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wholeword.core.bert.config import bert_config
from wholeword.core.bert.config_files import config_file, plain_bert_config, read_config_file, says_roberta
from wholeword.core.bert.names import TIED, from_framework, is_transposed, names, some
from wholeword.core.bert.parts import PARTS
from wholeword.core.bert.shapes import initial_weights, tensor_shapes
from wholeword.core.bert.stored_names import BUFFERS, StoredNames, sort_names
from wholeword.core.contracts import BertConfig, ModelFiles, Provenance, Slots
from wholeword.core.errors import UserError
from wholeword.core.files import MANIFEST, check_manifest
from wholeword.core.formats.checkpoints import latest_checkpoint, read_checkpoint
from wholeword.core.formats.json_file import read_json
from wholeword.core.vocabulary import Vocabulary
from wholeword.zoo.checksums import Checksums
from wholeword.zoo.finetuning_runs import model_of_run
from wholeword.zoo.formats import EXPECTED, Stored, stored_tensors
from wholeword.zoo.tokenizer_files import assets_folder, capitals, read_tokenizer_files

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

log = logging.getLogger(__name__)
ADAPTERS = re.compile(r"\b(lora_|base_layer|adapter)")  # in the names of tensors of PEFT and adapter-transformers
POSITIONS = 512  # of every released model, for a tokenizer without a configuration
TOKEN_TYPES = "bert/embeddings/token_type_embeddings"
ROBERTA_NOTE = "the configuration says RoBERTa, the tensors are a BERT's: read as BERT, which is what RoBERTa-wwm models are"


class Folder:
    """Reads a model; see `read`."""

    def read(self, location: str, *, read_elsewhere: Collection[str] = ()) -> ModelFiles:
        """Read a model, initialising parts that its files lack. What is left out, added or not honoured is logged once as a warning.

        Args:
            location: a folder with `config.json` (or `bert_config.json`, `model_config.json`), `vocab.txt` (or `tokenizer.json`) and
                weights: `model.safetensors` or `pytorch_model.bin` (sharded or not), a TF checkpoint or `model_state.pdparams`; a
                PaddleHub module, which has these in `assets`; the prefix of a TF checkpoint, or its `.index` file; a .zip of a folder; or
                a run or checkpoint of wholeword.
            read_elsewhere: names of tensors of another head that the caller reads itself, so that they do not count as left out.
        Returns: a model with every tensor of its configuration; its `provenance` lists notes, missing parts and the optimizer's slots.
        Raises: UserError naming files, keys or tensors that are missing, unknown or of the wrong shape; IntegrityError if a file is
            damaged, malicious, or does not match the folder's manifest.
        """
        path = model_location(Path(location))
        checkpoint = _checkpoint(path)
        return _read_saved_model(path, read_elsewhere) if checkpoint is None else _read_run(checkpoint)

    def vocabulary(self, location: str) -> Vocabulary:
        """The vocabulary, with a piece for every row of the model; no weights are read."""
        return read_folder_tokenizer(model_location(Path(location))).vocabulary


class FolderTokenizer(NamedTuple):
    """What the files of a model say about its tokenizer."""

    vocabulary: Vocabulary  # with a piece for every row of the model
    lowercase: bool
    positions: int  # of the model


def read_folder_tokenizer(path: Path) -> FolderTokenizer:
    """The tokenizer of a model in a folder; no weights are read.

    Args:
        path: as `model_location` returns it.
    Raises: UserError.
    """
    if checkpoint := _checkpoint(path):
        state = read_json(checkpoint / "state.json")
        config = bert_config(state["config"], f"{checkpoint}/state.json")
        vocabulary = Vocabulary.read(checkpoint / "vocab.txt")
        return FolderTokenizer(vocabulary, state.get("lowercase") is not False, config.max_position_embeddings)
    folder = assets_folder(path if path.is_dir() else path.parent)
    tokenizer, positions = read_tokenizer_files(folder), POSITIONS
    if config_path := config_file(folder):
        config = plain_bert_config(read_config_file(config_path), config_path)
        tokenizer, positions = tokenizer.padded(config.vocab_size, config_path), config.max_position_embeddings
    for note in tokenizer.notes:
        _warn(str(folder), note)
    return FolderTokenizer(tokenizer.vocabulary, tokenizer.lowercase is not False, positions)


def model_location(path: Path) -> Path:
    """The folder or the prefix of a TF checkpoint that a path means: one of the checkpoint's files, or an archive, which is unpacked.

    The folder of a fine-tuning run means its model.

    Raises: UserError if it is none of these; as `unpack`.
    """
    if path.suffix == ".zip" and path.is_file():
        from wholeword.zoo.archive import unpack

        return unpack(path)
    if path.is_dir():
        return model_of_run(path)
    if path.suffix in (".index", ".meta") or ".data-" in path.name:
        prefix = path.with_suffix("")
        if prefix.with_name(f"{prefix.name}.index").is_file():
            return prefix
    if path.with_name(f"{path.name}.index").is_file():
        return path
    if path.is_file():
        raise UserError(f"{path}: a file; expected the folder {path.parent} with config.json, vocab.txt and weights, or a .zip of it")
    raise UserError(f"{path}: no such folder; expected a folder with config.json, vocab.txt and weights: {EXPECTED}")


def _checkpoint(path: Path) -> Path | None:
    """The checkpoint that a path is, or the newest of the run that it is; None for models in other formats."""
    return path if (path / "state.json").exists() else latest_checkpoint(path / "checkpoints")


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


def _read_saved_model(location: Path, read_elsewhere: Collection[str]) -> ModelFiles:
    folder = location if location.is_dir() else location.parent
    manifest = _checked(folder) if (folder / MANIFEST).exists() else {}
    if (assets := assets_folder(folder)) != folder:
        folder = location = assets
    config_path = _expected_config(folder)
    raw = read_config_file(config_path)
    stored = stored_tensors(location)
    found = _sorted(stored, folder)
    token_types = _token_types(stored, found)
    notes, warnings = [], [*stored.notes]
    if stored.unread and not manifest:  # what we export has the same weights twice
        notes.append(stored.unread)
    if says_roberta(raw):
        if token_types < 2 or found.is_roberta:
            raise UserError(f"{folder}: these are the weights of an actual RoBERTa, not of a BERT called RoBERTa; only BERT can be read")
        notes.append(ROBERTA_NOTE)
    if heads := [name for name in found.heads if name not in read_elsewhere]:
        head_tensors = f"{len(heads)} tensors of another head are" if len(heads) > 1 else "a tensor of another head is"
        warnings.append(f"{head_tensors} left out: {some(heads)}")
    config = plain_bert_config(raw, config_path, type_vocab_size=token_types)
    tokenizer = read_tokenizer_files(folder).padded(config.vocab_size, config_path)
    warnings += tokenizer.notes
    if tokenizer.lowercase is None:
        notes.append("lowercase: true, since no tokenizer_config.json says do_lower_case")
        if (count := capitals(tokenizer.vocabulary)) > len(tokenizer.vocabulary) // 100:  # Google's Chinese vocabulary has two, <S> and <T>
            warnings.append(f"no tokenizer_config.json says do_lower_case: lower-cased, though {count} pieces have capital letters")
    weights, missing = _completed(_read_weights(stored, found.table, config, folder), config, folder)
    for note in warnings:
        _warn(str(folder), note)
    for part in missing:
        notes.append(f"the {part} was not in {folder.name}")
    slots = Slots(len(found.slots), sum(stored.sizes[name] for name in found.slots)) if found.slots else None
    provenance = Provenance.from_dict(manifest.get("provenance", {}))
    return ModelFiles(
        config=config,
        weights=weights,
        vocabulary=tokenizer.vocabulary,
        lowercase=tokenizer.lowercase is not False,
        next_sentence="NSP head" not in missing and raw.get("architectures") != ["BertForMaskedLM"],
        provenance=replace(provenance, notes=notes + warnings, missing=missing or None, slots=slots),
    )


@cache
def _warn(location: str, note: str) -> None:
    """Log a note once in this process."""
    log.warning("%s: %s", location, note)


def _checked(folder: Path) -> dict[str, Any]:
    """Verify the files of a folder against its manifest, and return it. Files not modified since they were last verified are not read."""
    checksums = Checksums()
    manifest = check_manifest(folder, sha256=checksums.sha256)
    checksums.save()
    return manifest


def _expected_config(folder: Path) -> Path:
    if path := config_file(folder):
        return path
    raise UserError(f"{folder / 'config.json'}: no such file; expected the configuration of a BERT, or bert_config.json")


def _sorted(stored: Stored, folder: Path) -> StoredNames:
    try:
        return sort_names(stored.shapes, stored.framework)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None


def _token_types(stored: Stored, found: StoredNames) -> int:
    """How many token types the weights have; 0 if they have no such tensor."""
    name = found.table.get(names(stored.framework, num_hidden_layers=0)[TOKEN_TYPES], "")
    return stored.shapes.get(name, (0,))[0]


def _read_weights(stored: Stored, stored_names: Mapping[str, str], config: BertConfig, folder: Path) -> "Tensors":
    """Read those of the configuration's tensors that are stored, by canonical name. Shapes are checked before anything is read."""
    framework, num_hidden_layers = stored.framework, config.num_hidden_layers
    canonical = {other: name for name, other in names(framework, num_hidden_layers=num_hidden_layers).items()}
    tied, shapes = TIED[framework], tensor_shapes(config)
    if unknown := sorted(stored_names.keys() - canonical.keys() - tied.keys() - set(BUFFERS)):
        hint = "; merge the adapters into the model first" if any(ADAPTERS.search(name) for name in unknown) else ""
        raise UserError(f"{folder}: unknown tensors for a BERT with {num_hidden_layers} layers: {some(unknown)}{hint}")
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
