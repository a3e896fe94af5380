"""Half a cosine from the peak down."""

from math import cos, pi


class Cosine:
    """Rises to the peak over the warm-up, then falls along half a cosine.

        step < warmup_steps:  peak_lr * step / warmup_steps
        otherwise:            peak_lr * (final_rate + (1 - final_rate) * (1 + cos(pi * progress)) / 2)
                              progress = (step - warmup_steps) / (steps - warmup_steps)

    Source: Loshchilov and Hutter 2017 (SGDR, arXiv:1608.03983), without restarts; `get_cosine_with_min_lr_schedule_with_warmup` of
    huggingface/transformers.

    Args:
        final_rate: share of the peak that is left at the end.
    """

    def __init__(self, *, final_rate: float = 0.0):
        self.final_rate = final_rate

    def learning_rate(self, step: int, *, steps: int, peak_lr: float, warmup_steps: int) -> float:
        """As the contract says."""
        if step < warmup_steps:
            return peak_lr * step / warmup_steps
        progress = (step - warmup_steps) / max(1, steps - warmup_steps)
        return peak_lr * (self.final_rate + (1 - self.final_rate) * (1 + cos(pi * progress)) / 2)
