"""The arithmetic of tables, as Chinese-BERT-wwm prints them: exact decimals, rounded once, half up.

A cell is `max (average)` over several runs. Relative performance is a percentage of one model's value, rounded to one decimal; its Average
is computed from the unrounded Averages, its AVG-C is the mean of the rounded percentages of the classification tasks. No value of the
published relative table is near a tie, so the table does not show whether a half is rounded up or to even; we round up, as spreadsheets do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from wholeword.core.contracts import Task


@dataclass(frozen=True)
class Statistics:
    """One metric over several runs, in percent.

    Args:
        best: the largest value.
        mean: None where only the largest value is known.
        std: the sample standard deviation (n - 1); None for fewer than two runs, or where it is not known.
        count: the number of finished runs; None where it is not known.
        failed: the number of failed runs.
    """

    best: Fraction
    mean: Fraction | None = None
    std: float | None = None
    count: int | None = None
    failed: int = 0


def exact(value: float | str | int) -> Fraction:
    """A number as it is written: "0.1" is a tenth. Floats are read to nine decimals, so that 94.24999999999999 is 94.25 again."""
    return Fraction(f"{value:.9f}" if isinstance(value, float) else value)


def summarise(values: Sequence[float], *, failed: int = 0) -> Statistics:
    """The statistics of one value or more."""
    numbers = [exact(value) for value in values]
    mean = average(numbers)
    std = None
    if len(numbers) > 1:
        std = float(sum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1)) ** 0.5
    return Statistics(max(numbers), mean, std, len(numbers), failed)


def rounded(number: Fraction, decimals: int = 1) -> Fraction:
    """Rounds a half away from zero."""
    scaled = abs(number) * 10**decimals
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if number >= 0 else -whole, 10**decimals)


def decimal_text(number: Fraction, decimals: int = 1) -> str:
    """`95.0`: rounded, trailing zeros kept."""
    scaled = int(rounded(number, decimals) * 10**decimals)
    whole, rest = divmod(abs(scaled), 10**decimals)
    return f"{'-' * (scaled < 0)}{whole}.{rest:0{decimals}}"


def short_decimal_text(number: Fraction, decimals: int = 2) -> str:
    """`101.2`, `96.35`: rounded, without trailing zeros beyond the first decimal."""
    text = decimal_text(number, decimals)
    return text if not text.endswith("0") or decimals <= 1 else short_decimal_text(rounded(number, decimals), decimals - 1)


def average(numbers: Sequence[Fraction]) -> Fraction:
    """The exact mean of one number or more."""
    return Fraction(sum(numbers)) / len(numbers)


def percentage(number: Fraction, base: Fraction) -> Fraction:
    """Relative performance, unrounded."""
    return 100 * number / base


# --- two models over the same examples


@dataclass(frozen=True)
class Comparison:
    """The outcome of a paired bootstrap.

    Args:
        difference: the first model's metric minus the second's.
        low, high: the interval that holds 95 % of the differences over resampled examples.
        p_value: one-sided: the share of resampled differences that are zero or have the opposite sign; 1 if the difference is zero.
    """

    difference: float
    low: float
    high: float
    p_value: float
    num_examples: int
    num_samples: int


def paired_bootstrap(first: np.ndarray, second: np.ndarray, *, num_samples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare two models by their scores on each example.

    Args:
        first, second: [num_examples], one score for each example (averaged over seeds, if there are several); the metric is their mean.
    Returns: the comparison of `first` minus `second`.
    Source: Koehn 2004, Statistical Significance Tests for Machine Translation Evaluation; Berg-Kirkpatrick et al. 2012.
    """
    gains = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    generator = np.random.default_rng(seed)
    # subtle: examples with equal gains are drawn together; how often each gain is drawn is multinomial, so this is equivalent but faster
    values, counts = np.unique(gains, return_counts=True)
    draws = generator.multinomial(len(gains), counts / len(gains), num_samples)
    return _comparison(float(gains.mean()), draws @ values / len(gains), len(gains))


def _comparison(difference: float, differences: np.ndarray, num_examples: int) -> Comparison:
    low, high = np.percentile(differences, [2.5, 97.5])
    beyond = differences <= 0 if difference > 0 else differences >= 0
    p_value = 1.0 if difference == 0 else float(beyond.mean())
    return Comparison(difference, float(low), float(high), p_value, num_examples, len(differences))


def example_scores(task: Task, examples: Sequence[Any], predictions: Mapping[str, Any], metric: str) -> np.ndarray | None:
    """A model's score on each example, [num_examples]; None if the metric is not a mean over examples, as entity F1 is not."""
    scores = np.array([task.score([example], predictions)[metric] for example in examples], np.float64)
    total = task.score(examples, predictions)[metric]
    return scores if abs(scores.mean() - total) < 1e-6 else None


def resampled_bootstrap(
    task: Task,
    examples: Sequence[Any],
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    metric: str,
    *,
    num_samples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Like `paired_bootstrap`, for a metric that is not a mean over examples: it is recomputed on each resampled set.

    Args:
        first, second: predictions by the ids of examples, one mapping for each seed.
    """

    def mean_score(numbers: np.ndarray, models: Sequence[Mapping[str, Any]]) -> float:
        ids = [str(position) for position in range(len(numbers))]  # an example may be drawn twice, but ids must differ
        drawn = [examples[number]._replace(id=id) for id, number in zip(ids, numbers, strict=True)]
        scores = []
        for predictions in models:
            original_ids = [examples[number].id for number in numbers]
            renamed = {id: predictions[original] for id, original in zip(ids, original_ids, strict=True) if original in predictions}
            scores.append(task.score(drawn, renamed)[metric])
        return float(np.mean(scores))

    def gain(numbers: np.ndarray) -> float:
        return mean_score(numbers, first) - mean_score(numbers, second)

    generator = np.random.default_rng(seed)
    all_numbers = np.arange(len(examples))
    differences = np.array([gain(generator.choice(all_numbers, len(examples))) for _ in range(num_samples)])
    return _comparison(gain(all_numbers), differences, len(examples))
