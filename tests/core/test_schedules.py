from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from wholeword.core.config.load import load_recipe
from wholeword.core.errors import PluginError, RecipeError
from wholeword.core.registry.registry import registry
from wholeword.core.training.schedules import make_schedule
from wholeword.finetuning.recipe import load_finetune_recipe

BUILT_IN = ["bert-linear", "constant", "cosine", "inverse-square-root", "warmup-stable-decay"]
RECIPE = """
version: 1
name: x
corpus: {files: [x.txt]}
tokenizer: {train: 500}
model: {size: tiny}
phases:
  - {max_seq_length: 32, batch_size: 8, steps: 1000, peak_lr: 1.0e-3, warmup_steps: 100}
  - {max_seq_length: 64, batch_size: 4, steps: 1000, peak_lr: 1.0e-3, schedule: SCHEDULE}
"""


def rates(name: str, steps: list[int], *, total: int = 100, warmup_steps: int = 10, **settings: Any) -> list[float]:
    """With a peak of 1."""
    rate = make_schedule(name, settings, steps=total, peak_lr=1.0, warmup_steps=warmup_steps)
    return [rate(step) for step in steps]


@pytest.mark.parametrize(
    "step, rate", [(0, 0.0), (1, 1e-8), (9_999, 9.999e-5), (10_000, 9e-5), (50_000, 5e-5), (99_999, 1e-9), (100_000, 0.0)]
)
def test_the_rate_is_that_of_google_bert(step: int, rate: float) -> None:
    schedule = make_schedule("bert-linear", {}, steps=100_000, peak_lr=1e-4, warmup_steps=10_000)
    assert schedule(step) == pytest.approx(rate, rel=1e-9, abs=1e-20)


def test_schedules_are_what_their_formulas_say_at_steps_one_can_check_by_hand() -> None:
    assert rates("constant", [0, 5, 10, 99]) == [0, 0.5, 1, 1]
    assert rates("cosine", [0, 5, 10, 55, 100]) == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert rates("cosine", [10, 55, 100], final_rate=0.2) == pytest.approx([1, 0.6, 0.2])
    assert rates("inverse-square-root", [0, 5, 10, 40, 90]) == pytest.approx([0, 0.5, 1, 1 / 2, 1 / 3])
    assert rates("inverse-square-root", [0, 30_000], warmup_steps=0) == pytest.approx([1, 1 / 2])
    assert rates("warmup-stable-decay", [0, 5, 10, 80, 85, 100], decay_rate=0.2) == pytest.approx([0, 0.5, 1, 1, 0.5, 0])
    assert rates("warmup-stable-decay", [90, 100], decay_rate=0.2, shape="linear", final_rate=0.5) == pytest.approx([0.75, 0.5])
    assert rates("warmup-stable-decay", [50, 75, 100], warmup_steps=50, decay_rate=1.0, shape="cosine") == pytest.approx([1, 0.5, 0])


@pytest.mark.parametrize("name", BUILT_IN)
def test_without_warm_up_the_first_step_has_the_peak(name: str) -> None:
    assert make_schedule(name, {}, steps=10, peak_lr=3e-3, warmup_steps=0)(0) == 3e-3


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_phase_of_warm_up_alone_has_a_rate_at_every_step(name: str) -> None:
    assert rates(name, [0, 5, 9], total=10, warmup_steps=10) == [0, 0.5, 0.9]


def test_these_are_the_schedules_that_come_with_wholeword() -> None:
    assert [entry.name for entry in registry.entries if entry.kind == "schedule" and entry.distribution == "wholeword"] == [
        *("bert-linear", "constant", "cosine", "warmup-stable-decay", "inverse-square-root")
    ]


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1e-9, "1e-3", None, True, pytest.param(10**400, id="large")])
def test_a_rate_that_is_none_is_the_plugins_error(plugins: Any, rate: Any) -> None:
    class Odd:
        def learning_rate(self, step: int, **_: Any) -> Any:
            return 0.5 if step < 3 else rate

    plugins("schedule", "odd", Odd, distribution="my-schedules", version="2.1")
    assert rates("odd", [0, 1, 2]) == [0.5, 0.5, 0.5]
    with pytest.raises(PluginError, match=r"^schedule 'odd' of my-schedules 2.1: step 3 of 100 .* expected a finite number of at least 0$"):
        rates("odd", [3])


