"""BERT's own schedule, the default."""


class BertLinear:
    """Rises to the peak over the warm-up, then falls to 0 at the last step.

        step < warmup_steps:  peak_lr * step / warmup_steps
        otherwise:            peak_lr * (1 - step / steps)

    The two lines do not meet: the second falls from `peak_lr` at step 0, so the rate drops where the warm-up ends (to 0.9 of the peak after
    a warm-up of a tenth). Both this and the rate of 0 in the first step follow the original.

    Source: `create_optimizer` of google-research/bert `optimization.py`.
    """

    def learning_rate(self, step: int, *, steps: int, peak_lr: float, warmup_steps: int) -> float:
        """As the contract says."""
        if step < warmup_steps:
            return peak_lr * step / warmup_steps
        return peak_lr * max(0.0, 1.0 - step / steps)
