"""Learning rates and seeds as functions of the step."""

import hashlib


def bert_linear(step: int, *, peak_lr: float, warmup_steps: int, steps: int) -> float:
    """BERT's schedule: up to `peak_lr` over the warm-up, then down to 0 at `steps`.

    The two lines do not meet: the second falls from `peak_lr` at step 0, so that the rate drops where the warm-up ends (to 0.9 of the
    peak after a warm-up of a tenth), and the very first step has rate 0. Both are fidelity to `create_optimizer` of google-research/bert
    `optimization.py`.

    Args:
        step: counted from 0 in every phase.
    """
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * max(0.0, 1.0 - step / steps)


def step_seed(*place: int | str) -> int:
    """63 bits for the dropout of one step: a function of the seed of the run and the place in it."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, place)).encode(), digest_size=8).digest()) >> 1
