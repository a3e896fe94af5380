"""What a recipe will be on a TPU, for `wholeword check`: arithmetic, with the figures of Google's pages. None of it was measured on one.

    replica     what takes a part of the batch: a TensorCore of v2 and v3, else a chip; the two cores of v4 and v5p work as one
    padding     XLA fills arrays up to tiles of 8 x 128: of a product [m, k] x [k, n], m to a multiple of 8, k and n of 128
    memory      16 bytes a parameter for float32 weights, gradients and two moments, and for each row that is computed at once what
                `wholeword.planning.plan` counts and, of the attention scores, 5 bytes (16-bit; 10 in float32) a head and pair of positions
                (Korthikanti et al. 2022, arXiv:2205.05198). XLA recomputes some of it when it must: an upper bound
    steps/s     utilisation x peak / FLOPs of a step

Sources: https://cloud.google.com/tpu/docs/v2 (v3, v4, v5e, v5p, v6e), https://cloud.google.com/tpu/docs/performance-guide
"""

from dataclasses import dataclass

from wholeword.core.bert.activations import comfortable_rows, row_bytes, rows_at_once
from wholeword.core.bert.shapes import count_parameters, flops_per_token
from wholeword.core.config.recipe import Recipe
from wholeword.core.contracts import BertConfig
from wholeword.core.devices import DEFAULT_TPU, GIB, Slice, tpu_slice
from wholeword.core.errors import WholewordError
from wholeword.core.registry.registry import registry

SUBLANES, LANES = 8, 128
SEEDS = "BERT-wwm took about 1.5 days on a v3-8 (its readme), which is 0.46 of that peak"


@dataclass(frozen=True)
class TpuPhase:
    rows: int  # of a batch on a replica
    rows_at_once: int
    padding: float  # what is computed for nothing, as a share of what is needed
    memory_bytes: int  # of a replica
    steps_per_second: float
    hours: float


@dataclass(frozen=True)
class TpuPlan:
    slice: Slice
    utilisation: float
    phases: list[TpuPhase]
    shapes: list[str]  # what is padded
    errors: list[str]  # what keeps the recipe from running there
    warnings: list[str]

    def lines(self) -> list[str]:
        """The plan for people."""
        tpu = self.slice
        made = f"{tpu.num_chips} chips, {tpu.num_replicas} replicas of {tpu.replica_bytes / GIB:g} GiB"
        hosts = f" on {tpu.num_hosts} hosts" if tpu.num_hosts > 1 else ""
        lines = [f"TPU {tpu.name} (arithmetic, never measured): {made}{hosts}, {tpu.peak_flops / 1e12:,.0f} TFLOP/s in bf16"]
        for number, phase in enumerate(self.phases, 1):
            at_once = f", {phase.rows_at_once:,} at once" if phase.rows_at_once < phase.rows else ""
            lines.append(
                f"TPU phase {number}: {phase.rows:,} rows a replica{at_once}; memory up to {phase.memory_bytes / GIB:.1f} of "
                f"{tpu.replica_bytes / GIB:g} GiB; padding adds {100 * phase.padding:.1f} %; {phase.steps_per_second:.3g} steps/s and "
                f"{phase.hours:.3g} hours, if {self.utilisation:.2f} of the peak is used (assumed)"
            )
        if len(self.phases) > 1:
            lines.append(f"TPU together: {sum(phase.hours for phase in self.phases):.3g} hours; {SEEDS}")
        lines += [f"TPU padding: {shape}" for shape in self.shapes]
        return [*lines, *(f"TPU error: {error}" for error in self.errors), *(f"TPU warning: {warning}" for warning in self.warnings)]


def utilisation(flops: float, hours: float, tpu: Slice) -> float:
    """The share of the peak that a run of so many FLOPs in so many hours has used."""
    return flops / (3600 * hours * tpu.peak_flops)


