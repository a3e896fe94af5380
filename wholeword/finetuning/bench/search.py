"""The learning rate of a model on a task: what is best on dev, on average over the seeds.

"Initial learning rate is the most important hyper-parameter, and should ALWAYS be tuned" (README of Chinese-BERT-wwm). The rungs are the
ones its table of best learning rates stands on: 2e-5, 3e-5, 4e-5, 5e-5 and 8e-5, and the same ones in other decades.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

MANTISSAS = (1, 2, 3, 4, 5, 8)
MOST_RUNGS = 12  # of one search


class Score(NamedTuple):
    """Of one learning rate; compared in this order."""

    complete: bool  # whether every seed's run ended
    mean: float  # over the seeds whose run ended; minus infinity where none did


def score(values: Iterable[float | None]) -> Score:
    """One value a seed, None for a run that failed."""
    given = list(values)
    ended = [value for value in given if value is not None]
    return Score(len(ended) == len(given), math.fsum(ended) / len(ended) if ended else -math.inf)


def best_of(rates: Iterable[float], score_of: Callable[[float], Score]) -> float:
    """The best of a list; of equals the smallest."""
    scored = [(score_of(rate), rate) for rate in sorted(rates)]
    return max(scored, key=lambda entry: entry[0])[1]


def climb(start: float, score_of: Callable[[float], Score]) -> float:
    """Try a rate and the rungs beside it, and go on that way for as long as it gets better. Each rate is asked for once."""
    best, best_score = start, score_of(start)
    steps = {next_rung: (at, score_of(at)) for next_rung in (lower, higher) for at in [next_rung(start)]}
    way = max(steps, key=lambda next_rung: steps[next_rung][1])
    at, found = steps[way]
    for _ in range(MOST_RUNGS):
        if not found > best_score:
            break
        best, best_score = at, found
        at = way(at)
        found = score_of(at)
    return best


def higher(rate: float) -> float:
    """The next rung: 5e-5 -> 8e-5 -> 1e-4."""
    return min(rung for rung in _rungs(rate) if rung > rate * (1 + 1e-9))


def lower(rate: float) -> float:
    return max(rung for rung in _rungs(rate) if rung < rate * (1 - 1e-9))


def _rungs(rate: float) -> list[float]:
    exponent = math.floor(math.log10(rate))
    return [float(f"{mantissa}e{power}") for power in range(exponent - 1, exponent + 2) for mantissa in MANTISSAS]
