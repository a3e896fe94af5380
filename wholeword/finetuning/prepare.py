"""What all seeds of a job share, read once: the model, and the rows of every split."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.config.locations import read_model
from wholeword.core.console import Observer, doing
from wholeword.core.contracts import NO_TARGET, BertConfig, Example, Head, ModelFiles, Rows, TextExample
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.registry.local_source import source_files
from wholeword.core.registry.registry import registry
from wholeword.core.training.schedules import LearningRate, make_schedule
from wholeword.finetuning.identity import expect_same, file_stamps, fingerprint, model_identity, write_identity
from wholeword.finetuning.job import FinetuneJob
from wholeword.finetuning.rows import make_rows
from wholeword.finetuning.understanding import understanding_of, unknown_lines, unknown_share


class Split(NamedTuple):
    """The examples of a split, and the rows made from them."""

    examples: list[Example]
    rows: Rows


@dataclass(frozen=True)
class Prepared:
    """A job's model and data.

    Args:
        splits: those to predict and score.
        data: by split: train and `splits`.
        trained_rows: the numbers of the rows of train to learn from.
        learning_rate: by step, counted from 0.
        identity: what the results depend on; `recipe.json` holds it.
    """

    model: ModelFiles
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    data: Mapping[str, Split]
    trained_rows: np.ndarray
    steps_per_epoch: int
    steps: int
    learning_rate: LearningRate
    identity: Mapping[str, Any]

    @property
    def train(self) -> Rows:
        """The rows of train."""
        return self.data["train"].rows


def prepare(job: FinetuneJob, observer: Observer) -> Prepared:
    """Read model and data, compare them with those of earlier seeds in the output folder, and record them there.

    Raises: UserError if model and task do not fit, or nothing can be learnt; OtherOriginError if the folder holds runs of other data.
    """
    stamps = file_stamps(input_paths(job))  # before reading: a file that changes meanwhile is read again next time
    with doing(f"reading {job.model}"):
        model = read_model(job.model, job.base_folder)
    _expect_fitting(job, model, observer)
    splits = tuple(split for split in job.task.splits if split != "train") if job.splits is None else job.splits
    tokenizer = WordPieceTokenizer(model.vocabulary, model.lowercase, definition="transformers")
    with doing(f"reading {job.task_name}"):
        examples = {split: job.task.read(split) for split in dict.fromkeys(("train", *splits))}
    expect_segments(job, model.config, examples["train"])
    for line in understanding_of(job.task, job.task_name, examples).lines():
        observer.say(line)
    with doing(f"splitting the texts of {job.task_name} into pieces"):
        data = {split: Split(part, _rows(job, part, tokenizer)) for split, part in examples.items()}
    for line in unknown_lines({split: unknown_share(part.rows, model.vocabulary) for split, part in data.items()}, job.task_name):
        observer.say(line)
    trained_rows = learnable(data["train"].rows, job.task.head)
    if not len(trained_rows):
        raise UserError(f"{job.task_name}: no example in train has a label; there is nothing to learn from")
    labels = tuple(job.task.labels)
    identity = {
        "settings": job.settings,
        "model": model_identity(model),
        "data": {split: fingerprint(part.examples) for split, part in data.items()},
        "labels": list(labels),
    }
    expect_same(job.output, identity)
    write_identity(job.output, identity, stamps)
    counts = ", ".join(f"{split} {len(part.examples):,}" for split, part in data.items())
    observer.say(f"{job.task_name}: {counts} examples; {len(trained_rows):,} rows to learn from")
    steps_per_epoch = -(-len(trained_rows) // job.training.batch_size)
    steps = steps_per_epoch * job.training.epochs
    return Prepared(model, labels, splits, data, trained_rows, steps_per_epoch, steps, _learning_rate(job, steps), identity)


def _learning_rate(job: FinetuneJob, steps: int) -> LearningRate:
    return make_schedule(
        job.schedule_name,
        job.schedule_settings,
        steps=steps,
        peak_lr=job.training.learning_rate,
        warmup_steps=int(steps * job.training.warmup_rate),
    )


def input_paths(job: FinetuneJob) -> list[Path]:
    """The files and folders that a job reads, and the source of a task's plugin that may change while its version stays."""
    return [job.base_folder / job.model, *job.task_paths, *source_files(registry.find("task", job.task_name))]


def expect_positions(job: FinetuneJob, config: BertConfig) -> None:
    """Raises: UserError if a row may be longer than the model can read, or a question leaves no room for text."""
    positions, length = config.max_position_embeddings, job.training.max_seq_length
    if length > positions:
        raise UserError(f"max_seq_length: {length}; {job.model} has positions for {positions}: set that or less")
    if job.task.head == "span" and length - 3 - job.limits.max_query_length < 1:
        most = length - 4
        raise UserError(f"max_query_length: {job.limits.max_query_length} leaves no room in rows of {length}; expected at most {most}")


def expect_segments(job: FinetuneJob, config: BertConfig, examples: Iterable[Example]) -> None:
    """Raises: UserError if the task has pairs of texts, and the model one segment."""
    paired = job.task.head == "span" or any(isinstance(example, TextExample) and example.pair is not None for example in examples)
    if paired and config.type_vocab_size < 2:
        raise UserError(f"model: {job.model} has one segment (type_vocab_size {config.type_vocab_size}), but {job.task_name} has pairs")


def _expect_fitting(job: FinetuneJob, model: ModelFiles, observer: Observer) -> None:
    expect_positions(job, model.config)
    if job.task.head == "classification" and "pooler" in (model.provenance.missing or ()):
        observer.say(f"{job.model}: it has no pooler; a new one starts with random values")


def _rows(job: FinetuneJob, examples: Sequence[Example], tokenizer: WordPieceTokenizer) -> Rows:
    return make_rows(
        examples,
        tokenizer,
        head=job.task.head,
        labels=job.task.labels,
        max_seq_length=job.training.max_seq_length,
        doc_stride=job.training.doc_stride,
        max_query_length=job.limits.max_query_length,
    )


def learnable(rows: Rows, head: Head) -> np.ndarray:
    """The numbers of the rows to train on.

    Rows without a label are left out, and so are questions whose answer is in none of their windows. Windows without the answer stay if
    another window has it: they teach to begin and end at [CLS], as in run_squad.py.
    """
    if head == "classification":
        return np.flatnonzero(rows.targets != NO_TARGET)
    if head == "tagging":
        return np.unique(np.repeat(np.arange(len(rows)), rows.lengths)[rows.targets != NO_TARGET])
    answered = np.unique(rows.examples[rows.targets[:, 0] > 0])
    return np.flatnonzero(np.isin(rows.examples, answered))
