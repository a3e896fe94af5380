"""A tiny model on TensorFlow, batches of random rows, and the devices that tests want: two logical CPUs."""

from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import BertConfig
from wholeword.core.vocabulary import SPECIAL_PIECES
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.tensorflow.computing import Computing
from wholeword.plugins.tensorflow.trainer import TensorFlowTrainer

VOCAB_SIZE, LENGTH, PREDICTIONS = 211, 24, 5
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@cache
def two_devices() -> tf.distribute.Strategy:
    """The two logical devices of conftest.py. One for all: two strategies over the same devices mix their collectives up."""
    return tf.distribute.MirroredStrategy(["/device:CPU:0", "/device:CPU:1"])


def toy_config(**changes: Any) -> BertConfig:
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.1}
    return model_config(sizes | changes, VOCAB_SIZE)


def toy_batch(number: int, *, rows: int = 8, length: int = LENGTH, padded: bool = True) -> dict[str, np.ndarray]:
    """Random rows; the number of predictions and of padding differs between rows."""
    generator = np.random.default_rng(number)
    lengths = generator.integers(length // 2, length + 1, rows) if padded else np.full(rows, length)
    ids = generator.integers(len(SPECIAL_PIECES), VOCAB_SIZE, (rows, length)).astype(np.int32)
    mask = (np.arange(length) < lengths[:, None]).astype(np.int32)
    weights = (np.arange(PREDICTIONS) < generator.integers(1, PREDICTIONS + 1, (rows, 1))).astype(np.float32)
    places = np.stack([generator.choice(np.arange(1, lengths[row]), PREDICTIONS, replace=False) for row in range(rows)])
    return {
        "input_ids": ids * mask,
        "input_mask": mask,
        "segment_ids": ((np.arange(length) > length // 3) & (mask == 1)).astype(np.int32),
        "masked_lm_positions": (np.sort(places, 1) * (weights > 0)).astype(np.int32),
        "masked_lm_ids": (generator.integers(5, VOCAB_SIZE, (rows, PREDICTIONS)) * (weights > 0)).astype(np.int32),
        "masked_lm_weights": weights,
        "next_sentence_labels": generator.integers(0, 2, rows).astype(np.int32),
    }


def toy_trainer(config: BertConfig | None = None, **settings: Any) -> TensorFlowTrainer:
    """Settings are arguments of the trainer, or of `Computing`."""
    config = config or toy_config()
    defaults: dict[str, Any] = {"weights": initial_weights(config, 1), "optimizer": AdamW(), "next_sentence": True, "clip_norm": 1.0}
    strategy = settings.pop("strategy", None) or tf.distribute.OneDeviceStrategy("/device:CPU:0")
    names = {field.name for field in fields(Computing)}
    computing = Computing(strategy, **{name: settings.pop(name) for name in names & settings.keys()})
    return TensorFlowTrainer(config=config, computing=computing, **defaults | settings)


def train(trainer: Any, first: int, end: int, *, rate: float = 1e-3, **batch: Any) -> list[dict[str, float]]:
    """Some steps over eight batches, with a rate that warms up and decays, whatever the framework."""
    numbers = range(first, end)
    rates = [rate * min((n + 1) / 10, 1 - n / 200) for n in numbers]
    return trainer.train_steps([toy_batch(n % 8, **batch) for n in numbers], learning_rates=rates, seeds=[2**62 + n for n in numbers])
