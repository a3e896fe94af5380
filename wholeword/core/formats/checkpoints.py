"""Checkpoints of a run: `step-00001000/{weights.safetensors, optimizer.safetensors, state.json, manifest.json}`, whole or absent."""

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
    """What a checkpoint folder holds."""

    weights: "Tensors"
    optimizer_state: "Tensors"
    state: dict[str, Any]


def save_checkpoint(
    path: Path, weights: "Tensors", optimizer_state: "Tensors", state: Mapping[str, Any], *, files: Mapping[str, bytes] | None = None
) -> None:
    """Write the checkpoint `path`, a folder named `step-<number>`.

    Args:
        state: what JSON can hold.
        files: more files by name, such as the vocabulary, without which weights are of little use.
    Raises: DiskError if there is no room; nothing is left of the checkpoint then.
    """
    with atomic_directory(path) as folder:
        write_tensors(folder / "weights.safetensors", weights)
        write_tensors(folder / "optimizer.safetensors", optimizer_state)
        write_file(folder / "state.json", to_json(state))
        for name, content in (files or {}).items():
            write_file(folder / name, content)
        write_manifest(folder, {})


def checkpoints(folder: Path | str) -> list[Path]:
    """The checkpoints in a folder, oldest first; unfinished ones have other names and are ignored."""
    found = [path for path in Path(folder).glob("step-*") if path.is_dir() and _step(path).isdigit()]
    return sorted(found, key=lambda path: int(_step(path)))


def latest_checkpoint(folder: Path | str) -> Path | None:
    """The newest complete checkpoint of a run; None if there is none."""
    return next(reversed(checkpoints(folder)), None)


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises: IntegrityError naming the file that is missing, truncated or changed, and how to continue without it."""
    try:
        check_manifest(path)
    except IntegrityError as error:
        siblings = checkpoints(path.parent)
        older = siblings[: siblings.index(path)] if path in siblings else []
        rest = f"go on from {older[-1].name}" if older else "begin anew; there is no older one"
        raise IntegrityError(f"{error}\n{path}: this checkpoint is broken; delete the folder to {rest}") from None
    state = json.loads((path / "state.json").read_bytes())
    return Checkpoint(read_tensors(path / "weights.safetensors"), read_tensors(path / "optimizer.safetensors"), state)


def prune(folder: Path | str, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints, the oldest first."""
    for path in checkpoints(folder)[:-keep]:
        doomed = path.with_name(f".{path.name}{PARTIAL}")  # a name that a later save clears away, if this process is killed here
        os.rename(path, doomed)
        shutil.rmtree(doomed)


def _step(path: Path) -> str:
    return path.name.removeprefix("step-")
