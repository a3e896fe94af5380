"""Our backend and optimizers go through the checks that are there for everybody's."""

from typing import Any

import pytest
import torch

from wholeword.core.registry.registry import registry
from wholeword.core.testing import check_backend, check_optimizer
from wholeword.plugins.pytorch import PyTorch

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("adamw", {}),
    ("adamw", {"weight_decay": 0.1}),
    *(("lamb", {"variant": variant}) for variant in ("hfl", "google", "tfa", "nvlamb")),
]


@pytest.mark.parametrize("name, settings", OPTIMIZERS)
def test_our_optimizers_keep_the_contract(name: str, settings: dict[str, Any]) -> None:
    check_optimizer(
        registry.create("optimizer", name, **settings),
        "pytorch",
        variable=lambda array: torch.tensor(array, requires_grad=True),
        tensor=torch.tensor,
        array=lambda tensor: tensor.detach().numpy(),
    )


@pytest.mark.parametrize("next_sentence", [True, False])
@pytest.mark.parametrize("name, settings", [OPTIMIZERS[0], OPTIMIZERS[-1]])
def test_our_backend_keeps_the_contract(name: str, settings: dict[str, Any], next_sentence: bool) -> None:
    backend = PyTorch(device="cpu", precision="fp32", micro_batch_size=3)
    check_backend(backend, optimizer=registry.create("optimizer", name, **settings), next_sentence=next_sentence)
