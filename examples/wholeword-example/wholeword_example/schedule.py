class Triangle:
    """Rises to the peak over the warm-up, then falls to a share of it."""

    def __init__(self, *, final_rate: float = 0.1):
        self.final_rate = final_rate

    def learning_rate(self, step, *, steps, peak_lr, warmup_steps):
        if step < warmup_steps:
            return peak_lr * step / warmup_steps
        done = (step - warmup_steps) / max(1, steps - warmup_steps)
        return peak_lr * (1 - (1 - self.final_rate) * done)
