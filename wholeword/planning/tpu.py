"""What a recipe will need on a TPU, for `wholeword check`: calculated from Google's published figures, never measured on one.

    replica     what takes a share of the batch: a TensorCore of v2 and v3, a chip of later ones, whose cores work as one
    padding     XLA fills arrays up to tiles of 8 x 128: of a product [m, k] x [k, n], m to a multiple of 8, k and n to one of 128
    memory      see `wholeword.core.bert.activations`; an upper bound, because XLA recomputes some of it where it must
    steps/s     utilisation x peak / FLOPs of a step

Source: https://cloud.google.com/tpu/docs/performance-guide
"""

from collections.abc import Iterator
from dataclasses import dataclass

from wholeword.core.bert.activations import comfortable_rows, row_bytes, rows_at_once
from wholeword.core.bert.shapes import count_parameters, flops_per_token
from wholeword.core.config.job import Job, PhaseSpec
from wholeword.core.contracts import BertConfig
from wholeword.core.devices import DEFAULT_TPU, GIB, Slice, tpu_slice
from wholeword.core.errors import WholewordError
from wholeword.core.registry.registry import registry
from wholeword.planning.units import duration

SUBLANES, LANES = 8, 128
REFERENCE = "BERT-wwm took about 1.5 days on a v3-8 according to its README, a utilisation of 0.46"


@dataclass(frozen=True)
class TpuPhase:
    """A phase of training on a TPU."""

    rows: int  # of a batch, on each replica
    rows_at_once: int
    padding: float  # wasted computation, as a share of what is needed
    memory_bytes: int  # of a replica
    steps_per_second: float
    hours: float


@dataclass(frozen=True)
class TpuPlan:
    """A recipe on a TPU."""

    slice: Slice
    utilisation: float
    phases: list[TpuPhase]
    shapes: list[str]  # what is padded
    errors: list[str]  # what keeps the recipe from running there
    warnings: list[str]

    def lines(self) -> list[str]:
        """The plan for people."""
        tpu = self.slice
        replicas = f"{tpu.num_chips} chips, {tpu.num_replicas} replicas of {tpu.replica_bytes / GIB:g} GiB"
        hosts = f" on {tpu.num_hosts} hosts" if tpu.num_hosts > 1 else ""
        lines = [f"TPU {tpu.name} (calculated, not measured): {replicas}{hosts}, {tpu.peak_flops / 1e12:,.0f} TFLOP/s in bf16"]
        for number, phase in enumerate(self.phases, 1):
            at_once = f", {phase.rows_at_once:,} at once" if phase.rows_at_once < phase.rows else ""
            lines.append(
                f"TPU phase {number}: {phase.rows:,} rows per replica{at_once}; memory up to {phase.memory_bytes / GIB:.1f} of "
                f"{tpu.replica_bytes / GIB:g} GiB; padding adds {100 * phase.padding:.1f} %; {phase.steps_per_second:.3g} steps/s and "
                f"{duration(phase.hours)} at an assumed utilisation of {self.utilisation:.2f}"
            )
        if len(self.phases) > 1:
            lines.append(f"TPU total: {duration(sum(phase.hours for phase in self.phases))}; {REFERENCE}")
        lines += [f"TPU padding: {shape}" for shape in self.shapes]
        return [*lines, *(f"TPU error: {error}" for error in self.errors), *(f"TPU warning: {warning}" for warning in self.warnings)]


def utilisation(flops: float, hours: float, tpu: Slice) -> float:
    """The share of the peak that a run of so many FLOPs and hours used."""
    return flops / (3600 * hours * tpu.peak_flops)


