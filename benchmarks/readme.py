"""Carry out every command of README.md, in order, in one fresh folder: each has to work, and to say something within two seconds.

    python benchmarks/readme.py FOLDER --data DATA [--full] [--install] [--only TEXT]

FOLDER must not exist. DATA holds `chnsenticorp`, as `task.data` expects it. Trainings are shortened with `--set`, as anybody can, unless
--full is given; --install also carries out the installation, in a clone, and --full the tests. Where the hub cannot be reached, `rbt3` is a
random model of that shape in WHOLEWORD_ZOO. The exit code is 1 if a command failed or was silent for too long.
"""

import argparse
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SECONDS = 2.0  # in which a command has to say something
STEPS, WARMUP_STEPS = 40, 4  # of a phase, where a training is shortened
PIECES = "“\n”\n喆\n"
NOTES = "酒店的房间很干净，服务员的态度也很好。\n这本书的内容很有意思，我一口气就读完了。\n" * 200


class Result(NamedTuple):
    """How a command went."""

    command: str
    code: int
    first_seconds: float  # until it said something
    seconds: float
    output: str


def commands(readme: Path) -> Iterator[str]:
    """The lines of all shell blocks, in order."""
    for block in re.findall(r"^```sh\n(.*?)^```$", readme.read_text(encoding="utf-8"), re.S | re.M):
        yield from (line for line in block.splitlines() if line.strip())


def part_to_run(line: str, *, install: bool, full: bool) -> str | None:
    """The part of a line that is carried out; None if there is none."""
    if "pip install tox" in line:
        return line if full else None
    return line if install or "pip install" not in line else line.rpartition("&&")[2].strip()


def shortened(line: str, folder: Path) -> str:
    """A command with settings that make its training short."""
    command, _, comment = line.partition("  #")
    words = command.split()
    if words[:2] in (["wholeword", "train"], ["wholeword", "repair-head"]):
        command += "".join(f" --set phases.{number}.{setting}" for number in range(num_phases(words, folder)) for setting in SHORT_PHASE)
    elif words[:2] == ["wholeword", "finetune"]:
        command += " --set epochs=1"
    elif words[:3] == ["wholeword", "bench", "run"]:
        command += " --set tasks.0.epochs=1 --set seeds=[1,2]"
    return f"{command}  #{comment}" if comment else command


SHORT_PHASE = (f"steps={STEPS}", f"warmup_steps={WARMUP_STEPS}")


def num_phases(words: list[str], folder: Path) -> int:
    from wholeword.core.config.recipes import read_recipe
    from wholeword.core.config.yaml import read_yaml

    name = "repair-head" if words[1] == "repair-head" else words[2]
    content = (folder / name).read_bytes() if name.endswith(".yaml") else read_recipe(name)
    return len(read_yaml(content, name).data["phases"])


def run(command: str, shown: str, folder: Path, environment: dict[str, str]) -> Result:
    began = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    select.select([process.stdout], [], [])
    first = time.monotonic() - began
    output = process.stdout.read().decode("utf-8", "replace")
    return Result(shown, process.wait(), first, time.monotonic() - began, output)


def stand_in(folder: Path) -> None:
    """A random model of the shape of rbt3, which `zoo:rbt3` finds in a folder named by WHOLEWORD_ZOO."""
    from wholeword.core.bert.shapes import initial_weights
    from wholeword.core.contracts import ModelFiles
    from wholeword.core.training.export import export
    from wholeword.core.vocabulary import Vocabulary
    from wholeword.zoo.cards import get_card

    config = get_card("rbt3").bert_config
    characters = [chr(code) for code in range(0x4E00, 0x4E00 + config.vocab_size)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"，。！？", *characters][: config.vocab_size]
    model = ModelFiles(config, initial_weights(config, 1), Vocabulary(pieces), lowercase=True, next_sentence=False)
    export(model, "pytorch-bin", folder / "rbt3")


def hub_answers() -> bool:
    """Whether the hub has rbt3's configuration for us."""
    from wholeword.core.errors import WholewordError
    from wholeword.zoo.find import find

    try:
        find("rbt3", weights=False)
    except WholewordError:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--only", default="", help="only commands that contain this text")
    options = parser.parse_args()
    folder, environment = options.folder.absolute(), dict(os.environ)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if options.install:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        environment["PATH"] = f"{folder / '.venv' / 'bin'}{os.pathsep}{environment['PATH']}"
    else:
        folder.mkdir()
        environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"}
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "chnsenticorp").symlink_to((options.data / "chnsenticorp").absolute())
    (folder / "pieces.txt").write_text(PIECES, encoding="utf-8")
    (folder / "notes.txt").write_text(NOTES, encoding="utf-8")
    if "WHOLEWORD_ZOO" not in environment and not hub_answers():
        stand_in(folder / "zoo")
        environment["WHOLEWORD_ZOO"] = str(folder / "zoo")
    failures = 0
    for line in commands(ROOT / "README.md"):
        command = part_to_run(line, install=options.install, full=options.full)
        if command is None or options.only not in line:
            print(f"   -      -      -   {line}")
            continue
        result = run(command if options.full else shortened(command, folder), line, folder, environment)
        is_late = result.first_seconds > SECONDS
        failures += bool(result.code) or is_late
        note = " FAILED" * bool(result.code) + " SILENT" * is_late
        print(f"{result.code:4} {result.first_seconds:6.1f} {result.seconds:6.1f}   {line}{note}", flush=True)
        if result.code:
            print(result.output[-3000:], flush=True)
    print(f"{failures} failed or silent; columns: exit code, seconds until the first output, seconds in all, command")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
