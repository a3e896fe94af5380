"""Where and how a run computes on TensorFlow: its strategy, and what each replica takes at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import tensorflow as tf
from tensorflow import Tensor

from wholeword.core.bert.activations import comfortable_rows, rows_at_once
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError
from wholeword.core.training.hosts import Hosts

CPU_TOKENS = 2048  # of a micro batch; more are no faster on a CPU


@dataclass(frozen=True)
class Computing:
    """See the settings of `wholeword.plugins.tensorflow.TensorFlow`.

    Args:
        micro_batch_size: rows computed at once on a replica; None for as many as are comfortable.
        replica_bytes: the memory of a replica; None where there is enough.
        steps_per_call: of the host loop.
        clip: by the norm of the gradient of the whole batch, or of each replica before they are averaged, as Google's code did on TPUs.
            There a replica's loss is the mean over its own predictions.
        jit_compile: whether XLA compiles on devices where nothing else does; a TPU's programs always are.
    """

    strategy: tf.distribute.Strategy
    bf16: bool = False
    micro_batch_size: int | None = None
    replica_bytes: int | None = None
    steps_per_call: int = 1
    clip: Literal["global", "per-replica"] = "global"
    jit_compile: bool = False
    hosts: Hosts = field(default_factory=Hosts)

    @property
    def dtype(self) -> tf.DType:
        """Of matrix products and what is between."""
        return tf.bfloat16 if self.bf16 else tf.float32

    @property
    def num_local(self) -> int:
        """Replicas of this host."""
        return int(self.strategy.num_replicas_in_sync) // self.hosts.world_size

    def split(self, batch: Mapping[str, Tensor]) -> Any:
        """A part of the rows for each replica of this host."""
        parts = {name: tf.split(values, self.num_local) for name, values in batch.items()}

        def part(context: tf.distribute.experimental.ValueContext) -> dict[str, Tensor]:
            number = context.replica_id_in_sync_group % self.num_local
            return {name: values[number] for name, values in parts.items()}

        return self.strategy.experimental_distribute_values_from_function(part)

    def expect_rows_that_divide(self, rows: int) -> None:
        """Raises: UserError if so many rows on this host cannot be split evenly."""
        if rows % self.num_local:
            raise UserError(f"batch_size: {rows} rows on this host cannot be shared by {self.num_local} replicas; make it a multiple")
        if self.micro_batch_size and rows // self.num_local % min(self.micro_batch_size, rows // self.num_local):
            raise UserError(
                f"backend.micro_batch_size: {self.micro_batch_size} rows at once do not divide the {rows // self.num_local} rows of a "
                "replica; on TensorFlow all micro batches have one shape"
            )

    def rows_at_once(self, config: BertConfig, batch: Mapping[str, Tensor]) -> int:
        """Rows of a micro batch: as the recipe says, or the most that divide those of a replica and are comfortable."""
        num_rows = int(batch["input_ids"].shape[0])
        if self.micro_batch_size:
            return min(self.micro_batch_size, num_rows)
        return rows_at_once(num_rows, self.comfortable_rows(config, batch["input_ids"].shape[1], batch["masked_lm_ids"].shape[1]))

    def comfortable_rows(self, config: BertConfig, length: int, predictions: int) -> int:
        """Rows that a replica computes at once without the recipe's say."""
        if self.replica_bytes is None:
            return max(1, CPU_TOKENS // length)
        return comfortable_rows(config, self.replica_bytes, length, predictions, bf16=self.bf16)
