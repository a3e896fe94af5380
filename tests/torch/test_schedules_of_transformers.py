"""The schedules beside those of transformers, over every step of a run."""

from functools import partial
from typing import Any

import pytest
import torch
from transformers import optimization

from wholeword.core.training.schedules import make_schedule

STEPS, PEAK = 300, 3e-4
SCHEDULES: list[tuple[str, dict[str, Any], Any]] = [
    ("constant", {}, optimization.get_constant_schedule_with_warmup),
    ("cosine", {}, partial(optimization.get_cosine_schedule_with_warmup, num_training_steps=STEPS)),
    (
        "cosine",
        {"final_rate": 0.1},
        partial(optimization.get_cosine_with_min_lr_schedule_with_warmup, num_training_steps=STEPS, min_lr_rate=0.1),
    ),
    ("inverse-square-root", {}, optimization.get_inverse_sqrt_schedule),
    ("inverse-square-root", {"timescale": 50}, partial(optimization.get_inverse_sqrt_schedule, timescale=50)),
    *(
        (
            "warmup-stable-decay",
            {"decay_rate": 0.2, "shape": shape},
            partial(optimization.get_wsd_schedule, num_training_steps=STEPS, num_decay_steps=60, decay_type=shape),
        )
        for shape in ("linear", "cosine", "1-sqrt")
    ),
]


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("warmup_steps", [0, 1, 30])
@pytest.mark.parametrize("name, settings, reference", SCHEDULES)
def test_equal_to_that_of_transformers(name: str, settings: dict[str, Any], reference: Any, warmup_steps: int) -> None:
    scheduler = reference(torch.optim.SGD([torch.zeros(1)], lr=PEAK), num_warmup_steps=warmup_steps)
    rate = make_schedule(name, settings, steps=STEPS, peak_lr=PEAK, warmup_steps=warmup_steps)
    for step in range(STEPS + 1):
        assert rate(step) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12, abs=1e-20), step
        scheduler.step()
