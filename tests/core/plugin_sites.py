"""Installs plugins of other distributions into folders, and runs the command line there."""

import os
import subprocess
import sys
from pathlib import Path

import wholeword

GOOD = """
from wholeword import hookimpl

@hookimpl
def register_segmenters(register):
    register("{name}", "{module}:Segmenter")

class Segmenter:
    def __init__(self, *, size: int = 2): self.size = size
    def segment(self, sentences): return [[s[i:i + self.size] for i in range(0, len(s), self.size)] for s in sentences]
"""


TOMORROW = """
from wholeword import hookimpl

@hookimpl
def register_segmenters(register): register("later", "{module}:Segmenter")

@hookimpl
def register_telescopes(register): raise AssertionError("nobody calls this")

@hookimpl
def register_segmenter(register): raise AssertionError("nobody calls this")

@hookimpl(optionalhook=True)
def register_microscopes(register): raise AssertionError("nobody calls this")

class Segmenter:
    def segment(self, sentences): return [list(sentence) for sentence in sentences]
"""


RECIPE = """
version: 1
name: mine
corpus: {files: [text.txt], cleaning: [quotes]}
tokenizer: {train: 400}
masking: wholeword:whole-word
model: {size: tiny}
optimizer: {name: adamw}
phases: [{max_seq_length: 64, batch_size: 4, steps: 3, peak_lr: 1.0e-3}]
evaluation: {held_out_rate: 0.1, maskings: [whole-word]}
export: [pytorch-bin]
"""


SMALL = """
version: 1
name: small
corpus: {files: [text.txt]}
tokenizer: {train: 64, min_frequency: 1}
model: {size: tiny}
phases: [{max_seq_length: 16, batch_size: 2, steps: 1, peak_lr: 1.0e-4}]
output: small
"""


def environment(site):
    """Of a process that finds this checkout, and what is installed in `site`."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(Path(wholeword.__file__).parents[1])])}


def run(site, *arguments, code=0):
    """The command line where the plugins in `site` are installed."""
    command = [sys.executable, "-m", "wholeword", *map(str, arguments)]
    result = subprocess.run(command, cwd=site, capture_output=True, text=True, env=environment(site))
    assert result.returncode == code, result.stderr
    result.stderr = "".join(line for line in result.stderr.splitlines(keepends=True) if not line.endswith(" ...\n"))  # announced waits
    return result


def warnings_of(result):
    """The warnings among the lines on standard error; a slow machine announces waits there too."""
    return [line for line in result.stderr.splitlines() if line.startswith("warning: ")]


def stand_in(folder, *libraries):
    """Libraries that count as installed where `folder` is on the path, whether they are or not."""
    for name in libraries:
        (folder / f"{name}.py").touch()


def install(folder, distribution, source, *, module=None):
    """Write a distribution with one module and one entry point, as pip leaves it."""
    module = module or distribution.replace("-", "_") + "_plugin"
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    info = folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[wholeword]\nmain = {module}\n")
