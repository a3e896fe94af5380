"""Convert between arrays in the layout of Google's checkpoints and tensors in the layout of transformers' modules."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wholeword.core.bert.names import is_transposed
from wholeword.core.formats.tensors import expect_tensors

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A tensor on the device, copied asynchronously."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


@torch.no_grad()
def fill(tensors: Mapping[str, Tensor], arrays: "Tensors", *, kind: str) -> None:
    """Copy arrays into tensors of the same names. Raises: UserError if names or shapes do not match."""
    shapes = {name: tensor.shape[::-1] if _is_transposed(name) else tensor.shape for name, tensor in tensors.items()}
    expect_tensors(shapes, arrays, kind=kind)
    for name, tensor in tensors.items():
        tensor.copy_(to_tensor(arrays[name], name))


def to_canonical(tensor: Tensor, name: str) -> np.ndarray:
    """A copy of a tensor, or of one of its slots, in the layout of Google's checkpoints."""
    array = tensor.detach().to("cpu", copy=True).numpy()
    return array.T if _is_transposed(name) else array


def to_tensor(array: np.ndarray, name: str) -> Tensor:
    """The inverse of `to_canonical`, on the CPU."""
    return torch.from_numpy(np.array(array.T if _is_transposed(name) else array))


def _is_transposed(name: str) -> bool:
    """Whether a tensor, or the tensor that a slot belongs to, is transposed relative to Google's checkpoints."""
    return is_transposed(name, "transformers") or is_transposed(name.rpartition("/")[0], "transformers")
