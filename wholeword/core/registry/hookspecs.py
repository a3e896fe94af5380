"""Every hook a plugin may implement.

A plugin is a module (or object) named by an entry point of the group `wholeword`. It implements any of the hooks below with
`wholeword.hookimpl` and calls `register(name, target, extra=None)` once for each thing it offers:

    name    what a recipe says; letters, digits, `-`, `_`, `.`
    target  "module:object"; imported when a recipe asks for the name, not before
    extra   the extra of the plugin's distribution that installs what the object needs

What the object must look like is in `interfaces.py`, and `testing.py` has a check for it.
"""

from typing import Protocol

import pluggy

PROJECT = "wholeword"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """The argument of every hook."""

    def __call__(self, name: str, target: str, *, extra: str | None = None) -> None:
        """Offer `target` under `name`."""
        ...


@hookspec
def register_cleaners(register: Register) -> None:
    """Offer cleaners: lines of a corpus -> lines (`interfaces.Cleaner`)."""


@hookspec
def register_segmenters(register: Register) -> None:
    """Offer segmenters: sentences -> words (`interfaces.Segmenter`)."""


@hookspec
def register_masking(register: Register) -> None:
    """Offer masking strategies: which pieces a model has to predict (`interfaces.MaskingStrategy`)."""


@hookspec
def register_backends(register: Register) -> None:
    """Offer backends: one framework's training steps (`interfaces.Backend`)."""


@hookspec
def register_optimizers(register: Register) -> None:
    """Offer optimizers (`interfaces.Optimizer`)."""


@hookspec
def register_optimizer_kernels(register: Register) -> None:
    """Offer an optimizer's implementation for a framework, named `optimizer.framework` such as `adamw.jax`
    (`interfaces.OptimizerKernel`). The object is called with `named_parameters` and the optimizer's settings.
    """


@hookspec
def register_schedules(register: Register) -> None:
    """Offer schedules of the learning rate (`interfaces.Schedule`)."""


@hookspec
def register_exporters(register: Register) -> None:
    """Offer exporters: a trained model -> files of another tool (`interfaces.Exporter`)."""


@hookspec
def register_tasks(register: Register) -> None:
    """Offer downstream tasks for fine-tuning: original files -> examples, predictions -> figures (`interfaces.Task`)."""


@hookspec
def register_zoo_sources(register: Register) -> None:
    """Offer places that models are read from (`interfaces.ZooSource`)."""


# kind of plugin -> its hook
HOOKS = {
    "cleaner": "register_cleaners",
    "segmenter": "register_segmenters",
    "masking": "register_masking",
    "backend": "register_backends",
    "optimizer": "register_optimizers",
    "optimizer_kernel": "register_optimizer_kernels",
    "schedule": "register_schedules",
    "exporter": "register_exporters",
    "task": "register_tasks",
    "zoo_source": "register_zoo_sources",
}
