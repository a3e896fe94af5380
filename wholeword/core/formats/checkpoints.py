"""Checkpoints of a run: `step-00001000/{weights.safetensors, optimizer.safetensors, state.json, manifest.json}`, complete or absent."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wholeword.core.errors import IntegrityError
from wholeword.core.files import PARTIAL, atomic_directory, check_manifest, to_json, write_file, write_manifest
from wholeword.core.formats.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors


class Checkpoint(NamedTuple):
    """The contents of a checkpoint folder."""

    weights: "Tensors"
    optimizer_state: "Tensors"
    state: dict[str, Any]


def save_checkpoint(
    path: Path, weights: "Tensors", optimizer_state: "Tensors", state: Mapping[str, Any], *, files: Mapping[str, bytes] | None = None
) -> None:
    """Write the checkpoint `path`, a folder named `step-<number>`.

    Args:
        state: plain data, saved as JSON.
        files: further files by name, such as the vocabulary, which makes the weights usable on their own.
    Raises: DiskError if the disk is full; no partial checkpoint is left behind.
    """
    with atomic_directory(path) as folder:
        write_tensors(folder / "weights.safetensors", weights)
        write_tensors(folder / "optimizer.safetensors", optimizer_state)
        write_file(folder / "state.json", to_json(state))
        for name, content in (files or {}).items():
            write_file(folder / name, content)
        write_manifest(folder, {})


def checkpoints(folder: Path | str) -> list[Path]:
    """The checkpoints in a folder, oldest first. Unfinished ones have other names and are ignored."""
    folders = [path for path in Path(folder).glob("step-*") if path.is_dir() and _step(path).isdigit()]
    return sorted(folders, key=lambda path: int(_step(path)))


def latest_checkpoint(folder: Path | str) -> Path | None:
    """The newest complete checkpoint of a run; None if there is none."""
    return next(reversed(checkpoints(folder)), None)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises: IntegrityError naming the file that is missing, truncated or changed, and what to do about it."""
    try:
        check_manifest(path)
    except IntegrityError as error:
        siblings = checkpoints(path.parent)
        older = siblings[: siblings.index(path)] if path in siblings else []
        advice = f"resume from {older[-1].name}" if older else "start over; there is no older one"
        raise IntegrityError(f"{error}\n{path}: this checkpoint is damaged; delete the folder to {advice}") from None
    state = json.loads((path / "state.json").read_bytes())
    return Checkpoint(read_tensors(path / "weights.safetensors"), read_tensors(path / "optimizer.safetensors"), state)


def prune(folder: Path | str, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints, the oldest first."""
    for path in checkpoints(folder)[:-keep]:
        doomed = path.with_name(f".{path.name}{PARTIAL}")  # if this process is killed here, a later save removes a folder of this name
        os.rename(path, doomed)
        shutil.rmtree(doomed)


def _step(path: Path) -> str:
    return path.name.removeprefix("step-")
