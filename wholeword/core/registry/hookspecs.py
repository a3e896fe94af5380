"""Every hook a plugin may implement.

A plugin is a module (or object) named by an entry point of the group `wholeword`. It implements any of the hooks below with
`wholeword.hookimpl` and calls `register(name, target, extra=None, help="")` once for each thing it offers:

    name    what a recipe says; letters, digits, `-`, `_`, `.`
    target  "module:object"; imported when a recipe asks for the name, not before
    extra   the extra of the plugin's distribution that installs what the object needs

    help    one line on a command, for `wholeword --help`, which does not import it

What the object must look like is in `wholeword.core.contracts`; `wholeword.core.testing` has a check for each kind, docs/plugins/ a page.
"""

from typing import Protocol

import pluggy

PROJECT = "wholeword"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """The argument of every hook."""

    def __call__(self, name: str, target: str, *, extra: str | None = None, help: str = "") -> None:
        """Offer `target` under `name`."""
        ...


@hookspec
def register_cleaners(register: Register) -> None:
    """Offer cleaners: lines of a corpus -> lines (`contracts.Cleaner`)."""


@hookspec
def register_corpus_formats(register: Register) -> None:
    """Offer corpus formats: the bytes of a file -> documents of lines (`contracts.CorpusFormat`)."""


@hookspec
def register_segmenters(register: Register) -> None:
    """Offer segmenters: sentences -> words (`contracts.Segmenter`)."""


@hookspec
def register_masking(register: Register) -> None:
    """Offer masking strategies: which pieces a model has to predict (`contracts.MaskingStrategy`)."""


@hookspec
def register_backends(register: Register) -> None:
    """Offer backends: one framework's training steps (`contracts.Backend`)."""


@hookspec
def register_optimizers(register: Register) -> None:
    """Offer optimizers (`contracts.Optimizer`)."""


@hookspec
def register_optimizer_kernels(register: Register) -> None:
    """Offer an optimizer's implementation for a framework, named `optimizer.framework` such as `adamw.jax`
    (`contracts.OptimizerKernel`). The object is called with `named_parameters` and the optimizer's settings.
    """


@hookspec
def register_schedules(register: Register) -> None:
    """Offer schedules of the learning rate (`contracts.Schedule`)."""


@hookspec
def register_trackers(register: Register) -> None:
    """Offer trackers: the metrics of a run -> a tool that shows them (`contracts.Tracker`)."""


@hookspec
def register_exporters(register: Register) -> None:
    """Offer exporters: a trained model -> files of another tool (`contracts.Exporter`)."""


@hookspec
def register_tasks(register: Register) -> None:
    """Offer downstream tasks for fine-tuning: original files -> examples, predictions -> metrics (`contracts.Task`)."""


@hookspec
def register_zoo_sources(register: Register) -> None:
    """Offer places that models are read from (`contracts.ZooSource`)."""


@hookspec
def register_commands(register: Register) -> None:
    """Offer subcommands of `wholeword` (`contracts.Command`). A built-in command cannot be replaced."""


# kind of plugin -> its hook
HOOKS = {
    "cleaner": "register_cleaners",
    "corpus_format": "register_corpus_formats",
    "segmenter": "register_segmenters",
    "masking": "register_masking",
    "backend": "register_backends",
    "optimizer": "register_optimizers",
    "optimizer_kernel": "register_optimizer_kernels",
    "schedule": "register_schedules",
    "tracker": "register_trackers",
    "exporter": "register_exporters",
    "task": "register_tasks",
    "zoo_source": "register_zoo_sources",
    "command": "register_commands",
}
