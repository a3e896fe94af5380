"""A small checkpoint of ours for the tests of this folder."""

from pathlib import Path

import numpy as np

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import ModelFiles
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.exporters.tf_checkpoint import TFCheckpoint

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *"使用语言模型来预测下一个词的概率"])
SMALL = {"num_hidden_layers": 3, "hidden_size": 24, "num_attention_heads": 4, "max_position_embeddings": 16}
FEATURES = {
    "input_ids": np.array([[2, 5, 6, 7, 8, 3, 9, 10, 3], [2, 11, 12, 4, 3, 0, 0, 0, 0]]),
    "input_mask": np.array([[1] * 9, [1] * 5 + [0] * 4]),
    "segment_ids": np.array([[0] * 6 + [1] * 3, [0] * 9]),
}


def exported(folder: Path, *, next_sentence: bool = True) -> ModelFiles:
    """Every tensor has values of its own, biases and LayerNorms too."""
    config = model_config(SMALL, vocab_size=len(VOCABULARY))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    model = ModelFiles(config, weights, VOCABULARY, True, next_sentence)
    TFCheckpoint().export(model, folder)
    return model
