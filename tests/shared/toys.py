"""A small model, small batches and trainers of both frameworks. Each framework is imported on its first use."""

from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import BertConfig
from wholeword.plugins.optimizers.adamw import AdamW

SECTION = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 24, "initializer_range": 0.2}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
VOCAB_SIZE = 60


def toy_config(**section: Any) -> BertConfig:
    return model_config(SECTION | section, vocab_size=VOCAB_SIZE)


def toy_batch(seed: int, *, rows: int = 8, length: int = 24, slots: int = 6, padded: bool = True) -> dict[str, np.ndarray]:
    """Rows of different lengths with different numbers of predictions, as `wholeword.core.data.batches` makes them."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(slots + 2, length + 1, rows) if padded else np.full(rows, length)
    counts = generator.integers(1, slots + 1, rows)
    mask = (np.arange(length) < lengths[:, None]).astype(np.int32)
    used = (np.arange(slots) < counts[:, None]).astype(np.float32)
    positions = np.stack([np.sort(generator.permutation(n - 1)[:slots]) + 1 for n in lengths])
    return {
        "input_ids": (generator.integers(5, VOCAB_SIZE, (rows, length)) * mask).astype(np.int32),
        "input_mask": mask,
        "segment_ids": ((np.arange(length) >= lengths[:, None] // 2) * mask).astype(np.int32),
        "masked_lm_positions": (positions * used).astype(np.int32),
        "masked_lm_ids": (generator.integers(5, VOCAB_SIZE, (rows, slots)) * used).astype(np.int32),
        "masked_lm_weights": used,
        "next_sentence_labels": generator.integers(0, 2, rows).astype(np.int32),
    }


def without_predictions(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The batch, in which no piece is to be predicted."""
    return batch | {name: np.zeros_like(batch[name]) for name in batch if name.startswith("masked_lm_")}


def train(trainer: Any, first: int, end: int, *, rate: float = 1e-3, **batch: Any) -> list[dict[str, float]]:
    """Some steps over eight batches, with a rate that warms up and decays, whatever the framework."""
    numbers = range(first, end)
    rates = [rate * min((n + 1) / 10, 1 - n / 200) for n in numbers]
    return trainer.train_steps([toy_batch(n % 8, **batch) for n in numbers], learning_rates=rates, seeds=[2**62 + n for n in numbers])


def pytorch_trainer(
    config: BertConfig,
    *,
    seed: int = 1,
    optimizer: Any = None,
    next_sentence: bool = True,
    clip_norm: float = 1.0,
    trainable: list[str] | None = None,
    weights: Any = None,
    **backend: Any,
) -> Any:
    from wholeword.plugins.pytorch import PyTorch

    return PyTorch(**{"precision": "fp32", "device": "cpu", "threads": 1} | backend).start(
        config=config,
        weights=weights or initial_weights(config, seed),
        optimizer=optimizer or AdamW(),
        next_sentence=next_sentence,
        clip_norm=clip_norm,
        trainable=trainable,
    )


def tensorflow_trainer(config: BertConfig | None = None, **settings: Any) -> Any:
    """Settings are arguments of the trainer, or of `Computing`."""
    import tensorflow as tf

    from wholeword.plugins.tensorflow.computing import Computing
    from wholeword.plugins.tensorflow.trainer import TensorFlowTrainer

    config = config or toy_config(max_position_embeddings=64)
    defaults: dict[str, Any] = {"weights": initial_weights(config, 1), "optimizer": AdamW(), "next_sentence": True, "clip_norm": 1.0}
    strategy = settings.pop("strategy", None) or tf.distribute.OneDeviceStrategy("/device:CPU:0")
    names = {field.name for field in fields(Computing)}
    computing = Computing(strategy, **{name: settings.pop(name) for name in names & settings.keys()})
    return TensorFlowTrainer(config=config, computing=computing, **defaults | settings)


@cache
def two_devices() -> Any:
    """The two logical devices of tests/tensorflow/conftest.py. Two strategies over the same devices mix their collectives up."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["/device:CPU:0", "/device:CPU:1"])
