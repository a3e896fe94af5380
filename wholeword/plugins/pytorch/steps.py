"""Optimizer steps on PyTorch, for any model."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from wholeword.core.errors import Interrupted
from wholeword.plugins.pytorch.kernels import SlotKernel, TorchKernel
from wholeword.plugins.pytorch.optimizers import norms

Batch = Mapping[str, np.ndarray]


class Interruption:
    """A request, from another thread, to abandon what is being computed."""

    def __init__(self) -> None:
        self._requested = threading.Event()

    def request(self) -> None:
        self._requested.set()

    def check(self) -> None:
        """To be called before every micro batch. Raises: Interrupted."""
        if self._requested.is_set():
            raise Interrupted("interrupted during a step")


def take_steps(
    backward: Callable[[Batch], Tensor],
    batches: Iterable[Batch],
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    *,
    parameters: Mapping[str, Tensor],
    optimizer: SlotKernel | TorchKernel,
    clip_norm: float,
) -> list[list[float]]:
    """Take optimizer steps with clipped gradients, each with its own seed, without synchronising with the device before the last one.

    Args:
        backward: sets the gradients for a batch, and returns its metrics, float32 [n]. If it raises Interrupted, the step is abandoned.
    Returns: for each step, the metrics and the gradient norm. If a norm is not finite, that step and all later ones change nothing, and
        it is the last one returned.
    """
    device = next(iter(parameters.values())).device
    skip = torch.zeros((), device=device)  # 1 from the first step with a gradient that is not finite
    measured = []
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for batch, learning_rate, seed in zip(batches, learning_rates, seeds, strict=False):  # the batches may end early
            torch.manual_seed(seed)
            try:
                metrics = backward(batch)
            except Interrupted:
                break
            gradients = {name: parameter.grad for name, parameter in parameters.items() if parameter.grad is not None}
            norm = norms(list(gradients.values())).norm()
            skip = torch.maximum(skip, 1.0 - torch.isfinite(norm).float())
            optimizer.step(gradients, learning_rate, divisor=(norm / clip_norm).clamp(min=1.0), skip=skip)
            measured.append(torch.cat([metrics, torch.stack([norm, skip])]))
    rows = torch.stack(measured).tolist() if measured else []
    end = next((number for number, row in enumerate(rows, 1) if row[-1]), len(rows))
    return [row[:-1] for row in rows[:end]]


def num_hits(logits: Tensor, labels: Tensor) -> Tensor:
    """The number of labels that have the largest logit, float32."""
    return (logits.argmax(-1) == labels).sum().float()
