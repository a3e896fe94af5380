"""What worker processes are asked."""

import torch

from wholeword.core.registry.registry import registry


def threads(model: str) -> int:
    registry.create("segmenter", "ltp", model=model)
    return torch.get_num_threads()
