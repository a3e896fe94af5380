"""Fine-tuned models with their heads, and the folders of fine-tuning runs. `zoo.folder` reads the encoder alone."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.bert.config_files import config_file, read_config_file
from wholeword.core.bert.parts import PARTS
from wholeword.core.bert.task_heads import TASK_HEADS, HeadTensors, declared_classes, declared_head, head_tensors
from wholeword.core.contracts import Head, ModelFiles
from wholeword.core.errors import UserError
from wholeword.core.formats.checkpoints import latest_checkpoint
from wholeword.core.formats.json_file import read_json
from wholeword.zoo.formats import Stored, stored_tensors
from wholeword.zoo.tokenizer_files import assets_folder

log = logging.getLogger(__name__)
MULTIPLE_CHOICE = "BertForMultipleChoice"  # its `classifier` scores a choice, and is none of our heads


def read_with_head(
    name_or_location: str, *, head: Head | None = None, revision: str | None = None, local_files_only: bool = False
) -> ModelFiles:
    """Read a model as `zoo.find.read` does, but a fine-tuned one with its head, and without the pooler that spans and tags do not use.

    Args:
        head: the kind, if the files of a classifier or tagger do not declare it, as Google's do not.
    Raises: UserError if the head's tensors or labels contradict each other, or the files are of a model for multiple choice and a head is
        expected; as `zoo.find.read`.
    """
    from wholeword.zoo.find import find, foreign_source, read

    where: dict[str, Any] = {"revision": revision, "local_files_only": local_files_only}
    files = None if foreign_source(name_or_location) else _files(find(name_or_location, **where))
    kind = None if files is None else declared_head(files.config, files.stored.shapes, files.stored.framework) or head
    names = None if files is None or kind is None else _stored_names(files.stored, kind)
    if files is not None and MULTIPLE_CHOICE in declared_classes(files.config):
        if head is not None:
            raise UserError(
                f"{name_or_location}: head={head!r}, but its files contain the head of a {MULTIPLE_CHOICE}; load with head=None"
            )
    elif files is not None and kind is None and (classes := _possible_classes(files.stored)):
        choices = " or ".join(f'["{name}"]' for name in classes)
        log.warning('%s: does not name the class of the head; to keep the head, add "architectures": %s', files.config_path, choices)
    if files is None or kind is None or names is None:
        return read(name_or_location, **where)
    return _with_head(read(name_or_location, **where, read_elsewhere=names[:2]), files, kind, names)


class _Files(NamedTuple):
    config_path: Path
    config: Mapping[str, Any]
    stored: Stored


def _files(location: Path) -> _Files | None:
    """What a location holds; None for a run or checkpoint of pre-training, and without a configuration."""
    folder = location if location.is_dir() else location.parent
    if (folder / "state.json").exists() or latest_checkpoint(folder / "checkpoints"):
        return None
    if (assets := assets_folder(folder)) != folder:
        folder = location = assets
    if (path := config_file(folder)) is None:
        return None
    config = read_config_file(path) | {"init_class": read_json(path).get("init_class")}  # PaddleNLP's has one of the encoder too, inside
    return _Files(path, config, stored_tensors(location))


def _possible_classes(stored: Stored) -> list[str]:
    """The classes of which the tensors may be, by their names."""
    return [TASK_HEADS[head].architecture for head in TASK_HEADS if _stored_names(stored, head)]


def _with_head(model: ModelFiles, files: _Files, head: Head, names: HeadTensors) -> ModelFiles:
    config, path = files.config, files.config_path
    if config.get("problem_type") not in (None, "single_label_classification"):
        raise UserError(f"{path}: problem_type is {config['problem_type']!r}; only classifiers of one label can be read with their head")
    weights, bias = _arrays(files.stored, names, path, model.config.hidden_size)
    kept = {name: array for name, array in model.weights.items() if name.startswith("bert/")}
    if head == "classification" and "pooler" in (model.provenance.missing or ()):
        raise UserError(f"{path.parent}: a classifier without a pooler; expected bert/pooler/dense/kernel and bias")
    if head != "classification":
        kept = {name: array for name, array in kept.items() if not name.startswith("bert/pooler/")}
    missing, ours = model.provenance.missing or (), head_tensors(head, "canonical")
    notes = [
        note for note in model.provenance.notes or () if not note.startswith(("the MLM head was", "the NSP head was", "the pooler was"))
    ]
    if unused := [part for prefix, part in PARTS.items() if part not in missing and not any(name.startswith(prefix) for name in kept)]:
        notes.append(f"left out, since a {TASK_HEADS[head].architecture} does not use it: {', '.join(unused)}")
        log.warning("%s: %s", path.parent, notes[-1])
    return model._replace(
        weights={**kept, ours.weights: weights, ours.bias: bias},
        next_sentence=False,
        provenance=replace(model.provenance, notes=notes, missing=None),
        head=head,
        labels=_labels(config, path, head, len(bias)),
    )


def _stored_names(stored: Stored, head: Head) -> HeadTensors | None:
    """The names of the head's tensors in the file, maybe behind the prefix of a wrapper; None if there are none."""
    expected = head_tensors(head, stored.framework)
    found = [[end] if end in stored.shapes else [name for name in stored.shapes if name.endswith(f".{end}")] for end in expected[:2]]
    return HeadTensors(found[0][0], found[1][0], expected.is_transposed) if [len(names) for names in found] == [1, 1] else None


def _arrays(stored: Stored, names: HeadTensors, path: Path, hidden_size: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 [num_outputs, hidden] and [num_outputs]."""
    arrays = stored.read(names[:2])
    if not_float := [f"{name} ({arrays[name].dtype.name})" for name in names[:2] if arrays[name].dtype.kind != "f"]:
        raise UserError(f"{path.parent}: tensors must be floating-point numbers: {'; '.join(not_float)}")
    weights, bias = (arrays[name].astype(np.float32, copy=False) for name in names[:2])
    weights = weights.T if names.is_transposed else weights
    if weights.shape != (*bias.shape, hidden_size) or not len(bias):
        raise UserError(
            f"{path.parent}: {names.weights} is {list(stored.shapes[names.weights])} and {names.bias} {list(bias.shape)}; "
            f"expected one row of {hidden_size} for each output"
        )
    return np.ascontiguousarray(weights), bias


def _labels(config: Mapping[str, Any], path: Path, head: Head, outputs: int) -> tuple[str, ...]:
    """The labels in a configuration; none for spans. Raises: UserError if there are more or fewer than outputs."""
    if head == "span":
        if outputs != 2:
            raise UserError(f"{path.parent}: the head for spans has {outputs} outputs; expected 2, begin and end")
        return ()
    labels = config.get("id2label")
    if labels is None:
        return tuple(f"LABEL_{number}" for number in range(outputs))  # what transformers calls them
    if not isinstance(labels, dict) or labels.keys() != {str(number) for number in range(outputs)}:
        raise UserError(
            f"{path}: id2label has {json.dumps(labels, ensure_ascii=False)[:80]}; expected a label for each of {outputs} outputs"
        )
    return tuple(str(labels[str(number)]) for number in range(outputs))


def expect_head(model: ModelFiles, head: Head, name: str) -> None:
    """Raises: UserError if the model does not have this head."""
    if model.head == head:
        return
    if model.head is None:
        raise UserError(
            f"{name}: head={head!r}, but its files contain no {TASK_HEADS[head].architecture}; `wholeword finetune` trains a head"
        )
    raise UserError(
        f"{name}: head={head!r}, but its files contain the head of a {TASK_HEADS[model.head].architecture}: head={model.head!r}"
    )
