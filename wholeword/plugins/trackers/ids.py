"""The id of a run in a tool, kept in the run's folder so that a resumed run continues it."""

import secrets
from collections.abc import Callable
from pathlib import Path

from wholeword.core.files import atomic_write


def kept_id(folder: Path, tool: str, create: Callable[[], str]) -> str:
    """The id in `folder/trackers/<tool>`, which is created and kept there if there is none."""
    path = folder / "trackers" / tool
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, create().encode())
    return path.read_text()


def run_id(folder: Path, tool: str) -> str:
    """An id of eight random letters and digits."""
    return kept_id(folder, tool, lambda: secrets.token_hex(4))
