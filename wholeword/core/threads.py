"""How threads of a framework wait for one another."""

import os

SPINS = 20_000  # some 0.1 ms


def bound_spinning() -> None:
    """Make OpenMP's threads sleep after 0.1 ms of waiting; call it before a framework is imported. What the user has set is kept.

    By default, GNU OpenMP lets a thread spin for some milliseconds at every barrier. Where other programs need the cores too, the thread
    it waits for may not run at all meanwhile: a narrow model, whose barriers lie microseconds apart, trains ten times more slowly.
    `benchmarks/busy_machine.py` measures it. Source: GNU libgomp manual, GOMP_SPINCOUNT and OMP_WAIT_POLICY.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
