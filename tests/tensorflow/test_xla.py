"""What a TPU asks of a step, as far as a CPU can tell: XLA compiles it, once a phase, and nothing in it has a shape that is not known.

The step is `ReplicaStep`, the very function that `strategy.run` hands to the compiler on a TPU.
"""

import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from toys import NO_DROPOUT, tensorflow_trainer, toy_batch, toy_config, train

from wholeword.core.formats.tfrecord import FEATURES, encode_examples, frame
from wholeword.plugins.optimizers.lamb import Lamb
from wholeword.plugins.tensorflow.replica import MEASURES
from wholeword.plugins.tensorflow.trainer import TensorFlowTrainer

DYNAMIC = re.compile(r"\[[^\]]*(?:<=|\?)[^\]]*\]|set-dimension-size|get-dimension-size|pad-to-static|slice-to-dynamic")
HOST = re.compile(r"outfeed|infeed|host-callback|xla_python|py_func|custom-call[^\n]*callback", re.IGNORECASE)
RATE, SEED = tf.constant(1e-3), tf.constant([3, 4], tf.int32)


def placed(trainer: TensorFlowTrainer) -> Any:
    """The step as a TPU gets it: one program for XLA, run by a replica."""

    @tf.function(jit_compile=True)
    def compiled(batch: dict[str, tf.Tensor], rate: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return trainer.replica_step(batch, rate, seed)

    return compiled


def tensors(batch: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(batch[name]) for name in FEATURES}


@pytest.mark.parametrize("settings", [{}, {"micro_batch_size": 2}, {"optimizer": Lamb(variant="nvlamb")}, {"next_sentence": False}])
@pytest.mark.parametrize("bf16", [False, True])
def test_the_lowered_step_has_no_dynamic_dimension_and_calls_nobody(settings: dict[str, Any], bf16: bool) -> None:
    trainer = tensorflow_trainer(bf16=bf16, **settings)
    compiled = placed(trainer)
    lowered = compiled.experimental_get_compiler_ir(tensors(toy_batch(1)), RATE, SEED)(stage="hlo")
    assert "HloModule" in lowered and len(lowered) > 10_000 and re.search(r"\bdot\(", lowered)
    assert not DYNAMIC.search(lowered) and not HOST.search(lowered)


def test_what_finds_dynamic_dimensions_finds_them() -> None:
    @tf.function(jit_compile=True)
    def where(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.gather(x, tf.where(x > 0)))

    lowered = where.experimental_get_compiler_ir(tf.constant([1.0, -1.0, 2.0]))(stage="hlo")
    assert DYNAMIC.search(lowered)


def test_the_compiled_step_is_the_other_one() -> None:
    """Not its dropout: XLA and TensorFlow's own kernels draw alike here, but nobody promises that."""
    config = toy_config(**NO_DROPOUT)
    one, other = tensorflow_trainer(config), tensorflow_trainer(config)
    compiled = placed(other)
    for number in range(10):
        batch = toy_batch(number)
        expected = one.train_steps([batch], learning_rates=[1e-3], seeds=[0])[0]
        found = dict(zip(MEASURES, compiled(tensors(batch), RATE, SEED).numpy().tolist(), strict=True))
        assert found["mlm_sum"] / found["total_weight"] == pytest.approx(expected["mlm_loss"], rel=1e-5)
        assert found["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-4)
    for name, values in one.weights().items():
        np.testing.assert_allclose(other.weights()[name], values, atol=1e-5, err_msg=name)


def test_one_compilation_serves_fifty_steps_and_each_phase_has_one() -> None:
    trainer = tensorflow_trainer()
    compiled = placed(trainer)
    for rows, length in ((8, 24), (4, 48)):  # two phases
        for number in range(50):
            compiled(tensors(toy_batch(number, rows=rows, length=length)), tf.constant(1e-3 / (number + 1)), tf.constant([number, 7]))
    assert compiled.experimental_get_tracing_count() == 2


def test_the_host_loop_is_traced_once_a_phase() -> None:
    trainer = tensorflow_trainer(steps_per_call=20)
    for rows, length in ((8, 24), (4, 48)):
        train(trainer, 0, 50, rows=rows, length=length)  # 20, 20 and 10 steps a call
    assert trainer.steps.experimental_get_tracing_count() == 2


def test_the_setting_compiles_whole_runs() -> None:
    config = toy_config(**NO_DROPOUT)
    plain, compiled = train(tensorflow_trainer(config), 0, 20), train(tensorflow_trainer(config, jit_compile=True), 0, 20)
    for line, other in zip(compiled, plain, strict=True):
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-5)


def test_rows_from_files_have_static_shapes(tmp_path: Any) -> None:
    """TFRecords, batched with drop_remainder, go straight into the compiled step."""
    batches = [{name: toy_batch(number)[name] for name in FEATURES} for number in range(3)]
    (tmp_path / "rows").write_bytes(b"".join(frame(row) for batch in batches for row in encode_examples(batch)))
    features = {
        name: tf.io.FixedLenFeature(values.shape[1:] or (1,), tf.float32 if values.dtype == np.float32 else tf.int64)
        for name, values in batches[0].items()
    }

    def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(records, features)
        parsed["next_sentence_labels"] = tf.reshape(parsed["next_sentence_labels"], [-1])
        return {name: values if values.dtype == tf.float32 else tf.cast(values, tf.int32) for name, values in parsed.items()}

    dataset = tf.data.TFRecordDataset(str(tmp_path / "rows")).batch(5, drop_remainder=True).map(parse)
    assert all(spec.shape.is_fully_defined() for name, spec in dataset.element_spec.items() if name != "next_sentence_labels")
    compiled = placed(tensorflow_trainer())
    figures = [compiled(batch, RATE, SEED).numpy() for batch in dataset]
    assert len(figures) == 4 and np.isfinite(figures).all() and compiled.experimental_get_tracing_count() == 1
