"""With dropout, which each framework draws in its own way: held-out loss of one recipe on PyTorch and on TensorFlow, three seeds.

    python benchmarks/tensorflow_agreement.py [-o runs/agreement] [--steps 800] [--record]

The quickstart's recipe with dropout 0.1, from the same initial weights, over the same rows and masks. (Without dropout, losses are equal to
1e-4 at every step: tests/tensorflow/test_backend.py.) Finished runs are not repeated.
"""

import argparse
import json
import os
from pathlib import Path
from statistics import mean, stdev

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from results import Results, add_option

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import observer
from wholeword.core.training.run import train

BACKENDS = {"PyTorch": "{name: pytorch, precision: fp32, threads: 1}", "TensorFlow": "{name: tensorflow, precision: fp32, threads: 1}"}


def held_out(folder: Path, backend: str, seed: int, steps: int) -> float:
    """Held-out loss of whole-word masks."""
    dropout = ["model.hidden_dropout_prob=0.1", "model.attention_probs_dropout_prob=0.1"]
    paths = [f"output={folder / f'{backend}-{seed}'}", f"store={folder / 'store'}", f"cache={folder / 'cache'}", "export=[]"]
    settings = [f"backend={BACKENDS[backend]}", f"seed={seed}", f"phases.0.steps={steps}", "evaluation.fill_mask=[]"]
    with observer() as console:
        run = train(resolve(load_recipe("quickstart", overrides=[*dropout, *paths, *settings])), observer=console)
    return json.loads((run / "result.json").read_text(encoding="utf-8"))["whole-word"]["mlm_loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/agreement"))
    parser.add_argument("--steps", type=int, default=800)
    add_option(parser)
    arguments = parser.parse_args()
    claim = f"held-out loss of whole-word masks after {arguments.steps:,} steps with dropout 0.1, three seeds"
    results = Results("tensorflow_agreement", claim=claim, peer="the PyTorch backend")
    losses = {name: [held_out(arguments.output, name, seed, arguments.steps) for seed in (1, 2, 3)] for name in BACKENDS}
    print(f"held-out loss of whole-word masks after {arguments.steps:,} steps with dropout 0.1, seeds 1 to 3")
    for name, values in losses.items():
        print(f"  {name:10} {'  '.join(f'{value:.4f}' for value in values)}   {mean(values):.4f} ± {stdev(values):.4f}")
        results.add(f"{name}, mean", mean(values), "nats")
        results.add(f"{name}, standard deviation", stdev(values), "nats")
    pairs = [abs(one - other) for one, other in zip(*losses.values(), strict=True)]
    print(f"  largest difference for a seed {max(pairs):.4f}; standard deviation over the seeds {stdev(losses['PyTorch']):.4f}")
    results.add("largest difference for a seed", max(pairs), "nats")
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
