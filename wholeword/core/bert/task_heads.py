"""The heads of fine-tuned models: tensors by the names of every framework, classes, and what they compute.

Canonical names are those of run_classifier.py and run_squad.py of google-research/bert, which has no script for tagging; its head is named
like that of a classifier, as the common scripts for it do.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.bert.names import to_framework
from wholeword.core.bert.shapes import HEADS
from wholeword.core.contracts import Head, ModelFiles

POOLER = "bert/pooler/"


class TaskHead(NamedTuple):
    """What other tools call a head and its model."""

    architecture: str  # the class, in transformers and paddlenlp
    transformers: str  # prefix of its two tensors
    paddlenlp: str
    pipeline: str  # of the Hugging Face hub
    predicts: str  # what one of its outputs is


TASK_HEADS: dict[Head, TaskHead] = {
    "classification": TaskHead("BertForSequenceClassification", "classifier", "classifier", "text-classification", "class"),
    "span": TaskHead("BertForQuestionAnswering", "qa_outputs", "classifier", "question-answering", "end of the answer"),
    "tagging": TaskHead("BertForTokenClassification", "classifier", "classifier", "token-classification", "tag"),
}


class HeadTensors(NamedTuple):
    """The names of a head's two tensors in a file."""

    weights: str
    bias: str
    is_transposed: bool  # [hidden, num_labels] instead of Google's [num_labels, hidden]


def head_tensors(head: Head, framework: str) -> HeadTensors:
    """The names in a framework: "canonical", "transformers" or "paddlenlp"."""
    if framework == "canonical":
        return HeadTensors(f"{HEADS[head]}_weights", f"{HEADS[head]}_bias", False)
    prefix = TASK_HEADS[head].paddlenlp if framework == "paddlenlp" else TASK_HEADS[head].transformers
    return HeadTensors(f"{prefix}.weight", f"{prefix}.bias", framework == "paddlenlp")


def declared_classes(config: Mapping[str, Any]) -> set[str]:
    """The classes that a configuration of transformers or paddlenlp names."""
    architectures = config.get("architectures")
    return set(map(str, [config.get("init_class"), *(architectures if isinstance(architectures, list) else ())]))


def declared_head(config: Mapping[str, Any], tensor_names: Iterable[str], framework: str) -> Head | None:
    """The head that a configuration declares by its class, or that only one kind of model can have; None if there is no sign of one."""
    declared = declared_classes(config)
    for head, task_head in TASK_HEADS.items():
        if task_head.architecture in declared:
            return head
    spans = head_tensors("span", framework)
    others = head_tensors("classification", framework)
    return "span" if spans.weights != others.weights and spans.weights in set(tensor_names) else None


def to_framework_with_head(model: ModelFiles, framework: str) -> dict[str, np.ndarray]:
    """As `names.to_framework`, for a fine-tuned model."""
    assert model.head is not None
    ours, theirs = head_tensors(model.head, "canonical"), head_tensors(model.head, framework)
    encoder = {name: array for name, array in model.weights.items() if name not in ours[:2]}
    weights = model.weights[ours.weights]
    head = {theirs.weights: weights.T if theirs.is_transposed else weights, theirs.bias: model.weights[ours.bias]}
    return to_framework(encoder, framework) | head


def labels_of(model: ModelFiles) -> tuple[str, ...]:
    """The names of a classifier's outputs, invented as transformers does if the model has none; empty for spans."""
    if model.head is None or model.head == "span":
        return ()
    outputs = len(model.weights[head_tensors(model.head, "canonical").bias])
    return tuple(model.labels) or tuple(f"LABEL_{number}" for number in range(outputs))


def label_config(model: ModelFiles) -> dict[str, Any]:
    """What the configuration of transformers or paddlenlp says about labels; nothing for spans."""
    labels = dict(enumerate(labels_of(model)))
    return {"id2label": labels, "label2id": {label: number for number, label in labels.items()}} if labels else {}


def head_logits(weights: Mapping[str, np.ndarray], head: Head, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64 [batch, num_labels], or [batch, length, num_labels] for spans and tags.

    Args:
        outputs: of `forward.forward`.
    """
    names = head_tensors(head, "canonical")
    hidden = outputs["pooler_output"] if head == "classification" else outputs["hidden_states"][-1]
    logits: np.ndarray = hidden @ weights[names.weights].astype(np.float64).T + weights[names.bias].astype(np.float64)
    return logits
