"""Checks of downstream tasks."""

from collections.abc import Sequence
from typing import Any

from wholeword.core.contracts import SpanExample, TaggedExample, Task, TextExample

KINDS = {"classification": TextExample, "span": SpanExample, "tagging": TaggedExample}
DEFAULTS = {"learning_rate", "batch_size", "epochs", "max_seq_length", "warmup_rate"}


def check_task_facts(task: Any) -> None:
    """Check what a task says without its files. Raises: AssertionError that says which rule was broken."""
    missing = [name for name in ("head", "metrics", "defaults", "read", "score") if not hasattr(task, name)]
    assert not missing, f"{type(task).__name__} has no {', '.join(missing)}; expected contracts.Task"
    assert task.head in KINDS, f"head is {task.head!r}; expected one of {', '.join(KINDS)}"
    assert task.metrics, "metrics is empty; expected the metrics that tables show"
    absent = DEFAULTS - set(task.defaults)
    assert not absent, f"defaults have no {', '.join(sorted(absent))}"


def check_task(task: Task, splits: Sequence[str] = ()) -> None:
    """Check the contract of `contracts.Task` on files that are there.

    Args:
        splits: what to read; by default all whose files are there, of which there must be one.
    Raises: AssertionError that says which rule was broken, and by which example.
    """
    check_task_facts(task)
    labels = list(task.labels)
    assert len(set(labels)) == len(labels), f"labels {labels}: one appears twice"
    assert bool(labels) == (task.head != "span"), f"{len(labels)} labels for head {task.head!r}"
    assert splits or task.splits, "no file of a split is there"
    for split in splits or task.splits:
        examples = task.read(split)
        assert examples and task.read(split) == examples, f"{split}: a second reading gave other examples, or none"
        ids = [example.id for example in examples]
        assert len(set(ids)) == len(ids) and all(isinstance(id, str) for id in ids), f"{split}: ids must be strings, all different"
        truth: dict[str, Any] = {}
        for example in examples:
            where = f"{split} {example.id}"
            assert isinstance(example, KINDS[task.head]), f"{where}: {type(example).__name__} for head {task.head!r}"
            known = _check_example(example, labels, where)
            if known is not None:
                truth[example.id] = known
        if truth:
            _check_score(task, examples, truth, split)


def _check_example(example: Any, labels: Sequence[str], where: str) -> Any:
    """Check one example's labels. Returns: a prediction that is right, None where that is not known."""
    if isinstance(example, SpanExample):
        for answer in example.answers:
            is_there = answer.start is None or example.context.startswith(answer.text, answer.start)
            assert is_there, f"{where}: the context has no {answer.text!r} at {answer.start}"
        return example.answers[0].text if example.answers else None
    if isinstance(example, TaggedExample):
        if example.tags is not None:
            assert len(example.tags) == len(example.units), f"{where}: {len(example.tags)} tags for {len(example.units)} units"
            assert set(example.tags) <= set(labels), f"{where}: tags {set(example.tags) - set(labels)} are not among {labels}"
        return list(example.tags) if example.tags is not None else None
    assert example.label is None or example.label in labels, f"{where}: {example.label!r} is not among {labels}"
    return example.label


def _check_score(task: Task, examples: Sequence[Any], truth: dict[str, Any], split: str) -> None:
    best, worst = task.score(examples, truth), task.score(examples, {})
    for metric in task.metrics:
        assert metric in best and metric in worst, f"{split}: score has no {metric!r}, only {', '.join(best)}"
        if task.head != "tagging" or any(tag != "O" for tags in truth.values() for tag in tags):
            assert abs(best[metric] - 100) < 1e-9, f"{split}: right predictions have {metric} {best[metric]}; expected 100"
        assert worst[metric] == 0, f"{split}: no predictions have {metric} {worst[metric]}; expected 0"
