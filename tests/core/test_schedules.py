import pytest

from wholeword.core.training.schedules import bert_linear


@pytest.mark.parametrize(
    "step, rate", [(0, 0.0), (1, 1e-8), (9_999, 9.999e-5), (10_000, 9e-5), (50_000, 5e-5), (99_999, 1e-9), (100_000, 0.0)]
)
def test_the_rate_is_that_of_google_bert(step: int, rate: float) -> None:
    assert bert_linear(step, peak_lr=1e-4, warmup_steps=10_000, steps=100_000) == pytest.approx(rate, rel=1e-9, abs=1e-20)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert bert_linear(0, peak_lr=3e-3, warmup_steps=0, steps=10) == 3e-3
