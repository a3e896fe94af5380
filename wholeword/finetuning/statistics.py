"""The arithmetic of tables, as the tables of Chinese-BERT-wwm do it: exact, in decimals, and rounded once, half up.

A cell is `max (average)` of several runs. Relative performance is a share of one model's figure, rounded to one decimal; its Average is
the share of the unrounded Averages, its AVG-C the mean of the rounded shares of the classification tasks. No figure of the published
relative table is near a tie, so it does not say whether half goes up or to even; spreadsheets and people go up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Figure:
    """What several runs came to, in percent.

    Args:
        best: the largest.
        mean: None where only the largest is known.
        std: the sample's standard deviation (n - 1); None for less than two runs, or where it is not known.
        count: runs that ended; None where it is not known.
        failed: runs that did not.
    """

    best: Fraction
    mean: Fraction | None = None
    std: float | None = None
    count: int | None = None
    failed: int = 0


def exact(value: float | str | int) -> Fraction:
    """A number as it is written: "0.1" is a tenth; of a float nine decimals count, so that 94.24999999999999 is 94.25 again."""
    return Fraction(f"{value:.9f}" if isinstance(value, float) else value)


def figure(values: Sequence[float], *, failed: int = 0) -> Figure:
    """Of one run or more."""
    numbers = [exact(value) for value in values]
    mean = sum(numbers) / len(numbers)
    std = None
    if len(numbers) > 1:
        std = float(sum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1)) ** 0.5
    return Figure(max(numbers), Fraction(mean), std, len(numbers), failed)


def rounded(number: Fraction, decimals: int = 1) -> Fraction:
    """Half goes up, away from zero."""
    scaled = abs(number) * 10**decimals
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if number >= 0 else -whole, 10**decimals)


def text(number: Fraction, decimals: int = 1) -> str:
    """`95.0`: rounded, with all its decimals."""
    scaled = int(rounded(number, decimals) * 10**decimals)
    whole, rest = divmod(abs(scaled), 10**decimals)
    return f"{'-' * (scaled < 0)}{whole}.{rest:0{decimals}}"


def short_text(number: Fraction, decimals: int = 2) -> str:
    """`101.2`, `96.35`: rounded, without zeros at the end but for one decimal."""
    written = text(number, decimals)
    return written if not written.endswith("0") or decimals <= 1 else short_text(rounded(number, decimals), decimals - 1)


def average(numbers: Sequence[Fraction]) -> Fraction:
    return Fraction(sum(numbers)) / len(numbers)


def share(number: Fraction, base: Fraction) -> Fraction:
    """Relative performance in percent, unrounded."""
    return 100 * number / base


# --- two models over the same examples


@dataclass(frozen=True)
class Comparison:
    """A paired bootstrap: the difference of two models' figures, its interval, and how often it comes out on the other side.

    Args:
        low, high: the interval that holds 95 % of the differences over resampled examples.
        p_value: share of the resampled differences that are not on the side of the difference itself (one-sided; 1 where there is none).
    """

    difference: float
    low: float
    high: float
    p_value: float
    num_examples: int
    num_samples: int


def paired_bootstrap(first: np.ndarray, second: np.ndarray, *, num_samples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare two models by what they score on each example.

    Args:
        first, second: [num_examples], a score an example (a mean over seeds, if there are several); their mean is the figure.
    Returns: of `first` minus `second`.
    Source: Koehn 2004, Statistical Significance Tests for Machine Translation Evaluation; Berg-Kirkpatrick et al. 2012.
    """
    gains = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    generator = np.random.default_rng(seed)
    # subtle: examples of equal gain are drawn together: how often each gain comes up is multinomial, which is the same and far quicker
    values, counts = np.unique(gains, return_counts=True)
    draws = generator.multinomial(len(gains), counts / len(gains), num_samples)
    return _comparison(float(gains.mean()), draws @ values / len(gains), len(gains))


def _comparison(difference: float, differences: np.ndarray, num_examples: int) -> Comparison:
    low, high = np.percentile(differences, [2.5, 97.5])
    beyond = differences <= 0 if difference > 0 else differences >= 0
    p_value = 1.0 if difference == 0 else float(beyond.mean())
    return Comparison(difference, float(low), float(high), p_value, num_examples, len(differences))


def example_scores(task: Any, examples: Sequence[Any], predictions: Mapping[str, Any], metric: str) -> np.ndarray | None:
    """What a model scores on each example, [num_examples]; None if the metric is no mean over examples, such as F1 of entities."""
    scores = np.array([task.score([example], predictions)[metric] for example in examples], np.float64)
    total = task.score(examples, predictions)[metric]
    return scores if abs(scores.mean() - total) < 1e-6 else None


def resampled_bootstrap(
    task: Any,
    examples: Sequence[Any],
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    metric: str,
    *,
    num_samples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """As `paired_bootstrap`, for a metric that is no mean over examples: it is computed anew over each resampled set.

    Args:
        first, second: predictions by example, one mapping a seed.
    """

    def mean_score(numbers: np.ndarray, models: Sequence[Mapping[str, Any]]) -> float:
        drawn = [examples[number]._replace(id=str(place)) for place, number in enumerate(numbers)]  # ids differ, whatever is drawn twice
        found = [
            {str(place): answers[examples[number].id] for place, number in enumerate(numbers) if examples[number].id in answers}
            for answers in models
        ]
        return float(np.mean([task.score(drawn, answers)[metric] for answers in found]))

    def gain(numbers: np.ndarray) -> float:
        return mean_score(numbers, first) - mean_score(numbers, second)

    generator = np.random.default_rng(seed)
    everything = np.arange(len(examples))
    differences = np.array([gain(generator.choice(everything, len(examples))) for _ in range(num_samples)])
    return _comparison(gain(everything), differences, len(examples))
