"""Whole runs with optimizers, schedules and backends of other distributions."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from small_runs import write_recipe

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.errors import PluginError
from wholeword.core.registry.kernels import build_kernel
from wholeword.core.training.run import train
from wholeword.plugins.pytorch import PyTorch

PHASE = "[{max_seq_length: 32, batch_size: 8, steps: 20, peak_lr: 5.0e-2, warmup_steps: 3}]"


class Sgd:
    """What the contract allows: torch.optim as it is."""

    def __init__(self, *, momentum: float = 0.9):
        self.momentum = momentum

    def build(self, framework: str, named_parameters: Any) -> Any:
        return torch.optim.SGD([parameter for _, parameter in named_parameters], momentum=self.momentum, dampening=0.5)

    def reference(self) -> Any:
        raise NotImplementedError


class Killed(BaseException):
    """Ends a run where it stands."""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    recipe = str(write_recipe(tmp_path))

    def started(output: str, *overrides: str) -> Path:
        settings = [f"output={tmp_path / output}", f"phases={PHASE}", "prepare_workers=1", *overrides]
        return train(resolve(load_recipe(recipe, overrides=settings)), observer=Silent())

    return started


def files_of(folder: Path) -> dict[str, bytes]:
    """Log, weights and optimizer state; what else a checkpoint holds names the output folder."""
    paths = [folder / "log.jsonl", *(folder / "checkpoints").rglob("*.safetensors")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_run_with_an_optimizer_of_torch_is_killed_and_ends_with_the_same_bytes(plugins: Any, run: Any) -> None:
    plugins("optimizer", "sgd", Sgd)

    class Dying(PyTorch):
        def start(self, **arguments: Any) -> Any:  # type: ignore[override]
            trainer = super().start(**arguments)
            train_steps, taken = trainer.train_steps, [0]

            def some_steps(batches: Any, **settings: Any) -> Any:
                metrics = train_steps(batches, **settings)
                taken[0] += len(metrics)
                if taken[0] > 12:
                    raise Killed
                return metrics

            trainer.train_steps = some_steps  # type: ignore[method-assign]
            return trainer

    plugins("backend", "dying", Dying)
    optimizer = "optimizer={name: sgd, momentum: 0.8}"
    whole = files_of(run("whole", optimizer))
    with pytest.raises(Killed):
        run("killed", optimizer, "backend={name: dying, precision: fp32, threads: 1, micro_batch_size: 5}")
    assert len(whole) == 5 and files_of(run("killed", optimizer)) == whole
    losses = [json.loads(line)["loss"] for line in whole["log.jsonl"].splitlines() if b'"lr"' in line]
    assert losses[-1] < losses[0]


def test_the_log_has_the_rates_of_the_schedule(run: Any) -> None:
    folder = run("run", "phases.0.schedule={name: warmup-stable-decay, decay_rate: 0.5, shape: linear}")
    rates = {line["step"]: line["lr"] for line in map(json.loads, (folder / "log.jsonl").read_text().splitlines()) if "lr" in line}
    assert rates == pytest.approx({step: 5e-2 * min((step - 1) / 3, 1, 1 - (step - 11) / 10) for step in (3, 6, 9, 12, 15, 18, 20)})


def test_a_backend_without_nsp_loss_is_named_before_the_first_step(plugins: Any, run: Any, tmp_path: Path) -> None:
    class Forgetful(PyTorch):
        def start(self, **arguments: Any) -> Any:  # type: ignore[override]
            trainer = super().start(**arguments)
            evaluate = trainer.evaluate
            trainer.evaluate = lambda batch: {name: array for name, array in evaluate(batch).items() if name != "nsp_loss"}  # type: ignore
            return trainer

    plugins("backend", "forgetful", Forgetful, distribution="my-backend", version="0.3")
    with pytest.raises(PluginError, match=r"^backend 'forgetful' of my-backend 0\.3: evaluate returned a dict without nsp_loss; expected"):
        run("run", "backend={name: forgetful, precision: fp32, threads: 1}")
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 1  # the header


def test_adamw_on_another_framework_says_which_have_it(plugins: Any, run: Any) -> None:
    class Jax:
        def start(self, *, optimizer: Any, **_: Any) -> Any:
            optimizer.build("jax", [])

    plugins("backend", "jax", Jax)
    with pytest.raises(PluginError, match=r"^optimizer 'adamw' has no kernel for 'jax', only for pytorch, tensorflow; "):
        run("run", "backend=jax", "optimizer=adamw")


class Momentum:
    """A kernel of the contract, which breaks it as a test wishes."""

    broken: ClassVar[dict[str, Any]] = {}

    def build(self, framework: str, named_parameters: Any) -> Any:
        parameters = dict(named_parameters)

        class Kernel:
            slots: ClassVar[Any] = {f"{name}/momentum": torch.zeros_like(parameter) for name, parameter in parameters.items()}

            def step(self, gradients: Any, learning_rate: Any, *, divisor: Any, skip: Any) -> None:
                for name, gradient in gradients.items():
                    parameters[name].data.sub_(gradient, alpha=learning_rate)

        return type("Kernel", (Kernel,), self.broken)()

    def reference(self) -> Any:
        raise NotImplementedError


def fail(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("on\nTuesdays")


def step_without_divisor(self: Any, gradients: Any, learning_rate: Any, *, skip: Any) -> None: ...


@pytest.mark.parametrize(
    "broken, message",
    [
        ({"step": fail}, " failed: ZeroDivisionError: on Tuesdays"),
        ({"slots": property(fail)}, " failed: ZeroDivisionError: on Tuesdays"),
        ({"step": step_without_divisor}, " failed: TypeError: .*unexpected keyword argument 'divisor'"),
        ({"slots": {"a/b": "text"}}, ": slots has a/b, a str; expected tensors"),
        ({"slots": None}, ": slots is NoneType; expected a dict of tensors by name"),
    ],
)
def test_a_kernel_that_fails_names_its_optimizer(plugins: Any, run: Any, broken: Any, message: str) -> None:
    plugins("optimizer", "momentum", type("Broken", (Momentum,), {"broken": broken}), distribution="my-optimizers", version="1.2")
    with pytest.raises(PluginError, match=rf"^optimizer 'momentum' of my-optimizers 1\.2{message}$"):
        run("run", "optimizer=momentum")


def test_a_registered_kernel_that_fails_is_named_instead_of_the_optimizer(plugins: Any, run: Any) -> None:
    class Optimizer:
        def build(self, framework: str, named_parameters: Any) -> Any:
            return build_kernel("momentum", framework, named_parameters)

    def kernel(*, named_parameters: Any) -> Any:
        return type("Broken", (Momentum,), {"broken": {"step": fail}})().build("pytorch", named_parameters)

    plugins("optimizer", "momentum", Optimizer, distribution="wholeword")
    plugins("optimizer_kernel", "momentum.pytorch", kernel, distribution="my-kernels", version="2.0")
    with pytest.raises(
        PluginError, match=r"^optimizer_kernel 'momentum\.pytorch' of my-kernels 2\.0 failed: ZeroDivisionError: on Tuesdays$"
    ):
        run("run", "optimizer=momentum")


def test_a_kernel_that_keeps_the_contract_runs(plugins: Any, run: Any) -> None:
    plugins("optimizer", "momentum", Momentum)
    assert len(files_of(run("run", "optimizer=momentum"))) == 5


@pytest.mark.parametrize(
    "part, returned, message",
    [
        ("hosts", lambda self: None, ": hosts returned NoneType; expected wholeword.core.training.hosts.Hosts"),
        ("rows", lambda self, **_: 5, ": rows returned int without has_next_sentence, batch, batches; expected a RowSource"),
        ("hosts", fail, " failed: ZeroDivisionError: on Tuesdays"),
        ("rows", fail, " failed: ZeroDivisionError: on Tuesdays"),
        ("start", fail, " failed: ZeroDivisionError: on Tuesdays"),
    ],
)
def test_the_parts_of_a_backend_name_it(plugins: Any, run: Any, part: str, returned: Any, message: str) -> None:
    plugins("backend", "odd", type("Odd", (PyTorch,), {part: returned}), distribution="my-backend", version="0.3")
    with pytest.raises(PluginError, match=rf"^backend 'odd' of my-backend 0\.3{message}$"):
        run("run", "backend=odd")
