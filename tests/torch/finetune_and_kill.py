"""Fine-tunes in forked processes, kills them with SIGKILL at random moments, and compares with runs that never stopped.

    python finetune_and_kill.py FOLDER KILLS

Prints one JSON object. A program of its own: it forks before any thread exists.
"""

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

import wholeword.plugins.pytorch.finetune  # noqa: F401 imported once, not in every child
from wholeword.core.console import Silent
from wholeword.finetuning.finetune import finetune
from wholeword.finetuning.recipe import load_finetune_recipe

torch.set_num_threads(1)


def child(recipe: Path, output: Path) -> int:
    process = os.fork()
    if process == 0:
        try:
            finetune(load_finetune_recipe(str(recipe), [f"output={output}"]), observer=Silent())
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(7)
    return process


def outcome(output: Path) -> dict[str, bytes]:
    """All files but those that carry the clock or the folder's name."""
    files = {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    return {name: content for name, content in files.items() if not name.endswith(("timings.jsonl", "manifest.json"))}


def main(folder: Path, kills: int) -> None:
    recipe, generator = folder / "recipe.yaml", random.Random(11)
    began = time.monotonic()
    assert os.waitpid(child(recipe, folder / "whole"), 0)[1] == 0
    duration = time.monotonic() - began
    expected = outcome(folder / "whole")
    killed = finished = failed = 0
    different: list[str] = []
    while killed < kills:
        output = folder / "killed"
        shutil.rmtree(output, ignore_errors=True)
        while True:
            process = child(recipe, output)
            handle = os.pidfd_open(process)
            ended, _, _ = select.select([handle], [], [], generator.uniform(0, duration))
            os.close(handle)
            if not ended:
                os.kill(process, signal.SIGKILL)
                killed += 1
            status = os.waitpid(process, 0)[1]
            if ended:
                failed += status != 0
                finished += status == 0
                found = outcome(output)
                different += [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
                break
    print(json.dumps({"kills": killed, "finished": finished, "failed": failed, "different": different, "files": sorted(expected)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
