"""Memory that is freed and soon needed again."""

import numpy as np

KEPT_BYTES = 1 << 24  # well above what a batch takes, and below the 32 MiB up to which glibc adapts
KEPT_SMALL_BYTES = 1 << 23  # the same for small objects; the words of a batch are some 40,000
SMALL = 400  # bytes; Python has its own allocator up to 512
PINNED = 512  # one object in so many is kept: several in every arena of 256 KiB or 1 MiB

_pins: list[bytes] = []


def keep_freed_memory() -> None:
    """Make the C library and Python keep some megabytes of freed memory, rather than return each batch's memory to the system.

    subtle: glibc returns freed memory above a threshold of twice the largest block freed so far; so one such block is allocated and freed
    here, without being written to. Python returns an arena of small objects when the last of them is freed, which happens to the words of a
    batch together; so a few objects stay in the arenas. Without this, a quarter of the time goes into fresh pages.
    Sources: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD; CPython, Objects/obmalloc.c.
    """
    np.empty(KEPT_BYTES, np.uint8)
    if not _pins:
        _pins.extend([bytes(SMALL) for _ in range(KEPT_SMALL_BYTES // SMALL)][::PINNED])
