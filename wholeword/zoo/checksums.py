"""The sha256 of large files, remembered as long as nobody touches them: `$HF_HOME/wholeword/checksums.json`.

A file is known again by its place, inode, size and both of its times, of which no program can set the second (`ctime`). Bits that rot
change none of them: `wholeword zoo verify` reads every byte, a load does not.
"""

import fcntl
import json
import time
from pathlib import Path
from typing import Any

from wholeword.core.files import atomic_write, sha256_of, to_json

SMALLEST_BYTES = 1 << 20  # a smaller file is hashed in the time that looking it up takes
SETTLED_SECONDS = 2.0  # a file changed so shortly ago may change again without another time


class Checksums:
    """Ask `sha256` from any thread, then `save`; what cannot be read or written is hashed again the next time."""

    def __init__(self) -> None:
        from huggingface_hub import constants

        self.path = Path(constants.HF_HOME, "wholeword", "checksums.json")
        self.known = _read(self.path)
        self.new: dict[str, dict[str, Any]] = {}

    def sha256(self, path: Path) -> str:
        """Of a file's content, in hexadecimal."""
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
        """Merge new checksums into the file; a full disk is not an error."""
        if not self.new:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path.with_name(f".{self.path.name}"), "w") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                entries = _read(self.path) | self.new
                atomic_write(self.path, to_json({"files": {name: entry for name, entry in entries.items() if Path(name).exists()}}))
        except OSError:  # of a full disk too
            pass


def _read(path: Path) -> dict[str, Any]:
    try:
        files = json.loads(path.read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return files if isinstance(files, dict) else {}
