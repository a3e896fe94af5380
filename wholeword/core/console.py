"""What a command says while it works: a bar on a terminal, plain lines in a pipe."""

import sys
import time
from types import TracebackType
from typing import Any, Protocol


class Observer(Protocol):
    """Hears what a run does."""

    def say(self, line: str) -> None: ...

    def progress(self, title: str, done: float, total: float, figures: str = "") -> None:
        """`done` of `total` in the stage called `title`; a stage is over when another begins or `done == total`."""
        ...


class Silent:
    """An observer for programs and tests."""

    def say(self, line: str) -> None:
        pass

    def progress(self, title: str, done: float, total: float, figures: str = "") -> None:
        pass


class Plain:
    """One line now and then: at the start, every `seconds`, and at the end of a stage."""

    def __init__(self, seconds: float = 10.0):
        self.seconds = seconds
        self._title = ""
        self._began = self._spoke = self._first = 0.0

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, line: str) -> None:
        print(line, flush=True)

    def progress(self, title: str, done: float, total: float, figures: str = "") -> None:
        now = time.monotonic()
        if title != self._title:
            self._title, self._began, self._spoke, self._first = title, now, now, done
        elif now - self._spoke >= self.seconds or done >= total:
            self._spoke = now
            left = f", {_duration((now - self._began) * (total - done) / (done - self._first))} left" if self._first < done < total else ""
            print(f"{title} {100 * done / max(total, 1):.0f} %{', ' + figures if figures else ''}{left}", flush=True)
            if done >= total:
                self._title = ""


class Terminal:
    """A live bar a stage, drawn by rich on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None, table_column=Column(min_width=8, max_width=24, ratio=1)),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
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
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def progress(self, title: str, done: float, total: float, figures: str = "") -> None:
        if title != self._title:
            self._title = title
            self._task = self._progress.add_task(title, total=total, figures="")
        self._progress.update(self._task, completed=done, total=total, figures=figures)


def observer() -> Plain | Terminal:
    return Terminal() if sys.stderr.isatty() and sys.stdout.isatty() else Plain()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
