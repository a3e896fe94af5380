"""The folders that `wholeword finetune` writes: `seed-<n>/{result.json, model/}` for each seed."""

import json
from pathlib import Path
from typing import Any

from wholeword.core.errors import UserError

MODEL, RESULT = "model", "result.json"


def seeds(folder: Path) -> dict[int, Path]:
    """Number -> folder of the seeds of a fine-tuning run, in order; empty if the folder holds none."""
    found = {path.name.removeprefix("seed-"): path for path in folder.glob("seed-*") if path.is_dir()}
    return {int(number): found[number] for number in sorted((name for name in found if name.isdecimal()), key=int)}


def result(seed_folder: Path) -> dict[str, Any] | None:
    """The content of a seed's result.json; None if the seed is not finished."""
    path = seed_folder / RESULT
    return dict(json.loads(path.read_bytes())) if path.is_file() else None


def model_of_run(path: Path) -> Path:
    """The model in the folder of a fine-tuning run or of one of its seeds; any other path as it is.

    Raises: UserError listing the seeds if there are several, or if no model was kept.
    """
    if not path.is_dir() or any((path / name).exists() for name in ("config.json", "bert_config.json", "state.json", "checkpoints")):
        return path
    if (path / MODEL / "config.json").is_file() and path.name.startswith("seed-"):
        return path / MODEL
    runs = seeds(path) or ({0: path} if path.name.startswith("seed-") and (path / RESULT).is_file() else {})
    if not runs:
        return path
    kept = [folder for folder in runs.values() if (folder / MODEL / "config.json").is_file()]
    if len(kept) == 1:
        return kept[0] / MODEL
    if not kept:
        raise UserError(f"{path}: a fine-tuning run without models: none is finished, or the recipe says keep_model: false")
    choices = ", ".join(f"{folder}{_score(folder)}" for folder in kept)
    raise UserError(f"{path}: a fine-tuning run of {len(kept)} seeds; choose one of {choices}")


def _score(folder: Path) -> str:
    values = result(folder)
    if not values or not values["metrics"] or "dev" not in values["splits"]:
        return ""
    metric = values["metrics"][0]
    return f" (dev {metric} {values['splits']['dev'][metric]:.2f})"
