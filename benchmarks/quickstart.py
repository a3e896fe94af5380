"""What the quickstart reaches over seeds, threads and precisions: held-out loss and accuracy of both kinds of masks.

    python benchmarks/quickstart.py [--only 1,fp32] [--record]

Every run is `wholeword train quickstart` with `--set`, in a process of its own; all of them share one token store per seed. Half an hour
to two hours, by the machine. A run is good if its loss is 1.3 nats below the unigram entropy with both kinds of masks, and its accuracy
4.5 times (whole-word) and 6 times (wordpiece) that of always guessing the most frequent piece.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

from results import Results, add_option

BELOW_ENTROPY = 1.3  # nats
TIMES_MOST_FREQUENT = {"whole-word": 4.5, "wordpiece": 6.0}
SHIPPED = (12345, 2, "auto")
VARIANTS = [SHIPPED] + [(seed, 1, "fp32") for seed in range(1, 6)] + [(seed, 2, "fp32") for seed in range(1, 4)] + [(1, 2, "bf16")]


COLUMNS = {
    "loss": "nats",
    "loss below the unigram entropy": "nats",
    "accuracy": "",
    "accuracy over the share of the most frequent piece": "x",
}


@dataclass(frozen=True)
class Reached:
    """What one kind of masks reached in one run."""

    loss: float
    below_entropy: float
    accuracy: float
    times_most_frequent: float


def run(folder: Path, seed: int, threads: int, precision: str) -> dict[str, Reached]:
    """What a run reached, by kind of masks."""
    settings = {
        "seed": seed,
        "backend.threads": threads,
        "backend.precision": precision,
        "output": folder / f"seed-{seed}-threads-{threads}-{precision}",
        "store": folder / f"store-{seed}",
        "cache": folder / "cache",
        "export": "[]",
    }
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, "-m", "wholeword", "train", "quickstart", *options], env=environment, check=True, stdout=sys.stderr)
    result = json.loads(Path(settings["output"], "result.json").read_text(encoding="utf-8"))
    entropy, most_frequent = result["unigram"]["entropy"], result["unigram"]["most_frequent_share"]
    return {
        masks: Reached(metrics["mlm_loss"], entropy - metrics["mlm_loss"], metrics["mlm_accuracy"], metrics["mlm_accuracy"] / most_frequent)
        for masks, metrics in result.items()
        if masks in TIMES_MOST_FREQUENT
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="THREADS,PRECISION of the runs to make; by default all")
    add_option(parser)
    arguments = parser.parse_args()
    variants = [entry for entry in VARIANTS if arguments.only in (None, f"{entry[1]},{entry[2]}")]
    reached: list[dict[str, Reached]] = []
    print(f"{'seed':>4} {'threads':>7} {'precision':>9}   whole-word: loss (below), accuracy (times)   wordpiece", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for seed, threads, precision in variants:
            kinds = run(Path(folder), seed, threads, precision)
            reached.append(kinds)
            good = all(
                kind.below_entropy >= BELOW_ENTROPY and kind.times_most_frequent >= TIMES_MOST_FREQUENT[masks]
                for masks, kind in kinds.items()
            )
            columns = "   ".join(
                f"{kind.loss:.2f} ({kind.below_entropy:.2f})  {kind.accuracy:.3f} ({kind.times_most_frequent:.1f}x)"
                for kind in kinds.values()
            )
            print(f"{seed:4} {threads:7} {precision:>9}   {columns}   {'good' if good else 'NOT GOOD'}", flush=True)
    claim = f"what `wholeword train quickstart` reaches on held-out text, {len(variants)} runs over seeds, threads and precisions"
    results = Results("quickstart", claim=claim, peer="piece frequencies alone")
    if SHIPPED in variants:
        for masks, kind in reached[variants.index(SHIPPED)].items():
            results.add(f"as shipped, {masks} masks, unigram entropy", kind.loss + kind.below_entropy, "nats")
            results.add(f"as shipped, {masks} masks, share of the most frequent piece", kind.accuracy / kind.times_most_frequent, "")
            for (title, unit), value in zip(COLUMNS.items(), astuple(kind), strict=True):
                results.add(f"as shipped, {masks} masks, {title}", value, unit)
    for masks in TIMES_MOST_FREQUENT:
        for number, (title, unit) in enumerate(COLUMNS.items()):
            values = [astuple(kinds[masks])[number] for kinds in reached]
            for statistic, value in (("median", median(values)), ("lowest", min(values)), ("highest", max(values))):
                results.add(f"{masks} masks, {title}, {statistic}", value, unit)
    for metric in results.metrics:
        print(f"{metric['name']:80} {metric['value']} {metric['unit']}")
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
