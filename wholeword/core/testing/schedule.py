"""Checks of schedules."""

import math
from numbers import Real

from wholeword.core.contracts import Schedule

PHASES = ((1000, 100), (1000, 0), (10, 10), (1, 0), (1, 1))  # steps and warm-up


def is_finite(value: Real) -> bool:
    """Whether a real number of any type, such as a whole number of any size, is a finite float."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_schedule(schedule: Schedule, *, peak_lr: float = 3e-4) -> None:
    """Check the contract of `contracts.Schedule` in phases of several lengths.

    Raises: AssertionError that names the phase, the step and the rate.
    """
    assert isinstance(schedule, Schedule), f"{type(schedule).__name__} has no method learning_rate(step, *, steps, peak_lr, warmup_steps)"
    for steps, warmup_steps in PHASES:

        def rate(step: int, steps: int = steps, warmup_steps: int = warmup_steps) -> float:
            return schedule.learning_rate(step, steps=steps, peak_lr=peak_lr, warmup_steps=warmup_steps)

        rates = [rate(step) for step in range(steps)]
        for step, value in enumerate(rates):
            where = f"step {step} of {steps}, {warmup_steps} of them warm-up"
            assert isinstance(value, Real) and not isinstance(value, bool), f"{where}: {value!r}; expected a float"
            assert is_finite(value) and value >= 0, f"{where}: {value!r}; expected a finite number of at least 0"
            assert value <= peak_lr * (1 + 1e-9), f"{where}: {value!r} is above peak_lr, {peak_lr!r}"
        assert max(rates) > 0 or steps == warmup_steps == 1, f"{steps} steps, {warmup_steps} of them warm-up: every rate is 0"
        assert rates[:warmup_steps] == sorted(rates[:warmup_steps]), f"{steps} steps: the rate falls within the {warmup_steps} of warm-up"
        again = [rate(step) for step in reversed(range(steps))]
        assert again[::-1] == rates, (
            f"{steps} steps: a different rate when called again in another order; expected a pure function of the step"
        )
