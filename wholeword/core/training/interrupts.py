"""Ctrl-C and SIGTERM as a request: stop after the current step, and save."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop`, so that the current step ends and its state is saved; a second signal ends the process at once.

    Outside the main thread nothing is done. Raises: KeyboardInterrupt the second time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt("interrupted twice; the last checkpoint stays")
        stop.set()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
