"""Small models with the head of a task, and encoders without any head. No framework is needed to write them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.bert.config import model_config
from wholeword.core.bert.parts import PARTS
from wholeword.core.bert.shapes import head_shapes, tensor_shapes
from wholeword.core.contracts import Head, ModelFiles, Provenance
from wholeword.core.training.export import export
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

LABELS: Mapping[Head, tuple[str, ...]] = {
    "classification": ("差评", "中评", "好评"),
    "span": (),
    "tagging": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
}
RESULT = {
    **{"model": "zoo:rbt3", "task": {"name": "chnsenticorp", "data": "data"}, "seed": 3, "metrics": ["accuracy"]},
    **{"splits": {"dev": {"accuracy": 94.5}}, "rows": {"dev": {"examples": 8}}, "training": {"epochs": 3}, "notes": []},
}
VOCABULARY = Vocabulary([*SPECIAL_PIECES, *dict.fromkeys("使用语言模型来预测下一个词的。，图书馆新系统将于年月日上线今天气很好")])
SIZES = {"num_hidden_layers": 2, "hidden_size": 48, "num_attention_heads": 4, "max_position_embeddings": 40}


def whole_model(**section: Any) -> ModelFiles:
    """A model for pre-training whose every tensor has values of its own."""
    config = model_config(SIZES | section, vocab_size=len(VOCABULARY))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.2, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    return ModelFiles(config, weights, VOCABULARY, True, True, Provenance(name="mine"))


def finetuned_model(head: Head, **section: Any) -> ModelFiles:
    """A fine-tuned model as `wholeword finetune` leaves it: the pooler only under a classifier, its labels, its result."""
    model, generator = whole_model(**section), np.random.default_rng(4)
    dropped = ("cls/",) if head == "classification" else ("cls/", "bert/pooler/")
    weights = {name: array for name, array in model.weights.items() if not name.startswith(dropped)}
    shapes = head_shapes(head, len(LABELS[head]) or 2, model.config.hidden_size)
    weights |= {name: generator.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    provenance = Provenance(name="mine", result=RESULT)
    return model._replace(weights=weights, next_sentence=False, provenance=provenance, head=head, labels=LABELS[head])


def without(model: ModelFiles, *parts: str) -> ModelFiles:
    """A model whose files have no such parts."""
    prefixes = tuple(prefix for prefix, part in PARTS.items() if part in parts)
    kept = {name: array for name, array in model.weights.items() if not name.startswith(prefixes)}
    return model._replace(weights=kept, next_sentence="NSP head" not in parts)


def run_folder(folder: Path, seeds: Mapping[int, float], *, keep_model: bool = True) -> Path:
    """The folder of a fine-tuning run whose seeds reached these accuracies on dev."""
    from wholeword.core.files import to_json

    folder.mkdir()
    recorded = {"settings": {}, "model": {}, "data": {}, "labels": list(LABELS["classification"]), "files": {}}
    (folder / "recipe.json").write_bytes(to_json(recorded))
    for seed, accuracy in seeds.items():
        place = folder / f"seed-{seed}"
        place.mkdir()
        if keep_model:
            export(finetuned_model("classification"), "pytorch-bin", place / "model")
        (place / "result.json").write_bytes(to_json(RESULT | {"seed": seed, "splits": {"dev": {"accuracy": accuracy}}}))
    return folder
