"""Google's own code, unmodified, reads our checkpoints and computes the same.

It was written for TensorFlow 1; the two layers that TensorFlow 2 took away stand below.
"""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from small_checkpoint import FEATURES, exported

from wholeword.core.bert.forward import forward


def dense(inputs: Any, units: int, activation: Any = None, name: str | None = None, kernel_initializer: Any = None) -> Any:
    with tf.variable_scope(name, default_name="dense"):
        kernel = tf.get_variable("kernel", [inputs.shape[-1], units], initializer=kernel_initializer)
        outputs = tf.tensordot(inputs, kernel, 1) + tf.get_variable("bias", [units])
    return activation(outputs) if activation else outputs


def layer_norm(inputs: Any, begin_norm_axis: int, begin_params_axis: int, scope: str | None) -> Any:
    with tf.variable_scope(scope, default_name="LayerNorm"):
        beta, gamma = (tf.get_variable(name, [inputs.shape[-1]]) for name in ("beta", "gamma"))
    mean, variance = tf.nn.moments(inputs, [-1], keep_dims=True)
    return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-12)


class TensorFlow1:
    layers = SimpleNamespace(dense=dense)

    def __getattr__(self, name: str) -> Any:
        return getattr(tf, name)


@pytest.fixture
def modeling(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`bert/modeling.py` of the package bert-tensorflow."""
    monkeypatch.setitem(sys.modules, "tensorflow.contrib", SimpleNamespace(layers=SimpleNamespace(layer_norm=layer_norm)))
    from bert import modeling

    monkeypatch.setattr(modeling, "tf", TensorFlow1())
    return modeling


def test_googles_code_reads_it(tmp_path: Path, modeling: Any) -> None:
    """Its assignment map finds all variables, and it computes the same; its gelu is the tanh form since 2019."""
    model = exported(tmp_path)
    prefix = str(tmp_path / "bert_model.ckpt")
    with tf.Graph().as_default(), tf.Session() as session:
        config = modeling.BertConfig.from_json_file(str(tmp_path / "bert_config.json"))
        features = {name: tf.constant(values, tf.int32) for name, values in FEATURES.items()}
        theirs = modeling.BertModel(config, False, features["input_ids"], features["input_mask"], features["segment_ids"])
        variables = tf.trainable_variables()
        assignments, _ = modeling.get_assignment_map_from_checkpoint(variables, prefix)
        assert set(assignments) == {variable.op.name for variable in variables} == {name for name in model.weights if name[:5] == "bert/"}
        tf.train.init_from_checkpoint(prefix, assignments)
        session.run(tf.global_variables_initializer())
        hidden, pooled = session.run([theirs.get_sequence_output(), theirs.get_pooled_output()])
    expected = forward(model.weights, replace(model.config, hidden_act="gelu_tanh"), FEATURES)
    assert np.abs(hidden - expected["hidden_states"][-1])[FEATURES["input_mask"] > 0].max() < 2e-5
    assert np.abs(pooled - expected["pooler_output"]).max() < 2e-5
