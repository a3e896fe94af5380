"""Fine-tuned models: what their configuration says about the head, in all formats, and their card."""

import json
from typing import Any

from wholeword.core.bert.task_heads import TASK_HEADS, label_config, labels_of
from wholeword.core.contracts import Head, ModelFiles

HEADS: tuple[Head, ...] = tuple(TASK_HEADS)
CARD = """\
---
language: zh
library_name: {library}
pipeline_tag: {pipeline}
tags: [bert, whole-word-masking]
---

# {name}

A Chinese BERT of {layers} layers, {hidden_size} wide, fine-tuned with wholeword from {origin}.
中文 BERT 模型：{layers} 层，隐层维度 {hidden_size}，由 {origin} 微调而来。

```python
{usage}```
{labels}
## How it came about 训练过程

```json
{result}
```
"""
USAGE = {
    "transformers": """\
from transformers import {architecture}, BertTokenizer
tokenizer = BertTokenizer.from_pretrained("{name}")  # this folder
model = {architecture}.from_pretrained("{name}")
""",
    "paddlenlp": """\
from paddlenlp.transformers import {architecture}, BertTokenizer
tokenizer = BertTokenizer.from_pretrained("{name}")  # this folder
model = {architecture}.from_pretrained("{name}").eval()
""",
}


def head_config(model: ModelFiles) -> dict[str, Any]:
    """The keys of config.json that are those of the head: its class and its labels."""
    assert model.head is not None
    return {**label_config(model), "architectures": [TASK_HEADS[model.head].architecture]}


def card(model: ModelFiles, library: str = "transformers") -> str:
    """The README.md of a fine-tuned model, in English and Chinese."""
    assert model.head is not None
    provenance = model.provenance
    name, labels = provenance.name or "bert", labels_of(model)
    return CARD.format(
        name=name,
        library=library,
        usage=USAGE[library].format(name=name, architecture=TASK_HEADS[model.head].architecture),
        pipeline=TASK_HEADS[model.head].pipeline,
        layers=model.config.num_hidden_layers,
        hidden_size=model.config.hidden_size,
        origin=(provenance.origin or {}).get("init", "a model"),
        labels=f"\nLabels 标签: {', '.join(labels)}\n" if labels else "",
        result=json.dumps(dict(provenance.result or {}), ensure_ascii=False, indent=1, sort_keys=True),
    )


def head_line(model: ModelFiles) -> str:
    """Markdown, one line about the head."""
    assert model.head is not None
    labels = labels_of(model)
    outputs = f"{len(labels)} outputs, one for each {TASK_HEADS[model.head].predicts}: {', '.join(labels)}" if labels else "begin and end"
    return f"- {model.head} head: trained; {outputs}\n"
