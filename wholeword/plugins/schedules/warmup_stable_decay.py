"""A constant learning rate that decays only at the end, so that a run can be extended from before its decay."""

from collections.abc import Callable
from math import cos, pi, sqrt
from typing import Literal

Shape = Literal["1-sqrt", "linear", "cosine"]

# share of the peak that is left after a share of the decay
SHAPES: dict[Shape, Callable[[float], float]] = {
    "1-sqrt": lambda progress: 1 - sqrt(progress),
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: (1 + cos(pi * progress)) / 2,
}


class WarmupStableDecay:
    """Rises to the peak over the warm-up, stays there, and decays over the last steps.

        step < warmup_steps:          peak_lr * step / warmup_steps
        step < steps - decay_steps:   peak_lr
        otherwise:                    peak_lr * (final_rate + (1 - final_rate) * shape(progress))
                                      progress = (step - (steps - decay_steps)) / decay_steps

    `decay_steps` is `decay_rate * steps` rounded down, and at most what the warm-up leaves.

    Source: Hu et al. 2024 (MiniCPM, arXiv:2404.06395); the shape 1-sqrt from Haegele et al. 2024 (arXiv:2405.18392); `get_wsd_schedule` of
    huggingface/transformers.

    Args:
        decay_rate: share of the steps in which the learning rate decays.
        shape: of the decay.
        final_rate: share of the peak that is left at the end.
    """

    def __init__(self, *, decay_rate: float = 0.1, shape: Shape = "1-sqrt", final_rate: float = 0.0):
        self.decay_rate, self.shape, self.final_rate = decay_rate, SHAPES[shape], final_rate

    def learning_rate(self, step: int, *, steps: int, peak_lr: float, warmup_steps: int) -> float:
        """As the contract says."""
        if step < warmup_steps:
            return peak_lr * step / warmup_steps
        decay_steps = min(int(self.decay_rate * steps), steps - warmup_steps)
        if step < steps - decay_steps:
            return peak_lr
        progress = min(1.0, (step - (steps - decay_steps)) / max(1, decay_steps))
        return peak_lr * (self.final_rate + (1 - self.final_rate) * self.shape(progress))