def test_a_rate_may_be_any_real_number(plugins: Any) -> None:
    class Numpy:
        def learning_rate(self, step: int, **_: Any) -> Any:
            return [np.float32(0.25), np.int64(1), Fraction(1, 8)][step]

    plugins("schedule", "numpy", Numpy)
    returned = rates("numpy", [0, 1, 2])
    assert returned == [0.25, 1.0, 0.125] and {type(rate) for rate in returned} == {float}


def test_an_exception_in_a_schedule_is_the_plugins_error(plugins: Any) -> None:
    class Broken:
        def learning_rate(self, step: int) -> float:  # does not take what the contract says
            return 0.0

    plugins("schedule", "broken", Broken, distribution="my-schedules", version="2.1")
    with pytest.raises(PluginError, match=r"^schedule 'broken' of my-schedules 2.1 failed: TypeError: .*steps"):
        rates("broken", [0])


# --- in recipes


def recipe(tmp_path: Any, schedule: str, *overrides: str) -> Any:
    (tmp_path / "x.yaml").write_text(RECIPE.replace("SCHEDULE", schedule), encoding="utf-8")
    return load_recipe(tmp_path / "x.yaml", overrides)


def test_a_phase_names_its_schedule(tmp_path: Any) -> None:
    first, second = recipe(tmp_path, "{name: cosine, final_rate: 0.1}").phases
    assert (first.schedule.name, second.schedule.name, second.schedule.settings) == ("bert-linear", "cosine", {"final_rate": 0.1})
    resolved = recipe(tmp_path, "warmup-stable-decay").resolved()["phases"]
    assert resolved[1]["schedule"] == {"name": "warmup-stable-decay", "decay_rate": 0.1, "shape": "1-sqrt", "final_rate": 0.0}
    assert recipe(tmp_path, "cosine", "phases.1.schedule=constant").phases[1].schedule.name == "constant"
    assert recipe(tmp_path, "cosine", "phases.1.schedule.final_rate=0.5").phases[1].schedule.settings == {"final_rate": 0.5}


def test_the_default_schedule_is_not_part_of_a_runs_identity(tmp_path: Any) -> None:
    """Runs of versions that had no other resume."""
    assert all("schedule" not in phase for phase in recipe(tmp_path, "bert-linear").resolved()["phases"])


@pytest.mark.parametrize(
    "schedule, message",
    [
        ("cosin", r":9:\d+: phases.1.schedule.name: unknown schedule 'cosin'; did you mean 'cosine'"),
        ("{name: cosine, final_rat: 0.1}", r":9:\d+: phases.1.schedule.final_rat: unknown setting; did you mean 'final_rate'"),
        ("{name: cosine, final_rate: 10}", r":9:\d+: phases.1.schedule.final_rate: 10 is not a share; .*did you mean 0.1"),
        ("{name: warmup-stable-decay, shape: sqrt}", r":9:\d+: phases.1.schedule.shape: 'sqrt'; expected one of 1-sqrt, linear, cosine"),
        ("3", r":9:\d+: phases.1.schedule: 3; expected"),
    ],
)
def test_a_wrong_schedule_is_found_in_its_place(tmp_path: Any, schedule: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(tmp_path, schedule)


def test_fine_tuning_has_schedules_too(tmp_path: Any) -> None:
    (tmp_path / "x.yaml").write_text("version: 1\nname: x\nmodel: m\ntask: {name: chnsenticorp, data: d}\nschedule: cosine\n")
    loaded = load_finetune_recipe(tmp_path / "x.yaml")
    assert loaded.model_dump(mode="json")["schedule"] == {"name": "cosine", "final_rate": 0.0}
    assert "schedule" not in load_finetune_recipe(tmp_path / "x.yaml", ["schedule=bert-linear"]).model_dump(mode="json")
    assert load_finetune_recipe(tmp_path / "x.yaml", ["schedule.final_rate=0.5"]).schedule.settings == {"final_rate": 0.5}
