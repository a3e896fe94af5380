"""Fixtures for all folders. Imports of wholeword stay inside: the environment tf-legacy does without it."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

# subtle: pytest puts this folder on the path, where the folders `torch` and `tensorflow` would pass for packages that are not installed
HERE = Path(__file__).parent
sys.path[:] = [entry for entry in sys.path if Path(entry).absolute() != HERE]
sys.path.append(str(HERE / "shared"))

if "OMP_WAIT_POLICY" not in os.environ:  # as wholeword/core/threads.py has it, before any test imports a framework
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")


@pytest.fixture(autouse=True)
def silent_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine announces waits on standard error; tests that count lines there shall not depend on its speed."""
    if find_spec("wholeword"):
        monkeypatch.setattr("wholeword.core.console.SILENT_SECONDS", 3600.0)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Offers objects as another distribution's plugins would, in the real registry and until the test ends.

    plugins(kind, name, target, *, distribution="others", version="1.0", extra=None) takes "module:object" or the object
    itself, and returns the new entry. Processes that a test starts (workers of `prepare` too) do not see it.
    """
    from wholeword.core.registry.plugins import Entry, Offers
    from wholeword.core.registry.registry import registry

    module = ModuleType("plugins_of_a_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def offer(kind: str, name: str, target: Any, *, distribution: str = "others", version: str = "1.0", extra: str | None = None) -> Entry:
        if not isinstance(target, str):
            attribute = f"object_{len(vars(module))}"
            setattr(module, attribute, target)
            target = f"{module.__name__}:{attribute}"
        entry = Entry(kind, name, target, distribution, version, extra)
        monkeypatch.setattr(registry, "_offers", Offers([*registry.entries, entry], registry.broken, registry.ignored))
        return entry

    return offer


class Ran(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`wholeword ARGUMENTS` in this process, which has imported everything before: what it printed, and how it ended."""
    from wholeword.cli import main

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = 0
        try:
            main(list(arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        return Ran(code, *capsys.readouterr())

    return run
