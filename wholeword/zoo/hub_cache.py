"""The hub's cache: which files it contains, and whether each matches the hub's checksum and the one recorded at first use.

The client names cached files after the checksums that the hub publishes. Checksums recorded at first use are in a lock file,
`$HF_HOME/wholeword/hub.lock.json`.
"""

import fcntl
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from wholeword.core.console import doing
from wholeword.core.errors import IntegrityError
from wholeword.core.files import atomic_write, disk_errors, to_json

COMMIT = re.compile(r"[0-9a-f]{40}")


class Known(NamedTuple):
    """What the hub publishes about a file; None where it publishes nothing."""

    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None  # of "blob <size>\0" and the content; published for small files instead of a sha256


def snapshot(repo_id: str, commit: str) -> Path:
    """The cached folder of a commit."""
    return storage(repo_id) / "snapshots" / commit


def storage(repo_id: str) -> Path:
    """The cached folder of a repository."""
    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo_id, repo_type="model"))


def check(repo_id: str, commit: str, name: str, known: Known, sha256: str | None, *, always: bool = False) -> None:
    """Compare a file with every known checksum, and record its own.

    Args:
        always: hash the file even if it was hashed before and seems unmodified.
    Raises: IntegrityError on a mismatch, after removing the file.
    """
    path = snapshot(repo_id, commit) / name
    where = f"{repo_id}@{commit[:8]}/{name}"
    first = read_lock()["models"].get(f"{repo_id}@{commit}", {}).get("files", {}).get(name)
    if not path.is_file():
        raise IntegrityError(f"{where}: no longer in the cache; fetch it again")
    status = path.stat()
    stat = [status.st_mtime_ns, status.st_ino, status.st_size]
    if first and first["stat"] == stat and not always:  # hashed before, and not modified since
        actual_sha256, actual_sha1 = first["sha256"], first["git_sha1"]
    else:
        with doing(f"checking {path.name} of {repo_id}"):
            actual_sha256, actual_sha1 = _hashes(path)
    if known == Known():  # no request was sent: the cache names a file after the checksum published for it
        checksum = path.resolve().name
        known = Known(None, *((checksum, None) if len(checksum) == 64 else (None, checksum if len(checksum) == 40 else None)))
    expected = {
        "published by the hub": (known.size, known.sha256, known.git_sha1),
        "given in the model's card": (None, sha256, None),
        f"recorded at first use in {_lock_path()}": (None, first and first["sha256"], None),
    }
    actual = (status.st_size, actual_sha256, actual_sha1)
    for origin, values in expected.items():
        for kind, value, actual_value in zip(("size", "sha256", "git sha1"), values, actual, strict=True):
            if value is not None and value != actual_value:
                remove(path)
                raise IntegrityError(
                    f"{where}: rejected and removed from the cache: its {kind} is {actual_value}, not {value} as {origin}; run again"
                )
    if not (known.sha256 or known.git_sha1 or sha256 or first):
        raise IntegrityError(f"{where}: the hub publishes no checksum, so the file cannot be verified")
    if first is None or first["stat"] != stat:
        remember(repo_id, commit, file=name, entry={"sha256": actual_sha256, "git_sha1": actual_sha1, "size": status.st_size, "stat": stat})


def _hashes(path: Path) -> tuple[str, str]:
    """The sha256 of a file, and its git blob id."""
    git = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
            git.update(block)
    return sha256.hexdigest(), git.hexdigest()


def remove(path: Path) -> None:
    """Remove a file from the cache, and the targets of its links as long as they are inside the cache."""
    cache = Path(constants.HF_HUB_CACHE).resolve()
    while path.is_symlink():
        target = path.parent / os.readlink(path)
        path.unlink()
        path = Path(os.path.abspath(target))
        if cache not in path.parent.resolve().parents:
            return
    path.unlink(missing_ok=True)


# --- the lock file


def _lock_path() -> Path:
    return Path(constants.HF_HOME, "wholeword", "hub.lock.json")


def read_lock() -> dict[str, Any]:
    """{"revisions": {repo@branch: commit}, "models": {repo@commit: {"names": [...], "files": {name: sha256, size, stat}}}}."""
    path = _lock_path()
    try:
        content = json.loads(path.read_bytes())
        for model in content["models"].values():
            assert all(entry.keys() >= {"sha256", "git_sha1", "stat"} for entry in model.get("files", {}).values())
        return {"revisions": dict(content["revisions"]), "models": dict(content["models"])}
    except FileNotFoundError:
        return {"revisions": {}, "models": {}}
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
        raise IntegrityError(f"{path}: damaged; delete it to trust the files as they are now") from None


def remember(
    repo_id: str,
    commit: str,
    *,
    revision: str | None = None,
    names: list[str] | None = None,
    file: str | None = None,
    entry: dict[str, Any] | None = None,
) -> None:
    """Add to the lock file. If its folder is not writable, nothing is recorded and files are hashed at every use."""
    path = _lock_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk_errors(path), open(path.with_name(f".{path.name}"), "w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            lock = read_lock()
            model = lock["models"].setdefault(f"{repo_id}@{commit}", {})
            if revision and not COMMIT.fullmatch(revision):
                lock["revisions"][f"{repo_id}@{revision}"] = commit
            if names is not None:
                model["names"] = names
            if file:
                model.setdefault("files", {})[file] = entry
            atomic_write(path, to_json(lock))
    except OSError as error:
        if not isinstance(error, PermissionError) and "Read-only" not in str(error):
            raise
