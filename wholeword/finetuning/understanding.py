"""What was understood of a task's files, to be printed before anything is trained: classes and how often each occurs, and what is missing.

Runs and `wholeword check` print the same lines.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wholeword.core.contracts import Example, Head, Rows
from wholeword.core.contracts.tasks import SpanExample, TaggedExample, TextExample
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.text_files import quoted
from wholeword.core.training.problems import MANY_UNKNOWN
from wholeword.core.vocabulary import Vocabulary
from wholeword.finetuning.checked import CheckedTask

MISSING_VALUES = frozenset(("nan", "none", "null", "n/a", "na", "undefined"))  # what other programs write for a missing label
QUOTED = re.compile(r"""(["']).*\1|“.*”|‘.*’""", re.S)
MANY_CLASSES = 30  # beyond, the most and the least frequent are named
NUM_NAMED = 8
SAMPLE_TEXTS = 1000


@dataclass(frozen=True)
class SplitUnderstanding:
    """What is in one split.

    Args:
        num_labelled: examples whose label, answers or tags are known.
        classes: how often each label or tag occurs; empty for spans.
        num_without_text: examples without a character other than blanks.
        num_unlearnable: questions none of whose answers is in its context.
    """

    split: str
    head: Head
    num_examples: int
    num_labelled: int
    classes: Mapping[str, int]
    num_without_text: int
    num_unlearnable: int = 0

    def lines(self) -> Iterator[str]:
        """One line, and one for each thing that is odd."""
        unlabelled = self.num_examples - self.num_labelled
        parts = [f"{self.split}: {self.num_examples:,} examples"]
        if unlabelled == self.num_examples:
            parts.append("none has a label" if self.split == "train" else "none has a label: predicted, not scored")
        elif unlabelled:
            parts.append(f"{unlabelled:,} without a label {'are not learnt from' if self.split == 'train' else 'are not scored'}")
        if self.num_without_text:
            parts.append(f"{self.num_without_text:,} without text")
        if self.num_unlearnable:
            parts.append(f"{self.num_unlearnable:,} with no answer in their context")
        if self.classes:
            parts.append(f"{'tags' if self.head == 'tagging' else 'classes'}: {_counted(self.classes)}")
        yield "; ".join(parts)
        if self.split != "train" and len(self.classes) == 1 and self.num_labelled > 1:
            (only,) = self.classes
            what = "tag" if self.head == "tagging" else "label"
            yield f"warning: {self.split}: every {what} is {quoted(only)}: metrics mean little; is this how hidden {what}s are written?"
        if self.split != "train" and self.num_unlearnable == self.num_labelled > 1:
            yield f"warning: {self.split}: no answer is in its context: metrics mean little; are these answers hidden?"
        for name in self.classes:
            if self.head == "classification" and QUOTED.fullmatch(name):
                count = f"{self.classes[name]:,} examples have the label {quoted(name)}"
                yield f'warning: {self.split}: {count}: the quotation marks are part of it; only a .csv may have " around cells'
            if self.head == "classification" and name.casefold() in MISSING_VALUES:
                yield f"warning: {self.split}: {self.classes[name]:,} examples have the label {quoted(name)}: is it a missing value?"


@dataclass(frozen=True)
class Understanding:
    """What was understood of a task's files.

    Args:
        files: what the task says of each file: columns read and not read, its known edition.
        notes: what the task found odd.
    """

    task: str
    files: Sequence[str]
    notes: Sequence[str]
    splits: Sequence[SplitUnderstanding]

    def lines(self) -> Iterator[str]:
        """What to print."""
        yield from self.files
        yield from self.notes
        for split in self.splits:
            yield from split.lines()
        yield from self._comparisons()

    def _comparisons(self) -> Iterator[str]:
        train = next((split for split in self.splits if split.split == "train"), None)
        if train is None or not train.classes:
            return
        if train.head == "classification" and train.num_labelled >= 10 and len(train.classes) > train.num_labelled / 2:
            yield f"warning: train: {len(train.classes):,} classes in {train.num_labelled:,} examples: is this the column of labels?"
        for split in self.splits:
            unseen = [name for name in split.classes if name not in train.classes]
            if unseen:
                names = ", ".join(map(quoted, unseen[:NUM_NAMED]))
                yield f"warning: {split.split} has {names}, which train never has: they cannot be learnt"


def understand(task: CheckedTask, name: str, splits: Sequence[str] | None = None) -> Understanding:
    """Read a task's files and say what was understood.

    Args:
        name: as in the recipe.
        splits: what to read besides train; by default all whose files are there.
    Raises: UserError for what cannot be used, for one class only, and for nothing to learn from.
    """
    wanted = task.splits if splits is None else splits
    return understanding_of(task, name, {split: task.read(split) for split in dict.fromkeys(("train", *wanted))})


def understanding_of(task: CheckedTask, name: str, examples: Mapping[str, Sequence[Example]]) -> Understanding:
    """The same, for examples that have been read, by split. Raises: UserError for one class only, or nothing to learn from."""
    splits = [_understood(split, task.head, part) for split, part in examples.items()]
    for split in splits:
        if split.split == "train" and split.num_labelled == split.num_unlearnable:
            problem = "no answer in train is in its context" if split.num_labelled else "no example in train has a label"
            raise UserError(f"{name}: {problem}; there is nothing to learn from")
        if split.split == "train" and len(split.classes) == 1 and task.head != "span":
            (only,) = split.classes
            what = "tags" if task.head == "tagging" else f"{split.num_labelled:,} labels"
            raise UserError(f"{name}: all {what} of train are {quoted(only)}; expected at least two classes, or there is nothing to learn")
    return Understanding(name, list(task.descriptions), list(task.notes), splits)


def unknown_share(rows: Rows, vocabulary: Vocabulary) -> float:
    """The share of [UNK] in the text of rows."""
    special = np.isin(rows.ids, (vocabulary.cls_id, vocabulary.sep_id))
    return float((rows.ids == vocabulary.unk_id).sum() / max(1, (~special).sum()))


def share_of_unknown_text(examples: Sequence[Example], vocabulary: Vocabulary) -> float:
    """The share of [UNK] in the first texts of a split; 1 only if there is nothing else in any text.

    Where only one of lower-casing or not gives known pieces, that counts: a model's files say which it is, but not without its weights.
    """
    tokenizers = [WordPieceTokenizer(vocabulary, lowercase, definition="transformers") for lowercase in (True, False)]
    texts = [text for example in examples for text in _texts(example)]
    num_unknown = num_pieces = 0
    for first in range(0, len(texts), SAMPLE_TEXTS):
        ids = [tokenizer.encode_batch(texts[first : first + SAMPLE_TEXTS]).ids for tokenizer in tokenizers]
        num_pieces += max(map(len, ids))
        num_unknown += min(int((part == vocabulary.unk_id).sum()) for part in ids)
        if num_unknown < num_pieces:
            break
    return num_unknown / num_pieces if num_pieces else 0.0


def _texts(example: Example) -> tuple[str, ...]:
    if isinstance(example, TaggedExample):
        return (" ".join(example.units),)
    return (example.context, example.question) if isinstance(example, SpanExample) else (example.text, example.pair or "")


def unknown_lines(shares: Mapping[str, float], name: str) -> Iterator[str]:
    """What to print about shares of [UNK], by split. Raises: UserError if nothing of train is in the vocabulary."""
    yield "[UNK]: " + ", ".join(f"{split} {share:.2%} of the pieces" for split, share in shares.items())
    if shares.get("train") == 1:
        raise UserError(f"{name}: every piece of train is [UNK]: the vocabulary does not have a character of it; is it the model's?")
    for split, share in shares.items():
        if share >= MANY_UNKNOWN:
            yield f"warning: {split}: {share:.0%} of the pieces are [UNK]; the vocabulary does not fit this text"


def _understood(split: str, head: Head, examples: Sequence[Example]) -> SplitUnderstanding:
    classes: Counter[str] = Counter()
    labelled = empty = unlearnable = 0
    for example in examples:
        if isinstance(example, TextExample):
            labelled += example.label is not None
            classes.update([example.label] if example.label is not None else [])
            empty += not (example.text.strip() and (example.pair is None or example.pair.strip()))
        elif isinstance(example, TaggedExample):
            labelled += example.tags is not None
            classes.update(example.tags or ())
        elif isinstance(example, SpanExample):
            labelled += bool(example.answers)
            empty += not example.context.strip()
            unlearnable += bool(example.answers) and all(answer.start is None for answer in example.answers)
    ordered = dict(sorted(classes.items(), key=lambda item: (-item[1], item[0])))
    return SplitUnderstanding(split, head, len(examples), labelled, ordered, empty, unlearnable)


def _counted(classes: Mapping[str, int]) -> str:
    """`'0' 4,799, '1' 4,801`, the most frequent first."""
    cells = [f"{quoted(name)} {count:,}" for name, count in classes.items()]
    if len(cells) <= MANY_CLASSES:
        return ", ".join(cells)
    return f"{len(cells):,}, from {', '.join(cells[:NUM_NAMED])} to {', '.join(cells[-NUM_NAMED:])}"
