"""A recipe small enough to train in seconds, and the command line."""

import os
import subprocess
import sys

import small_runs
from killing import ONE_THREAD


def write_recipe(folder):
    backend = "{name: tensorflow, precision: fp32, strategy: one-device}"
    sections = {
        "masking": "{name: whole-word, dynamic: false, dupe_factor: 4}",
        "evaluation": "{held_out_rate: 0.2, every: 10, batches: 2}",
    }
    return small_runs.write_recipe(folder, steps=(22, 13), backend=backend, export="[tf-checkpoint]", **sections)


def start(command, recipe, *overrides, output="run", environment=None, **arguments):
    """`wholeword COMMAND` in a process of its own."""
    folder = recipe.parent
    settings = [f"output={folder / output}", f"store={folder / 'store'}", "prepare_workers=1", *overrides]
    line = [sys.executable, "-m", "wholeword", *command.split(), str(recipe), *(word for item in settings for word in ("--set", item))]
    environment = {**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "2", **(environment or {})}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **arguments)


def run(command, recipe, *overrides, output="run", **arguments):
    """What it printed; it must end well."""
    process = start(command, recipe, *overrides, output=output, **arguments)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    return printed
