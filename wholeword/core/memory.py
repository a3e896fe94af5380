"""Memory that is freed and wanted again a moment later."""

import numpy as np

KEPT_BYTES = 1 << 24  # well above what a batch takes, and below the 32 MiB that glibc learns from


def keep_freed_memory() -> None:
    """Let the C library keep some megabytes of what it is given back, rather than return each batch's memory to the system.

    subtle: glibc returns freed memory above a threshold, twice the largest block that it has freed so far. Before it has seen one, every
    batch pays for fresh pages, which takes a quarter of its time. So it is shown one, which is never written to.
    Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
    """
    np.empty(KEPT_BYTES, np.uint8)
