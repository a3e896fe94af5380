"""What a command prints while it works: a bar on a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

SILENT_SECONDS = 1.0  # that an activity may take before it is announced


class Observer(Protocol):
    """Follows a run."""

    def say(self, line: str) -> None:
        """Receive a line for the user."""
        ...

    def warn(self, line: str) -> None:
        """Receive a warning, without the word, for standard error."""
        ...

    def progress(self, title: str, done: float, total: float, detail: str = "") -> None:
        """Receive that `done` of `total` is done in the stage `title`, which ends with `done == total` or when another stage begins."""
        ...


_outer: list[Any] = []  # the timer of an activity that anything more specific replaces


@contextmanager
def doing(activity: str, *, seconds: float | None = None, outer: bool = False) -> Iterator[None]:
    """Announce on standard error what is being done, once it has taken some time.

    Args:
        seconds: how long it may take in silence; by default SILENT_SECONDS.
        outer: not if another activity, or an observer, begins before that.
    """
    import threading

    timer = threading.Timer(SILENT_SECONDS if seconds is None else seconds, lambda: print(f"{activity} ...", file=sys.stderr, flush=True))
    timer.daemon = True
    _replace_outer()
    if outer:
        _outer.append(timer)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _replace_outer() -> None:
    while _outer:
        _outer.pop().cancel()


class Silent:
    """An observer that prints nothing, for programs and tests."""

    def say(self, line: str) -> None:
        """Ignore it."""

    def warn(self, line: str) -> None:
        """Ignore it."""

    def progress(self, title: str, done: float, total: float, detail: str = "") -> None:
        """Ignore it."""


class Plain:
    """An observer that prints lines: progress at the beginning of a stage, every `seconds`, and at the end."""

    def __init__(self, seconds: float = 10.0):
        self.seconds = seconds
        self._title = ""
        self._began = self._printed = self._first = 0.0

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, line: str) -> None:
        """Print it."""
        print(line, flush=True)

    def warn(self, line: str) -> None:
        """Print it on standard error."""
        print(f"warning: {line}", file=sys.stderr, flush=True)

    def progress(self, title: str, done: float, total: float, detail: str = "") -> None:
        """Print it if it is time to."""
        now = time.monotonic()
        begins = title != self._title
        if begins:
            self._title, self._began, self._first = title, now, done
        if begins or now - self._printed >= self.seconds or done >= total:
            self._printed = now
            left = f", {_duration((now - self._began) * (total - done) / (done - self._first))} left" if self._first < done < total else ""
            print(f"{title} {100 * done / max(total, 1):.0f} %{', ' + detail if detail else ''}{left}", flush=True)
            if done >= total:
                self._title = ""


class Terminal:
    """An observer that draws a live bar for each stage on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None, table_column=Column(min_width=8, max_width=24, ratio=1)),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[detail]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=Console(stderr=True),
        )
        self._title = ""
        self._task: Any = None

    def __enter__(self) -> "Terminal":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print it above the bars."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """Print it above the bars."""
        self.say(f"warning: {line}")

    def progress(self, title: str, done: float, total: float, detail: str = "") -> None:
        """Draw it."""
        if title != self._title:
            self._title = title
            self._task = self._progress.add_task(title, total=total, detail="")
        self._progress.update(self._task, completed=done, total=total, detail=detail)


def observer() -> Plain | Terminal:
    """The observer that fits standard output and error, as a context manager."""
    _replace_outer()
    return Terminal() if sys.stderr.isatty() and sys.stdout.isatty() else Plain()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
