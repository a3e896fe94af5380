"""The sha256 of large files, cached in `$HF_HOME/wholeword/checksums.json` until the files are modified.

A file is identified by its path, inode, size, `mtime` and `ctime`, which no program can set. Bit rot changes none of these, so
`wholeword zoo verify` reads every byte; loading does not.
"""

import fcntl
import json
import time
from pathlib import Path
from typing import Any

from wholeword.core.files import atomic_write, sha256_of, to_json

SMALLEST_BYTES = 1 << 20  # hashing a smaller file is as quick as looking it up
SETTLED_SECONDS = 2.0  # a file modified more recently may change again without a new time stamp


class Checksums:
    """Call `sha256` from any thread, then `save`. If the cache cannot be read or written, files are simply hashed again."""

    def __init__(self) -> None:
        from huggingface_hub import constants

        self.path = Path(constants.HF_HOME, "wholeword", "checksums.json")
        self.known = _read(self.path)
        self.new: dict[str, dict[str, Any]] = {}

    def sha256(self, path: Path) -> str:
        """The sha256 of a file's content, in hexadecimal."""
        status = path.stat()
        if status.st_size < SMALLEST_BYTES:
            return sha256_of(path)
        name, stat = str(path.resolve()), [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        entry = self.known.get(name)
        if isinstance(entry, dict) and entry.get("stat") == stat and isinstance(entry.get("sha256"), str):
            return str(entry["sha256"])
        started, sha256 = time.time(), sha256_of(path)
        if max(status.st_mtime, status.st_ctime) < started - SETTLED_SECONDS:
            self.new[name] = {"stat": stat, "sha256": sha256}
        return sha256

    def save(self) -> None:
        """Merge new checksums into the cache; failing to write it is not an error."""
        if not self.new:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path.with_name(f".{self.path.name}"), "w") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                entries = _read(self.path) | self.new
                atomic_write(self.path, to_json({"files": {name: entry for name, entry in entries.items() if Path(name).exists()}}))
        except OSError:  # including a full disk
            pass


def _read(path: Path) -> dict[str, Any]:
    try:
        files = json.loads(path.read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return files if isinstance(files, dict) else {}
