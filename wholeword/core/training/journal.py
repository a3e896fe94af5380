"""What a run writes down while it trains.

`log.jsonl` holds what was learnt; it is reproducible byte by byte, so it carries no clock. `timings.jsonl` carries the clock.
TensorBoard files hold the same figures, when asked for.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wholeword.core.errors import UserError


class Journal:
    """The log of one run in `folder`.

    Args:
        header: the first line.
        size: bytes of `log.jsonl` that stand; what follows was written by steps that will be done again, and is cut off.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], *, size: int, tensorboard: bool):
        self.path, self.timings = folder / "log.jsonl", folder / "timings.jsonl"
        self.board = _tensorboard(folder) if tensorboard else None
        self.began, self.tokens = time.monotonic(), 0
        with open(self.path, "ab") as log:
            log.truncate(size)
        if size == 0:
            self._append(self.path, header)

    def write(self, line: Mapping[str, Any], *, total_steps: int, prefix: str) -> None:
        """One line, and on TensorBoard its numbers as `prefix/name` at `total_steps` of the whole run."""
        self._append(self.path, line)
        if self.board:
            for name, value in line.items():
                if isinstance(value, float):
                    self.board.add_scalar(f"{prefix}/{name}", value, total_steps)

    def clock(self, line: Mapping[str, Any]) -> float:
        """Note the time; returns tokens a second since this process began training."""
        seconds = time.monotonic() - self.began
        speed = self.tokens / seconds
        self._append(self.timings, {**line, "seconds": round(seconds, 3), "tokens_per_second": round(speed)})
        return speed

    def sync(self) -> int:
        """Bring the log to the disk; returns its size in bytes."""
        with open(self.path, "ab") as log:
            os.fsync(log.fileno())
            return log.tell()

    def close(self) -> None:
        if self.board:
            self.board.close()

    @staticmethod
    def _append(path: Path, line: Mapping[str, Any]) -> None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


class NoJournal:
    """Of a host that writes nothing."""

    tokens = 0

    def write(self, line: Mapping[str, Any], *, total_steps: int, prefix: str) -> None:
        pass

    def clock(self, line: Mapping[str, Any]) -> float:
        return 0.0

    def sync(self) -> int:
        return 0

    def close(self) -> None:
        pass


def _tensorboard(folder: Path) -> Any:
    try:
        from tensorboard.summary import Writer
    except ModuleNotFoundError:
        raise UserError('log.tensorboard needs tensorboard: pip install "wholeword[track]"') from None
    return Writer(str(folder / "tensorboard"))
