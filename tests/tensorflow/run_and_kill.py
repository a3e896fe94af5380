"""Trains a small recipe in forked processes, kills them with SIGKILL at random moments, and compares with a run that never stopped.

    python run_and_kill.py FOLDER KILLS

Prints one JSON object. A program of its own: it forks before TensorFlow has started a thread.
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

import tiny

from wholeword.core.config import load_recipe
from wholeword.core.console import Silent
from wholeword.core.formats.checkpoints import latest_checkpoint, read_checkpoint
from wholeword.core.training import run

os.environ |= tiny.ONE_THREAD | {"TF_CPP_MIN_LOG_LEVEL": "2"}


def child(recipe: Path, output: Path) -> int:
    process = os.fork()
    if process == 0:
        try:
            overrides = [f"output={output}", f"store={recipe.parent / 'store'}", "prepare_workers=1", "backend.threads=1"]
            run.train(load_recipe(str(recipe), overrides=overrides), observer=Silent())
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(7)
    return process


def outcome(output: Path) -> tuple[str, str]:
    """sha256 of the last weights and optimizer state, and the log."""
    digest = hashlib.sha256()
    for tensors in read_checkpoint(latest_checkpoint(output / "checkpoints"))[:2]:
        for name in sorted(tensors):
            digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest(), (output / "log.jsonl").read_text(encoding="utf-8")


def main(folder: Path, kills: int) -> None:
    recipe, generator = tiny.write_recipe(folder), random.Random(7)
    assert os.waitpid(child(recipe, folder / "first"), 0)[1] == 0  # which also prepares
    began = time.monotonic()
    assert os.waitpid(child(recipe, folder / "whole"), 0)[1] == 0
    duration = time.monotonic() - began
    expected = outcome(folder / "whole")
    killed = finished = failed = different = went_on = 0
    while killed < kills:
        output = folder / "killed"
        shutil.rmtree(output, ignore_errors=True)
        while True:
            went_on += latest_checkpoint(output / "checkpoints") is not None
            process = child(recipe, output)
            handle = os.pidfd_open(process)
            ended, _, _ = select.select([handle], [], [], duration * generator.uniform(0.3, 1.2))  # before that TensorFlow is imported
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
    print(json.dumps({"kills": killed, "went_on": went_on, "finished": finished, "failed": failed, "different": different}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
