"""Time of `zoo.load` beside transformers' `from_pretrained` on the same files, and beside merely reading their bytes.

    python benchmarks/zoo_load.py [--size rbt3] [--rounds 30] [--record]

One warm process, the file in the page cache, one load of each per round, in alternating order. Then the same with one number of every page
of the weights read: both map the file, and a page is loaded when it is first touched. Printed are the best and the median of each, and the
ratios; all weights are checked to be equal.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
from results import Results, add_option

from wholeword import zoo
from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import ModelFiles
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.exporters.pytorch_bin import PyTorchBin

VOCAB_SIZE = 21128
NUMBERS_A_PAGE = 1024  # float32 in 4 KiB


def write_model(folder: Path, size: str) -> None:
    """A folder as on the hub: every tensor differs from its initial values, and there is no manifest, so that both sides only read."""
    config = model_config({"size": size}, vocab_size=VOCAB_SIZE)
    weights = {name: array + np.float32(0.01) for name, array in initial_weights(config, 1).items()}
    vocabulary = Vocabulary([*SPECIAL_PIECES, *(f"[unused{number}]" for number in range(VOCAB_SIZE - len(SPECIAL_PIECES)))])
    PyTorchBin().export(ModelFiles(config, weights, vocabulary, True, True), folder)
    (folder / "pytorch_model.bin").unlink()


@torch.no_grad()
def touched(model: Any) -> float:
    """The sum of one number per page."""
    return sum(float(parameter.flatten()[::NUMBERS_A_PAGE].sum()) for parameter in model.parameters())


def assert_equal(model: Any, other: Any) -> None:
    state, expected = model.state_dict(), other.state_dict()
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)


def measure(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each way, per round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 3):
        for name in sorted(ways, reverse=number % 2 == 1):
            start = time.perf_counter()
            result = ways[name]()
            if number >= 3:
                times[name].append(1000 * (time.perf_counter() - start))
            del result
    return times


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="rbt3")
    parser.add_argument("--rounds", type=int, default=30)
    add_option(parser)
    arguments = parser.parse_args()
    peer = f"from_pretrained of transformers {transformers.__version__}"
    results = Results("zoo_load", claim=f"time to load {arguments.size}: from_pretrained's over zoo.load's", peer=peer)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        write_model(Path(scratch), arguments.size)
        file = Path(scratch, "model.safetensors")
        buffer = bytearray(file.stat().st_size)

        def read() -> None:
            with open(file, "rb", buffering=0) as source:
                source.readinto(buffer)

        print(f"{arguments.size}: {len(buffer) / 2**20:.0f} MiB, {arguments.rounds} rounds, {torch.get_num_threads()} threads")
        for head, kind in ((None, transformers.BertModel), ("mlm", transformers.BertForMaskedLM), ("nsp", transformers.BertForPreTraining)):

            def ours(head: str | None = head) -> Any:
                return zoo.load(scratch, "torch", head=head)

            def theirs(kind: Any = kind) -> Any:
                return kind.from_pretrained(scratch).eval()

            assert_equal(ours(), theirs())
            for what, ways in (
                ("load", {"zoo.load": ours, "from_pretrained": theirs}),
                ("load and touch", {"zoo.load": lambda: touched(ours()), "from_pretrained": lambda: touched(theirs()), "reading": read}),
            ):
                times = measure(ways, arguments.rounds)
                figures = ", ".join(f"{name} {min(t):.1f} ({statistics.median(t):.1f}) ms" for name, t in times.items())
                best, median = (f(times["from_pretrained"]) / f(times["zoo.load"]) for f in (min, statistics.median))
                results.add(f"{kind.__name__}, {what}, best", best, "x")
                results.add(f"{kind.__name__}, {what}, median", median, "x")
                print(f"{kind.__name__:18} {what:14} {figures}; from_pretrained / zoo.load: {best:.2f} ({median:.2f})")
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
