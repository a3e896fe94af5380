"""A corpus and a recipe small enough to train in seconds."""

import json
from pathlib import Path
from typing import Any

DOCUMENTS = json.loads((Path(__file__).parent.parent / "data" / "google_small" / "documents.json").read_text(encoding="utf-8"))["documents"]
RECIPE = """\
version: 1
name: small
seed: 7
corpus: {files: [corpus.txt], format: sentences}
segmenter: jieba
tokenizer: {train: 500, min_frequency: 1}
examples: nsp-pairs
masking: {name: whole-word, dynamic: false, dupe_factor: 2}
model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64}
optimizer: {name: lamb, variant: hfl}
backend: {name: pytorch, precision: fp32, threads: 1, micro_batch_size: 5}
phases: [PHASE_1, PHASE_2]
evaluation: {held_out_rate: 0.2, every: 10, batches: 2, maskings: [whole-word, wordpiece]}
checkpoint: {every: 5, keep: 2}
log: {every: 3}
export: [pytorch-bin]
"""
PHASES = (
    "{max_seq_length: 32, batch_size: 8, steps: STEPS, peak_lr: 5.0e-3, warmup_steps: 3}",
    "{max_seq_length: 64, batch_size: 4, steps: STEPS, peak_lr: 5.0e-3, warmup_steps: 2}",
)


def write_corpus(folder: Path) -> None:
    (folder / "corpus.txt").write_text("\n\n".join("\n".join(document) for document in DOCUMENTS) + "\n", encoding="utf-8")


def write_recipe(folder: Path, *, steps: tuple[int, int] = (31, 20), **lines: str) -> Path:
    """The corpus and `recipe.yaml`, with other values for some sections."""
    write_corpus(folder)
    recipe = RECIPE
    for number, count in enumerate(steps, 1):
        recipe = recipe.replace(f"PHASE_{number}", PHASES[number - 1].replace("STEPS", str(count)))
    for section, value in lines.items():
        [line] = [line for line in recipe.splitlines() if line.startswith(f"{section}:")]
        recipe = recipe.replace(line, f"{section}: {value}")
    path = folder / "recipe.yaml"
    path.write_text(recipe, encoding="utf-8")
    return path


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
