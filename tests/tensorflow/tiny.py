"""A recipe small enough to train in seconds, and the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

DOCUMENTS = json.loads((Path(__file__).parents[1] / "data" / "google_small" / "documents.json").read_text(encoding="utf-8"))["documents"]
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")}
RECIPE = """
version: 1
name: small
seed: 7
corpus: {files: [corpus.txt], format: sentences}
segmenter: jieba
tokenizer: {train: 500, min_frequency: 1}
examples: nsp-pairs
masking: {name: whole-word, dynamic: false, dupe_factor: 4}
model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64}
optimizer: {name: lamb, variant: hfl}
backend: {name: tensorflow, precision: fp32, strategy: one-device}
phases:
  - {max_seq_length: 32, batch_size: 8, steps: 22, peak_lr: 5.0e-3, warmup_steps: 3}
  - {max_seq_length: 64, batch_size: 4, steps: 13, peak_lr: 5.0e-3, warmup_steps: 2}
evaluation: {held_out_rate: 0.2, every: 10, batches: 2}
checkpoint: {every: 5, keep: 2}
log: {every: 3}
export: [tf-checkpoint]
"""


def write_recipe(folder):
    (folder / "corpus.txt").write_text("\n\n".join("\n".join(document) for document in DOCUMENTS) + "\n", encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return folder / "recipe.yaml"


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


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
