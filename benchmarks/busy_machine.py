"""Tokens a second in training the quickstart's model, on an idle machine and beside other work, by how OpenMP's threads wait.

    python benchmarks/busy_machine.py [--steps 200] [--rounds 3] [--record]

Every figure is the median of processes of its own, which train on random rows; those of all settings take turns. The other work is one
endless loop a core, so that a fair share is half of what "as shipped" does on the idle machine.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

import numpy as np
from results import Results, add_option

SETTINGS: dict[str, dict[str, str]] = {
    "as shipped": {},
    "OpenMP's default": {"OMP_WAIT_POLICY": "undefined"},  # a value OpenMP does not know; it keeps its own
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "2,000 spins": {"GOMP_SPINCOUNT": "2000"},
    "100,000 spins": {"GOMP_SPINCOUNT": "100000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
ROWS, LENGTH, PREDICTIONS, VOCAB_SIZE = 32, 32, 5, 4000


def worker(steps: int) -> None:
    """Train, and print tokens a second."""
    from wholeword.core.bert.config import model_config
    from wholeword.core.bert.shapes import initial_weights
    from wholeword.plugins.optimizers.adamw import AdamW
    from wholeword.plugins.pytorch import PyTorch

    config = model_config(
        {
            "num_hidden_layers": 1,
            "hidden_size": 128,
            "num_attention_heads": 2,
            "max_position_embeddings": 64,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        VOCAB_SIZE,
    )
    generator = np.random.default_rng(0)
    positions = np.sort(np.stack([generator.permutation(LENGTH)[:PREDICTIONS] for _ in range(ROWS)]))
    batch = {
        "input_ids": generator.integers(0, VOCAB_SIZE, (ROWS, LENGTH)).astype(np.int32),
        "input_mask": np.ones((ROWS, LENGTH), np.int32),
        "segment_ids": np.zeros((ROWS, LENGTH), np.int32),
        "masked_lm_positions": positions.astype(np.int32),
        "masked_lm_ids": generator.integers(0, VOCAB_SIZE, (ROWS, PREDICTIONS)).astype(np.int32),
        "masked_lm_weights": np.ones((ROWS, PREDICTIONS), np.float32),
        "next_sentence_labels": np.zeros(ROWS, np.int32),
    }
    trainer = PyTorch().start(config=config, weights=initial_weights(config, 0), optimizer=AdamW(), next_sentence=False, clip_norm=1.0)

    def train(number: int) -> None:
        trainer.train_steps([batch] * number, learning_rates=[1e-4] * number, seeds=range(number))

    train(20)
    begin = time.perf_counter()
    train(steps)
    print(json.dumps(steps * ROWS * LENGTH / (time.perf_counter() - begin)))


def tokens_a_second(steps: int, settings: dict[str, str]) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))} | settings
    command = [sys.executable, __file__, "--worker", "--steps", str(steps)]
    return float(json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout))


def measure(steps: int, rounds: int) -> dict[str, float]:
    """The median of each setting."""
    rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, settings in SETTINGS.items():
            rates[name].append(tokens_a_second(steps, settings))
    return {name: median(values) for name, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    add_option(parser)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.steps)
        return
    idle = measure(arguments.steps, arguments.rounds)
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        busy = measure(arguments.steps, arguments.rounds)
    finally:
        for loop in loops:
            loop.kill()
    fair_share = idle["as shipped"] / 2
    print(f"{os.cpu_count()} cores\n{'':20} {'idle':>8} {'busy':>8}   of a fair share")
    for name in SETTINGS:
        print(f"{name:20} {idle[name]:8,.0f} {busy[name]:8,.0f}   {busy[name] / fair_share:.2f}")
    if arguments.record:
        claim = "training beside one endless loop a core: tokens a second over a fair share, which is half of the idle machine's"
        results = Results("busy_machine", claim=claim, peer="GNU OpenMP's default")
        results.add("as shipped, idle, over OpenMP's default", idle["as shipped"] / idle["OpenMP's default"], "x")
        for name in ("as shipped", "OpenMP's default"):
            results.add(f"{name}, busy, over a fair share", busy[name] / fair_share, "x")
        results.write()


if __name__ == "__main__":
    main()
