"""Memory that is freed and wanted again a moment later."""

import numpy as np

KEPT_BYTES = 1 << 24  # well above what a batch takes, and below the 32 MiB that glibc learns from
KEPT_SMALL_BYTES = 1 << 23  # the same for small objects, of which a batch has some 40,000 words
SMALL = 400  # bytes; Python has an allocator of its own for up to 512
PINNED = 512  # one object in so many: several in every arena, which has 256 KiB or 1 MiB

_pins: list[bytes] = []


def keep_freed_memory() -> None:
    """Let the C library and Python keep some megabytes of what they are given back, rather than return each batch's memory to the system.

    subtle: glibc returns freed memory above a threshold, twice the largest block that it has freed so far; so it is shown one, which is
    never written to. Python returns an arena of small objects once the last of them is freed, which the words of a batch do together; so a
    few objects are left in arenas. Without this a quarter of the time goes into fresh pages.
    Sources: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD; CPython, Objects/obmalloc.c.
    """
    np.empty(KEPT_BYTES, np.uint8)
    if not _pins:
        _pins.extend([bytes(SMALL) for _ in range(KEPT_SMALL_BYTES // SMALL)][::PINNED])
