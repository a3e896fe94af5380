"""Trains a small recipe in forked processes, kills them with SIGKILL at random moments, and compares with a run that never stopped.

    python run_and_kill.py FOLDER KILLS [forget]

Prints one JSON object. With `forget`, resumed runs lose one piece of their state, the optimizer's first moments; the
comparison has to fail then.
A program of its own: it forks before any thread exists.
"""

import hashlib
import json
import os
import random
import select
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

import wholeword.plugins.pytorch.trainer  # noqa: F401 imported once, not in every child
from wholeword.core.config import load_recipe
from wholeword.core.console import Silent
from wholeword.core.formats.checkpoints import latest_checkpoint, read_checkpoint
from wholeword.core.training import run

torch.set_num_threads(1)


def train(recipe: Path, output: Path) -> None:
    store = recipe.parent / "store"  # one for all: what is killed here is training
    run.train(load_recipe(str(recipe), overrides=[f"output={output}", f"store={store}", "prepare_workers=1"]), observer=Silent())


def child(recipe: Path, output: Path) -> int:
    process = os.fork()
    if process == 0:
        try:
            train(recipe, output)
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(7)
    return process


def outcome(output: Path) -> tuple[str, str]:
    """sha256 of the last weights and optimizer state, and the log."""
    digest = hashlib.sha256()
    weights, optimizer_state, _ = read_checkpoint(latest_checkpoint(output / "checkpoints"))
    for tensors in (weights, optimizer_state):
        for name in sorted(tensors):
            digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest(), (output / "log.jsonl").read_text(encoding="utf-8")


def main(folder: Path, kills: int, forget: bool) -> None:
    recipe, generator = folder / "recipe.yaml", random.Random(7)
    began = time.monotonic()
    assert os.waitpid(child(recipe, folder / "whole"), 0)[1] == 0
    duration = time.monotonic() - began
    expected = outcome(folder / "whole")
    if forget:
        read = run.read_checkpoint

        def forgetful(path: Path):
            weights, optimizer_state, state = read(path)
            return weights, {name: array * (not name.endswith("_m")) for name, array in optimizer_state.items()}, state

        run.read_checkpoint = forgetful
    killed = finished = failed = different = 0
    while killed < kills or (forget and not different and finished < 8):  # a run killed before its first checkpoint forgets nothing
        output = folder / "killed"
        shutil.rmtree(output, ignore_errors=True)
        while True:
            process = child(recipe, output)
            handle = os.pidfd_open(process)
            ended, _, _ = select.select([handle], [], [], generator.uniform(0, 1.5 * duration))
            os.close(handle)
            if not ended:
                os.kill(process, signal.SIGKILL)
                killed += 1
            status = os.waitpid(process, 0)[1]
            if ended:
                failed += status != 0
                finished += status == 0
                different += status == 0 and outcome(output) != expected
                break
    print(json.dumps({"kills": killed, "finished": finished, "failed": failed, "different": different, "seconds": round(duration, 2)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "forget" in sys.argv)
