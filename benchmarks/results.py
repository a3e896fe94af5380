"""The last measured metrics of every claim: benchmarks/results/NAME.json, which the READMEs quote.

A benchmark collects its metrics in `Results` and writes them when it is run with `--record`. What is written says what was measured,
where, when and with which commit; a figure that no longer holds is replaced by running the benchmark again, never by hand.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--record", action="store_true", help="write the metrics to benchmarks/results")


class Results:
    """Metrics of one claim.

    Args:
        name: the file's, and usually the benchmark's.
        claim: what was compared, in one sentence.
        peer: what it was compared with, and its version; None if nothing.
    """

    def __init__(self, name: str, *, claim: str, peer: str | None):
        self.name, self.claim, self.peer = name, claim, peer
        self.metrics: list[dict[str, Any]] = []

    def add(self, name: str, value: float, unit: str) -> None:
        """Units are "x" (peer's time over ours), "s", "%", "nats", "points" and the like; four significant digits are kept."""
        self.metrics.append({"name": name, "value": float(f"{value:.4g}"), "unit": unit})

    def write(self) -> Path:
        content = {
            "claim": self.claim,
            "metrics": self.metrics,
            "peer": self.peer,
            "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *(word for word in sys.argv[1:] if word != "--record")]),
            "machine": machine(),
            "date": datetime.date.today().isoformat(),
            "commit": commit(),
        }
        path = FOLDER / f"{self.name}.json"
        FOLDER.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"recorded in {path}")
        return path


def commit() -> str:
    """The commit that was measured, with "-dirty" after it if files differ from it."""
    described = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=FOLDER.parent, capture_output=True, text=True)
    return described.stdout.strip() or "unknown"


def machine() -> str:
    """Processor, number of cores and memory."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB"
