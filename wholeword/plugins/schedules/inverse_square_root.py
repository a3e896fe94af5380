"""The schedule of the first Transformer."""

from math import sqrt

from wholeword.core.errors import UserError

TIMESCALE = 10_000  # of `get_inverse_sqrt_schedule`, where there is no warm-up


class InverseSquareRoot:
    """Rises to the peak over the warm-up, then falls with the square root of the step. It never reaches 0 and ignores how long a run is.

        step < warmup_steps:  peak_lr * step / warmup_steps
        otherwise:            peak_lr / sqrt((step - warmup_steps + timescale) / timescale)

    With the default timescale the second line is `peak_lr * sqrt(warmup_steps / step)`.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), section 5.3; `get_inverse_sqrt_schedule` of huggingface/transformers.

    Args:
        timescale: steps after which the fall slows down; warmup_steps by default, or 10,000 without a warm-up.
    """

    def __init__(self, *, timescale: int | None = None):
        if timescale is not None and timescale < 1:
            raise UserError(f"timescale: {timescale}; expected a whole number of at least 1")
        self.timescale = timescale

    def learning_rate(self, step: int, *, steps: int, peak_lr: float, warmup_steps: int) -> float:
        """As the contract says."""
        if step < warmup_steps:
            return peak_lr * step / warmup_steps
        timescale = self.timescale or warmup_steps or TIMESCALE
        return peak_lr / sqrt((step - warmup_steps + timescale) / timescale)
