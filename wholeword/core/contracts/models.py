"""A model between frameworks, what writes it, and where it is read from."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from wholeword.core.contracts.arrays import Tensors
from wholeword.core.contracts.tasks import Head
from wholeword.core.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The configuration of a BERT, by the keys of `bert_config.json`; the defaults are those of BERT-base."""

    attention_probs_dropout_prob: float = 0.1
    hidden_act: str = "gelu"  # a key of `wholeword.core.bert.gelu.ACTIVATIONS`
    hidden_dropout_prob: float = 0.1
    hidden_size: int
    initializer_range: float = 0.02
    intermediate_size: int
    layer_norm_eps: float | None = None  # None: the configuration does not have this key, and `epsilon` is that of Google's code
    max_position_embeddings: int = 512
    num_attention_heads: int
    num_hidden_layers: int
    type_vocab_size: int = 2
    vocab_size: int

    @property
    def epsilon(self) -> float:
        """Of every LayerNorm."""
        return 1e-12 if self.layer_norm_eps is None else self.layer_norm_eps  # 1e-12 is what google-research/bert hard-codes

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys that the configuration was read without are left out."""
        return {key: value for key, value in vars(self).items() if value is not None}


class Slots(NamedTuple):
    """Optimizer state in the files of a model, which is not part of the model."""

    tensors: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a model comes from, for model cards and manifests, and what its files lacked. None: nothing is known, or nothing to say.

    Mappings hold what JSON can hold.
    """

    held_out: Mapping[str, Any] | None = None  # metrics on held-out rows
    name: str | None = None
    origin: Mapping[str, Any] | None = None  # the initial weights: `init` (a location, or "random"), what was changed, their provenance
    python: str | None = None  # version
    recipe: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None  # metrics of fine-tuning
    store: Mapping[str, Any] | None = None  # of the manifest of the token store
    wholeword: str | None = None  # version
    slots: Slots | None = None  # in the files that were read
    notes: Sequence[str] | None = None  # what had to be assumed when the files were read
    missing: Sequence[str] | None = None  # parts that were not in the files: "pooler", "MLM head", "NSP head"; see `ModelFiles.weights`
    added_pieces: Mapping[str, Any] | None = None  # by `grow_model`
    other: Mapping[str, Any] = field(default_factory=dict)  # other keys of the JSON object that was read

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Provenance":
        """The provenance in a manifest or a checkpoint; `slots` and `missing` are of the files at hand and never read."""
        names = {item.name for item in fields(cls)}
        known = {key: value for key, value in values.items() if key in names - {"slots", "missing", "other"}}
        return cls(**known, other={key: value for key, value in values.items() if key not in names})

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what is None is left out."""
        values = {key: value for key, value in vars(self).items() if key != "other" and value is not None}
        if self.slots is not None:
            values["slots"] = self.slots._asdict()
        return {**values, **self.other}


class ModelFiles(NamedTuple):
    """A model between frameworks: what exporters get and zoo sources give."""

    config: BertConfig
    weights: Tensors  # a source gives initial values to what its files lack; an exporter gets only what files or training gave the model
    vocabulary: Vocabulary
    lowercase: bool
    next_sentence: bool  # whether the NSP head was trained
    provenance: Provenance = Provenance()
    head: Head | None = None  # of a fine-tuned model, whose weights are those of a `FineTuner`
    labels: Sequence[str] = ()  # what that head chooses from


@runtime_checkable
class Exporter(Protocol):
    """Writes a model for another tool. Optional: `VerifyingExporter`, `HeadExporter`."""

    def export(self, model: ModelFiles, folder: Path) -> None:
        """Write the model's files into `folder`, which exists and is empty.

        The weights lack the pooler, the MLM head or the NSP head if the model does: write none, and invent none.
        Equal models give equal files. The model's arrays stay as they are. The caller makes the folder appear atomically, and writes its
        `manifest.json`.
        """
        ...


@runtime_checkable
class VerifyingExporter(Protocol):
    """An exporter that can tell whether its files are right, for `wholeword export --verify`."""

    def verify(self, model: ModelFiles, folder: Path) -> Iterable[str]:
        """One line for each thing that was compared, such as `logits: largest difference 3.1e-07`.

        Args:
            folder: what `export` has written for this model, and a `manifest.json`.
        Raises: IntegrityError if the files do not hold the model; ModuleNotFoundError if the tool that reads them is not installed.
        """
        ...


@runtime_checkable
class HeadExporter(Protocol):
    """An exporter that writes fine-tuned models too, with their head and its labels; other exporters are never given one."""

    heads: Collection[Head]  # the kinds that it writes


@runtime_checkable
class ZooSource(Protocol):
    """A place that models are read from: `npz:exp1` is the model `exp1` of the source that is registered as `npz`.

    Optional: `VocabularySource`, `ConfigSource`.
    """

    def read(self, location: str) -> ModelFiles:
        """The model at a location: all tensors of its encoder, and those of the pooler, the MLM head and the NSP head that it has.

        Raises: UserError if there is none.
        """
        ...


@runtime_checkable
class VocabularySource(Protocol):
    """A source that can read a vocabulary without the weights."""

    def vocabulary(self, location: str) -> Vocabulary:
        """The vocabulary of the model at a location. Raises: UserError if there is none."""
        ...


@runtime_checkable
class ConfigSource(Protocol):
    """A source that knows a model's configuration without network and without its weights, so that `wholeword check` need not read them."""

    def config(self, location: str) -> BertConfig:
        """The configuration. Raises: UserError if there is no such model."""
        ...
