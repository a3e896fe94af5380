"""Runs something in forked processes that are killed with SIGKILL, over and over until it is done, and compares with an uninterrupted run.

    python killing.py SUBJECT FOLDER KILLS [forget]

SUBJECT is a row of SUBJECTS. Prints one JSON object: how many processes were killed, finished and failed, how many began with
something to continue, and what differed at the end. With `forget`, resumed training runs lose one piece of their state, the
optimizer's first moments; the comparison has to fail then.
A program of its own: it forks before any thread exists.
"""

import hashlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")}


class Subject(NamedTuple):
    """What is run and killed.

    carry_out(folder, output, observer) runs what `folder` describes; outcome(output) is what must not differ at the end, by name.
    Processes are killed after a random share of an uninterrupted run's time between `moments`; without `moments` at the n-th call of
    their observer, n growing.
    """

    carry_out: Callable[[Path, Path, Any], Any]
    outcome: Callable[[Path], Mapping[str, Any]]
    moments: tuple[float, float] | None
    modules: tuple[str, ...] = ()  # to import once, not in every process; none that starts threads


def job_of(folder: Path, output: Path) -> Any:
    """All runs share one store: what is killed here is training."""
    from wholeword.core.config import load_recipe
    from wholeword.core.config.job import resolve

    overrides = [f"output={output}", f"store={folder / 'store'}", "prepare_workers=1", "backend.threads=1"]
    return resolve(load_recipe(str(folder / "recipe.yaml"), overrides))


def prepare(folder: Path, output: Path, observer: Any) -> None:
    from wholeword.core.training.prepare import prepare

    prepare(job_of(folder, output).prepare)


def train(folder: Path, output: Path, observer: Any) -> None:
    from wholeword.core.training.run import train

    train(job_of(folder, output), observer=observer)


def end_of_training(output: Path) -> dict[str, Any]:
    """The last weights and optimizer state, and the log."""
    from wholeword.core.formats.checkpoints import latest_checkpoint, read_checkpoint

    tensors = read_checkpoint(latest_checkpoint(output / "checkpoints"))[:2]
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for part in tensors for name, array in part.items()}
    return digests | {"log": (output / "log.jsonl").read_text(encoding="utf-8")}


def finetune(folder: Path, output: Path, observer: Any) -> None:
    from wholeword.finetuning.finetune import finetune
    from wholeword.finetuning.recipe import load_finetune_recipe

    finetune(load_finetune_recipe(str(folder / "recipe.yaml"), [f"output={output}"]), observer=observer)


def files_of_finetuning(output: Path) -> dict[str, bytes]:
    """All files but those that carry the clock or the folder's name."""
    files = {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    return {name: content for name, content in files.items() if not name.endswith(("timings.jsonl", "manifest.json"))}


def fill_table(folder: Path, output: Path, observer: Any) -> None:
    from wholeword.finetuning.bench.recipe import load_table
    from wholeword.finetuning.bench.run import run_table

    run_table(load_table(str(folder / "table.yaml"), [f"output={output}"]), observer=observer)


def printed_tables(output: Path) -> dict[str, bytes]:
    """The results and every format of the printed tables."""
    from wholeword.finetuning.bench.formats import WRITERS
    from wholeword.finetuning.bench.results import read_results
    from wholeword.finetuning.bench.tables import all_tables

    tables = [table for part in all_tables(read_results(output)[0], std=True, seeds=True).values() for table in part]
    return {name: write(tables).encode() for name, write in WRITERS.items()} | {"results": (output / "results.json").read_bytes()}


SUBJECTS = {
    "train on pytorch": Subject(train, end_of_training, (0, 1.5), ("wholeword.plugins.pytorch.trainer",)),
    "train on tensorflow": Subject(train, end_of_training, (0.3, 1.2)),  # before that TensorFlow is imported
    "finetune": Subject(finetune, files_of_finetuning, (0, 1), ("wholeword.plugins.pytorch.finetune",)),
    "table": Subject(fill_table, printed_tables, None, ("wholeword.plugins.pytorch.finetune",)),
}


def silent() -> Any:
    from wholeword.core.console import Silent

    return Silent()


def killer(patience: int) -> Any:
    """An observer that ends the process at the n-th thing it is sent."""
    from wholeword.core.console import Silent

    class Killer(Silent):
        def say(self, line: str) -> None:
            nonlocal patience
            patience -= 1
            if patience == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def progress(self, title: str, *_: Any) -> None:
            self.say(title)

    return Killer()


def start(subject: Subject, folder: Path, output: Path, observer: Any) -> int:
    process = os.fork()
    if process == 0:
        try:
            subject.carry_out(folder, output, observer)
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(7)
    return process


def killed_by(process: int, seconds: float | None) -> tuple[bool, bool]:
    """(whether it was killed, whether it failed), after it was left alone for so many seconds, or for good."""
    handle = os.pidfd_open(process)
    if not select.select([handle], [], [], seconds)[0]:
        os.kill(process, signal.SIGKILL)
    os.close(handle)
    status = os.waitpid(process, 0)[1]
    return os.WIFSIGNALED(status), not os.WIFSIGNALED(status) and os.WEXITSTATUS(status) != 0


def forget_first_moments() -> None:
    from wholeword.core.training import run

    read = run.read_checkpoint

    def forgetful(path: Path) -> Any:
        weights, optimizer_state, state = read(path)
        return weights, {name: array * (not name.endswith("_m")) for name, array in optimizer_state.items()}, state

    run.read_checkpoint = forgetful


def main(subject: Subject, folder: Path, kills: int, forget: bool) -> dict[str, Any]:
    for module in subject.modules:
        __import__(module)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    generator = random.Random(7)
    if subject.carry_out is train:
        assert killed_by(start(subject._replace(carry_out=prepare), folder, folder / "whole", silent()), None) == (False, False)
    began = time.monotonic()
    assert killed_by(start(subject, folder, folder / "whole", silent()), None) == (False, False)
    duration = time.monotonic() - began
    expected, output = subject.outcome(folder / "whole"), folder / "killed"
    if forget:
        forget_first_moments()
    counts = dict.fromkeys(("kills", "resumed", "finished", "failed"), 0)
    different: set[str] = set()
    patience = 2
    while counts["kills"] < kills or (forget and not different and counts["finished"] < 8):  # one killed too early forgets nothing
        shutil.rmtree(output, ignore_errors=True)
        killed = True
        while killed:
            counts["resumed"] += any(output.rglob("step-*/manifest.json"))
            if subject.moments:
                process, seconds = start(subject, folder, output, silent()), duration * generator.uniform(*subject.moments)
            else:
                process, seconds = start(subject, folder, output, killer(patience)), None
                patience += 4  # one that is always killed at the same place may never get past it
            killed, failed = killed_by(process, seconds)
            counts["kills"] += killed
            counts["failed"] += failed
        counts["finished"] += not failed
        if not failed:
            outcome = subject.outcome(output)
            different |= {name for name in expected.keys() | outcome.keys() if expected.get(name) != outcome.get(name)}
    return counts | {"different": sorted(different), "compared": sorted(expected)}


def kill(subject: str, folder: Path, kills: int, *arguments: str) -> dict[str, Any]:
    """What the program prints, for a test."""
    command = [sys.executable, __file__, subject, str(folder), str(kills), *arguments]
    environment = {**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "2"}
    result = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(main(SUBJECTS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3]), "forget" in sys.argv)))
