"""Training on PyTorch. This module is light: PyTorch itself is imported by `start`."""

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

from wholeword.core.contracts import BertConfig
from wholeword.core.threads import bound_spinning

if TYPE_CHECKING:
    from wholeword.core.contracts import FineTuner, Head, Optimizer, Tensors, Trainer
    from wholeword.plugins.pytorch.devices import Computing


class PyTorch:
    """Where and how PyTorch computes.

    Args:
        precision: bf16 is autocast over float32 weights; auto is bf16 where the device has it in hardware.
        device: auto is the first CUDA device, or the CPU.
        micro_batch_size: rows computed at once; gradients of a step's micro batches add up. By default as many as fit comfortably.
        threads: of the CPU; results are bit-identical for equal numbers.
    """

    libraries = ("torch", "transformers")

    def __init__(
        self,
        *,
        precision: Literal["auto", "fp32", "bf16"] = "auto",
        device: str = "auto",
        micro_batch_size: int | None = None,
        threads: int | None = None,
    ):
        self.precision, self.device, self.micro_batch_size, self.threads = precision, device, micro_batch_size, threads

    def describe(self) -> str:
        """What `wholeword doctor` shows: the device, and the precision that `auto` is there."""
        bound_spinning()
        from wholeword.plugins.pytorch.devices import find_device, has_bf16

        device = find_device(self.device)
        return f"{device}; precision auto is {'bf16' if has_bf16(device) else 'fp32'}"

    def expect_machine(self) -> None:
        """Raises: UserError if the device is not there. Imports PyTorch only where the recipe names one."""
        if self.device not in ("auto", "cpu"):
            from wholeword.plugins.pytorch.devices import find_device

            find_device(self.device)

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
        """Raises: UserError if the device is not there."""
        _set_environment()
        from wholeword.plugins.pytorch.trainer import PyTorchTrainer

        return PyTorchTrainer(
            config=config,
            weights=weights,
            optimizer=optimizer,
            next_sentence=next_sentence,
            clip_norm=clip_norm,
            trainable=trainable,
            computing=self._computing(),
        )

    def start_finetuning(
        self, *, config: BertConfig, weights: "Tensors", head: "Head", optimizer: "Optimizer", clip_norm: float
    ) -> "FineTuner":
        """Raises: UserError if the device is not there."""
        _set_environment()
        from wholeword.plugins.pytorch.finetune import PyTorchFineTuner

        return PyTorchFineTuner(
            config=config, weights=weights, head=head, optimizer=optimizer, clip_norm=clip_norm, computing=self._computing()
        )

    def _computing(self) -> "Computing":
        import torch

        from wholeword.plugins.pytorch.devices import Computing, find_device, has_bf16

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        device = find_device(self.device)
        bf16 = has_bf16(device) if self.precision == "auto" else self.precision == "bf16"
        return Computing(device, bf16, self.micro_batch_size)


def _set_environment() -> None:
    """What PyTorch reads when it is imported, or soon after."""
    bound_spinning()
    # subtle: read at the first large allocation. With huge pages a CPU step is a twelfth shorter: fewer page faults.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
