"""Logits of rows -> predictions for examples; windows of one example are merged.

All spans of a window are compared, not only the best starts with the best ends as in run_squad.py of google-research/bert, so whatever that
code finds is found here too. Answers are cut from the original text.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.contracts import Head
from wholeword.core.contracts.tasks import Example, Rows, SpanExample, TaggedExample


class Predictions(NamedTuple):
    """By the ids of examples; can be written as JSON."""

    answers: dict[str, Any]  # a label, an answer's text, or the list of tags
    nbest: dict[str, list[dict[str, Any]]]  # with `probability`; labels and texts in order of probability, one tag for each unit


def decode(
    examples: Sequence[Example],
    rows: Rows,
    logits: np.ndarray,
    *,
    head: Head,
    labels: Sequence[str] = (),
    n_best: int = 20,
    max_answer_length: int = 30,
) -> Predictions:
    """Turn logits into predictions.

    Args:
        examples, rows: the argument and the result of `make_rows`.
        logits: classification [num_rows, num_labels]; span [num_pieces, 2], start and end; tagging [num_pieces, num_labels], for the
            pieces of `rows.ids`.
        n_best: how many labels or texts to keep.
        max_answer_length: the largest number of pieces in an answer.

    A long text's probabilities are the mean over its windows; a span that is in several windows has its best score; a tag comes from the
    window in which its unit has the most context.
    """
    logits = np.asarray(logits, np.float64)
    expected = len(rows) if head == "classification" else len(rows.ids)
    assert logits.shape == (expected, 2 if head == "span" else len(labels)), f"{logits.shape} logits for {expected} {head}"
    if head == "classification":
        return _labels(examples, rows, logits, labels, n_best)
    if head == "span":
        return _spans(examples, rows, logits, n_best, max_answer_length)
    return _tags(examples, rows, logits, labels)


def _labels(examples: Sequence[Example], rows: Rows, logits: np.ndarray, labels: Sequence[str], n_best: int) -> Predictions:
    sums = np.zeros((len(examples), len(labels)))
    np.add.at(sums, rows.examples, _softmax(logits))
    probabilities = sums / np.bincount(rows.examples, minlength=len(examples))[:, None]
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :n_best]
    nbest = {
        example.id: [{"label": labels[label], "probability": float(row[label])} for label in best.tolist()]
        for example, row, best in zip(examples, probabilities, order, strict=True)
    }
    return Predictions({id: best[0]["label"] for id, best in nbest.items()}, nbest)


def _spans(examples: Sequence[Example], rows: Rows, logits: np.ndarray, n_best: int, max_answer_length: int) -> Predictions:
    nbest: dict[str, list[dict[str, Any]]] = {}
    for example, windows in zip(examples, _by_example(rows, len(examples)), strict=True):
        assert isinstance(example, SpanExample)
        scores: dict[tuple[int, int], float] = {}
        for row in windows:
            first, last = rows.row_pieces[row : row + 2]
            for span, score in _best_spans(rows.places[first:last], logits[first:last], n_best, max_answer_length):
                scores[span] = max(score, scores.get(span, -np.inf))
        best_by_text: dict[str, tuple[int, int, float]] = {}
        for (start, end), score in sorted(scores.items(), key=lambda item: (-item[1], item[0])):
            if len(best_by_text) < n_best:
                best_by_text.setdefault(example.context[start:end], (start, end, score))
        probabilities = _softmax(np.array([score for _, _, score in best_by_text.values()]))
        nbest[example.id] = [
            {"text": text, "start": start, "end": end, "probability": float(probability)}
            for (text, (start, end, _)), probability in zip(best_by_text.items(), probabilities, strict=True)
        ]
    return Predictions({id: best[0]["text"] if best else "" for id, best in nbest.items()}, nbest)


def _best_spans(places: np.ndarray, logits: np.ndarray, n_best: int, longest: int) -> Iterator[tuple[tuple[int, int], float]]:
    """The best spans of one row, as character offsets in the context, with the sums of their logits."""
    inside = np.flatnonzero(places[:, 0] >= 0)
    if not len(inside):
        return
    begins, ends = logits[inside].T
    padded = np.append(ends, np.full(longest - 1, -np.inf))
    sums = (begins[:, None] + np.lib.stride_tricks.sliding_window_view(padded, longest)).ravel()  # [begin, pieces of the answer - 1]
    kept = 2 * n_best  # subtle: several spans may have the same text
    best = np.argpartition(-sums, kept)[:kept] if len(sums) > kept else np.arange(len(sums))
    for number in best[np.isfinite(sums[best])].tolist():
        begin, more = divmod(number, longest)
        yield (int(places[inside[begin], 0]), int(places[inside[begin + more], 1])), float(sums[number])


def _tags(examples: Sequence[Example], rows: Rows, logits: np.ndarray, labels: Sequence[str]) -> Predictions:
    lengths = rows.lengths
    position = np.arange(len(rows.ids)) - np.repeat(rows.row_pieces[:-1], lengths)
    context = np.minimum(position - 1, np.repeat(lengths, lengths) - 2 - position)  # pieces to the nearer edge of the window
    tagged = np.flatnonzero(rows.places >= 0)
    sizes = np.array([len(example.units) for example in examples if isinstance(example, TaggedExample)], np.int64)
    unit_starts = np.append(0, np.cumsum(sizes))
    unit = unit_starts[np.repeat(rows.examples, lengths)[tagged]] + rows.places[tagged]
    order = np.lexsort((tagged, -context[tagged], unit))  # by unit, the position with the most context first
    _, first = np.unique(unit[order], return_index=True)
    probabilities = _softmax(logits[tagged[order[first]]])
    assert len(probabilities) == unit_starts[-1], "a unit is in no row"
    best = probabilities.argmax(axis=1)
    shares = probabilities[np.arange(len(best)), best].tolist()
    names = [labels[number] for number in best.tolist()]
    answers, nbest = {}, {}
    for example, start, end in zip(examples, unit_starts[:-1].tolist(), unit_starts[1:].tolist(), strict=True):
        answers[example.id] = names[start:end]
        nbest[example.id] = [{"tag": names[number], "probability": shares[number]} for number in range(start, end)]
    return Predictions(answers, nbest)


def _by_example(rows: Rows, num_examples: int) -> Iterator[range]:
    borders = np.searchsorted(rows.examples, np.arange(num_examples + 1)).tolist()
    return (range(first, last) for first, last in pairwise(borders))


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    if not logits.size:
        return logits
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))
