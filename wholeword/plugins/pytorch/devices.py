"""Where PyTorch computes, and how much at once."""

from dataclasses import dataclass

import torch

from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError


@dataclass(frozen=True)
class Computing:
    """Where and how the models of a run compute.

    Args:
        bf16: autocast over float32 weights.
        micro_batch_size: rows computed at once; None for as many as are comfortable.
    """

    device: torch.device
    bf16: bool
    micro_batch_size: int | None

    def rows_at_once(self, config: BertConfig, max_seq_length: int) -> int:
        """Rows of a micro batch."""
        return self.micro_batch_size or comfortable_rows(config, max_seq_length, self.device)


def find_device(name: str) -> torch.device:
    """The device of this name ("auto": the first CUDA device, or the CPU). Raises: UserError if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"backend.device: {name!r}; expected auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"backend.device: {name!r}, but PyTorch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices")
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware; elsewhere bf16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def comfortable_rows(config: BertConfig, max_seq_length: int, device: torch.device) -> int:
    """Rows of a micro batch when the recipe leaves it to us."""
    if device.type == "cpu":
        num_tokens = 2048.0  # more are no faster there (rbt3, 256 to 4,096 tried)
    else:
        memory = torch.cuda.get_device_properties(device).total_memory
        num_tokens = 0.5 * memory / (100 * config.num_hidden_layers * config.hidden_size)  # about 100 bytes of activations each
    return max(1, int(num_tokens / max_seq_length))
