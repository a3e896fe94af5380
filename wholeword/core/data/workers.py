"""All shards of a store, built in this process or in several."""

import fcntl
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from wholeword.core.data.chunks import Chunk
from wholeword.core.data.shards import Report, ShardBuilder, StoreSpec
from wholeword.core.errors import WholewordError


def build_shards(spec: StoreSpec, chunks: Iterable[Chunk], *, num_workers: int, report: Report) -> Generator[dict[str, Any], None, None]:
    """The receipts of all shards, in order. Close the generator to stop the workers early; finished shards are kept.

    Raises: what `ShardBuilder.build` raises; WholewordError if a worker dies.
    """
    if num_workers == 1:
        yield from map(ShardBuilder(spec, report, lambda: False).build, chunks)
        return
    context = multiprocessing.get_context("spawn")  # fork would copy threads of libraries in unknown states
    stop, done = context.Event(), context.Array("q", 2)
    pool = ProcessPoolExecutor(num_workers, context, _start_worker, (spec, stop, done))
    waiting: deque[Future[dict[str, Any]]] = deque()
    shown = [0, 0]

    def next_receipt() -> dict[str, Any]:
        while True:
            finished = wait([waiting[0]], timeout=0.2).done
            now = [done[0], done[1]]
            report(now[0] - shown[0], now[1] - shown[1])
            shown[:] = now
            if finished:
                return waiting.popleft().result()

    try:
        for chunk in chunks:
            with _no_interrupt():
                waiting.append(pool.submit(_build_shard, chunk))
            if len(waiting) > num_workers + 1:
                yield next_receipt()
        while waiting:
            yield next_receipt()
    except BrokenProcessPool:
        raise WholewordError(
            f"one of {num_workers} worker processes died, most often because memory ran out; finished shards are kept: "
            "run again with fewer, such as --set prepare_workers=1"
        ) from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Block Ctrl-C while processes are started: they inherit this, so none of them prints a traceback when it ends early."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- in a worker ---------------------------------------------------------------------------------------------------------------------

_make_builder: Callable[[], ShardBuilder]
_builder: ShardBuilder | None = None
_lock: Any = None  # an open file


def _start_worker(spec: StoreSpec, stop: Any, done: Any) -> None:
    global _make_builder, _lock
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _lock = open(spec.folder / "workers", "wb")
    fcntl.flock(_lock, fcntl.LOCK_SH)  # until this process ends, see `await_workers`
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism

    def report(read: int, tokens: int) -> None:
        with done.get_lock():
            done[0] += read
            done[1] += tokens

    _make_builder = partial(ShardBuilder, spec, report, stop.is_set)


def _build_shard(chunk: Chunk) -> dict[str, Any]:
    global _builder
    if _builder is None:  # not in _start_worker: an exception there would reach nobody
        _builder = _make_builder()
    return _builder.build(chunk)


def _die_with_parent() -> None:
    """End this process when its parent ends: a parent that was killed cannot stop its workers."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def await_workers(folder: Path) -> None:
    """Wait until the workers of a killed build have ended, which they do at once."""
    with open(folder / "workers", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
