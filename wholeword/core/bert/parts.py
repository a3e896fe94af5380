"""The parts of a model that its files may lack: pooler, MLM head and NSP head. A reader initialises them; no exporter writes them."""

from dataclasses import replace

from wholeword.core.bert.heads import inspect_model
from wholeword.core.bert.shapes import initial_weights, tensor_shapes
from wholeword.core.contracts import ModelFiles

PARTS = {"bert/pooler/": "pooler", "cls/predictions/": "MLM head", "cls/seq_relationship/": "NSP head"}  # prefix: part


def lacks(model: ModelFiles, part: str) -> bool:
    """Whether neither files nor training gave the model this part, so that its values, if there are any, mean nothing."""
    if part in (model.provenance.missing or ()) or (part == "NSP head" and not model.next_sentence):
        return True
    return not any(name.startswith(prefix) for prefix, other in PARTS.items() if other == part for name in model.weights)


def without_lacking_parts(model: ModelFiles) -> ModelFiles:
    """The model that exporters get: without the tensors of parts that it lacks."""
    prefixes = tuple(prefix for prefix, part in PARTS.items() if lacks(model, part))
    return model._replace(weights={name: array for name, array in model.weights.items() if not name.startswith(prefixes)})


def untrained_head(model: ModelFiles, name: str) -> str | None:
    """A warning, in one line, about an MLM head that is there and was never trained; None if there is nothing to warn of."""
    state, reason = inspect_model(model).mlm
    if state != "untouched":
        return None
    return f"{name}: its MLM head was never trained ({reason}), so its predictions are meaningless; `wholeword repair-head` trains it"


def completed(model: ModelFiles) -> ModelFiles:
    """The model with initial values for the parts of which it has no tensor at all; its provenance lists them as missing."""
    shapes = tensor_shapes(model.config)
    absent = {prefix: part for prefix, part in PARTS.items() if not any(name.startswith(prefix) for name in model.weights)}
    if not absent:
        return model
    fresh = initial_weights(model.config, 0, [name for name in shapes if name.startswith(tuple(absent))])
    missing = dict.fromkeys([*(model.provenance.missing or ()), *absent.values()])
    return model._replace(
        weights={**model.weights, **fresh},
        next_sentence=model.next_sentence and "NSP head" not in missing,
        provenance=replace(model.provenance, missing=list(missing)),
    )
