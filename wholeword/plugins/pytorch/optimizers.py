"""The kernels for PyTorch, equal to `wholeword.plugins.optimizers.reference`. See `wholeword.core.contracts.OptimizerKernel`."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from wholeword.plugins.optimizers.reference import decays

Named = Iterable[tuple[str, Tensor]]


class AdamW:
    """The kernel of `torch.optim.AdamW(fused=True)`: one pass over parameters, gradients and moments, clipping included."""

    def __init__(self, named_parameters: Named, *, weight_decay: float, beta_1: float, beta_2: float, epsilon: float):
        self.parameters = dict(named_parameters)
        self.weight_decay, self.betas, self.epsilon = weight_decay, {"beta1": beta_1, "beta2": beta_2}, epsilon
        self.slots = _zeros(self.parameters, ("adam_m", "adam_v"))

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], learning_rate: float, *, divisor: Tensor, skip: Tensor) -> None:
        """See `wholeword.core.contracts.OptimizerKernel`."""
        # subtle: the kernel divides by 1 - beta ** step. At this step both are exactly 1, which is BERT's lack of a bias correction.
        late_step = torch.full_like(divisor, 2.0**30, dtype=torch.float32)
        for decay in (True, False):
            names = [name for name in gradients if decays(name) == decay]
            torch._fused_adamw_(
                [self.parameters[name] for name in names],
                [gradients[name] for name in names],
                [self.slots[f"{name}/adam_m"] for name in names],
                [self.slots[f"{name}/adam_v"] for name in names],
                [],
                [late_step] * len(names),
                lr=learning_rate,
                **self.betas,
                weight_decay=self.weight_decay if decay else 0.0,
                eps=self.epsilon,
                amsgrad=False,
                maximize=False,
                grad_scale=divisor,
                found_inf=skip,
            )


class Lamb:
    """LAMB in a few passes over all tensors at once. Asking `skip` waits for the device, once a step."""

    def __init__(self, named_parameters: Named, *, variant: str, weight_decay: float, beta_1: float, beta_2: float, epsilon: float):
        self.parameters = dict(named_parameters)
        self.variant, self.weight_decay, self.beta_1, self.beta_2, self.epsilon = variant, weight_decay, beta_1, beta_2, epsilon
        self.slots = _zeros(self.parameters, ("lamb_m", "lamb_v"))
        if variant in ("tfa", "nvlamb"):
            self.slots["lamb_step"] = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], learning_rate: float, *, divisor: Tensor, skip: Tensor) -> None:
        """See `wholeword.core.contracts.OptimizerKernel`."""
        names = list(gradients)
        if skip or not names:
            return
        parameters = [self.parameters[name] for name in names]
        m, v = [self.slots[f"{name}/lamb_m"] for name in names], [self.slots[f"{name}/lamb_v"] for name in names]
        clipped = torch._foreach_div(list(gradients.values()), divisor)
        if self.variant == "nvlamb":
            torch._foreach_div_(clipped, norms(clipped).norm().clamp(min=1.0))
        torch._foreach_mul_(m, self.beta_1)
        torch._foreach_add_(m, clipped, alpha=1 - self.beta_1)
        torch._foreach_mul_(v, self.beta_2)
        torch._foreach_addcmul_(v, clipped, clipped, 1 - self.beta_2)

        correct_1 = correct_2 = 1.0
        if "lamb_step" in self.slots:
            num_steps = int(self.slots["lamb_step"].add_(1))
            correct_1, correct_2 = 1 - self.beta_1**num_steps, 1 - self.beta_2**num_steps
        denominators = torch._foreach_div(v, correct_2)
        torch._foreach_sqrt_(denominators)
        torch._foreach_add_(denominators, self.epsilon)
        updates = torch._foreach_div(m, correct_1)
        torch._foreach_div_(updates, denominators)
        decaying = [number for number, name in enumerate(names) if decays(name)]
        if decaying:
            torch._foreach_add_([updates[i] for i in decaying], [parameters[i] for i in decaying], alpha=self.weight_decay)

        adapted = decaying if self.variant in ("google", "tfa") else range(len(names))
        if adapted:
            parameter_norms, update_norms = norms([parameters[i] for i in adapted]), norms([updates[i] for i in adapted])
            ratios = torch.where((parameter_norms > 0) & (update_norms > 0), parameter_norms / update_norms, 1.0)
            torch._foreach_mul_([updates[i] for i in adapted], list(ratios.unbind()))
        torch._foreach_add_(parameters, updates, alpha=-learning_rate)


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of each tensor, [len(tensors)]."""
    # subtle: over rows first, since on a CPU one sum of 16 million squares in float32 is off by a thousandth
    rows = [torch.linalg.vector_norm(tensor, dim=-1) for tensor in tensors]
    return torch.stack(torch._foreach_norm(rows))


def _zeros(parameters: dict[str, Tensor], slots: tuple[str, ...]) -> dict[str, Tensor]:
    return {f"{name}/{slot}": torch.zeros_like(parameter) for name, parameter in parameters.items() for slot in slots}
