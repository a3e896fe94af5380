"""What a task plugin returns is checked where it enters: what breaks the contract becomes one line that names the distribution."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from wholeword.core.contracts import ClassScoringTask, DescribedTask, Example, Head, Task
from wholeword.core.contracts.tasks import EXAMPLES, Answer, SpanExample, TaggedExample, TextExample
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import calling, contract_error


def create_task(name: str, settings: Mapping[str, Any]) -> "CheckedTask":
    """A task by the name that a recipe gives it. Raises: PluginError if there is none, or it breaks the contract."""
    return CheckedTask(registry.create("task", name, **settings), name)


class CheckedTask:
    """A plugin's task (`wholeword.core.contracts.Task`); whatever it returns keeps the contract, or PluginError is raised.

    Errors of the user's files stay as the plugin raises them; any other exception becomes a PluginError.

    Args:
        task: what the plugin made.
        name: as in the recipe.
    """

    def __init__(self, task: Task, name: str):
        self.task, self.name = task, name
        with self._calling():
            self.head: Head = self._checked_head(task.head)
            self.metrics = self._texts("metrics", task.metrics)
            self.defaults = self._checked_defaults(task.defaults)
        if not self.metrics:
            self._break("metrics is empty; expected the metrics that tables show, the one to choose by first")

    @cached_property
    def labels(self) -> Sequence[str]:
        """Different strings, for `span` none."""
        with self._calling():
            labels = self._texts("labels", self.task.labels)
        if len(set(labels)) < len(labels):
            self._break(f"labels {', '.join(labels)}: duplicate entry")
        if bool(labels) == (self.head == "span"):
            self._break(f"{len(labels)} labels for head {self.head!r}; expected {'none' if self.head == 'span' else 'at least one'}")
        return labels

    @property
    def notes(self) -> list[str]:
        """As the task has them."""
        with self._calling():
            return list(self._texts("notes", self.task.notes))

    @property
    def descriptions(self) -> list[str]:
        """As the task has them; none if it has no descriptions (`wholeword.core.contracts.DescribedTask`)."""
        with self._calling():
            return list(self._texts("descriptions", self.task.descriptions)) if isinstance(self.task, DescribedTask) else []

    @property
    def splits(self) -> Sequence[str]:
        """As the task has them."""
        with self._calling():
            return self._texts("splits", self.task.splits)

    def read(self, split: str) -> list[Example]:
        """Examples of the head's type, with different ids, known labels, a tag for each unit, and answers that are where they say."""
        with self._calling():
            examples = self.task.read(split)
        if not isinstance(examples, Sequence):
            self._break(f"read({split!r}) returned {type(examples).__name__}; expected a list of examples")
        labels, ids = frozenset(self.labels), set()
        for number, example in enumerate(examples):
            where = f"example {number} of {split}"
            if not isinstance(example, EXAMPLES[self.head]):
                self._break(f"{where} is a {type(example).__name__}; expected a {EXAMPLES[self.head].__name__} for head {self.head!r}")
            if problem := _problem(example, labels):
                self._break(f"{where}: {problem}")
            if example.id in ids:
                self._break(f"{where}: duplicate id {example.id!r}; expected a different one for each example")
            ids.add(example.id)
        return list(examples)

    def score(self, examples: Sequence[Example], predictions: Mapping[str, Any]) -> dict[str, float]:
        """Finite numbers, `metrics` among them; empty if no example has a label."""
        with self._calling():
            scores = self.task.score(examples, predictions)
        if not isinstance(scores, Mapping):
            self._break(f"score returned {type(scores).__name__}; expected a dict of metrics")
        numbers = self._numbers("score", scores)
        missing = [metric for metric in self.metrics if metric not in numbers]
        if numbers and missing:
            self._break(f"score has no {', '.join(missing)}; expected all of metrics: {', '.join(self.metrics)}")
        return numbers

    def score_classes(self, examples: Sequence[Example], predictions: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """Finite numbers by class; empty if the task scores none (`wholeword.core.contracts.ClassScoringTask`)."""
        if not isinstance(self.task, ClassScoringTask):
            return {}
        with self._calling():
            classes = self.task.score_classes(examples, predictions)
        if not isinstance(classes, Mapping) or not all(
            isinstance(name, str) and isinstance(scores, Mapping) for name, scores in classes.items()
        ):
            self._break("score_classes returned something else than dicts of metrics by class")
        return {name: self._numbers("score_classes", scores) for name, scores in classes.items()}

    def _numbers(self, method: str, scores: Mapping[Any, Any]) -> dict[str, float]:
        numbers = {}
        for key, value in scores.items():
            number = value.item() if isinstance(value, np.number) else value
            if not isinstance(key, str) or isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                self._break(f"{method} has {key!r}: {value!r}; expected a name and a finite number")
            numbers[key] = number
        return numbers

    def _checked_head(self, head: Any) -> Head:
        if not isinstance(head, str) or head not in EXAMPLES:
            self._break(f"head is {head!r}; expected one of {', '.join(EXAMPLES)}")
        checked: Head = head
        return checked

    def _checked_defaults(self, defaults: Any) -> Mapping[str, Any]:
        if not isinstance(defaults, Mapping):
            self._break(f"defaults is a {type(defaults).__name__}; expected a dict")
        for key, (least, most, kind) in DEFAULTS.items():
            value = defaults.get(key)
            if value is None and key == "doc_stride":
                continue
            if value is None:
                self._break(f"defaults have no {key}; expected {', '.join(name for name in DEFAULTS if name != 'doc_stride')}")
            is_number = isinstance(value, kind if kind is int else int | float) and not isinstance(value, bool)
            if not is_number or not least <= value <= most:
                expected = f"a whole number of at least {least}" if kind is int else f"a number from {least:g} to {most:g}"
                self._break(f"defaults have {key} {value!r}; expected {expected}")
        return dict(defaults)

    def _texts(self, name: str, values: Any) -> tuple[str, ...]:
        if isinstance(values, str) or not isinstance(values, Sequence) or not all(isinstance(value, str) for value in values):
            self._break(f"{name} is {values!r}; expected a list of strings")
        return tuple(values)

    def _calling(self) -> AbstractContextManager[None]:
        return calling("task", self.name)

    def _break(self, problem: str) -> NoReturn:
        raise contract_error("task", self.name, problem)


# key of `defaults` -> least and largest value, and type
DEFAULTS: Mapping[str, tuple[float, float, type]] = {
    "learning_rate": (0.0, 1.0, float),
    "batch_size": (1, math.inf, int),
    "epochs": (1, math.inf, int),
    "max_seq_length": (8, math.inf, int),
    "warmup_rate": (0.0, 1.0, float),
    "doc_stride": (1, math.inf, int),
}


def _problem(example: Example, labels: frozenset[str]) -> str | None:
    """What is wrong with an example of the right type; None if nothing is."""
    if not isinstance(example.id, str):
        return f"id {example.id!r}; expected a string"
    if isinstance(example, TextExample):
        return _text_problem(example, labels)
    if isinstance(example, SpanExample):
        return _span_problem(example)
    return _tag_problem(example, labels)


def _text_problem(example: TextExample, labels: frozenset[str]) -> str | None:
    if not isinstance(example.text, str) or not (example.pair is None or isinstance(example.pair, str)):
        return f"text {example.text!r}, pair {example.pair!r}; expected strings"
    if example.label is not None and (not isinstance(example.label, str) or example.label not in labels):
        return f"label {example.label!r}; expected one of {', '.join(sorted(labels))}"
    return None


def _span_problem(example: SpanExample) -> str | None:
    if not isinstance(example.question, str) or not isinstance(example.context, str):
        return f"question {example.question!r}, context {example.context!r}; expected strings"
    if not isinstance(example.answers, tuple | list):
        return f"answers {example.answers!r}; expected a tuple"
    for answer in example.answers:
        if not isinstance(answer, Answer) or not isinstance(answer.text, str):
            return f"answer {answer!r}; expected an Answer"
        if not isinstance(answer.start, int | None):
            return f"answer {answer.text!r} starts at {answer.start!r}; expected a whole number or None"
        if answer.start is not None and (answer.start < 0 or not example.context.startswith(answer.text, answer.start)):
            return f"answer {answer.text!r} is not at character {answer.start} of the context; expected its place, or None"
    return None


def _tag_problem(example: TaggedExample, labels: frozenset[str]) -> str | None:
    if not isinstance(example.units, tuple | list) or not all(isinstance(unit, str) for unit in example.units):
        return f"units {example.units!r}; expected strings"
    if example.tags is None:
        return None
    if not isinstance(example.tags, tuple | list) or not all(isinstance(tag, str) for tag in example.tags):
        return f"tags {example.tags!r}; expected strings"
    if len(example.tags) != len(example.units):
        return f"{len(example.tags)} tags for {len(example.units)} units"
    unknown = [tag for tag in example.tags if tag not in labels]
    return f"tag {unknown[0]!r}; expected one of {', '.join(sorted(labels))}" if unknown else None
