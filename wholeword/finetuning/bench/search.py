"""The learning rate of a model on a task: the one that is best on dev, averaged over the seeds.

"Initial learning rate is the most important hyper-parameter, and should ALWAYS be tuned" (README of Chinese-BERT-wwm). The rungs are the
rates of its table of best learning rates, 2e-5, 3e-5, 4e-5, 5e-5 and 8e-5, and the same mantissas in other decades.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

MANTISSAS = (1, 2, 3, 4, 5, 8)
MAX_RUNGS = 12  # in one search


class Score(NamedTuple):
    """How good a learning rate is; compared in this order."""

    complete: bool  # whether every seed's run finished
    mean: float  # over the seeds whose run finished; minus infinity where none did


def score(values: Iterable[float | None]) -> Score:
    """Score one value for each seed, None for a run that failed."""
    by_seed = list(values)
    finished = [value for value in by_seed if value is not None]
    return Score(len(finished) == len(by_seed), math.fsum(finished) / len(finished) if finished else -math.inf)


def best_of(rates: Iterable[float], score_of: Callable[[float], Score]) -> float:
    """The best of a list; the smallest among equals."""
    scored = [(score_of(rate), rate) for rate in sorted(rates)]
    return max(scored, key=lambda entry: entry[0])[1]


def climb(start: float, score_of: Callable[[float], Score]) -> float:
    """Try a rate and the rungs beside it, then climb in the better direction while the score improves. Each rate is scored once."""
    best, best_score = start, score_of(start)
    neighbours = {next_rung: (rate, score_of(rate)) for next_rung in (lower, higher) for rate in [next_rung(start)]}
    direction = max(neighbours, key=lambda next_rung: neighbours[next_rung][1])
    rate, rate_score = neighbours[direction]
    for _ in range(MAX_RUNGS):
        if not rate_score > best_score:
            break
        best, best_score = rate, rate_score
        rate = direction(rate)
        rate_score = score_of(rate)
    return best


def higher(rate: float) -> float:
    """The next rung: 5e-5 -> 8e-5 -> 1e-4."""
    return min(rung for rung in _rungs(rate) if rung > rate * (1 + 1e-9))


def lower(rate: float) -> float:
    """The rung below: 1e-4 -> 8e-5 -> 5e-5."""
    return max(rung for rung in _rungs(rate) if rung < rate * (1 - 1e-9))


def _rungs(rate: float) -> list[float]:
    exponent = math.floor(math.log10(rate))
    return [float(f"{mantissa}e{power}") for power in range(exponent - 1, exponent + 2) for mantissa in MANTISSAS]
