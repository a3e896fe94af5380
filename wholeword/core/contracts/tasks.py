"""What tasks are made of: a text or two with a label, a question about a context, a sentence with tags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from wholeword.core.ragged import ragged_range

Head = Literal["classification", "span", "tagging"]  # what fine-tuning puts on top of an encoder
NO_TARGET = -1


class TextExample(NamedTuple):
    """Head `classification`."""

    id: str
    text: str
    pair: str | None = None  # the second text of a pair
    label: str | None = None  # one of the task's labels; None where it is unknown


class Answer(NamedTuple):
    """An answer to a question about a context."""

    text: str
    start: int | None  # its first character in the context; None where the context does not hold it


class SpanExample(NamedTuple):
    """Head `span`."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] = ()  # all that count as right; the first with a start is learnt from


class TaggedExample(NamedTuple):
    """Head `tagging`."""

    id: str
    units: tuple[str, ...]  # characters or words, as the file has them; pieces never cross their borders
    tags: tuple[str, ...] | None = None  # one for each unit; None where they are unknown


Example: TypeAlias = TextExample | SpanExample | TaggedExample
EXAMPLES: dict[Head, type[Example]] = {"classification": TextExample, "span": SpanExample, "tagging": TaggedExample}


@dataclass(frozen=True)
class Rows:
    """Rows of unequal length: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`.

    `counts`: examples, rows; `truncated` examples, `windowed` ones (more than one row), and for spans `answers_not_in_a_window`.
    """

    ids: np.ndarray  # int32 [num_pieces]
    segments: np.ndarray  # int8 [num_pieces], 1 in B and the [SEP] behind it
    row_pieces: np.ndarray  # int64 [num_rows + 1], the pieces of row i are row_pieces[i] ... row_pieces[i + 1] - 1
    examples: np.ndarray  # int64 [num_rows], the number of the example that the row is made from, ascending
    targets: np.ndarray  # classification [num_rows], span [num_rows, 2] (in the row), tagging [num_pieces]; int64; see `make_rows`
    places: np.ndarray  # int32; span [num_pieces, 2]: characters of the context; tagging [num_pieces]: the unit that begins; else -1
    counts: dict[str, int]

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def lengths(self) -> np.ndarray:
        """int64 [num_rows], in pieces."""
        return np.asarray(np.diff(self.row_pieces))

    def pieces_of(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """The positions of some rows' pieces in the flat arrays, row by row: int64."""
        numbers = np.asarray(numbers, np.int64)
        counts = self.row_pieces[numbers + 1] - self.row_pieces[numbers]
        return np.asarray(np.repeat(self.row_pieces[numbers], counts) + ragged_range(counts))

    def batch(self, numbers: Sequence[int] | np.ndarray, *, length: int | None = None, pad_id: int = 0) -> dict[str, np.ndarray]:
        """Some rows, padded to `length` (by default to the longest of them).

        Returns: input_ids, input_mask, segment_ids: int32 [batch, length]; targets: int64 [batch], [batch, 2] or [batch, length].
        """
        numbers = np.asarray(numbers, np.int64)
        lengths = self.row_pieces[numbers + 1] - self.row_pieces[numbers]
        longest = int(lengths.max(initial=0))
        length = longest if length is None else length
        assert length >= longest, f"a row of {longest} pieces does not fit {length}"
        filled = np.arange(length) < lengths[:, None]
        pieces = self.pieces_of(numbers)

        def padded(flat: np.ndarray, padding: int, dtype: Any) -> np.ndarray:
            array = np.full(filled.shape, padding, dtype)
            array[filled] = flat[pieces]
            return array

        by_piece = len(self.targets) > len(self)
        return {
            "input_ids": padded(self.ids, pad_id, np.int32),
            "input_mask": filled.astype(np.int32),
            "segment_ids": padded(self.segments, 0, np.int32),
            "targets": padded(self.targets, NO_TARGET, np.int64) if by_piece else self.targets[numbers],
        }


class Task(Protocol):
    """A downstream task: the published files -> examples, and predictions -> metrics.

    Its settings come from the recipe's `task` section, among them `data: Path`, the user's folder or file. Tasks never see ids:
    `wholeword.finetuning.rows` turns examples into rows, `wholeword.finetuning.decode` logits into predictions. All attributes may be
    properties; those that a task can name without its files, `head`, `metrics` and `defaults`, must not read them.

    Whatever a task returns is checked before it is used (`wholeword.finetuning.checked`): what breaks the contract, and any exception that
    is not a UserError, ends in a PluginError that names the distribution.
    """

    @property
    def head(self) -> Head:
        """What fine-tuning puts on top of the encoder; it decides the type of the examples (`EXAMPLES`)."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """What the head chooses from, in the order of its outputs: different strings; none for `span`."""
        ...

    @property
    def metrics(self) -> Sequence[str]:
        """Keys of `score` that tables show, the one to choose by first; at least one."""
        ...

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a recipe may leave out: learning_rate, batch_size, epochs, max_seq_length, warmup_rate; span and long texts: doc_stride."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was odd in the files read so far, one line each; shown before training and kept in result.json."""
        ...

    @property
    def splits(self) -> Sequence[str]:
        """The splits whose files are there, of "train", "dev", "test" and whatever else the task has."""
        ...

    def read(self, split: str) -> Sequence[Example]:
        """The examples of one split, in the file's order, with different ids; reading again gives equal examples.

        Every example has the type that `EXAMPLES` names for the head; its labels or tags are among `labels`, there is a tag for each unit,
        and an answer's text begins at its `start` in the context.

        Raises: UserError in one line (where, what was found, what was expected, where the file comes from) if it is missing or wrong.
        """
        ...

    def score(self, examples: Sequence[Example], predictions: Mapping[str, Any]) -> Mapping[str, float]:
        """Compare predictions with the labels of examples. A pure function: tables call it on single and on resampled examples.

        Args:
            predictions: id -> label, answer text or list of tags; an id that is missing counts as wrong.
        Returns: finite numbers in percent, `metrics` among them; counts are spelt in capitals (TOTAL, SKIP). Empty if no example has a
            label.
        """
        ...


@runtime_checkable
class DescribedTask(Protocol):
    """A task that can say how it understood the user's files."""

    @property
    def descriptions(self) -> Sequence[str]:
        """One line each, about the files read so far: which columns were read and which were not, which known edition a file is."""
        ...


@runtime_checkable
class ClassScoringTask(Protocol):
    """A task with metrics of single classes."""

    def score_classes(self, examples: Sequence[Example], predictions: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
        """The metrics of each class or kind of entity, in the order to print them: precision, recall, F1, COUNT and PREDICTED.

        Args: see `Task.score`.
        Returns: empty if no example has a label, or the task has no classes.
        """
        ...
