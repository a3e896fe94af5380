"""Everything `wholeword check` prints: the plan of a recipe, its TPU, and advice."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from wholeword.core.config.job import Job
from wholeword.planning.advice import Advice, advise
from wholeword.planning.machine import this_machine
from wholeword.planning.plan import DEVICES, UTILISATION, Plan, local_vocabulary, plan, planned_config
from wholeword.planning.tpu import TpuPlan, plan_tpu


@dataclass(frozen=True)
class Check:
    """What a recipe will do and need."""

    plan: Plan
    advice: list[Advice]
    warnings: list[str]
    tpu: TpuPlan | None

    def plain(self) -> dict[str, Any]:
        """What `wholeword check --json` prints."""
        tpu = asdict(self.tpu) if self.tpu else None
        return asdict(self.plan) | {"advice": [item.plain() for item in self.advice], "warnings": self.warnings, "tpu": tpu}

    def lines(self) -> list[str]:
        """The same for people; warnings are printed where a recipe is read."""
        return [*self.plan.lines(), *(self.tpu.lines() if self.tpu else []), *(f"advice: {item}" for item in self.advice)]


def check(job: Job, *, warnings: list[str], is_template: bool) -> Check:
    """Check a recipe.

    Args:
        warnings: those of the recipe itself.
        is_template: see `wholeword.planning.plan.plan`, which raises the errors too.
    """
    numbers = plan(job, is_template=is_template)
    if machine := this_machine(DEVICES, device=str(job.backend.settings.get("device", "auto"))):
        numbers = replace(numbers, machine=machine.name, machine_hours=numbers.flops / machine.flops / 3600)
    config = planned_config(job, numbers.vocab_size)
    counted = numbers if numbers.num_tokens else None
    advice = advise(job, config, plan=counted, vocabulary=local_vocabulary(job))
    return Check(numbers, advice, warnings, plan_tpu(job, config, utilisation=UTILISATION))


def early_advice(job: Job) -> list[Advice]:
    """Advice that needs neither corpus nor vocabulary, before a run."""
    return advise(job, planned_config(job, vocab_size=1))
