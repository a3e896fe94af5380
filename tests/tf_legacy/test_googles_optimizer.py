"""Google's own optimizer and schedule, unmodified, beside our NumPy reference and `bert-linear`.

AdamWeightDecayOptimizer, clip_by_global_norm and create_optimizer of `bert/optimization.py` in the package bert-tensorflow.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from wholeword.plugins.optimizers.reference import AdamWReference
from wholeword.plugins.schedules.bert_linear import BertLinear

SHAPES = {
    "bert/embeddings/word_embeddings": (300, 32),
    "bert/encoder/layer_0/output/dense/kernel": (64, 32),
    "bert/encoder/layer_0/output/dense/bias": (32,),
    "bert/encoder/layer_0/output/LayerNorm/gamma": (32,),
    "cls/predictions/output_bias": (300,),
}


@pytest.fixture
def optimization() -> Any:
    from bert import optimization

    return optimization


@pytest.mark.parametrize("weight_decay", [0.01, 0.1])
def test_adamw_is_googles_over_200_steps(optimization: Any, weight_decay: float) -> None:
    """Gradients of all sizes, clipped to the norm 1 by TensorFlow there and by division here; a rate that changes every step."""
    generator = np.random.default_rng(5)
    parameters = {name: generator.normal(0, 0.02, shape).astype(np.float32) for name, shape in SHAPES.items()}
    reference = AdamWReference(weight_decay=weight_decay, beta_1=0.9, beta_2=0.999, epsilon=1e-6)
    with tf.Graph().as_default(), tf.Session() as session:
        variables = {name: tf.get_variable(name, initializer=values) for name, values in parameters.items()}
        given = {name: tf.placeholder(tf.float32, shape) for name, shape in SHAPES.items()}
        rate = tf.placeholder(tf.float32, [])
        optimizer = optimization.AdamWeightDecayOptimizer(rate, weight_decay, exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"])
        clipped, _ = tf.clip_by_global_norm(list(given.values()), clip_norm=1.0)
        train = optimizer.apply_gradients(zip(clipped, variables.values(), strict=True))
        session.run(tf.global_variables_initializer())
        for step in range(200):
            gradients = {
                name: generator.normal(0, 10 ** generator.uniform(-5, 1), shape).astype(np.float32) for name, shape in SHAPES.items()
            }
            learning_rate = 2e-3 * (1 - step / 200)
            session.run(train, {rate: learning_rate, **{given[name]: gradient for name, gradient in gradients.items()}})
            norm = np.sqrt(sum(np.square(gradient, dtype=np.float64).sum() for gradient in gradients.values()))
            reference.step(parameters, {name: gradient / np.float32(max(1.0, norm)) for name, gradient in gradients.items()}, learning_rate)
        for name, values in session.run(variables).items():
            np.testing.assert_allclose(parameters[name], values, rtol=0, atol=1e-6, err_msg=name)
        with tf.variable_scope("", reuse=True):
            slots = session.run({name: tf.get_variable(name) for name in reference.slots})
    for name, values in slots.items():
        np.testing.assert_allclose(reference.slots[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("warmup_steps", [0, 1, 30])
def test_bert_linear_is_googles_schedule(optimization: Any, monkeypatch: pytest.MonkeyPatch, warmup_steps: int) -> None:
    made = []
    original = optimization.AdamWeightDecayOptimizer.apply_gradients

    def apply_gradients(self: Any, *arguments: Any, **settings: Any) -> Any:
        made.append(self)
        return original(self, *arguments, **settings)

    monkeypatch.setattr(optimization.AdamWeightDecayOptimizer, "apply_gradients", apply_gradients)
    steps, peak = 300, 1e-4
    with tf.Graph().as_default(), tf.Session() as session:
        loss = tf.reduce_sum(tf.get_variable("x/kernel", [2]))
        optimization.create_optimizer(loss, peak, steps, warmup_steps, use_tpu=False)
        session.run(tf.global_variables_initializer())
        global_step = tf.train.get_global_step()
        for step in range(steps + 1):
            global_step.load(step, session)
            expected = session.run(made[0].learning_rate)
            rate = BertLinear().learning_rate(step, steps=steps, peak_lr=peak, warmup_steps=warmup_steps)
            assert rate == pytest.approx(expected, rel=2e-5, abs=1e-11), step
