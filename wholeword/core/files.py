"""Files that are whole or absent: atomic writes, and folders that carry their own checksums.

Every folder this project writes holds a `manifest.json` with the size and sha256 of every other file, and gets its final name by one
`rename` after everything in it has reached the disk. A process killed at any moment leaves the final name absent or whole; what it was
writing stays under a name ending in `.wholeword-partial`, which the next write beside it removes.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wholeword.core.errors import DiskError, IntegrityError, UserError

MANIFEST = "manifest.json"
PARTIAL = ".wholeword-partial"
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def sha256_of(path: Path | str) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def disk_errors(path: Path | str, *, needed: int | None = None) -> Iterator[None]:
    """Turn "the disk is full" in any of its forms into a DiskError with the path, the bytes `needed` (if known) and the bytes free."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        folder = next(parent for parent in [Path(path).absolute(), *Path(path).absolute().parents] if parent.is_dir())
        need = "" if needed is None else f"needs {needed:,} bytes, "
        free = shutil.disk_usage(folder).free
        raise DiskError(f"{path}: {os.strerror(error.errno)}: {need}{free:,} bytes are free; make room and run again") from error


def write_file(path: Path | str, content: bytes | Iterable[Any]) -> None:
    """Write bytes, or one buffer (bytes, contiguous array) after the other, and wait until they have reached the disk.

    Raises: DiskError if there is no room.
    """
    parts: Iterable[Any] = [content] if isinstance(content, bytes) else content
    buffers = [memoryview(part) for part in parts]
    with disk_errors(path, needed=sum(buffer.nbytes for buffer in buffers)), open(path, "wb") as file:
        for buffer in buffers:
            if buffer.nbytes:
                file.write(buffer)
        file.flush()
        os.fsync(file.fileno())


def atomic_write(path: Path | str, content: bytes | Iterable[Any]) -> None:
    """Like `write_file`, but `path` holds its old content or the whole of the new one at every moment."""
    path = Path(path)
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        write_file(partial, content)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


@contextmanager
def atomic_directory(final: Path | str) -> Iterator[Path]:
    """Fill a folder that appears under its final name whole or not at all.

    Yields a new, empty folder beside `final`. If the block succeeds, its files are brought to the disk and it is renamed; if the
    block fails, it is removed. Unfinished folders of killed processes beside `final` are removed first (a running process holds a lock).

        with atomic_directory("runs/x/step-1000") as folder:
            write_file(folder / "weights", ...)
            write_manifest(folder, {"step": 1000})

    Raises: UserError if `final` exists and is not an empty folder, or another process is writing it; DiskError if there is no room.
    """
    final = Path(final)
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        raise UserError(f"{final}: already exists; remove it or choose another name")
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        remove_partial_directories(final.parent)
        partial = final.with_name(f".{final.name}{PARTIAL}")
        try:
            partial.mkdir()
        except FileExistsError:
            raise UserError(f"{final}: another process is writing it; wait for it to end") from None
        with locked_folder(partial):
            try:
                yield partial
                fsync_tree(partial)
                os.rename(partial, final)
                fsync_folder(final.parent)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise


def remove_partial_directories(parent: Path) -> None:
    """Remove unfinished folders of killed processes in `parent`; those of running processes are locked and stay."""
    for stale in parent.glob(f".*{PARTIAL}"):
        if stale.is_dir():
            try:
                with locked_folder(stale):
                    shutil.rmtree(stale)
            except (BlockingIOError, FileNotFoundError):
                pass


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for this process; the lock ends with the process. Raises: BlockingIOError if another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def fsync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Bring all files in a folder to the disk, and their names."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(Path(parent, name), "rb") as file:
                os.fsync(file.fileno())
        fsync_folder(Path(parent))


def to_json(content: Mapping[str, Any]) -> bytes:
    """JSON whose bytes are a function of the content alone: keys sorted, one item a line, UTF-8."""
    return (json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("utf-8")


def write_manifest(folder: Path | str, extra: Mapping[str, Any]) -> None:
    """Write `manifest.json`: `extra`, and under "files" the size and sha256 of every file in the folder. Write it last."""
    folder = Path(folder)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST]
    files = {path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256_of(path)} for path in paths}
    content = {**extra, "files": files}
    content["manifest_sha256"] = hashlib.sha256(to_json(content)).hexdigest()
    write_file(folder / MANIFEST, to_json(content))


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest, checked against its own sha256; the files are not checked. Raises: IntegrityError."""
    path = Path(folder) / MANIFEST
    try:
        return parse_manifest(path.read_bytes(), path)
    except (FileNotFoundError, NotADirectoryError):
        raise IntegrityError(f"{path}: missing; the folder was never finished, or is something else") from None


def parse_manifest(data: bytes, path: Path | str) -> dict[str, Any]:
    """The manifest in the content of a file. Raises: IntegrityError if it changed since it was written."""
    try:
        content: dict[str, Any] = json.loads(data)
        written = content.pop("manifest_sha256")
        files = {name: (entry["size"], entry["sha256"]) for name, entry in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IntegrityError(f"{path}: damaged: it is not a manifest") from None
    if hashlib.sha256(to_json(content)).hexdigest() != written or any(".." in Path(name).parts for name in files):
        raise IntegrityError(f"{path}: changed since it was written")
    return dict(content)


def check_manifest(folder: Path | str, *, sha256: Callable[[Path], str] = sha256_of) -> dict[str, Any]:
    """The manifest, once every file in it has the size and sha256 that it names. Other files are ignored.

    Args:
        sha256: computes that of a file; called from several threads at once.
    Raises: IntegrityError, with a line for each file that is missing, truncated or changed.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)

    def problem(name: str) -> str | None:
        path, entry = folder / name, manifest["files"][name]
        if not path.is_file():
            return f"{path}: missing"
        if path.stat().st_size != entry["size"]:
            return f"{path}: {path.stat().st_size:,} bytes, but {entry['size']:,} were written"
        if sha256(path) != entry["sha256"]:
            return f"{path}: changed since it was written (sha256 differs)"
        return None

    with ThreadPoolExecutor(4) as threads:  # hashing runs outside of the interpreter lock
        problems = [line for line in threads.map(problem, sorted(manifest["files"])) if line]
    if problems:
        raise IntegrityError("\n".join(problems))
    return manifest


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """The settings that differ, as `phases.0.steps: 100 -> 200`."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for key in sorted({*old, *new}) for line in differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [line for number, (a, b) in enumerate(zip(old, new, strict=True)) for line in differences(a, b, f"{path}.{number}")]
    return [] if old == new else [f"{path}: {old} -> {new}"]
