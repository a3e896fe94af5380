"""How fast this machine multiplies matrices: its GPU by name, otherwise its processor as measured."""

import os
import shutil
import subprocess
import time
from typing import NamedTuple

import numpy as np

from wholeword.planning.plan import DEVICES, UTILISATION

# FLOP/s of dense 16-bit matrix products with 32-bit sums, from NVIDIA's data sheets, beside those of `DEVICES`
GPUS = {
    "H100": 989e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
    "A10": 125e12,
    "L4": 121e12,
    "RTX 3090": 71e12,
    "T4": 65e12,
}
CPU_UTILISATION = 0.5
SIZE = 1024  # of the square matrices that are multiplied
SECONDS = 0.2


class Machine(NamedTuple):
    """Where a run would compute."""

    name: str
    flops: float  # per second, that a run would reach


def this_machine(*, device: str = "auto") -> Machine | None:
    """The first GPU, or the processor; None for a GPU whose speed is not known.

    Args:
        device: "cpu" if the recipe says so.
    """
    name = None if device == "cpu" else _gpu()
    if name is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Machine(f"{cores} core{'s' * (cores > 1)}, measured", CPU_UTILISATION * _measured_flops(cores))
    speeds = {**GPUS, **DEVICES}
    match = next((part for part in sorted(speeds, key=len, reverse=True) if part in name), None)
    return None if match is None else Machine(name, UTILISATION * speeds[match])


def _gpu() -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        names = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return names[0].strip() if names else None


def _measured_flops(cores: int) -> float:
    """The best of some products of float32 matrices on all cores, by the time that they compute: others may be using them now."""
    matrix = np.full((SIZE, SIZE), 0.5, np.float32)
    best, end = 0.0, time.perf_counter() + SECONDS
    while time.perf_counter() < end or best == 0:
        began = time.process_time()
        np.matmul(matrix, matrix)
        best = max(best, 2 * SIZE**3 / max(time.process_time() - began, 1e-6))
    return cores * best
