"""Training on TensorFlow. This module is light: TensorFlow itself is imported by its methods."""

import os
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from wholeword.core.contracts import BertConfig

if TYPE_CHECKING:
    import tensorflow as tf

    from wholeword.core.contracts import Optimizer, RowSource, Tensors, Trainer
    from wholeword.core.training.hosts import Hosts

STEPS_PER_CALL = {"TPU": 50, "GPU": 10, "CPU": 1}


class TensorFlow:
    """Where and how TensorFlow computes.

    Args:
        strategy: auto is several hosts if there are, else the TPU of a TPU VM, all GPUs, the GPU, or the CPU.
        tpu: the TPU of this machine (local), or the name of one, in `zone` and `project`.
        devices: of this machine, such as GPU:0; by default all GPUs, or the CPU.
        precision: bf16 is over float32 variables; auto is bf16 where the device has it in hardware (and fp32 on a CPU).
        micro_batch_size: rows computed at once on a replica, a divisor of its rows; gradients of a step's micro batches add up.
        steps_per_call: steps of the loop inside of TensorFlow; by default 50 on a TPU, 10 on GPUs, 1 on a CPU.
        clip: by the norm of the whole batch's gradient (global), or of each replica's before they are averaged (per-replica), as Google's
            code did on TPUs.
        jit_compile: whether XLA compiles the steps; always on a TPU, elsewhere false by default.
        threads: of the CPU; results are bit-identical for equal numbers.
        records: TFRecord files to read rows from, in place of the token store: a folder, a pattern, or one for each phase.
        hosts: `host:port` of each machine, the chief first; by default those of TF_CONFIG.
        host: which of them this is, counted from 0.
        accelerator_type: of the TPU, as gcloud calls it; for `wholeword check`, and for how many rows are comfortable.
    """

    libraries = ("tensorflow",)

    def __init__(
        self,
        *,
        strategy: Literal["auto", "tpu", "mirrored", "one-device", "multi-worker"] = "auto",
        tpu: str = "local",
        zone: str | None = None,
        project: str | None = None,
        devices: list[str] | None = None,
        precision: Literal["auto", "fp32", "bf16"] = "auto",
        micro_batch_size: int | None = None,
        steps_per_call: int | None = None,
        clip: Literal["global", "per-replica"] = "global",
        jit_compile: bool | None = None,
        threads: int | None = None,
        records: str | list[str] | None = None,
        hosts: list[str] | None = None,
        host: int | None = None,
        accelerator_type: str = "v3-8",
    ):
        self.strategy_name, self.tpu, self.zone, self.project, self.devices = strategy, tpu, zone, project, devices
        self.precision, self.micro_batch_size, self.steps_per_call = precision, micro_batch_size, steps_per_call
        self.clip: Literal["global", "per-replica"] = clip
        self.jit_compile, self.threads, self.records, self.accelerator_type = jit_compile, threads, records, accelerator_type
        self._hosts, self.host = hosts, host

    def describe(self) -> str:
        """What `wholeword doctor` shows: the devices, and the precision that `auto` is there."""
        from wholeword.plugins.tensorflow.strategies import has_bf16, kind

        strategy = self.strategy
        count = strategy.num_replicas_in_sync
        return f"{count} {kind(strategy)}{'s' * (count > 1)}; precision auto is {'bf16' if has_bf16(strategy) else 'fp32'}"

    def hosts(self) -> "Hosts":
        """Raises: UserError if they are not known."""
        return self._found_hosts

    @cached_property
    def _found_hosts(self) -> "Hosts":
        from wholeword.plugins.tensorflow.hosts import find_hosts

        return find_hosts(self._hosts, self.host)

    @cached_property
    def strategy(self) -> "tf.distribute.Strategy":
        """Made once, before any other operation of TensorFlow. Raises: UserError if it cannot be had."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from wholeword.plugins.tensorflow.strategies import find_strategy

        if self.threads is not None:
            _set_threads(self.threads)
        return find_strategy(
            self.strategy_name, tpu=self.tpu, zone=self.zone, project=self.project, devices=self.devices, hosts=self.hosts()
        )

    def rows(self, *, number: int, num_phases: int, **arguments: Any) -> "RowSource | None":
        """The rows of a phase from files; see `wholeword.core.contracts.Backend`."""
        if self.records is None:
            return None
        self.strategy  # noqa: B018  before files are read, see there
        from wholeword.plugins.tensorflow.records import Records, phase_location

        return Records(phase_location(self.records, number, num_phases), **arguments, hosts=self.hosts())

    def start(
        self,
        *,
        config: BertConfig,
        weights: "Tensors",
        optimizer: "Optimizer",
        next_sentence: bool,
        clip_norm: float,
        trainable: Collection[str] | None = None,
    ) -> "Trainer":
        """Raises: UserError if the devices are not there."""
        strategy = self.strategy
        from wholeword.plugins.tensorflow.computing import Computing
        from wholeword.plugins.tensorflow.strategies import has_bf16, kind, replica_bytes
        from wholeword.plugins.tensorflow.trainer import TensorFlowTrainer

        computing = Computing(
            strategy,
            bf16=has_bf16(strategy) if self.precision == "auto" else self.precision == "bf16",
            micro_batch_size=self.micro_batch_size,
            replica_bytes=replica_bytes(strategy, self.accelerator_type),
            steps_per_call=self.steps_per_call or STEPS_PER_CALL[kind(strategy)],
            clip=self.clip,
            jit_compile=bool(self.jit_compile) and kind(strategy) != "TPU",
            hosts=self.hosts(),
        )
        return TensorFlowTrainer(
            config=config,
            weights=weights,
            optimizer=optimizer,
            next_sentence=next_sentence,
            clip_norm=clip_norm,
            trainable=trainable,
            computing=computing,
        )


def _set_threads(count: int) -> None:
    """Raises: UserError if TensorFlow has begun with another number."""
    import tensorflow as tf

    from wholeword.core.errors import UserError

    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != count:
            raise UserError(f"backend.threads: {count}, but TensorFlow already computes in this process; set it before") from None
