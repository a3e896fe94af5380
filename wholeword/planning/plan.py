"""What a recipe will do and need, in numbers, without running it: part of `wholeword check`.

Tokens are counted in the token store where there is one, otherwise estimated from the beginnings of three files. The rest is calculated:

    epochs      rows x (max_seq_length - special pieces) / training tokens; an upper bound, because rows need not be full
    FLOPs       `wholeword.core.bert.shapes.flops_per_token` for every position
    memory      float32 weights, gradients and two moments: 16 bytes per parameter; for each row computed at once, 34 bytes (16-bit; 68 in
                float32) per position, layer and unit of width (Korthikanti et al. 2022, arXiv:2205.05198, without attention scores) and 12
                bytes per logit of the MLM head. Frozen weights take 4 bytes, and only one of their layers keeps activations
    disk        store: 2.2 bytes per token (ids, start bits, sentence and document ends); checkpoint: weights and two moments, and one
                checkpoint more than are kept while it is written, if the run saves as many; export: the weights once, or twice where a
                format has two files of them (`EXPORTED_COPIES`)
    hours       FLOPs / (UTILISATION x what the device multiplies in bfloat16 or float16), an assumption: published BERTs reach .19 to .52
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import count_parameters, flops_per_token, tensor_shapes
from wholeword.core.config.job import Job
from wholeword.core.config.locations import read_config, read_model
from wholeword.core.contracts import BertConfig
from wholeword.core.data.examples import PAIRS
from wholeword.core.errors import UserError
from wholeword.core.files import MANIFEST
from wholeword.core.formats.checkpoints import latest_checkpoint
from wholeword.planning.corpus import CorpusSize, absent, count, estimate
from wholeword.planning.units import duration

UTILISATION = 0.40  # assumed; NVIDIA's BERT-large on A100 reaches .44, DeepSpeed's on V100 .52, MosaicML's BERT-base with HF code .19
DEVICES = {  # FLOP/s of 16-bit matrix products: measured for the H200, the makers' figures for the others
    "H200": 790e12,
    "A100": 312e12,
    "V100": 125e12,
    "TPU v3 chip": 123e12,
}


EXPORTED_COPIES = {"pytorch-bin": 2, "tf-checkpoint-zip": 2}  # .bin and .safetensors; the files, and the archive made from them


@dataclass(frozen=True)
class PhasePlan:
    """A phase of training."""

    max_seq_length: int
    batch_size: int
    steps: int
    max_predictions: int
    token_positions: int  # padding and special pieces included
    epochs: float
    flops: float


@dataclass(frozen=True)
class Plan:
    """A recipe in numbers; all sizes are in bytes."""

    name: str
    state: str  # how the corpus was counted: exact, estimated, or why it was not
    num_documents: int
    num_sentences: int
    num_tokens: int
    vocab_size: int
    unknown_rate: float | None  # share of [UNK] among the pieces; None where the vocabulary is not there yet
    num_parameters: int
    phases: list[PhasePlan]
    token_positions: int
    flops: float
    hours: dict[str, float]  # on one device of each kind, at UTILISATION
    state_bytes: int  # weights, gradients and moments
    row_bytes: int  # for each row computed at once, in the phase that needs most
    store_bytes: int
    checkpoint_bytes: int
    export_bytes: int
    notes: list[str]
    machine: str | None = None  # this one, where that is known
    machine_hours: float = 0.0

    def lines(self) -> list[str]:
        """The plan for people."""
        about = "" if self.state == "exact" else "about "
        lines = [
            f"corpus ({self.state}): {about}{self.num_documents:,} documents, {self.num_sentences:,} sentences, {self.num_tokens:,} tokens"
            if self.num_tokens
            else f"corpus: {self.state}",
            *([f"vocabulary: {about}{self.unknown_rate:.2%} of the pieces are [UNK]"] if self.unknown_rate is not None else []),
            *self.notes,
            f"model: {self.num_parameters:,} parameters, {self.vocab_size:,} pieces",
        ]
        for number, phase in enumerate(self.phases, 1):
            shape = f"{phase.steps:,} steps of {phase.batch_size:,} x {phase.max_seq_length}, {phase.max_predictions} predictions per row"
            epochs = f"{about}{phase.epochs:,.1f} epochs, " if self.num_tokens else ""
            cost = f"{_short(phase.token_positions)} token positions, {epochs}{phase.flops:.2g} FLOPs"
            lines.append(f"phase {number}: {shape}: {cost}")
        if len(self.phases) > 1:
            lines.append(f"total: {_short(self.token_positions)} token positions, {self.flops:.2g} FLOPs")
        times = ", ".join(f"{duration(hours)} on one {device}" for device, hours in self.hours.items())
        lines.append(f"time at an assumed utilisation of {UTILISATION:.2f}: {times}")
        if self.machine is not None:
            lines.append(f"time on this machine ({self.machine}): about {duration(self.machine_hours)}")
        rows = f"and about {_bytes(self.row_bytes)} for each row computed at once"
        lines.append(f"memory: {_bytes(self.state_bytes)} for weights, gradients and moments, {rows}")
        lines.append(
            f"disk: {_bytes(self.store_bytes)} store, {_bytes(self.checkpoint_bytes)} checkpoints, {_bytes(self.export_bytes)} export"
        )
        return lines


def plan(job: Job, store: Path | str | None = None, *, is_template: bool = False, fetch: bool = False) -> Plan:
    """Work out the numbers of a recipe.

    Args:
        store: a token store to count in; by default the recipe's, if it has been prepared.
        is_template: whether the corpus and the model to start from may be missing; nothing is then counted, and there are no epochs.
        fetch: see `wholeword.planning.corpus.estimate`.
    Raises: UserError if the vocabulary, the corpus or the initial model is missing; IntegrityError if the store is damaged.
    """
    corpus = _corpus(job, Path(store or job.prepare.store), is_template=is_template, fetch=fetch)
    config = planned_config(job, corpus.vocab_size, is_template=is_template)
    if job.model.init is not None and _initial_if_any(job, is_template=is_template) is None:
        corpus.notes.append(f"model.init: {job.model.init}: not there yet; the numbers are those of a base model")
    num_parameters = count_parameters(config)
    num_special = 3 if job.rows.examples in PAIRS else 2
    num_trained = corpus.num_tokens * (1 - job.rows.held_out_rate)
    unit_bytes = 34 if job.backend.settings.get("precision") == "bf16" else 68
    frozen = job.model.freeze is not None
    num_layers = 1 if frozen else config.num_hidden_layers
    phases, row_bytes = [], []
    for phase in job.phases:
        length, predictions, rows = phase.max_seq_length, phase.max_predictions, phase.batch_size * phase.steps
        phases.append(
            PhasePlan(
                max_seq_length=length,
                batch_size=phase.batch_size,
                steps=phase.steps,
                max_predictions=predictions,
                token_positions=rows * length,
                epochs=rows * (length - num_special) / num_trained if num_trained else 0.0,
                flops=rows * length * flops_per_token(config, length, predictions, frozen_encoder=frozen),
            )
        )
        row_bytes.append(unit_bytes * length * num_layers * config.hidden_size + 12 * predictions * corpus.vocab_size)
    weights = 4 * num_parameters
    num_saved = sum(-(-phase.steps // job.checkpoint_every) for phase in job.phases)
    trained = 4 * sum(prod(shape) for name, shape in tensor_shapes(config).items() if not (frozen and name.startswith("bert/")))
    flops = sum(phase.flops for phase in phases)
    return Plan(
        name=job.name,
        **corpus._asdict(),
        num_parameters=num_parameters,
        phases=phases,
        token_positions=sum(phase.token_positions for phase in phases),
        flops=flops,
        hours={device: flops / (UTILISATION * peak) / 3600 for device, peak in DEVICES.items()},
        state_bytes=weights + 3 * trained,
        row_bytes=max(row_bytes),
        checkpoint_bytes=min(job.checkpoints_kept + 1, num_saved) * (weights + 2 * trained),
        export_bytes=weights * sum(EXPORTED_COPIES.get(exporter.name, 1) for exporter in job.export),
    )


def _corpus(job: Job, store: Path, *, is_template: bool, fetch: bool) -> CorpusSize:
    if (store / MANIFEST).exists():
        return count(store)
    try:
        return estimate(job, fetch=fetch)
    except UserError as error:
        if not is_template:
            raise
        return absent(job, str(error))


def planned_config(job: Job, vocab_size: int, *, is_template: bool = False) -> BertConfig:
    """The configuration of the model: the settings of the recipe, and for the rest those of the model it starts from.

    Args:
        is_template: whether the latter may be missing; it is a base model then.
    Raises: UserError if it is missing.
    """
    model, settings = job.model, dict(job.model.shape)
    if (initial := _initial_if_any(job, is_template=is_template)) is not None:
        settings = initial.to_dict() | {key: value for key, value in settings.items() if key != "size"}
    if model.layers is not None:
        settings["num_hidden_layers"] = len(model.layers)
    return model_config(settings | {"vocab_size": vocab_size}, vocab_size)


def _initial_if_any(job: Job, *, is_template: bool) -> BertConfig | None:
    """None for random weights, and where a template's model is not there yet."""
    try:
        return None if job.model.init is None else initial_config(job)
    except UserError:
        if not is_template:
            raise
        return None


def initial_config(job: Job) -> BertConfig:
    """The configuration of the model that a run starts or resumes from. Raises: UserError if it is missing."""
    model = job.model
    if latest_checkpoint(job.output / "checkpoints") is not None and (config := read_config(str(job.output.absolute()), Path())):
        return config
    assert model.init is not None
    return read_config(model.init, model.base_folder) or read_model(model.init, model.base_folder).config


def _short(number: float) -> str:
    """A number in thousands, millions, billions or trillions: `52.4 B`."""
    for power, unit in enumerate(["", " K", " M", " B"]):
        if number < 999.5 * 1000**power:
            return f"{number / 1000**power:.3g}{unit}"
    return f"{number / 1000**4:.3g} T"


def _bytes(number: float) -> str:
    for power, unit in enumerate(["B", "KiB", "MiB", "GiB", "TiB"]):
        if number < 1000 * 1024**power:
            return f"{number / 1024**power:.3g} {unit}"
    return f"{number / 1024**5:.3g} PiB"
