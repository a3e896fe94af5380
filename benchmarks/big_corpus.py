"""A corpus of a gigabyte, prepared by one worker and by two: speed, peak memory of each process, and the same bytes.

    python benchmarks/big_corpus.py [--gb 1] [--workers 1 2] [--record]

The text is real and repeated: documents in random order, with some sentences left out and every number replaced. Each preparation is a
process of its own, with its workers. Memory is the high-water mark of each resident set (VmHWM in /proc), shared pages included. Times are
wall-clock times.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from results import Results, add_option
from texts import Documents, read_texts, recipe, write_vocabulary

from wholeword.core.config.preparation import prepare_job
from wholeword.core.files import sha256_of
from wholeword.core.training.prepare import prepare

TARGET = 500  # MB a process
NUMBER = re.compile(r"[0-9]+")


def write_corpus(path: Path, documents: Documents, size: int) -> None:
    """At least `size` bytes of text."""
    generator = random.Random(1)

    def another(number: re.Match[str]) -> str:
        return str(generator.randrange(10 ** len(number[0])))

    with open(path, "wb") as file:
        while file.tell() < size:
            generator.shuffle(documents)
            for document in documents:
                kept = [sentence for sentence in document if generator.random() < 0.8]
                if kept:
                    file.write(NUMBER.sub(another, "\n".join(kept)).encode() + b"\n\n")
                if file.tell() >= size:
                    return


def processes(parent: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield parent
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except FileNotFoundError:
        return
    for child in map(int, children):
        yield from processes(child)


def peak(process: int) -> int | None:
    """Peak memory in bytes; None if the process has ended."""
    try:
        match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return 1024 * int(match[1]) if match else None


def measure(folder: Path, workers: int, results: Results) -> dict[str, str]:
    """Measure and print one preparation. Returns: the sha256 of every file of the store."""
    begin = time.perf_counter()
    child = subprocess.Popen([sys.executable, __file__, "--prepare", str(folder), "--workers", str(workers)])
    peaks: dict[int, int] = {}
    while child.poll() is None:
        for process in list(processes(child.pid)):
            peaks[process] = peak(process) or peaks.get(process, 0)
        time.sleep(0.1)
    seconds = time.perf_counter() - begin
    if child.returncode:
        raise SystemExit(f"preparation failed with exit code {child.returncode}")
    store = folder / f"made-{workers}" / "run" / "store"
    counts = json.loads((store / "manifest.json").read_bytes())["counts"]
    size, characters = (folder / "text.txt").stat().st_size, counts["num_characters"]
    print(f"{workers} worker(s): {seconds:.1f} s, {size / seconds / 1e6:.1f} MB/s, {characters / seconds / 1e6:.2f} M characters/s")
    print(f"  {characters:,} characters, {counts['num_tokens']:,} tokens, {counts['num_documents']:,} documents")
    results.add(f"{workers} worker(s)", seconds, "s")
    results.add(f"{workers} worker(s), peak memory of a process", max(peaks.values()) / 1e6, "MB")
    parent, *others = (f"{value / 1e6:.0f}" for _, value in sorted(peaks.items()))
    print(f"  peak memory, MB: parent {parent}, others {', '.join(others) or 'none'}; target {TARGET}", end="")
    print(f": {'met' if max(peaks.values()) <= TARGET * 1e6 else 'MISSED'}")
    return {path.name: sha256_of(path) for path in sorted(store.iterdir())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=1.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)  # run by the measured processes
    add_option(parser)
    arguments = parser.parse_args()
    if arguments.prepare:
        (workers,) = arguments.workers
        prepare(prepare_job(recipe(arguments.prepare, f"made-{workers}", workers=workers)))
        return
    results = Results("big_corpus", claim=f"{arguments.gb:g} GB of text to a token store", peer=None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        documents = [document for kind, documents in read_texts().items() if kind != "CMRC contexts" for document in documents]
        write_vocabulary(folder / "vocab.txt", documents)
        write_corpus(folder / "text.txt", documents, int(arguments.gb * 1e9))
        print(f"{(folder / 'text.txt').stat().st_size / 1e6:,.0f} MB of text, {os.cpu_count()} cores")
        stores = [measure(folder, workers, results) for workers in arguments.workers]
        same = all(store == stores[0] for store in stores)
        print(f"sha256 of all {len(stores[0])} files: {'the same' if same else 'DIFFERENT'}")
        if arguments.record and same:
            results.write()
        raise SystemExit(not same)


if __name__ == "__main__":
    main()
