"""Former names of modules, which import with a DeprecationWarning until 0.2.

Until the rooms of ARCHITECTURE.md, all of `core` was in one folder; scripts that were written then keep working.
"""

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

PACKAGE = "wholeword"
TASKS = "plugins.tasks"
MOVED = {  # a package that is gone has no present name
    "core.advice": "planning.advice",
    "core.bench": None,
    **{f"core.bench.{name}": f"finetuning.bench.{name}" for name in ("compare", "recipe", "results", "run", "search", "tables")},
    "core.bench.figures": "finetuning.statistics",
    "core.checkpoints": "core.formats.checkpoints",
    "core.data.prepare": "core.training.prepare",
    "core.data.ragged": "core.ragged",
    "core.data.tfrecord": "core.formats.tfrecord",
    "core.data.vocabulary": "core.vocabulary",
    "core.doctor": "planning.doctor",
    "core.evaluation": "core.training.evaluation",
    "core.fill": "core.training.fill",
    "core.finetune": "finetuning.finetune",
    "core.heads": "core.bert.heads",
    "core.hookspecs": "core.registry.hookspecs",
    "core.hosts": "core.training.hosts",
    "core.interfaces": "core.contracts",
    "core.leakage": "reports.leakage",
    "core.locations": "core.config.locations",
    "core.mapped_tensors": "core.formats.mapped_tensors",
    "core.model": "core.bert.shapes",
    "core.pdparams": "core.formats.pdparams",
    "core.pickles": "core.formats.pickles",
    "core.plan": "planning.plan",
    "core.plugins": "core.registry.plugins",
    "core.preview": "reports.preview",
    "core.reference": "core.bert.forward",
    "core.repair": "core.training.repair",
    "core.report": None,
    **{f"core.report.{name}": f"reports.{name}" for name in ("compare", "lines", "masks", "sample", "source")},
    "core.run": "core.training.run",
    "core.schedules": "core.training.schedules",
    "core.settings": "core.config.settings",
    "core.sources": "core.training.sources",
    "core.tasks": None,
    "core.tasks.examples": "core.contracts.tasks",
    "core.tasks.metrics": f"{TASKS}.metrics",
    "core.tasks.rows": "finetuning.rows",
    "core.tasks.words": f"{TASKS}.words",
    "core.tensor_bundle": "core.formats.tensor_bundle",
    "core.tensors": "core.formats.tensors",
    "core.tfrecords": "core.training.records",
    "core.tpu": "planning.tpu",
    "core.vocabulary_growth": "core.bert.growth",
    "exporters.names": "core.bert.names",
    "zoo.bins": "core.formats.torch_bin",
}


def _present(former: str) -> ModuleType:
    # the names above are of rooms that core does not know; nothing is imported before a script asks for it by a former name
    return import_module(".".join((PACKAGE, str(MOVED[former]))))


def _preview(*arguments: Any, **options: Any) -> Any:
    """`preview` returned one dict for each sentence and strategy."""
    return [item.plain() for item in _present("core.preview").preview(*arguments, **options)]


def _bind(strategy: Any, tokenizer: Any) -> Any:
    """`bind` took no name."""
    if hasattr(strategy, "bind"):
        strategy.bind(tokenizer)
    return strategy


CHANGED: dict[str, dict[str, Callable[..., Any]]] = {"core.preview": {"preview": _preview}, "core.sources": {"bind": _bind}}


def find_spec(name: str) -> ModuleSpec | None:
    """The module of a former name; None for any other."""
    former = name.removeprefix(f"{PACKAGE}.")
    return ModuleSpec(name, cast(Any, MovedModule), is_package=MOVED[former] is None) if former in MOVED else None


class MovedModule:
    """Loads modules by their former names; see `importlib.abc.Loader`."""

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Leave it to Python."""

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Make the module hand out what the present one has."""
        former = module.__name__.removeprefix(f"{PACKAGE}.")
        if (present := MOVED[former]) is None:
            return
        warnings.warn(f"{module.__name__} is now {PACKAGE}.{present}", DeprecationWarning, stacklevel=2)
        target = _present(former)
        vars(module).update(CHANGED.get(former, {}))
        module.__dict__["__getattr__"] = lambda name: getattr(target, name)
