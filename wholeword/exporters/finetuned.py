"""Fine-tuned models as transformers reads them: `model.safetensors`, configuration with the names of the labels, tokenizer, a card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.bert.names import to_framework
from wholeword.core.bert.shapes import HEADS
from wholeword.core.contracts import Head, ModelFiles
from wholeword.core.files import to_json, write_file
from wholeword.core.formats.tensors import write_tensors

# head: transformers' class, its word for the head, the pipeline
CLASSES: dict[Head, tuple[str, str, str]] = {
    "classification": ("BertForSequenceClassification", "classifier", "text-classification"),
    "span": ("BertForQuestionAnswering", "qa_outputs", "question-answering"),
    "tagging": ("BertForTokenClassification", "classifier", "token-classification"),
}
CARD = """\
---
language: zh
library_name: transformers
pipeline_tag: {pipeline}
tags: [bert, whole-word-masking]
---

# {name}

A Chinese BERT of {layers} layers, {hidden_size} wide, fine-tuned with wholeword from {origin}.
中文 BERT 模型：{layers} 层，隐层维度 {hidden_size}，由 {origin} 微调而来。

```python
from transformers import {architecture}, BertTokenizer
tokenizer = BertTokenizer.from_pretrained("{name}")  # this folder
model = {architecture}.from_pretrained("{name}")
```
{labels}
## How it came about 训练过程

```json
{result}
```
"""


def tensors(weights: Mapping[str, np.ndarray], head: Head) -> dict[str, np.ndarray]:
    """By transformers' names."""
    renamed = {f"{HEADS[head]}_weights": f"{CLASSES[head][1]}.weight", f"{HEADS[head]}_bias": f"{CLASSES[head][1]}.bias"}
    encoder = {name: array for name, array in weights.items() if name not in renamed}
    return to_framework(encoder, "transformers") | {other: weights[name] for name, other in renamed.items()}


def write_finetuned(model: ModelFiles, folder: Path, config: Mapping[str, Any]) -> None:
    """The files that hold the head; `config` is that of the encoder. Raises: DiskError."""
    assert model.head is not None
    labels = dict(enumerate(model.labels))
    named = {"id2label": labels, "label2id": {label: number for number, label in labels.items()}} if labels else {}
    write_tensors(folder / "model.safetensors", tensors(model.weights, model.head), metadata={"format": "pt"})
    write_file(folder / "config.json", to_json({**config, **named, "architectures": [CLASSES[model.head][0]]}))
    write_file(folder / "README.md", card(model).encode())


def card(model: ModelFiles) -> str:
    """The README.md of a fine-tuned model, in English and Chinese."""
    assert model.head is not None
    architecture, _, pipeline = CLASSES[model.head]
    provenance = model.provenance
    return CARD.format(
        name=provenance.name or "bert",
        architecture=architecture,
        pipeline=pipeline,
        layers=model.config.num_hidden_layers,
        hidden_size=model.config.hidden_size,
        origin=(provenance.origin or {}).get("init", "a model"),
        labels=f"\nLabels 标签: {', '.join(model.labels)}\n" if model.labels else "",
        result=json.dumps(dict(provenance.result or {}), ensure_ascii=False, indent=1, sort_keys=True),
    )
