"""The checks for authors of schedules, optimizers and backends: they pass what is right, and say what is wrong with what is not."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wholeword.core.registry.registry import registry
from wholeword.core.testing import check_backend, check_optimizer, check_schedule

PAGES = Path(__file__).parents[2] / "docs" / "plugins"


def run_page(name: str) -> dict[str, Any]:
    """What the Python of a page of docs/plugins defines; it ends with the check of its kind."""
    page: dict[str, Any] = {"__name__": name}
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / f"{name}.md").read_text(encoding="utf-8"), re.DOTALL)
    assert any(f"check_{name}(" in block for block in blocks)
    for block in blocks:
        exec(compile(block, f"{name}.md", "exec"), page)
    return page


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return run_page("backend")


@pytest.mark.parametrize("name", ["schedule", "optimizer"])
def test_the_examples_of_the_pages_pass(name: str) -> None:
    run_page(name)


@pytest.mark.parametrize("entry", [entry for entry in registry.entries if entry.kind == "schedule"], ids=lambda entry: entry.name)
def test_our_schedules_keep_the_contract(entry: Any) -> None:
    check_schedule(registry.create("schedule", entry.qualified_name))


@pytest.mark.parametrize(
    "rate, message",
    [
        (lambda step, steps, peak_lr, warmup_steps: float("nan"), "step 0 of 1000, 100 of them warm-up: nan; expected a finite number"),
        (lambda step, steps, peak_lr, warmup_steps: None, "None; expected a float"),
        (lambda step, steps, peak_lr, warmup_steps: -peak_lr, "-0.0003; expected a finite number of at least 0"),
        (lambda step, steps, peak_lr, warmup_steps: 10**400, "expected a finite number of at least 0"),
        (lambda step, steps, peak_lr, warmup_steps: peak_lr * 2, "0.0006 is above peak_lr, 0.0003"),
        (lambda step, steps, peak_lr, warmup_steps: 0.0, "every rate is 0"),
        (lambda step, steps, peak_lr, warmup_steps: peak_lr * (1 - step / steps), "the rate falls within the 100 of warm-up"),
        (lambda step, steps, peak_lr, warmup_steps, calls=[]: calls.append(0) or peak_lr / len(calls) ** 1e-9, "falls within|another rate"),
    ],
)
def test_a_wrong_schedule_is_told_why(rate: Any, message: str) -> None:
    class Wrong:
        def learning_rate(self, step: int, *, steps: int, peak_lr: float, warmup_steps: int) -> Any:
            return rate(step, steps, peak_lr, warmup_steps)

    with pytest.raises(AssertionError, match=message):
        check_schedule(Wrong())


def test_a_wrong_kernel_is_told_why(page: dict[str, Any]) -> None:
    def checked(**changes: Any) -> None:
        class Kernel(page["NumpyAdamW"]):  # type: ignore[misc]
            def __init__(self, *arguments: Any, **settings: Any):
                super().__init__(*arguments, **settings | changes.get("settings", {}))
                for name, values in changes.get("slots", {}).items():
                    self.slots[name] = values

            def step(self, gradients: Any, learning_rate: float, *, divisor: Any, skip: Any) -> None:
                settings = {"divisor": divisor, "skip": skip} | changes.get("step", {})
                super().step(gradients, learning_rate, **settings)

        class Optimizer(page["AdamW"]):  # type: ignore[misc]
            def build(self, framework: str, named_parameters: Any) -> Any:
                return Kernel(named_parameters, weight_decay=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-6)

        check_optimizer(Optimizer(), "numpy", steps=20)

    checked()
    for changes, message in [
        ({"settings": {"beta_2": 0.99}}, "step 1: the kernel and the reference differ by"),
        ({"settings": {"weight_decay": 0.0}}, "step 1: the kernel and the reference differ by"),
        ({"step": {"divisor": 1.0}}, "step 1: the kernel and the reference differ by"),
        ({"step": {"skip": 0.0}}, "a skipped step changed it by nan"),
        ({"slots": {"count": np.ones(1)}}, "slot count begins with .*1.0.*; expected 0"),
        ({"slots": {"x/count": np.zeros(1)}}, "slot x/count; expected <canonical name>/<slot>"),
    ]:
        with pytest.raises(AssertionError, match=message):
            checked(**changes)


def test_a_wrong_backend_is_told_why(page: dict[str, Any]) -> None:
    """Each defect by itself, in the backend of the page."""
    right = page["OutputBiasTrainer"]

    def evaluate_another_model(self: Any, batch: Any) -> Any:
        return right.evaluate(self, batch | {"segment_ids": batch["segment_ids"] * 0})

    def predict_in_no_order(self: Any, batch: Any, top: int) -> Any:
        ids, shares = right.predict(self, batch, top)
        return ids[..., ::-1], shares[..., ::-1]

    def step_without_learning(self: Any, *arguments: Any, **settings: Any) -> Any:
        return right.train_steps(self, *arguments, **settings | {"learning_rates": [0.0] * len(settings["learning_rates"])})

    def draw(self: Any, *arguments: Any, **settings: Any) -> Any:
        self.tensors[page["BIAS"]] += np.random.default_rng().normal(0, 1e-6, self.tensors[page["BIAS"]].shape)
        return right.train_steps(self, *arguments, **settings)

    def load_weights_alone(self: Any, weights: Any, optimizer_state: Any) -> None:
        right.load(self, weights, {})

    def train_the_pooler(self: Any, batches: Any, *, learning_rates: Any, seeds: Any) -> Any:
        metrics = right.train_steps(self, batches, learning_rates=learning_rates, seeds=seeds)
        if self.trainable is not None:
            self.tensors["bert/pooler/dense/bias"] += 1
        return metrics

    defects: list[tuple[str, Any, str]] = [
        ("evaluate", evaluate_another_model, r"mlm_loss of evaluate\(\): off by"),
        ("predict", predict_in_no_order, r"log probabilities of the pieces that predict\(\) ranks first: off by"),
        ("train_steps", step_without_learning, r"the loss went from (\d\.\d+) to \1 in 30 steps"),
        ("train_steps", draw, r"weights\(\) after a step at the learning rate 0: cls/predictions/output_bias differs"),
        ("train_steps", train_the_pooler, r"weights\(\) of what is not trainable: bert/pooler/dense/bias differs"),
        ("weights", lambda self: self.tensors, "what was saved, after more steps; expected copies: cls/predictions/output_bias differs"),
        ("load", load_weights_alone, "resumed has other metrics|of a resumed run"),
        ("reset_optimizer", lambda self: None, r"optimizer_state\(\) after reset_optimizer\(\): .*adam_. differs"),
    ]
    for method, wrong, message in defects:
        trainer = type("Wrong", (right,), {method: wrong})

        class Backend:
            def start(self, *, config: Any, weights: Any, optimizer: Any, next_sentence: Any, clip_norm: Any, trainable: Any = None) -> Any:
                started = trainer(config, weights, optimizer, next_sentence, clip_norm)  # noqa: B023
                started.trainable = trainable
                return started

        with pytest.raises(AssertionError, match=message):
            check_backend(Backend(), optimizer=page["AdamW"]())
