"""Optimizers of torch.optim in a recipe: `build` may return one as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import NO_DROPOUT, pytorch_trainer, toy_batch, toy_config

from wholeword.core.bert.shapes import initial_weights
from wholeword.core.errors import PluginError, UserError
from wholeword.core.formats.checkpoints import read_checkpoint, save_checkpoint
from wholeword.core.training.trainers import RecipeOptimizer, start_trainer
from wholeword.plugins.pytorch import PyTorch

Make = Callable[[list[torch.Tensor]], Any]


class TorchOptim:
    """An optimizer plugin in five lines."""

    def __init__(self, make: Make):
        self.make = make

    def build(self, framework: str, named_parameters: Any) -> Any:
        assert framework == "pytorch"
        return self.make([parameter for _, parameter in named_parameters])


class CountsInItsGroups(torch.optim.Optimizer):
    """Keeps whole numbers beside tensors, and changes the numbers of its groups, as Prodigy and others do."""

    def __init__(self, parameters: Any):
        super().__init__(parameters, {"lr": 1.0, "distance": 1.0, "count": 0, "betas": (0.9, 0.99)})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["count"] += 1
            group["distance"] *= 1.25
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                state["times"] = state.get("times", 0) + 1
                state["seen"] = state.get("seen", torch.zeros(2, dtype=torch.int64)) + torch.tensor([2**40, 1])
                scale = group["distance"] / (state["times"] + group["count"] + float(state["seen"][1]))
                parameter.add_(parameter.grad, alpha=-group["lr"] * scale)


OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda tensors: torch.optim.SGD(tensors, lr=0.1),
    "momentum": lambda tensors: torch.optim.SGD(tensors, lr=0.1, momentum=0.9, dampening=0.5),
    "adam": lambda tensors: torch.optim.Adam(tensors),
    "amsgrad": lambda tensors: torch.optim.AdamW(tensors, amsgrad=True, fused=False, foreach=True),
    "nadam": lambda tensors: torch.optim.NAdam(tensors),
    "adafactor": lambda tensors: torch.optim.Adafactor(tensors),
    "groups": CountsInItsGroups,
}
RATE = 1e-2


def steps(trainer: Any, first: int, end: int) -> list[dict[str, float]]:
    numbers = range(first, end)
    rates = [RATE / (number + 1) for number in numbers]
    return trainer.train_steps([toy_batch(number) for number in numbers], learning_rates=rates, seeds=[n + 99 for n in numbers])


def assert_identical(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name].dtype == expected[name].dtype and np.array_equal(found[name], expected[name]), name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_is_bit_identical(name: str, tmp_path: Path) -> None:
    """10 steps, a checkpoint on the disk, and 10 more in a new trainer; a new phase in between, too."""
    whole, first, second = (pytorch_trainer(toy_config(), optimizer=TorchOptim(OPTIMIZERS[name])) for _ in range(3))
    log = steps(whole, 0, 20)
    log_of_parts = steps(first, 0, 10)
    save_checkpoint(tmp_path / "x", first.weights(), first.optimizer_state(), {})
    steps(first, 10, 12)  # what was saved does not move with the model
    second.load(*read_checkpoint(tmp_path / "x")[:2])
    assert log == log_of_parts + steps(second, 10, 20)
    assert_identical(second.weights(), whole.weights())
    assert_identical(second.optimizer_state(), whole.optimizer_state())

    fresh = pytorch_trainer(toy_config(), optimizer=TorchOptim(OPTIMIZERS[name]))
    fresh.load(second.weights(), fresh.optimizer_state())
    second.reset_optimizer()
    assert steps(second, 0, 3) == steps(fresh, 0, 3)
    assert_identical(second.optimizer_state(), fresh.optimizer_state())


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "groups"])
def test_equal_to_pytorchs_own_loop(name: str) -> None:
    """Clipping by the global norm, the learning rate set before each step, and nothing else."""
    trainer, other = (pytorch_trainer(toy_config(**NO_DROPOUT), optimizer=TorchOptim(OPTIMIZERS[name]), clip_norm=0.5) for _ in range(2))
    steps(trainer, 0, 5)
    optimizer = OPTIMIZERS[name](list(other.parameters.values()))
    for number in range(5):
        other._backward(toy_batch(number))
        torch.nn.utils.clip_grad_norm_(other.parameters.values(), 0.5)
        optimizer.param_groups[0]["lr"] = RATE / (number + 1)
        optimizer.step()
    for tensor, array in other.weights().items():
        if tensor.endswith("self/key/bias"):
            continue  # its gradient is 0 but for rounding, which Adam brings to the size of any other
        np.testing.assert_allclose(trainer.weights()[tensor], array, rtol=0, atol=2e-6, err_msg=tensor)


def test_the_rates_of_groups_are_shares_of_the_scheduled_one() -> None:
    def make(tensors: list[torch.Tensor]) -> torch.optim.Optimizer:
        return torch.optim.SGD([{"params": tensors[:1], "lr": 0.05}, {"params": tensors[1:2]}, {"params": tensors[2:], "lr": 0.0}], lr=0.1)

    trainer = pytorch_trainer(toy_config(**NO_DROPOUT), optimizer=TorchOptim(make), clip_norm=1e9)
    before = trainer.weights()
    trainer.train_steps([toy_batch(0)], learning_rates=[0.5], seeds=[0])
    after, names = trainer.weights(), list(trainer.parameters)
    for name, rate in zip(names[:3], (0.25, 0.5, 0.0), strict=True):
        gradient = trainer.parameters[name].grad.numpy()
        np.testing.assert_allclose(after[name], before[name] - rate * gradient, rtol=0, atol=1e-6, err_msg=name)


def test_a_gradient_that_is_no_number_changes_nothing() -> None:
    trainer = pytorch_trainer(toy_config(), optimizer=TorchOptim(OPTIMIZERS["adam"]))
    steps(trainer, 0, 2)
    before, state = trainer.weights(), trainer.optimizer_state()
    batch = toy_batch(1)
    batch["masked_lm_weights"][0, 0] = np.inf
    assert not np.isfinite(trainer.train_steps([batch], learning_rates=[0.1], seeds=[0])[0]["grad_norm"])
    assert_identical(trainer.weights(), before)
    assert_identical(trainer.optimizer_state(), state)


def test_state_of_another_optimizer_is_refused() -> None:
    adam, groups = (pytorch_trainer(toy_config(), optimizer=TorchOptim(OPTIMIZERS[name])) for name in ("adam", "groups"))
    steps(adam, 0, 1)
    with pytest.raises(UserError, match=r"optimizer state: param_groups/0/eps is unknown to test_torch_optim's CountsInItsGroups"):
        groups.load(groups.weights(), {name: array for name, array in adam.optimizer_state().items() if "eps" in name})
    with pytest.raises(UserError, match=r"optimizer state: param_groups/0/count.number is missing"):
        groups.load(groups.weights(), {})


class Unsaveable(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.state[self.param_groups[0]["params"][0]]["history"] = []


class Raising(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        raise RuntimeError("only on\nTuesdays")


UNUSABLE: dict[str, tuple[Make, str]] = {
    "nothing": (lambda tensors: None, r"build\('pytorch'\) returned NoneType; expected an OptimizerKernel .* or a torch.optim.Optimizer$"),
    "closure": (lambda tensors: torch.optim.LBFGS(tensors), r"build\('pytorch'\) returned torch's LBFGS, whose step needs a closure"),
    "foreign": (lambda tensors: torch.optim.SGD([torch.zeros(1)]), r"build\('pytorch'\) returned torch's SGD over 1 tensors that it was"),
    "error": (lambda tensors: torch.optim.SGD(tensors, lr=-1.0), r"failed: ValueError: Invalid learning rate: -1.0$"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_used_is_refused_at_the_start(plugins: Any, name: str) -> None:
    make, message = UNUSABLE[name]
    plugins("optimizer", "odd", lambda: TorchOptim(make), distribution="my-optimizers", version="1.2")
    with pytest.raises(PluginError, match=rf"^optimizer 'odd' of my-optimizers 1\.2:? {message}"):
        started("odd")


@pytest.mark.parametrize(
    "made, message", [(Unsaveable, "keeps .*/history, a list; expected tensors"), (Raising, "step failed: RuntimeError: only on Tuesdays")]
)
def test_what_fails_in_the_first_step_names_its_distribution(plugins: Any, made: Any, message: str) -> None:
    plugins("optimizer", "odd", lambda: TorchOptim(made), distribution="my-optimizers", version="1.2")
    with pytest.raises(PluginError, match=rf"^optimizer 'odd' of my-optimizers 1\.2: .*{message}"):
        started("odd").train_steps([toy_batch(0)], learning_rates=[0.1], seeds=[0])


def started(optimizer: str) -> Any:
    config = toy_config()
    weights = initial_weights(config, 1)
    backend = PyTorch(device="cpu", precision="fp32")
    return start_trainer(
        backend, "pytorch", RecipeOptimizer(optimizer, {}), config=config, weights=weights, next_sentence=True, clip_norm=1.0
    )
