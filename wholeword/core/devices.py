"""TPUs by accelerator type, with the specifications that Google publishes.

Sources: https://cloud.google.com/tpu/docs/v2 (v3, v4, v5e, v5p, v6e), https://cloud.google.com/tpu/docs/performance-guide
"""

import re
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from wholeword.core.errors import UserError

GIB = 1 << 30
DEFAULT_TPU = "v3-8"  # what BERT-wwm was trained on: 4 chips, 8 cores, 128 GiB


class Generation(NamedTuple):
    """The specifications of one chip."""

    peak_flops: float  # bfloat16, per second
    memory_gib: int
    num_cores: int
    num_replicas: int  # the two cores of a v4 or v5p chip work as one
    counts_cores: bool  # whether the number in v3-8 counts cores rather than chips
    max_chips_per_host: int  # of a slice with one host; slices with several hosts have 4 chips on each


GENERATIONS = {
    "v2": Generation(45e12, 16, 2, 2, True, 4),
    "v3": Generation(123e12, 32, 2, 2, True, 4),
    "v4": Generation(275e12, 32, 2, 1, True, 4),
    "v5litepod": Generation(197e12, 16, 1, 1, False, 8),
    "v5p": Generation(459e12, 95, 2, 1, True, 4),
    "v6e": Generation(918e12, 32, 1, 1, False, 8),
}
ALIASES = {"v5e": "v5litepod"}


@dataclass(frozen=True)
class Slice:
    """A TPU of one accelerator type; a replica takes a share of each batch."""

    name: str
    num_chips: int
    num_replicas: int
    num_hosts: int
    replica_bytes: int  # memory of one replica
    peak_flops: float  # all chips together, per second


def tpu_slice(name: str) -> Slice:
    """The TPU of an accelerator type, named as gcloud does: v3-8, v4-32, v5litepod-16.

    Raises: UserError if there is no such type.
    """
    match = re.fullmatch(r"(v\d+\w*?)-(\d+)", name)
    generation_name = ALIASES.get(match[1], match[1]) if match else ""
    if match is None or generation_name not in GENERATIONS:
        expected = f"{', '.join(GENERATIONS)} with a number, such as {DEFAULT_TPU}"
        raise UserError(f"backend.accelerator_type: {name!r}; expected {expected}")
    generation, number = GENERATIONS[generation_name], int(match[2])
    per_chip = generation.num_cores if generation.counts_cores else 1
    if number < 1 or number % per_chip:
        raise UserError(f"backend.accelerator_type: {name!r}: expected a multiple of the {per_chip} cores of a chip, such as {DEFAULT_TPU}")
    num_chips = number // per_chip
    return Slice(
        name=name,
        num_chips=num_chips,
        num_replicas=num_chips * generation.num_replicas,
        num_hosts=1 if num_chips <= generation.max_chips_per_host else ceil(num_chips / 4),
        replica_bytes=generation.memory_gib * GIB // generation.num_replicas,
        peak_flops=num_chips * generation.peak_flops,
    )
