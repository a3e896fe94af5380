"""A model between frameworks, what writes it, and where it is read from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wholeword.core.contracts.arrays import Tensors
from wholeword.core.contracts.tasks import Head
from wholeword.core.vocabulary import Vocabulary


class ModelFiles(NamedTuple):
    """A model between frameworks: what exporters get and zoo sources give."""

    config: dict[str, Any]  # the keys of bert_config.json
    weights: Tensors
    vocabulary: Vocabulary
    lowercase: bool
    next_sentence: bool  # whether the NSP head was trained
    provenance: dict[str, Any]  # recipe, versions, figures; for the model card; `missing` and `slots` are of the files read
    head: Head | None = None  # of a fine-tuned model, whose weights are those of a `FineTuner`
    labels: Sequence[str] = ()  # what that head chooses from


class Exporter(Protocol):
    def export(self, model: ModelFiles, folder: Path) -> None:
        """Write the model's files into `folder`, which exists and is empty; the caller makes the result appear atomically."""
        ...


class ZooSource(Protocol):
    """A place that models are read from. The one called `zoo` is what `zoo:NAME` in recipes asks; it also has `vocabulary(location)` and,
    without network, `config(location)`.
    """

    def read(self, location: str) -> ModelFiles: ...
