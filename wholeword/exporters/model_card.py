"""The model card: what a model is and how it was made, in English and Chinese."""

import json
from collections.abc import Iterator

from wholeword.core.bert.heads import inspect
from wholeword.core.bert.parts import lacks
from wholeword.core.bert.shapes import count_parameters
from wholeword.core.contracts import ModelFiles

CARD = """\
---
language: zh
library_name: {library}
pipeline_tag: {pipeline}
tags: [bert, whole-word-masking]
---

# {name}

A Chinese BERT: {layers} layers, {hidden_size} wide, {parameters:,} parameters, vocabulary {vocab_size:,}. {made}
中文 BERT 模型：{layers} 层，隐层维度 {hidden_size}，参数量 {parameters:,}，词表大小 {vocab_size:,}。

**Load it with the Bert classes, never with Roberta classes. 请使用 Bert 系列类加载，切勿使用 Roberta 系列类。**

```python
{usage}```

## Heads 任务头

{heads}{notes}{sections}"""
USAGE = {  # library: how to load what is in the folder
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
    "paddlehub": """\
import paddlehub as hub  # 2.x; the folder {module} in this folder, whose name has to stay a Python identifier
bert = hub.Module(directory="{module}")
pooled, tokens = bert.get_embedding([["使用语言模型"]])[0]
classifier = hub.Module(directory="{module}", task="seq-cls", label_map={{0: "差", 1: "好"}})  # to fine-tune; "token-cls" too
""",
}
SECTIONS = {  # key of the provenance: title
    "held_out": "Held-out figures 留出集结果",
    "origin": "Initial weights 初始权重",
    "store": "Training data 训练数据",
    "recipe": "Recipe 训练配置",
}

HEADS = {"MLM head": "MLM 头", "NSP head": "NSP 头", "pooler": "pooler 层"}
STATES = {  # of a head, by `wholeword.core.bert.heads`
    "trained": "已训练",
    "untouched": "未训练，仅为初始值；使用前须先训练",
    "missing": "缺失",
    "unclear": "无法判断",
}


def architecture(model: ModelFiles, library: str = "transformers") -> str:
    """The class that uses all that the model has, and nothing that it lacks."""
    if lacks(model, "MLM head"):
        is_nsp = library == "transformers" and not lacks(model, "NSP head")
        return "BertForNextSentencePrediction" if is_nsp else "BertModel"
    if lacks(model, "NSP head"):
        return "BertForMaskedLM"
    return "BertForPreTraining" if library == "transformers" else "BertForPretraining"


def model_card(model: ModelFiles, library: str = "transformers", **names: str) -> str:
    """Markdown from the configuration and the provenance; unknown facts are left out.

    Args:
        library: a key of USAGE.
        names: more placeholders of USAGE.
    """
    provenance = model.provenance
    name = provenance.name or "bert"
    sections = [
        f"\n## {title}\n\n```json\n{json.dumps(text, ensure_ascii=False, indent=1)}\n```\n"
        for key, title in SECTIONS.items()
        if (text := getattr(provenance, key))
    ]
    heads = inspect(model.weights, model.config)
    predicts = heads.mlm.state not in ("missing", "untouched")
    notes = [f"- {note}\n" for note in provenance.notes or ()]
    return CARD.format(
        name=name,
        library=library,
        pipeline="fill-mask" if predicts else "feature-extraction",
        usage=USAGE[library].format(name=name, architecture="BertForMaskedLM" if predicts else "BertModel", **names),
        layers=model.config.num_hidden_layers,
        hidden_size=model.config.hidden_size,
        vocab_size=len(model.vocabulary),
        parameters=sum(array.size for array in model.weights.values()) if lacks(model, "MLM head") else count_parameters(model.config),
        made=f"Pre-trained with wholeword {provenance.wholeword}." if provenance.wholeword else "",
        heads="".join(head_lines(model)),
        notes="".join(notes),
        sections="".join(sections),
    )


def head_lines(model: ModelFiles) -> Iterator[str]:
    """Markdown, one line per head and one for the pooler: the verdict on its weights."""
    for name, (state, why) in inspect(model.weights, model.config).named().items():
        if lacks(model, name) and (name != "NSP head" or name in (model.provenance.missing or ())):
            yield f"- {name}: missing: the files that the model was read from have none. {HEADS[name]}：{STATES['missing']}。\n"
        elif name == "NSP head" and not model.next_sentence:
            yield "- NSP head: none, the model was trained without NSP. 无 NSP 头：训练时未使用 NSP。\n"
        else:
            yield f"- {name}: {state}: {why}. {HEADS[name]}：{STATES[state]}。\n"
