"""Everything `wholeword check` prints about a pre-training recipe: its plan, its TPU, advice, and what would stop it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from wholeword.core.config.job import Job
from wholeword.planning.advice import Advice, advise
from wholeword.planning.corpus import local_vocabulary
from wholeword.planning.machine import this_machine
from wholeword.planning.plan import UTILISATION, Plan, planned_config
from wholeword.planning.preflight import preflight
from wholeword.planning.tpu import TpuPlan, plan_tpu


@dataclass(frozen=True)
class Check:
    """What a recipe will do and need.

    Args:
        plan: None where a problem hides the numbers.
        missing: what a template lacks on this machine.
        problems: what would stop the run.
    """

    plan: Plan | None
    advice: list[Advice]
    warnings: list[str]
    tpu: TpuPlan | None
    missing: list[str]
    problems: list[str]

    def plain(self) -> dict[str, Any]:
        """What `wholeword check --json` prints."""
        numbers = asdict(self.plan) if self.plan else {}
        tpu = asdict(self.tpu) if self.tpu else None
        advice = [item.plain() for item in self.advice]
        return numbers | {"advice": advice, "warnings": self.warnings, "tpu": tpu, "missing": self.missing, "problems": self.problems}

    def lines(self) -> list[str]:
        """The same for people; warnings and problems are printed elsewhere."""
        numbers = self.plan.lines() if self.plan else []
        return [*numbers, *(self.tpu.lines() if self.tpu else []), *(f"not here yet: {line}" for line in self.missing), *self._advice()]

    def _advice(self) -> list[str]:
        return [f"advice: {item}" for item in self.advice]


def check(job: Job, *, warnings: Sequence[str] = (), is_shipped: bool = False) -> Check:
    """Check a recipe.

    Args:
        warnings: those of the recipe itself.
        is_shipped: see `wholeword.planning.preflight.preflight`.
    Raises: IntegrityError if a store is damaged.
    """
    numbers, problems, is_template, file_warnings = preflight(job, is_shipped=is_shipped)
    missing, lines = (problems.problems, []) if is_template and numbers else ([], problems.problems)
    every_warning = [*warnings, *file_warnings, *problems.warnings]
    if numbers is None:
        return Check(None, [], every_warning, None, missing, lines)
    if machine := this_machine(device=str(job.backend.settings.get("device", "auto"))):
        numbers = replace(numbers, machine=machine.name, machine_hours=numbers.flops / machine.flops / 3600)
    config = planned_config(job, numbers.vocab_size, is_template=is_template)
    counted = numbers if numbers.num_tokens else None
    advice = advise(job, config, plan=counted, vocabulary=local_vocabulary(job.prepare))
    return Check(numbers, advice, every_warning, plan_tpu(job, config, utilisation=UTILISATION), missing, lines)


def early_advice(job: Job) -> list[Advice]:
    """Advice that needs neither corpus nor vocabulary, before a run."""
    return advise(job, planned_config(job, vocab_size=1))
