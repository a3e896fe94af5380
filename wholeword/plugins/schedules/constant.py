"""A learning rate that stays where it is after the warm-up."""


class Constant:
    """Rises to the peak over the warm-up and stays there.

        step < warmup_steps:  peak_lr * step / warmup_steps
        otherwise:            peak_lr

    Source: `get_constant_schedule_with_warmup` of huggingface/transformers.
    """

    def learning_rate(self, step: int, *, steps: int, peak_lr: float, warmup_steps: int) -> float:
        """As the contract says."""
        return peak_lr * step / warmup_steps if step < warmup_steps else peak_lr