def plan_tpu(job: Job, config: BertConfig, *, utilisation: float) -> TpuPlan | None:
    """Plan a recipe on the TPU of its backend section; None if it has none.

    Args:
        utilisation: the assumed share of the peak, in (0, 1].
    Raises: UserError if the accelerator type does not exist.
    """
    settings = job.backend.settings
    if job.backend.name.rpartition(":")[2] != "tensorflow" or settings.get("strategy") != "tpu":
        return None
    tpu = tpu_slice(settings.get("accelerator_type", DEFAULT_TPU))
    micro_batch_size, bf16 = settings.get("micro_batch_size"), settings.get("precision") != "fp32"
    errors: list[str] = []
    warnings, phases = _warnings(job, tpu), []
    for number, phase in enumerate(job.phases):
        rows = max(phase.batch_size // tpu.num_replicas, 1)
        comfortable = comfortable_rows(config, tpu.replica_bytes, phase.max_seq_length, phase.max_predictions, bf16=bf16)
        at_once = min(micro_batch_size, rows) if micro_batch_size else rows_at_once(rows, comfortable)
        memory = 16 * count_parameters(config) + at_once * row_bytes(config, phase.max_seq_length, phase.max_predictions, bf16=bf16)
        errors += _phase_errors(f"phases.{number}.batch_size", phase.batch_size, rows, at_once, tpu)
        if at_once % SUBLANES:
            warnings.append(
                f"phases.{number}.batch_size: {at_once:,} rows at once on a replica are not a multiple of {SUBLANES}; small arrays are "
                "padded to it"
            )
        if memory > tpu.replica_bytes:
            fits = micro_batch_size and at_once > 1
            remedy = "remove backend.micro_batch_size, and as many rows as fit are computed at once" if fits else "take a larger TPU"
            warnings.append(
                f"phases.{number}: needs up to {memory / GIB:.1f} GiB per replica, which has {tpu.replica_bytes / GIB:g}; XLA may "
                f"recompute enough of it; otherwise, {remedy}"
            )
        speed = utilisation * tpu.peak_flops / _step_flops(phase, config, frozen=job.model.freeze is not None)
        phases.append(
            TpuPhase(
                rows=rows,
                rows_at_once=at_once,
                padding=padding(config, at_once, phase.max_seq_length, phase.max_predictions),
                memory_bytes=memory,
                steps_per_second=speed,
                hours=phase.steps / speed / 3600,
            )
        )
    return TpuPlan(tpu, utilisation, phases, _padded_shapes(job, config), errors, warnings)


def _phase_errors(key: str, batch_size: int, rows: int, at_once: int, tpu: Slice) -> Iterator[str]:
    """Why a batch cannot be divided."""
    whole, rest = divmod(batch_size, tpu.num_replicas)
    if rest:
        near = " or ".join(f"{count * tpu.num_replicas:,}" for count in (whole, whole + 1) if count)
        yield f"{key}: {batch_size:,} rows are not a multiple of {tpu.num_replicas} replicas; use {near}"
    if rows % at_once:
        yield f"{key}: {rows:,} rows per replica are not a multiple of backend.micro_batch_size {at_once:,}"


def _step_flops(phase: PhaseSpec, config: BertConfig, *, frozen: bool) -> float:
    per_token = flops_per_token(config, phase.max_seq_length, phase.max_predictions, frozen_encoder=frozen)
    return phase.batch_size * phase.max_seq_length * per_token


def products(config: BertConfig, rows: int, max_seq_length: int, max_predictions: int) -> list[tuple[int, int, int, int]]:
    """The matrix products of a forward pass: their number, and m, k, n of [m, k] x [k, n]."""
    width, inner, heads, layers = config.hidden_size, config.intermediate_size, config.num_attention_heads, config.num_hidden_layers
    head_size, positions, predictions = width // heads, rows * max_seq_length, rows * max_predictions
    return [
        (4 * layers, positions, width, width),  # query, key, value, output
        (layers * rows * heads, max_seq_length, head_size, max_seq_length),  # scores
        (layers * rows * heads, max_seq_length, max_seq_length, head_size),  # context
        (layers, positions, width, inner),
        (layers, positions, inner, width),
        (1, predictions, width, width),
        (1, predictions, width, config.vocab_size),
    ]


def padding(config: BertConfig, rows: int, max_seq_length: int, max_predictions: int) -> float:
    """How much more the matrix products of padded arrays cost, as a share."""
    matrix_products = products(config, rows, max_seq_length, max_predictions)
    needed = sum(count * m * k * n for count, m, k, n in matrix_products)
    return sum(count * up(m, SUBLANES) * up(k, LANES) * up(n, LANES) for count, m, k, n in matrix_products) / needed - 1


def up(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple


def _padded_shapes(job: Job, config: BertConfig) -> list[str]:
    sizes = {
        "vocabulary": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "size of a head": config.hidden_size // config.num_attention_heads,
    }
    sizes |= {f"phases.{number}.max_seq_length": phase.max_seq_length for number, phase in enumerate(job.phases)}
    return [f"{name}: {size:,} -> {up(size, LANES):,}" for name, size in sizes.items() if size % LANES]


def _warnings(job: Job, tpu: Slice) -> list[str]:
    """What will not compile, or will be slow."""
    settings, warnings = job.backend.settings, []
    if settings.get("precision") == "fp32":
        warnings.append("backend.precision: fp32: a TPU multiplies in bfloat16 and takes several passes for float32, far from that peak")
    if tpu.num_hosts > 1:
        warnings.append(
            f"{tpu.name} has {tpu.num_hosts} hosts: one command on host 0 drives all of them (docs/tpu.md), and sends them the rows of "
            "each step over the network"
        )
    if _is_foreign("optimizer", job.optimizer.name):
        warnings.append(
            f"optimizer {job.optimizer.name!r} is not wholeword's own: its step must be TensorFlow operations of static shapes, without "
            "tf.py_function, numpy_function or print, or XLA cannot compile it"
        )
    if settings.get("steps_per_call") == 1:
        warnings.append("backend.steps_per_call: 1: the TPU waits for this machine after every step; set 50 or more to keep it busy")
    return warnings


def _is_foreign(kind: str, name: str) -> bool:
    try:
        return registry.find(kind, name).distribution != "wholeword"
    except WholewordError:
        return False  # reported elsewhere
