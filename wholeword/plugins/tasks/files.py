"""Files of tasks: what was published where, and whether a user's files are those. No data comes with wholeword."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from wholeword.core.contracts import Head
from wholeword.core.contracts.tasks import Example
from wholeword.core.errors import UserError
from wholeword.core.text_files import SHOWN, TextFile, decode, printable, quoted, read_file
from wholeword.plugins.tasks.editions import File
from wholeword.plugins.tasks.labels import expect_different, held_back, without_hidden
from wholeword.plugins.tasks.metrics import METRICS, score, score_classes

MOST_SHOWN = 30  # labels in messages


class Dataset(NamedTuple):
    """A task's data, and what is known about training on it."""

    name: str
    origin: str  # where it comes from
    licence: str
    splits: Mapping[str, File]
    labels: tuple[str, ...]
    defaults: Mapping[str, Any]


class Reading(NamedTuple):
    """What a reader returns."""

    examples: list[Any]
    descriptions: Sequence[str] = ()  # how the file was understood, one line each


Reader = Callable[[TextFile], Reading]


class FileTask:
    """A task (`wholeword.core.contracts.Task`) whose files are in one folder.

    Args:
        data: the folder, or a file alone, which is train.
        read: content -> examples; raises UserError naming the wrong line.
        labels: for a user's own data, if they are not to be collected from the training file.
        check: whether a file must have as many examples as a known edition.
        dev_rate: the share of train to hold back as dev, in (0, 1).
    """

    def __init__(
        self,
        dataset: Dataset,
        data: Path | str,
        *,
        head: Head,
        read: Reader,
        labels: Sequence[str] = (),
        check: bool = True,
        dev_rate: float | None = None,
    ):
        self.dataset, self.folder, self.head, self.check, self.dev_rate = dataset, Path(data), head, check, dev_rate
        self.metrics, self.defaults = METRICS[head], dataset.defaults
        self.notes: list[str] = []
        self.descriptions: list[str] = []
        self._read, self._labels = read, tuple(labels) or dataset.labels
        if dev_rate is not None and not 0 < dev_rate < 1:
            raise UserError(f"task.dev_rate: {dev_rate}; expected a share between 0 and 1, such as 0.1")

    @property
    def splits(self) -> list[str]:
        """The dataset's splits whose files are in the folder, and dev if a part of train is held back."""
        there = [split for split in self.dataset.splits if self._path(split) is not None]
        held_back = self.dev_rate is not None and "train" in there and "dev" not in there
        return [split for split in self.dataset.splits if split in there or (held_back and split == "dev")]

    @property
    def labels(self) -> list[str]:
        """As given or published, else those of the training file: O first, then in alphabetical order.

        Raises: UserError if nothing in the training file has a label.
        """
        if not self._known_labels and self.head != "span":
            setting = (
                "; is it in a column of another name (task.label_column)?"
                if self.head == "classification"
                else "; expected a character or word on each line, and behind a blank or tab its tag"
            )
            raise UserError(f"{self._path('train')}: no example has a label{setting}")
        return self._known_labels

    @cached_property
    def _known_labels(self) -> list[str]:
        if self._labels or self.head == "span":
            return list(self._labels)
        counts: Counter[str] = Counter()
        for example in self._examples("train"):
            counts.update(example.tags or () if self.head == "tagging" else [example.label] if example.label is not None else [])
        if self.head == "classification":
            expect_different(counts, self._path("train"))
        return sorted(counts, key=lambda label: (label != "O", label))

    def read(self, split: str) -> list[Example]:
        """See `wholeword.core.contracts.Task`; notes whether the file differs from the published one."""
        if self.dev_rate is not None and split in ("train", "dev"):
            dev = self._path("dev")
            if dev is not None:
                raise UserError(f"task.dev_rate: {self.dev_rate}, but {dev} is there; remove one of them")
            parts = held_back(self._examples("train"), self.dev_rate, str(self._path("train")))
            self._note(self.descriptions, parts.description)
            examples = parts.dev if split == "dev" else parts.train
        else:
            examples = self._examples(split)
        known = set(self._known_labels)
        if self.head == "classification" and split != "train" and (unlabelled := without_hidden(examples, known)) is not None:
            self._note(self.descriptions, f"{self._path(split)}: all labels are -1, as hidden ones are: they are predicted, not scored")
            examples = unlabelled
        for example in examples if known else []:
            for label in (example.tags or ()) if self.head == "tagging" else (example.label,):
                if label is not None and label not in known:
                    path, expected = self._path(split) or self._path("train"), printable(self._known_labels[:MOST_SHOWN])
                    expected += " ..." if len(self._known_labels) > MOST_SHOWN else ""
                    raise UserError(f"{path}: example {example.id} is {quoted(label)}; expected one of {expected}")
        return examples

    def score(self, examples: Sequence[Any], predictions: Mapping[str, Any]) -> dict[str, float]:
        """The official metrics of the task's head."""
        return score(self.head, examples, predictions)

    def score_classes(self, examples: Sequence[Any], predictions: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """See `wholeword.core.contracts.ClassScoringTask`."""
        return score_classes(self.head, examples, predictions)

    def _examples(self, split: str) -> list[Any]:
        path = self._path(split)
        if path is None:
            raise UserError(self._missing(split))
        content = read_file(path, expected=self._published(split))
        text = decode(content, path, expected=self._published(split))
        examples, understood = self._read(text)
        if not examples:
            odd = f" ({'; '.join((*text.notes, *understood))})" if text.notes or understood else ""
            raise UserError(f"{path}: no examples{odd}; expected {self._published(split)}")
        descriptions = list(understood)
        for line in (*text.notes, *self._edition_notes(split, path, len(examples), hashlib.sha256(content).hexdigest(), descriptions)):
            self._note(self.notes, f"{path}: {line}")
        for line in (*self._passed_over(split, path), *descriptions):
            self._note(self.descriptions, f"{path}: {line}")
        return examples

    def _edition_notes(self, split: str, path: Path, num_examples: int, sha256: str, descriptions: list[str]) -> Iterator[str]:
        """Compare a file with its known editions; what it is goes to `descriptions`, or is yielded if it is odd."""
        editions = self.dataset.splits[split].editions
        if not editions:
            return
        same = next((edition for edition in editions if edition.sha256 == sha256), None)
        as_many = [edition for edition in editions if edition.rows == num_examples]
        if same:
            descriptions.append(f"the edition {same.name!r}, byte for byte ({same.source})")
        elif as_many and all(edition.sha256 for edition in as_many):
            fingerprints = " or ".join(str(edition.sha256) for edition in as_many)
            yield f"sha256 {sha256}, not {fingerprints} as published; {num_examples:,} examples"
        elif as_many:
            names = " or ".join(f"{edition.name!r} ({edition.source})" for edition in as_many)
            descriptions.append(f"as many examples as the edition {names}; its sha256, {sha256}, is not on record")
        elif self.check and all(edition.rows for edition in editions):
            message = f"{path}: {num_examples:,} examples; expected {self._published(split)}"
            raise UserError(f"{message}; for a part of it or another version set check: false")
        else:
            descriptions.append(f"no known edition of {self.dataset.name} {split}: {num_examples:,} examples, sha256 {sha256}")

    def _passed_over(self, split: str, path: Path) -> list[str]:
        others = [name for name in self.dataset.splits[split].names if (self.folder / name).is_file() and self.folder / name != path]
        return [f"read; {', '.join(others)} beside it {'is' if len(others) == 1 else 'are'} not"] if others else []

    def _note(self, lines: list[str], line: str) -> None:
        if line not in lines:
            lines.append(line)

    def _path(self, split: str) -> Path | None:
        if self.folder.is_file():
            return self.folder if split == "train" else None
        file = self.dataset.splits.get(split)
        return next((path for name in file.names if (path := self.folder / name).is_file()), None) if file else None

    def _missing(self, split: str) -> str:
        if split not in self.dataset.splits:
            return f"{self.dataset.name} has no split {split!r}; expected one of {', '.join(self.dataset.splits)}"
        names = " or ".join(self.dataset.splits[split].names)
        if self.folder.is_file():
            return f"{self.folder}: a file, which is train alone; expected a folder with {names}, or task.dev_rate"
        problem = "no such folder" if not self.folder.is_dir() else f"no {names} in it"
        return f"{self.folder}: {problem}; expected {self._published(split)}"

    def _published(self, split: str) -> str:
        editions = self.dataset.splits[split].editions
        rows = " or ".join(f"{count:,}" for count in dict.fromkeys(edition.rows for edition in editions) if count)
        fingerprints = " or ".join(edition.sha256 for edition in editions if edition.sha256)
        facts = [f"{rows} examples"] * bool(rows) + [f"sha256 {fingerprints}"] * bool(fingerprints)
        title = f"{self.dataset.name} {split}" + (f" ({', '.join(facts)})" if facts else "")
        return f"{title} from {self.dataset.origin} ({self.dataset.licence})" if self.dataset.licence else self.dataset.origin


def shown(value: Any) -> str:
    """A value of JSON, for messages."""
    if value is None:
        return "null"
    text = " ".join(str(value).split())
    start = (text if text.isprintable() else repr(text)[1:-1])[:SHOWN] + (" ..." if len(text) > SHOWN else "")
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}" + (f", {start}" if value else "")
    return f"{'true or false' if isinstance(value, bool) else 'a number' if isinstance(value, int | float) else 'text'} ({start})"


def own_data(kind: str, names: Mapping[str, tuple[str, ...]], defaults: Mapping[str, Any]) -> Dataset:
    """The dataset of a user's own files."""
    return Dataset("your data", f"examples in the form that task {kind!r} reads", "", {s: File(n) for s, n in names.items()}, (), defaults)
