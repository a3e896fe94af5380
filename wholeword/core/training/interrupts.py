"""Ctrl-C and SIGTERM: the first one is a request, which is answered at once; the second one ends the process.

A thread receives the signals through a pipe. Python's own handlers would wait until the call into a framework that the main thread is in
returns, which for a large step takes minutes.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EXIT_CODE = 130
GRACE_SECONDS = 5.0  # from the first signal to the end of a process without a request to carry out
SHOW_CURSOR = b"\x1b[?25h\n"  # which a progress bar hides


@contextmanager
def interruptible(answer: str, request: Callable[[], None] | None = None) -> Iterator[None]:
    """While it is open, the first SIGINT or SIGTERM prints `answer` and is a request; the second one ends the process at once.

    A process may end at any moment, since files are complete or absent. In an interactive session it stays, and the second signal raises
    KeyboardInterrupt. Outside the main thread nothing is done.

    Args:
        request: called from another thread. Without it the first signal raises KeyboardInterrupt, and the process ends after
            GRACE_SECONDS if a library holds that up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first = True

    def handle(number: int, frame: Any) -> None:
        nonlocal first
        raises, first = request is None if first else _is_interactive(), False
        if raises:
            raise KeyboardInterrupt

    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)
    watcher = threading.Thread(target=_watch, args=(outlet, answer, request), daemon=True)
    handlers = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    previous = signal.set_wakeup_fd(inlet, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(inlet)  # which ends the watcher
        watcher.join()


def _watch(outlet: int, answer: str, request: Callable[[], None] | None) -> None:
    """Answer the signals whose numbers come through a pipe, until it is closed."""
    requested = False
    deadline: float | None = None
    with open(outlet, "rb", buffering=0) as numbers:
        while True:
            waiting = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([numbers], [], [], waiting)[0]:
                _leave()
            if not (number := numbers.read(1)):
                return
            if number[0] not in (signal.SIGINT, signal.SIGTERM):
                continue
            if requested and not _is_interactive():
                _leave()
            if not requested:
                requested = True
                print(f"{answer}; Ctrl-C again leaves at once", file=sys.stderr, flush=True)
                if request is not None:
                    request()
                elif not _is_interactive():
                    deadline = time.monotonic() + GRACE_SECONDS


def _is_interactive() -> bool:
    return hasattr(sys, "ps1")


def _leave() -> None:
    if sys.stderr.isatty():
        os.write(2, SHOW_CURSOR)
    os._exit(EXIT_CODE)
