"""What this machine has, for `wholeword doctor` and bug reports."""

import os
import platform
import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from wholeword.core.console import doing
from wholeword.core.contracts import DescribedBackend
from wholeword.core.errors import UserError, WholewordError
from wholeword.core.registry.plugins import Broken, Ignored
from wholeword.core.registry.registry import registry
from wholeword.core.testing import CHEAP_CHECKS

LIBRARIES = (
    "numpy tokenizers safetensors pydantic click rich pluggy pyyaml huggingface-hub jieba rjieba "
    "torch transformers tensorflow keras-hub paddlepaddle paddlenlp ltp snownlp"
).split()


def examine() -> dict[str, dict[str, Any]]:
    """Machine, versions, plugins; imports and tries every plugin, so it may take some seconds."""
    return {
        "machine": {
            "python": f"{platform.python_version()} ({platform.platform()})",
            "cores": os.cpu_count(),
            "memory": _memory(),
            "disk free here": f"{shutil.disk_usage('.').free / 2**30:.0f} GiB",
        },
        "libraries": {name: _version(name) for name in ["wholeword", *LIBRARIES]},
        "plugins": {f"{entry.kind} {entry.qualified_name}": _state(entry.kind, entry.qualified_name) for entry in registry.entries}
        | _reasons("broken", registry.broken)
        | _reasons("ignored", registry.ignored),
        "backends": {
            entry.name if registry.has_bare_name(entry) else entry.qualified_name: _devices(entry.qualified_name)
            for entry in registry.entries
            if entry.kind == "backend"
        },
    }


def _reasons(state: str, plugins: Sequence[Broken | Ignored]) -> dict[str, str]:
    """One item for each distribution, which may have several such plugins or hooks."""
    reasons: dict[str, list[str]] = {}
    for plugin in plugins:
        reasons.setdefault(f"{state} {plugin.distribution}", []).append(plugin.reason)
    return {key: ", ".join(values) for key, values in reasons.items()}


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _state(kind: str, name: str) -> str:
    """Whether a plugin can be created without settings, and passes its checks in `CHEAP_CHECKS`; "ok" or the problem."""
    try:
        with doing(f"loading {kind} {name}"):
            plugin = registry.load(kind, name)
        check = CHEAP_CHECKS[kind]
        if kind == "task":
            return _state_of_task(name)
        if kind == "optimizer_kernel" and not registry.has("optimizer", (optimizer := name.split(":")[-1].rpartition(".")[0])):
            return f"never used: there is no optimizer {optimizer!r}"
        if kind not in ("command", "optimizer_kernel"):
            needed = [key for key, parameter in registry.parameters(kind, name).items() if parameter.default is parameter.empty]
            if needed:
                return f"ok; not checked, because it needs the setting {needed[0]!r}"
            if name == "wholeword:ltp" and find_spec("ltp_extension"):  # making it reads a model
                return "ok"
            plugin = registry.create(kind, name)
            if name == "wholeword:ltp":  # using it fetches one
                return "ok"
        with doing(f"checking {kind} {name}"):
            check(plugin)
    except WholewordError as error:
        return str(error)
    except AssertionError as error:
        return f"breaks its contract: {' '.join(str(error).split())}"
    except (Exception, SystemExit) as error:
        return str(registry.explained(kind, name, error))
    return "ok"


def _state_of_task(name: str) -> str:
    """A task is made with an empty folder; what it says without its files is checked."""
    others = [key for key, parameter in registry.parameters("task", name).items() if parameter.default is parameter.empty and key != "data"]
    if others:
        return f"ok; not checked, because it needs the setting {others[0]!r}"
    with TemporaryDirectory() as folder:
        try:
            task = registry.create("task", name, **({"data": Path(folder)} if "data" in registry.parameters("task", name) else {}))
        except UserError:
            return "ok; not checked, because it reads its files at once"
    CHEAP_CHECKS["task"](task)
    return "ok"


def _devices(name: str) -> str:
    """What a backend would compute on, or the problem with it."""
    try:
        with doing(f"starting {name}"):
            backend = registry.create("backend", name)
            description: object = backend.describe() if isinstance(backend, DescribedBackend) else "ok"
        if not isinstance(description, str):
            raise TypeError(f"describe() returned {description!r}; expected text")
        return description
    except WholewordError as error:
        return str(error)
    except (Exception, SystemExit) as error:
        return str(registry.explained("backend", name, error))
