"""What a run begins with: its folder, and its first weights.

Weights are random, or those of another model with layers taken, pieces added and parts renewed as the recipe says.
"""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wholeword.core.bert.config import SIZES, model_config
from wholeword.core.bert.growth import Rows, grow_model
from wholeword.core.bert.shapes import initial_weights, renew, take_layers
from wholeword.core.config.job import ModelSpec
from wholeword.core.config.locations import read_model
from wholeword.core.contracts import BertConfig, ModelFiles, Tensors
from wholeword.core.errors import UserError
from wholeword.core.files import differences
from wholeword.core.vocabulary import Vocabulary

CHANGEABLE = {"hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "hidden_act"}  # of a model that exists already


@dataclass(frozen=True)
class StartingModel:
    """The initial model of a run; `origin` records its source for the model card."""

    config: BertConfig
    weights: Tensors
    origin: dict[str, Any]


def expect_same_run(folder: Path, begun: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raises: UserError naming what differs between the run that was begun in a folder and the one to continue there."""
    if changed := differences(begun, identity):
        raise UserError(
            f"{folder}: holds a run of another recipe ({'; '.join(changed[:4])}); set another output, "
            f"or use --resume never to keep the old run aside and start over"
        )


def starting_model(spec: ModelSpec, vocabulary: Vocabulary, *, seed: int) -> StartingModel:
    """The initial model of a job.

    Args:
        vocabulary: the token store's.
        seed: for random initialisation.
    Raises: UserError if the recipe contradicts the model it starts from.
    """
    if spec.init is None:
        config = model_config(spec.shape, vocab_size=len(vocabulary))
        return StartingModel(config, initial_weights(config, seed), {"init": "random"})
    model = _read(spec, spec.init, vocabulary, seed)
    shape = _expected_shape(spec, len(vocabulary))
    expect_shape(spec, model.config)
    layers = None if spec.layers is None else list(spec.layers)
    origin = {"init": spec.init, "layers": layers, "renewed": list(spec.renewed), "next_sentence": model.next_sentence}
    return StartingModel(replace(model.config, **shape), model.weights, origin | model.provenance.to_dict())


def expect_shape(spec: ModelSpec, config: BertConfig) -> None:
    """Raises: UserError if a recipe sets a size that the model it starts from does not have.

    Args:
        config: that of the model, its layers taken and pieces added.
    """
    shape = _expected_shape(spec, config.vocab_size)
    for key in sorted(shape.keys() - CHANGEABLE):
        if shape[key] != getattr(config, key):
            raise UserError(f"model: {spec.init} has {key} {getattr(config, key)}, but the recipe sets {shape[key]}; leave it out")


def _read(spec: ModelSpec, location: str, vocabulary: Vocabulary, seed: int) -> ModelFiles:
    """The model to start from, changed as the recipe says."""
    model = read_model(location, spec.base_folder)
    if spec.layers is not None:
        model = take_layers(model, spec.layers)
    model = renew(model, spec.renewed, seed)
    if spec.adds_pieces:
        rows: Rows = "random" if spec.new_rows == "random" else "mean"
        model = grow_model(model, vocabulary, rows=rows, seed=seed)
    if len(model.vocabulary) != len(vocabulary) or model.vocabulary.sha256 != vocabulary.sha256:
        raise UserError(
            f"model.init: the {len(model.vocabulary)} pieces of {location} are not the {len(vocabulary)} of the token store; "
            f"set tokenizer.vocab to {location}"
        )
    return model


def _expected_shape(spec: ModelSpec, vocab_size: int) -> dict[str, Any]:
    """What the recipe says about the shape of the model to start from, by the keys of bert_config.json."""
    shape = {key: value for key, value in model_config(spec.shape, vocab_size=vocab_size).to_dict().items() if key in spec.shape}
    if "size" in spec.shape:
        named = zip(("num_hidden_layers", "hidden_size", "num_attention_heads"), SIZES[spec.shape["size"]], strict=True)
        shape = dict(named) | shape
    return shape


def set_aside(folder: Path) -> Path:
    """Rename the folder of an earlier run. Returns: its new path, with a number."""
    for number in itertools.count(1):
        aside = folder.with_name(f"{folder.name}.{number}")
        if not aside.exists():
            os.rename(folder, aside)
            return aside
    raise AssertionError
