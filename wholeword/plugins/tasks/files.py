"""Files of tasks: what was published where, and whether a user's files are those. No data comes with wholeword."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from wholeword.core import text_files
from wholeword.core.contracts import Head
from wholeword.core.contracts.tasks import Example
from wholeword.core.errors import UserError
from wholeword.plugins.tasks.metrics import METRICS, score


class File(NamedTuple):
    """One split as it was published."""

    names: tuple[str, ...]  # names of the file; the first one present is read
    rows: tuple[int, ...] = ()  # number of examples in each published version; empty if unknown
    sha256: tuple[str, ...] = ()  # of the versions examined; others may be fine too


class Dataset(NamedTuple):
    """A task's data, and what is known about training on it."""

    name: str
    origin: str  # where it comes from
    licence: str
    splits: Mapping[str, File]
    labels: tuple[str, ...]
    defaults: Mapping[str, Any]


Text = text_files.TextFile


Reader = Callable[[Text], list[Any]]


class FileTask:
    """A task (`wholeword.core.contracts.Task`) whose files are in one folder.

    Args:
        read: content -> examples; raises UserError naming the wrong line.
        labels: for a user's own data, if they are not to be collected from the training file.
        check: whether a file must have as many examples as the published one.
    """

    def __init__(self, dataset: Dataset, data: Path | str, *, head: Head, read: Reader, labels: Sequence[str] = (), check: bool = True):
        self.dataset, self.folder, self.head, self.check = dataset, Path(data), head, check
        self.metrics, self.defaults = METRICS[head], dataset.defaults
        self.notes: list[str] = []
        self._read, self._labels = read, tuple(labels) or dataset.labels

    @property
    def splits(self) -> list[str]:
        """The dataset's splits whose files are in the folder."""
        return [split for split in self.dataset.splits if self._path(split) is not None]

    @cached_property
    def labels(self) -> list[str]:
        """As given or published, else those of the training file: O first, then in alphabetical order."""
        if self._labels or self.head == "span":
            return list(self._labels)
        labels: set[str] = set()
        for example in self._examples("train"):
            labels.update(example.tags or () if self.head == "tagging" else [example.label] if example.label is not None else [])
        return sorted(labels, key=lambda label: (label != "O", label))

    def read(self, split: str) -> list[Example]:
        """See `wholeword.core.contracts.Task`; notes whether the file differs from the published one."""
        examples = self._examples(split)
        known = set(self.labels)
        for example in examples if known else []:
            for label in (example.tags or ()) if self.head == "tagging" else (example.label,):
                if label is not None and label not in known:
                    raise UserError(f"{self._path(split)}: example {example.id} is {label!r}; expected one of {', '.join(self.labels)}")
        return examples

    def score(self, examples: Sequence[Any], predictions: Mapping[str, Any]) -> dict[str, float]:
        """The official metrics of the task's head."""
        return score(self.head, examples, predictions)

    def _examples(self, split: str) -> list[Any]:
        path = self._path(split)
        if path is None:
            raise UserError(self._missing(split))
        content = path.read_bytes()
        notes: list[str] = []
        examples = self._read(Text(path, _decoded(path, content), notes))
        file = self.dataset.splits[split]
        if self.check and file.rows and len(examples) not in file.rows:
            message = f"{path}: {len(examples):,} examples; expected {self._published(split)}"
            raise UserError(f"{message}; for a part of it or another version set check: false")
        sha256 = hashlib.sha256(content).hexdigest()
        if file.sha256 and sha256 not in file.sha256:
            notes.append(f"sha256 {sha256}, not {' or '.join(file.sha256)} as published; {len(examples):,} examples")
        self.notes.extend(line for note in notes if (line := f"{path}: {note}") not in self.notes)
        return examples

    def _path(self, split: str) -> Path | None:
        file = self.dataset.splits.get(split)
        return next((path for name in file.names if (path := self.folder / name).is_file()), None) if file else None

    def _missing(self, split: str) -> str:
        if split not in self.dataset.splits:
            return f"{self.dataset.name} has no split {split!r}; expected one of {', '.join(self.dataset.splits)}"
        names = " or ".join(self.dataset.splits[split].names)
        problem = "no such folder" if not self.folder.is_dir() else f"no {names} in it"
        return f"{self.folder}: {problem}; expected {self._published(split)}"

    def _published(self, split: str) -> str:
        file = self.dataset.splits[split]
        rows = " or ".join(f"{count:,}" for count in file.rows)
        facts = [f"{rows} examples"] * bool(rows) + [f"sha256 {' or '.join(file.sha256)}"] * bool(file.sha256)
        title = f"{self.dataset.name} {split}" + (f" ({', '.join(facts)})" if facts else "")
        return f"{title} from {self.dataset.origin} ({self.dataset.licence})"


def _decoded(path: Path, content: bytes) -> str:
    return text_files.decode(content, path, expected="examples").content


lines, parse_json = text_files.lines, text_files.parse_json


def own_data(kind: str, names: Mapping[str, tuple[str, ...]], defaults: Mapping[str, Any]) -> Dataset:
    """The dataset of a user's own files."""
    return Dataset("your data", f"you, in the form that task {kind!r} reads", "yours", {s: File(n) for s, n in names.items()}, (), defaults)
