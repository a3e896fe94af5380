"""Learning rates and seeds as functions of the step."""

import hashlib
from collections.abc import Callable, Mapping
from math import inf, isfinite
from numbers import Real
from typing import Any

from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import calling, contract_error

LearningRate = Callable[[int], float]


def make_schedule(name: str, settings: Mapping[str, Any], *, steps: int, peak_lr: float, warmup_steps: int) -> LearningRate:
    """The schedule of a phase, as a function of the step (counted from 0 in every phase).

    Raises: PluginError, when the function is called, for a rate that is not a finite number of at least 0.
    """
    schedule = registry.create("schedule", name, **settings)

    def learning_rate(step: int) -> float:
        with calling("schedule", name):
            rate = schedule.learning_rate(step, steps=steps, peak_lr=peak_lr, warmup_steps=warmup_steps)
            number = _number(rate)
        if number is None or not isfinite(number) or number < 0:
            shown = repr(rate) if number is None else number
            message = f"step {step} of {steps} has the learning rate {shown}; expected a finite number of at least 0"
            raise contract_error("schedule", name, message)
        return number

    return learning_rate


def _number(rate: Any) -> float | None:
    """A real number of any type as a float, infinite if it is too large for one; None for anything else."""
    if isinstance(rate, bool) or not isinstance(rate, Real):
        return None
    try:
        return float(rate)
    except OverflowError:
        return inf  # or -inf, which is refused as well


def step_seed(*place: int | str) -> int:
    """63 bits for the dropout of one step: a function of the seed of the run and the place in it."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, place)).encode(), digest_size=8).digest()) >> 1
