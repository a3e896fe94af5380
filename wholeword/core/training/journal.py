"""What a run writes down while it trains.

`log.jsonl` holds the metrics; it is reproducible byte by byte, so it carries no clock. `timings.jsonl` carries the clock. Trackers get the
same metrics.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wholeword.core.training.trackers import Trackers


class Journal:
    """The log of one run in `folder`.

    Args:
        header: the first line.
        size: bytes of `log.jsonl` that remain; the rest was written by steps that will be taken again, and is cut off.
        trackers: that are started.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], *, size: int, trackers: Trackers | None = None):
        self.path, self.timings = folder / "log.jsonl", folder / "timings.jsonl"
        self.trackers = trackers
        self.began, self.tokens = time.monotonic(), 0
        with open(self.path, "ab") as log:
            log.truncate(size)
        if size == 0:
            self._append(self.path, header)

    def write(self, line: Mapping[str, Any], *, total_steps: int, prefix: str) -> None:
        """Write one line, and send its metrics to the trackers as `prefix/name` at `total_steps` of the whole run."""
        self._append(self.path, line)
        if self.trackers:
            self.trackers.log(line, step=total_steps, prefix=prefix)

    def clock(self, line: Mapping[str, Any]) -> float:
        """Record the time. Returns: tokens per second since this process began training."""
        seconds = time.monotonic() - self.began
        speed = self.tokens / seconds
        self._append(self.timings, {**line, "seconds": round(seconds, 3), "tokens_per_second": round(speed)})
        return speed

    def sync(self) -> int:
        """Flush the log to the disk. Returns: its size in bytes."""
        with open(self.path, "ab") as log:
            os.fsync(log.fileno())
            return log.tell()

    def close(self) -> None:
        """Close the trackers."""
        if self.trackers:
            self.trackers.finish()

    @staticmethod
    def _append(path: Path, line: Mapping[str, Any]) -> None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


class NoJournal:
    """For a host that writes nothing."""

    tokens = 0

    def write(self, line: Mapping[str, Any], *, total_steps: int, prefix: str) -> None:
        """Nothing."""
        pass

    def clock(self, line: Mapping[str, Any]) -> float:
        """No time."""
        return 0.0

    def sync(self) -> int:
        """Nothing."""
        return 0

    def close(self) -> None:
        """Nothing."""
        pass
