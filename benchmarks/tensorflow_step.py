"""One training step on TensorFlow, ours beside KerasHub's: the same rows, masks, sizes and dropout rates, in one process, in alternation.

    python benchmarks/tensorflow_step.py [--threads 1] [--rounds 5] [--record]

KerasHub: `BertMaskedLM` on `BertBackbone`, with AdamW, clipping by global norm, its head at the masked positions and the tanh form of
gelu; `fit` over ready batches, as its users call it. It has no NSP, so ours runs without. In float32 on the CPU; times are the process's
CPU time, so that other work on the machine matters little. The floor is the step's useful FLOPs at the rate of a large matrix product,
measured in alternation with the others. Both are measured without XLA, the default on a CPU, and with it.
"""

import argparse
import os
import time
from collections.abc import Callable
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np
import tensorflow as tf
from results import Results, add_option

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import flops_per_token, initial_weights
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.tensorflow import TensorFlow
from wholeword.zoo.to_tensorflow import backbone_arguments

VOCAB_SIZE, SIDE = 21128, 2048
Steps = Callable[[int], None]  # runs that many steps


def make_batch(rows: int, length: int, predictions: int) -> dict[str, np.ndarray]:
    """Full rows of random pieces."""
    generator = np.random.default_rng(0)
    batch = {
        "input_ids": generator.integers(0, VOCAB_SIZE, (rows, length)),
        "input_mask": np.ones((rows, length)),
        "segment_ids": np.zeros((rows, length)),
        "masked_lm_positions": np.sort(np.stack([generator.permutation(length)[:predictions] for _ in range(rows)])),
        "masked_lm_ids": generator.integers(0, VOCAB_SIZE, (rows, predictions)),
        "next_sentence_labels": np.zeros(rows),
    }
    return {name: array.astype(np.int32) for name, array in batch.items()} | {"masked_lm_weights": np.ones((rows, predictions), np.float32)}


def ours(size: str, batch: dict[str, np.ndarray], *, jit_compile: bool) -> Steps:
    config = model_config({"size": size}, VOCAB_SIZE)
    backend = TensorFlow(precision="fp32", micro_batch_size=len(batch["input_ids"]), jit_compile=jit_compile)
    trainer = backend.start(config=config, weights=initial_weights(config, 0), optimizer=AdamW(), next_sentence=False, clip_norm=1.0)

    def steps(number: int) -> None:
        trainer.train_steps([batch] * number, learning_rates=[1e-4] * number, seeds=range(number))

    return steps


def theirs(size: str, batch: dict[str, np.ndarray], *, jit_compile: bool) -> Steps:
    import keras
    import keras_hub

    config = model_config({"size": size}, VOCAB_SIZE)
    backbone = keras_hub.models.BertBackbone(**backbone_arguments(config))
    model = keras_hub.models.BertMaskedLM(backbone, preprocessor=None)
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.AdamW(1e-4, weight_decay=0.01, global_clipnorm=1.0),
        jit_compile=jit_compile,
    )
    inputs = {
        "token_ids": batch["input_ids"],
        "padding_mask": batch["input_mask"],
        "segment_ids": batch["segment_ids"],
        "mask_positions": batch["masked_lm_positions"],
    }
    data = tf.data.Dataset.from_tensors((inputs, batch["masked_lm_ids"], batch["masked_lm_weights"])).repeat()

    def steps(number: int) -> None:
        model.fit(data, steps_per_epoch=number, epochs=1, verbose=0)

    return steps


def product() -> Steps:
    a = tf.random.normal([SIDE, SIDE])
    multiply = tf.function(lambda a: a @ a)

    def steps(number: int) -> None:
        for _ in range(number):
            multiply(a)

    return steps


def seconds(steps: Steps, number: int) -> float:
    begin = time.process_time()
    steps(number)
    return (time.process_time() - begin) / number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="rbt3")
    add_option(parser)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(f"TensorFlow {tf.__version__}, {arguments.threads} thread(s), {arguments.size}, float32")
    claim = f"one training step of {arguments.size} on TensorFlow: KerasHub's CPU time over ours"
    results = Results("tensorflow_step", claim=claim, peer="BertMaskedLM of KerasHub, fit")
    for rows, length, predictions in ((4, 128, 20), (1, 512, 77)):
        batch = make_batch(rows, length, predictions)
        sides = {
            "product": product(),
            "ours": ours(arguments.size, batch, jit_compile=False),
            "ours, XLA": ours(arguments.size, batch, jit_compile=True),
            "KerasHub": theirs(arguments.size, batch, jit_compile=False),
            "KerasHub, XLA": theirs(arguments.size, batch, jit_compile=True),
        }
        for steps in sides.values():
            seconds(steps, 2)
        times = {name: [] for name in sides}
        for _ in range(arguments.rounds):
            for name, steps in sides.items():
                times[name].append(seconds(steps, 4))
        took = {name: median(values) for name, values in times.items()}
        config = model_config({"size": arguments.size}, VOCAB_SIZE)
        floor = rows * length * flops_per_token(config, length, predictions) / (2 * SIDE**3 / took.pop("product"))
        print(f"{rows} x {length}: floor {floor * 1000:.0f} ms")
        for name, value in took.items():
            print(f"  {name:14} {value * 1000:7.0f} ms, {floor / value:.2f} of the floor's rate")
        plain = took["KerasHub"] / took["ours"]
        best = min(took["KerasHub"], took["KerasHub, XLA"]) / min(took["ours"], took["ours, XLA"])
        print(f"  KerasHub's time over ours: {plain:.2f}; with XLA where it helps: {best:.2f}")
        results.add(f"{rows} x {length}", plain, "x")
        results.add(f"{rows} x {length}, with XLA where it helps", best, "x")
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
