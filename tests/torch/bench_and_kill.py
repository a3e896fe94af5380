"""Fills a table in forked processes that are killed with SIGKILL after a few steps, over and over, until it is full.

    python bench_and_kill.py TABLE.yaml

Prints one JSON object: how often it was killed, and whether results and printed tables are those of a table never killed.
A program of its own: it forks before any thread exists.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

import wholeword.plugins.pytorch.finetune  # noqa: F401 imported once, not in every child
from wholeword.core.console import Silent
from wholeword.finetuning.bench.formats import WRITERS
from wholeword.finetuning.bench.recipe import load_table
from wholeword.finetuning.bench.results import read_results
from wholeword.finetuning.bench.run import run_table
from wholeword.finetuning.bench.tables import all_tables

torch.set_num_threads(1)


class Killer(Silent):
    """Ends the process at the n-th thing it hears."""

    def __init__(self, patience: int):
        self.patience = patience

    def say(self, line: str) -> None:
        self.patience -= 1
        if self.patience == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def progress(self, title: str, done: float, total: float, figures: str = "") -> None:
        self.say(title)


def child(table: str, output: Path, observer: Silent) -> int:
    """The signal that ended it, 0 for none."""
    process = os.fork()
    if process == 0:
        try:
            run_table(load_table(table, [f"output={output}"]), observer=observer)
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(7)
    status = os.waitpid(process, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def outcome(output: Path) -> list[bytes]:
    tables = [table for part in all_tables(read_results(output)[0], std=True, seeds=True).values() for table in part]
    return [(output / "results.json").read_bytes(), *(write(tables).encode() for write in WRITERS.values())]


def main(table: str) -> None:
    folder = Path(table).parent
    assert child(table, folder / "whole", Silent()) == 0
    kills, patience = 0, 2
    while child(table, folder / "killed", Killer(patience)):
        kills += 1
        patience += 4  # one who is always killed at the same place may never get past it
    print(json.dumps({"kills": kills, "equal": outcome(folder / "killed") == outcome(folder / "whole")}))


if __name__ == "__main__":
    main(sys.argv[1])
