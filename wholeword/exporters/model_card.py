"""The model card: what a model is and how it came about, in English and Chinese."""

import json
from collections.abc import Mapping
from typing import Any

from wholeword.core.interfaces import ModelFiles
from wholeword.core.model import count_parameters

CARD = """\
---
language: zh
library_name: transformers
pipeline_tag: fill-mask
tags: [bert, whole-word-masking]
---

# {name}

A Chinese BERT: {layers} layers, {hidden_size} wide, {parameters:,} parameters, vocabulary {vocab_size:,}. {made}
中文 BERT 模型：{layers} 层，隐层维度 {hidden_size}，参数量 {parameters:,}，词表大小 {vocab_size:,}。

**Load it with the Bert classes, never with Roberta classes. 请使用 Bert 系列类加载，切勿使用 Roberta 系列类。**

```python
from transformers import BertForMaskedLM, BertTokenizer
tokenizer = BertTokenizer.from_pretrained("{name}")  # this folder
model = BertForMaskedLM.from_pretrained("{name}")
```

## Heads 任务头

- MLM head: in this file. 含 MLM 头，可直接用于完形填空或继续预训练。
- NSP head: {nsp}
{notes}{sections}"""
SECTIONS = {  # key of the provenance: title
    "held_out": "Held-out figures 留出集结果",
    "origin": "Initial weights 初始权重",
    "store": "Training data 训练数据",
    "recipe": "Recipe 训练配置",
}


def model_card(model: ModelFiles) -> str:
    """Markdown from the configuration and the provenance; what the provenance lacks is left out."""
    provenance: Mapping[str, Any] = model.provenance
    sections = [
        f"\n## {title}\n\n```json\n{json.dumps(provenance[key], ensure_ascii=False, indent=1)}\n```\n"
        for key, title in SECTIONS.items()
        if provenance.get(key)
    ]
    notes = [f"- {note}\n" for note in provenance.get("notes", [])]
    return CARD.format(
        name=provenance.get("name", "bert"),
        layers=model.config["num_hidden_layers"],
        hidden_size=model.config["hidden_size"],
        vocab_size=len(model.vocabulary),
        parameters=count_parameters(model.config),
        made=f"Pre-trained with wholeword {provenance['wholeword']}." if "wholeword" in provenance else "",
        nsp="in this file. 含 NSP 头。" if model.next_sentence else "none, the model was trained without NSP. 无：训练时未使用 NSP。",
        notes="".join(notes),
        sections="".join(sections),
    )
