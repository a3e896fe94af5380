"""The part of the checks that needs no settings, no files and no time: for `wholeword doctor`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from wholeword.core.contracts import Backend, CorpusFormat, Optimizer, Tracker
from wholeword.core.testing.cleaner import check_cleaner
from wholeword.core.testing.command import check_command
from wholeword.core.testing.exporter import check_exporter
from wholeword.core.testing.masking import check_masking
from wholeword.core.testing.optimizer import check_kernel
from wholeword.core.testing.samples import LINES, SENTENCES
from wholeword.core.testing.schedule import check_schedule
from wholeword.core.testing.segmenter import check_segmenter
from wholeword.core.testing.task import check_task_facts
from wholeword.core.testing.zoo_source import check_zoo_source


def _has_methods(contract: type, plugin: Any) -> None:
    missing = [
        name for name in vars(contract) if not name.startswith("_") and callable(getattr(contract, name)) and not hasattr(plugin, name)
    ]
    assert not missing, f"{type(plugin).__name__} has no {', '.join(sorted(missing))}; expected contracts.{contract.__name__}"


# kind of plugin -> the check of one made without settings (of a task: with an empty folder; of a command or kernel: of itself)
CHEAP_CHECKS: dict[str, Callable[[Any], None]] = {
    "cleaner": partial(check_cleaner, lines=LINES[:4], idempotent=False),
    "segmenter": partial(check_segmenter, sentences=SENTENCES[:4], lossless=False),
    "masking": partial(check_masking, rate=None, whole_words=False),
    "exporter": partial(check_exporter, reproducible=False),
    "schedule": check_schedule,
    "zoo_source": check_zoo_source,
    "command": check_command,
    "optimizer_kernel": check_kernel,
    "task": check_task_facts,
    # whose work needs a framework, files or a tool: the methods alone
    "backend": partial(_has_methods, Backend),
    "optimizer": partial(_has_methods, Optimizer),
    "tracker": partial(_has_methods, Tracker),
    "corpus_format": partial(_has_methods, CorpusFormat),
}
