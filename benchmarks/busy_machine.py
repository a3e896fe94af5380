"""Tokens a second of a narrow model on an idle machine and beside other work, by how OpenMP's threads wait.

    python benchmarks/busy_machine.py [--steps 200] [--rounds 3] [--record]

The model is the quickstart's, in training, fine-tuning and prediction. Every figure is the median of processes of its own; those of all
settings take turns. The other work is one endless loop a core, so that a fair share is half of what "as shipped" does on the idle machine.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from results import Results, add_option

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_head, initial_weights
from wholeword.core.contracts import BertConfig, ModelFiles
from wholeword.core.vocabulary import Vocabulary
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.pytorch import PyTorch
from wholeword.zoo.to_torch import to_torch

SETTINGS: dict[str, dict[str, str]] = {
    "as shipped": {},
    "OpenMP's default": {"OMP_WAIT_POLICY": "undefined"},  # a value OpenMP does not know; it keeps its own
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "2,000 spins": {"GOMP_SPINCOUNT": "2000"},
    "100,000 spins": {"GOMP_SPINCOUNT": "100000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
KINDS_OF_WORK = ("training", "fine-tuning", "prediction")
Work = Callable[[int], object]  # does that many steps
ROWS, LENGTH, PREDICTIONS, VOCAB_SIZE = 32, 32, 5, 4000


def worker(work: str, steps: int) -> None:
    """Do some work, and print its tokens a second."""
    do = {"training": training, "fine-tuning": finetuning, "prediction": prediction}[work]()
    do(20)
    begin = time.perf_counter()
    do(steps)
    print(json.dumps(steps * ROWS * LENGTH / (time.perf_counter() - begin)))


def model() -> tuple[BertConfig, dict[str, np.ndarray]]:
    settings = {
        "num_hidden_layers": 1,
        "hidden_size": 128,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    config = model_config(settings, VOCAB_SIZE)
    return config, dict(initial_weights(config, 0))


def inputs(generator: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "input_ids": generator.integers(0, VOCAB_SIZE, (ROWS, LENGTH)).astype(np.int32),
        "input_mask": np.ones((ROWS, LENGTH), np.int32),
        "segment_ids": np.zeros((ROWS, LENGTH), np.int32),
    }


def training() -> Work:
    config, weights = model()
    generator = np.random.default_rng(0)
    positions = np.sort(np.stack([generator.permutation(LENGTH)[:PREDICTIONS] for _ in range(ROWS)]))
    batch = inputs(generator) | {
        "masked_lm_positions": positions.astype(np.int32),
        "masked_lm_ids": generator.integers(0, VOCAB_SIZE, (ROWS, PREDICTIONS)).astype(np.int32),
        "masked_lm_weights": np.ones((ROWS, PREDICTIONS), np.float32),
        "next_sentence_labels": np.zeros(ROWS, np.int32),
    }
    trainer = PyTorch().start(config=config, weights=weights, optimizer=AdamW(), next_sentence=False, clip_norm=1.0)
    return lambda steps: trainer.train_steps([batch] * steps, learning_rates=[1e-4] * steps, seeds=range(steps))


def finetuning() -> Work:
    config, weights = model()
    weights |= initial_head("classification", 2, config.hidden_size, 0)
    generator = np.random.default_rng(0)
    batch = inputs(generator) | {"targets": generator.integers(0, 2, ROWS)}
    tuner = PyTorch().start_finetuning(config=config, weights=weights, head="classification", optimizer=AdamW(), clip_norm=1.0)
    return lambda steps: tuner.train_steps([batch] * steps, learning_rates=[1e-4] * steps, seeds=range(steps))


def prediction() -> Work:
    config, weights = model()
    vocabulary = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"p{number}" for number in range(VOCAB_SIZE - 5))])
    network = to_torch(ModelFiles(config, weights, vocabulary, lowercase=True, next_sentence=False), head="mlm")

    import torch

    ids = torch.from_numpy(inputs(np.random.default_rng(0))["input_ids"]).long()

    def predict(steps: int) -> None:
        with torch.inference_mode():
            for _ in range(steps):
                network(input_ids=ids)

    return predict


def tokens_a_second(work: str, steps: int, settings: dict[str, str]) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))} | settings
    command = [sys.executable, __file__, "--worker", work, "--steps", str(steps)]
    return float(json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout))


def measure(work: str, steps: int, rounds: int) -> dict[str, float]:
    """The median of each setting."""
    rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, settings in SETTINGS.items():
            rates[name].append(tokens_a_second(work, steps, settings))
    return {name: median(values) for name, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=KINDS_OF_WORK, help=argparse.SUPPRESS)
    add_option(parser)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments.steps)
        return
    claim = "tokens a second beside one endless loop a core, over a fair share, which is half of the idle machine's"
    results = Results("busy_machine", claim=claim, peer="GNU OpenMP's default")
    print(f"{os.cpu_count()} cores\n{'':32} {'idle':>8} {'busy':>8}   of a fair share")
    for work in KINDS_OF_WORK:
        idle = measure(work, arguments.steps, arguments.rounds)
        loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
        try:
            busy = measure(work, arguments.steps, arguments.rounds)
        finally:
            for loop in loops:
                loop.kill()
        fair_share = idle["as shipped"] / 2
        for name in SETTINGS:
            print(f"{work + ', ' + name:32} {idle[name]:8,.0f} {busy[name]:8,.0f}   {busy[name] / fair_share:.2f}", flush=True)
        results.add(f"{work}, idle, over OpenMP's default", idle["as shipped"] / idle["OpenMP's default"], "x")
        for name in ("as shipped", "OpenMP's default"):
            results.add(f"{work}, {name}, busy, over a fair share", busy[name] / fair_share, "x")
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
