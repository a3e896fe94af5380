"""Metrics as the official scripts compute them: accuracy, entity F1 (conlleval), exact match and F1 of spans (cmrc2018_evaluate.py).

All are in percent. An example without a prediction counts as wrong; one without a label is left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from wholeword.core.contracts import Head
from wholeword.core.contracts.tasks import Example, SpanExample, TaggedExample, TextExample
from wholeword.core.errors import UserError
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


def accuracy(examples: Sequence[TextExample], predictions: Mapping[str, str]) -> dict[str, float]:
    """The share of right labels."""
    right = sum(predictions.get(example.id) == example.label for example in examples)
    return {"accuracy": 100 * right / len(examples), "TOTAL": len(examples), "SKIP": len(skipped(examples, predictions))}


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

    Raises: UserError if a sentence has more or fewer predicted tags than units.
    """
    num_expected = num_predicted = num_right = right_tags = tags = 0
    for example in examples:
        assert example.tags is not None
        predicted = predictions.get(example.id, ["O"] * len(example.units))
        if len(predicted) != len(example.tags):
            raise UserError(f"example {example.id}: {len(predicted)} tags predicted; expected {len(example.tags)}, one for each unit")
        truth, guess = set(entities(example.tags)), set(entities(predicted))
        num_expected, num_predicted, num_right = num_expected + len(truth), num_predicted + len(guess), num_right + len(truth & guess)
        right_tags += sum(one == other for one, other in zip(example.tags, predicted, strict=True))
        tags += len(predicted)
    precision, recall = (100 * num_right / count if count else 0.0 for count in (num_predicted, num_expected))
    f1 = 2 * precision * recall / (precision + recall) if num_right else 0.0
    tag_accuracy = 100 * right_tags / max(tags, 1)
    metrics = {"F1": f1, "precision": precision, "recall": recall, "tag_accuracy": tag_accuracy}
    return metrics | {"TOTAL": len(examples), "ENTITIES": num_expected, "SKIP": len(skipped(examples, predictions))}


def entities(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """The entities in BIO, BIOES or BMES tags: kind, first unit, last unit + 1. A tag that cannot continue an entity begins one."""
    kind = previous = ""
    start: int | None = None
    for position, tag in enumerate((*tags, "O")):
        prefix, _, tagged = tag.partition("-")
        continues = prefix in ("I", "M", "E") and tagged == kind and previous not in ("E", "S")
        if start is not None and not continues:
            yield kind, start, position
            start = None
        if start is None and prefix != "O":
            start, kind = position, tagged
        previous = prefix


def skipped(examples: Sequence[Example], predictions: Mapping[str, Any]) -> list[str]:
    """The ids of examples without a prediction."""
    return [example.id for example in examples if example.id not in predictions]


def _is_labelled(example: Example) -> bool:
    if isinstance(example, SpanExample):
        return bool(example.answers)
    return (example.tags if isinstance(example, TaggedExample) else example.label) is not None
