"""What the runs in a folder were made from, so that runs of something else are refused: `<output>/recipe.json`."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wholeword.core.contracts import Example, ModelFiles
from wholeword.core.errors import OtherOriginError
from wholeword.core.files import atomic_write, differences, to_json
from wholeword.core.formats.tensors import checksum

IDENTITY = "recipe.json"
STAMPS = "files"  # key of the sizes and times of the files read; not compared, since equal files may have other times


def model_identity(model: ModelFiles) -> dict[str, Any]:
    """What of a model decides the results."""
    encoder = {name: array for name, array in model.weights.items() if name.startswith("bert/")}
    return {"weights": checksum(encoder), "vocabulary": model.vocabulary.sha256, "lowercase": model.lowercase}


def fingerprint(examples: Sequence[Example]) -> str:
    """The sha256 of examples."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps(example, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def expect_same(folder: Path, identity: Mapping[str, Any]) -> None:
    """Compare some parts of an identity with the folder's, if it has one. Raises: OtherOriginError naming what differs."""
    recorded = _recorded(folder)
    if not recorded:
        return
    changed = [line for key in identity for line in differences(recorded.get(key), identity[key], key)]
    if "settings" not in recorded:
        changed = ["it holds no fine-tuning run"]
    if changed:
        raise OtherOriginError(f"{folder}: holds runs of another recipe ({'; '.join(changed[:4])}); set another output, or remove it")


def write_identity(folder: Path, identity: Mapping[str, Any], stamps: Mapping[str, Any]) -> None:
    """Record what the runs in a folder are made from."""
    atomic_write(folder / IDENTITY, to_json({**identity, STAMPS: stamps}))


def file_stamps(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Size and modification time of files, and of the files in folders, on this machine."""
    files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path]) if file.is_file()]
    stats = {str(file.absolute()): file.stat() for file in files}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def files_changed(folder: Path, paths: Iterable[Path]) -> bool:
    """Whether a file may have changed since model and task were last read; then they have to be read again."""
    recorded = _recorded(folder).get(STAMPS, {})
    return any(recorded.get(name) != stamp for name, stamp in file_stamps(paths).items())


def _recorded(folder: Path) -> dict[str, Any]:
    """The folder's identity; empty if it has none."""
    path = folder / IDENTITY
    return dict(json.loads(path.read_bytes())) if path.exists() else {}
