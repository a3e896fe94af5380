"""Metrics as the official scripts compute them: accuracy, entity F1 (conlleval), exact match and F1 of spans (cmrc2018_evaluate.py).

All are in percent. An example without a prediction counts as wrong; one without a label is left out.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wholeword.core.contracts import Head
from wholeword.core.contracts.tasks import Example, SpanExample, TaggedExample, TextExample
from wholeword.core.errors import UserError
from wholeword.plugins.tasks.tags import OUTSIDE, spelling_of
from wholeword.plugins.tasks.words import word_tokenize

METRICS: dict[Head, tuple[str, ...]] = {"classification": ("accuracy",), "span": ("EM", "F1"), "tagging": ("F1",)}

# characters that the script ignores; `……` in its list is two characters and so never matches, and `‘`, `.`, `,`, `!`, `?` are not in it
PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


def score(head: Head, examples: Sequence[Any], predictions: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a task; empty if no example has a label."""
    labelled = [example for example in examples if _is_labelled(example)]
    if not labelled:
        return {}
    scorers: dict[Head, Callable[..., dict[str, float]]] = {"classification": accuracy, "span": span_metrics, "tagging": entity_metrics}
    return scorers[head](labelled, predictions)


def score_classes(head: Head, examples: Sequence[Any], predictions: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """See `wholeword.core.contracts.ClassScoringTask`: labels, and kinds of entities."""
    labelled = [example for example in examples if _is_labelled(example)]
    if head == "span" or not labelled:
        return {}
    counts = _label_counts(labelled, predictions) if head == "classification" else _kind_counts(labelled, predictions)
    return {name: counts[name].metrics() for name in sorted(counts)}


@dataclass
class ClassCounts:
    """Of one class: how often it was expected, predicted, and both."""

    expected: int = 0
    predicted: int = 0
    right: int = 0

    @property
    def f1(self) -> float:
        """In percent."""
        precision, recall = self._shares()
        return 2 * precision * recall / (precision + recall) if self.right else 0.0

    def _shares(self) -> tuple[float, float]:
        return (100 * self.right / self.predicted if self.predicted else 0.0), (100 * self.right / self.expected if self.expected else 0.0)

    def metrics(self) -> dict[str, float]:
        """In percent, and the counts."""
        precision, recall = self._shares()
        return {"precision": precision, "recall": recall, "F1": self.f1, "COUNT": self.expected, "PREDICTED": self.predicted}


def accuracy(examples: Sequence[TextExample], predictions: Mapping[str, str]) -> dict[str, float]:
    """The share of right labels; F1 as scikit-learn averages it over the labels that are expected or predicted (macro, micro)."""
    right = sum(predictions.get(example.id) == example.label for example in examples)
    classes = _label_counts(examples, predictions).values()
    macro = sum(counts.f1 for counts in classes) / len(classes)
    micro = 200 * right / sum(counts.expected + counts.predicted for counts in classes)
    shares = {"accuracy": 100 * right / len(examples), "macro_F1": macro, "micro_F1": micro}
    return shares | {"TOTAL": len(examples), "SKIP": len(skipped(examples, predictions))}


def _label_counts(examples: Sequence[TextExample], predictions: Mapping[str, str]) -> dict[str, ClassCounts]:
    counts: defaultdict[str, ClassCounts] = defaultdict(ClassCounts)
    for example in examples:
        predicted = predictions.get(example.id)
        counts[str(example.label)].expected += 1
        if predicted is not None:
            counts[predicted].predicted += 1
            counts[predicted].right += predicted == example.label
    return counts


def span_metrics(examples: Sequence[SpanExample], predictions: Mapping[str, str]) -> dict[str, float]:
    """What cmrc2018_evaluate.py prints: AVERAGE, F1, EM, TOTAL and SKIP, the number of questions without a prediction."""
    exact = overlap = 0.0
    for example in examples:
        if example.id in predictions:
            answers = [answer.text for answer in example.answers]
            exact += exact_match(answers, predictions[example.id])
            overlap += span_f1(answers, predictions[example.id])
    em, f1 = 100 * exact / len(examples), 100 * overlap / len(examples)
    return {"AVERAGE": (em + f1) / 2, "F1": f1, "EM": em, "TOTAL": len(examples), "SKIP": len(skipped(examples, predictions))}


def exact_match(answers: Sequence[str], prediction: str) -> float:
    """1 if the prediction equals an answer, ignoring case and punctuation (but not blanks inside)."""
    return float(any(_bare(answer) == _bare(prediction) for answer in answers))


def span_f1(answers: Sequence[str], prediction: str) -> float:
    """The best F1 with an answer, in [0, 1], from the longest run of tokens that both share: not a bag of words."""
    predicted = mixed_tokens(prediction)
    best = 0.0
    for answer in answers:
        expected = mixed_tokens(answer)
        common = longest_common_run(expected, predicted)
        if common:
            precision, recall = common / len(predicted), common / len(expected)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def mixed_tokens(text: str) -> list[str]:
    """Chinese characters one by one, the text between them as English words; punctuation is dropped.

    As in the script, only U+4E00 to U+9FA5 count as Chinese; characters of the extensions are treated as English.
    """
    tokens: list[str] = []
    rest: list[str] = []

    def end_rest() -> None:
        if rest:
            tokens.extend(word_tokenize("".join(rest)))
            rest.clear()

    for character in text.lower().strip():
        if character in PUNCTUATION:
            continue
        if "\u4e00" <= character <= "\u9fa5":
            end_rest()
            tokens.append(character)
        else:
            rest.append(character)
    end_rest()
    return tokens


def longest_common_run(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest run of tokens that occurs in both."""
    codes: dict[str, str] = {}
    a, b = ("".join(codes.setdefault(token, chr(len(codes))) for token in tokens) for tokens in (first, second))
    longest = 0
    for start in range(len(a)):
        while start + longest < len(a) and a[start : start + longest + 1] in b:
            longest += 1
    return longest


def _bare(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in PUNCTUATION)


def entity_metrics(examples: Sequence[TaggedExample], predictions: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 of whole entities over all sentences, as conlleval and seqeval count them, and the accuracy of tags.

    Raises: UserError if a sentence has more or fewer predicted tags than units, or a tag is not understood.
    """
    meaning = _meaning(examples, predictions)
    right_tags = tags = 0
    for example in examples:
        expected = [meaning[tag] for tag in example.tags or ()]
        predicted = [meaning[tag] for tag in _predicted_tags(example, predictions)] or [OUTSIDE] * len(expected)
        right_tags += sum(one == other for one, other in zip(expected, predicted, strict=True))
        tags += len(expected)
    kinds = _kind_counts(examples, predictions).values()
    total = ClassCounts(*(sum(getattr(counts, name) for counts in kinds) for name in ("expected", "predicted", "right")))
    shares = total.metrics()
    metrics = {
        "F1": shares["F1"],
        "precision": shares["precision"],
        "recall": shares["recall"],
        "tag_accuracy": 100 * right_tags / max(tags, 1),
    }
    return metrics | {"TOTAL": len(examples), "ENTITIES": total.expected, "SKIP": len(skipped(examples, predictions))}


def _kind_counts(examples: Sequence[TaggedExample], predictions: Mapping[str, Sequence[str]]) -> dict[str, ClassCounts]:
    meaning = _meaning(examples, predictions)
    counts: defaultdict[str, ClassCounts] = defaultdict(ClassCounts)
    for example in examples:
        truth, guess = (
            set(entities([meaning[tag] for tag in tags])) for tags in (example.tags or (), _predicted_tags(example, predictions))
        )
        for kind, _, _ in truth:
            counts[kind].expected += 1
        for kind, _, _ in guess:
            counts[kind].predicted += 1
        for kind, _, _ in truth & guess:
            counts[kind].right += 1
    return counts


def _meaning(examples: Sequence[TaggedExample], predictions: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """tag -> its one spelling, for all that are expected or predicted."""
    tags = dict.fromkeys(tag for example in examples for tag in (*(example.tags or ()), *_predicted_tags(example, predictions)))
    return spelling_of(tags).scored


def _predicted_tags(example: TaggedExample, predictions: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Empty if there are none."""
    assert example.tags is not None
    if example.id not in predictions:
        return ()
    predicted = predictions[example.id]
    if len(predicted) != len(example.tags):
        raise UserError(f"example {example.id}: {len(predicted)} tags predicted; expected {len(example.tags)}, one for each unit")
    return predicted


def entities(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """The entities in BIO, BIOES or BMES tags (see `spelling_of`): kind, first unit, last unit + 1.

    A tag that cannot continue an entity begins one.
    """
    kind = previous = ""
    start: int | None = None
    for position, tag in enumerate((*tags, OUTSIDE)):
        prefix, _, tagged = tag.partition("-")
        continues = prefix in ("I", "M", "E") and tagged == kind and previous not in ("E", "S")
        if start is not None and not continues:
            yield kind, start, position
            start = None
        if start is None and prefix != OUTSIDE:
            start, kind = position, tagged
        previous = prefix


def skipped(examples: Sequence[Example], predictions: Mapping[str, Any]) -> list[str]:
    """The ids of examples without a prediction."""
    return [example.id for example in examples if example.id not in predictions]


def _is_labelled(example: Example) -> bool:
    if isinstance(example, SpanExample):
        return bool(example.answers)
    return (example.tags if isinstance(example, TaggedExample) else example.label) is not None
