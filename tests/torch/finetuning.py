"""Small tasks that a small model can learn, as files, for the tests of fine-tuning."""

import json
import random
from pathlib import Path
from typing import Any

from transformers import BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import ModelFiles
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.exporters.pytorch_bin import PyTorchBin

FILLER = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经"
NAMES, ENDS = "王李张刘陈", "红明华"
PIECES = [*SPECIAL_PIECES, *FILLER, *NAMES, *ENDS, *"好坏问，。"]
SECTION = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 48, "initializer_range": 0.1}
CLASSES: dict[str, Any] = {
    "classification": BertForSequenceClassification,
    "span": BertForQuestionAnswering,
    "tagging": BertForTokenClassification,
}

RECIPE = """
version: 1
name: small
model: model
task: {name: TASK, data: data}
seeds: [3]
learning_rate: 3.0e-3
batch_size: 8
epochs: 3
max_seq_length: 32
max_query_length: 8
log_every: 7
checkpoint_every: 5
backend: {name: pytorch, precision: fp32, threads: 1, device: cpu}
"""


def write_model(folder: Path, **section: Any) -> ModelFiles:
    config = model_config(SECTION | section, vocab_size=len(PIECES))
    model = ModelFiles(config, initial_weights(config, 5), Vocabulary(PIECES), True, True)
    folder.mkdir()
    PyTorchBin().export(model, folder)
    return model


def filler(generator: random.Random, count: int) -> str:
    return "".join(generator.choices(FILLER, k=count))


def text_example(generator: random.Random, length: int) -> dict[str, str]:
    """Good or bad by one character, at some places."""
    label = generator.randrange(2)
    text = list(filler(generator, length))
    for place in generator.sample(range(length), 3):
        text[place] = "坏好"[label]
    return {"text": "".join(text), "label": ("bad", "good")[label]}


def question(generator: random.Random, number: int, length: int, at: int | None = None) -> dict[str, Any]:
    """The answer begins with one of the NAMES and ends with one of the ENDS."""
    at = generator.randrange(length - 2) if at is None else at
    answer = generator.choice(NAMES) + filler(generator, 1) + generator.choice(ENDS)
    context = filler(generator, at) + answer + filler(generator, length - at - 3)
    return {"context": context, "qas": [{"id": str(number), "question": "问", "answers": [{"text": answer, "answer_start": at}]}]}


def tagged(generator: random.Random, length: int) -> str:
    """One of the NAMES and one of the ENDS behind it are a person."""
    units, tags = list(filler(generator, length)), ["O"] * length
    at = generator.randrange(length - 1)
    units[at : at + 2], tags[at : at + 2] = [generator.choice(NAMES), generator.choice(ENDS)], ["B-PER", "I-PER"]
    return "".join(f"{unit}\t{tag}\n" for unit, tag in zip(units, tags, strict=True))


def write_task(folder: Path, task: str, *, train: int = 160, dev: int = 40, shortest: int = 6, longest: int = 24) -> None:
    """Files of `train` and `dev` examples for the task `classification`, `spans` or `tagging`."""
    folder.mkdir()
    for split, count in (("train", train), ("dev", dev)):
        generator = random.Random(split)
        lengths = [generator.randint(shortest, longest) for _ in range(count)]
        if task == "classification":
            content, suffix = "".join(json.dumps(text_example(generator, n), ensure_ascii=False) + "\n" for n in lengths), "jsonl"
        elif task == "spans":
            paragraphs = [question(generator, number, n) for number, n in enumerate(lengths)]
            content, suffix = json.dumps({"data": [{"paragraphs": paragraphs}]}, ensure_ascii=False), "json"
        else:
            content, suffix = "\n".join(tagged(generator, n) for n in lengths), "txt"
        (folder / f"{split}.{suffix}").write_text(content, encoding="utf-8")


def write_recipe(folder: Path, task: str, **model: Any) -> Path:
    """A model, a task and a recipe that names them, with the files of the task still to be written."""
    write_model(folder / "model", **model)
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.replace("TASK", task), encoding="utf-8")
    return path
