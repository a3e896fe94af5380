"""What stops a run, collected before anything is spent on it, so that all of it is reported at once."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wholeword.core.contracts import NeedsMachine
from wholeword.core.errors import BrokenPluginsError, NoRoomError, PluginError, RecipeError, UserError
from wholeword.core.registry.libraries import expect_libraries
from wholeword.core.registry.registry import registry

MANY_UNKNOWN, NEARLY_ALL_UNKNOWN = 0.1, 0.9  # [UNK] among the pieces: in ordinary text with a vocabulary made for it, under 0.01


class Problems:
    """Problems, which stop a run, and warnings, which do not; one line each."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._num_broken = 0  # problems that are a plugin's
        self._no_room: NoRoomError | None = None

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Around a check: a UserError or PluginError that it raises becomes a problem."""
        try:
            yield
        except (UserError, PluginError) as error:
            lines = [line for line in str(error).split("\n") if line not in self.problems]
            self.problems += lines
            self._num_broken += len(lines) * (error.exit_code == PluginError.exit_code)
            self._no_room = error if isinstance(error, NoRoomError) else self._no_room

    def expect_none(self) -> None:
        """Raises: RecipeError with all problems; BrokenPluginsError if all of them are plugins that cannot be used; NoRoomError if that is
        the only one, since a table stops at it.
        """
        if self._no_room is not None and len(self.problems) == 1:
            raise self._no_room
        if self.problems:
            raise (BrokenPluginsError if self._num_broken == len(self.problems) else RecipeError)(self.problems)


def expect_backend(name: str, settings: Mapping[str, Any]) -> None:
    """Raises: PluginError if a library is missing; UserError if this machine has not what the backend's settings ask for."""
    expect_libraries("backend", name)
    backend = registry.create("backend", name, **settings)
    if isinstance(backend, NeedsMachine):
        backend.expect_machine()


def expect_room(needed: Mapping[Path, int]) -> None:
    """Raises: NoRoomError if so many bytes more are not free where some folders are or will be.

    Args:
        needed: bytes by folder; folders on one disk count together.
    """
    by_disk: dict[int, list[Path]] = {}
    for folder, size in needed.items():
        if size > 0:
            by_disk.setdefault(os.stat(_existing(folder)).st_dev, []).append(folder)
    for folders in by_disk.values():
        total, free = sum(needed[folder] for folder in folders), shutil.disk_usage(_existing(folders[0])).free
        if total > free:
            names = " and ".join(str(folder) for folder in folders)
            raise NoRoomError(
                f"{names}: about {total:,} bytes more are needed, {free:,} are free; make room, or choose a folder on another disk"
            )


def expect_folders(folders: Mapping[str, Path | None]) -> None:
    """Raises: UserError for a folder that could not be written: a file is in its place or in its path, or nobody may write there.

    Args:
        folders: by the setting that names it.
    """
    for setting, folder in folders.items():
        if folder is None:
            continue
        there = _existing(folder)
        if not there.is_dir():
            raise UserError(f"{setting}: {folder}: {there} is a file; expected a folder, or a path that is free")
        if not os.access(there, os.W_OK | os.X_OK):
            raise UserError(f"{setting}: {folder}: {there} may not be written to; choose another folder, or change its permissions")


def size_of_folder(folder: Path) -> int:
    """Bytes of all files in a folder; 0 if there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def expect_known_pieces(unknown_rate: float) -> str | None:
    """A warning about a vocabulary that does not fit the text; None if it does.

    Args:
        unknown_rate: share of [UNK] among the pieces.
    Raises: UserError if nearly every piece is [UNK]: a model would learn to predict that, and be right.
    """
    message = f"tokenizer.vocab: {unknown_rate:.1%} of the pieces of this text are [UNK]"
    if unknown_rate >= NEARLY_ALL_UNKNOWN:
        raise UserError(f"{message}; expected a vocabulary made for such text, one piece a line (tokenizer.train makes one)")
    return f"{message}; is the vocabulary made for such text?" if unknown_rate >= MANY_UNKNOWN else None


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