def plan_tpu(recipe: Recipe, config: BertConfig, *, utilisation: float) -> TpuPlan | None:
    """What a recipe will be on the TPU of its backend section; None if it has none.

    Args:
        utilisation: the share of the peak that is assumed, in (0, 1].
    Raises: UserError for an accelerator type that is none.
    """
    settings = recipe.backend.settings
    if recipe.backend.name.rpartition(":")[2] != "tensorflow" or settings.get("strategy") != "tpu":
        return None
    tpu = tpu_slice(settings.get("accelerator_type", DEFAULT_TPU))
    errors, warnings = [], list(_warnings(recipe, tpu))
    phases = []
    bf16, frozen = settings.get("precision") != "fp32", recipe.model.freeze is not None
    for number, phase in enumerate(recipe.phases):
        key = f"phases.{number}.batch_size"
        rows, rest = divmod(phase.batch_size, tpu.num_replicas)
        if rest:
            near = " or ".join(f"{count * tpu.num_replicas:,}" for count in (rows, rows + 1) if count)
            errors.append(f"{key}: {phase.batch_size:,} rows are not a multiple of {tpu.num_replicas} replicas; {near} are")
        rows = max(rows, 1)
        length, predictions = phase.max_seq_length, phase.max_predictions
        asked = settings.get("micro_batch_size")
        comfortable = comfortable_rows(config, tpu.replica_bytes, length, predictions, bf16=bf16)
        at_once = min(asked, rows) if asked else rows_at_once(rows, comfortable)
        if rows % at_once:
            errors.append(f"{key}: {rows:,} rows a replica are not a multiple of backend.micro_batch_size {at_once:,}")
        if at_once % SUBLANES:
            warnings.append(f"{key}: {at_once:,} rows at once on a replica are not a multiple of {SUBLANES}; small arrays are padded to it")
        memory = 16 * count_parameters(config) + at_once * row_bytes(config, length, predictions, bf16=bf16)
        if memory > tpu.replica_bytes:
            found = f"up to {memory / GIB:.1f} GiB a replica, {tpu.replica_bytes / GIB:g} are there"
            help_ = (
                "leave backend.micro_batch_size out, and as many rows are taken as fit" if asked and at_once > 1 else "take a larger TPU"
            )
            warnings.append(f"phases.{number}: {found}; XLA may recompute enough of it, or {help_}")
        flops = phase.batch_size * length * flops_per_token(config, length, predictions, frozen_encoder=frozen)
        speed = utilisation * tpu.peak_flops / flops
        phases.append(
            TpuPhase(
                rows=rows,
                rows_at_once=at_once,
                padding=padding(config, at_once, length, predictions),
                memory_bytes=memory,
                steps_per_second=speed,
                hours=phase.steps / speed / 3600,
            )
        )
    return TpuPlan(tpu, utilisation, phases, _padded_shapes(recipe, config), errors, warnings)


def products(config: BertConfig, rows: int, max_seq_length: int, max_predictions: int) -> list[tuple[int, int, int, int]]:
    """The matrix products of a forward pass: how many, and m, k, n of [m, k] x [k, n]."""
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
    """What matrix products of padded arrays cost more, as a share."""
    found = products(config, rows, max_seq_length, max_predictions)
    needed = sum(count * m * k * n for count, m, k, n in found)
    return sum(count * up(m, SUBLANES) * up(k, LANES) * up(n, LANES) for count, m, k, n in found) / needed - 1


def up(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple


def _padded_shapes(recipe: Recipe, config: BertConfig) -> list[str]:
    sizes = {
        "vocabulary": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "size of a head": config.hidden_size // config.num_attention_heads,
    }
    sizes |= {f"phases.{number}.max_seq_length": phase.max_seq_length for number, phase in enumerate(recipe.phases)}
    return [f"{name}: {size:,} -> {up(size, LANES):,}" for name, size in sizes.items() if size % LANES]


def _warnings(recipe: Recipe, tpu: Slice) -> list[str]:
    """What will not compile, or not be quick."""
    settings, warnings = recipe.backend.settings, []
    if settings.get("precision") == "fp32":
        warnings.append("backend.precision: fp32: a TPU multiplies in bfloat16, float32 takes several passes; that peak is not to be had")
    if tpu.num_hosts > 1:
        warnings.append(
            f"{tpu.name} has {tpu.num_hosts} hosts: one command on host 0 drives all of them (docs/tpu.md), and the rows of each "
            "step go from there over the network"
        )
    if _is_foreign("optimizer", recipe.optimizer.name):
        warnings.append(
            f"optimizer {recipe.optimizer.name!r} is not wholeword's own: its step must be TensorFlow operations of static shapes, without "
            "tf.py_function, numpy_function or print, or XLA cannot compile it"
        )
    if settings.get("steps_per_call") == 1:
        warnings.append("backend.steps_per_call: 1: the TPU waits for this machine after every step; 50 or more keep it busy")
    return warnings


def _is_foreign(kind: str, name: str) -> bool:
    try:
        return registry.find(kind, name).distribution != "wholeword"
    except WholewordError:
        return False  # said elsewhere
