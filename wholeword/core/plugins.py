"""Entry points -> hooks -> entries of the registry.

One plugin never stops another: whatever goes wrong while a plugin is imported, validated or called is kept as the reason it is
broken, beside its distribution and version, and shown by `wholeword plugins`. (pluggy's own loader stops at the first broken
entry point, and finds a misspelt hook only when asked; so each entry point is loaded by itself here.)
"""

import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

import pluggy

from wholeword.core import hookspecs
from wholeword.core.hookspecs import HOOKS, PROJECT

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Entry(NamedTuple):
    """One thing that a plugin offers."""

    kind: str
    name: str
    target: str
    distribution: str
    version: str
    extra: str | None = None

    @property
    def qualified_name(self) -> str:
        return f"{self.distribution}:{self.name}"


class Broken(NamedTuple):
    """A plugin that could not be used, and why."""

    entry_point: str
    distribution: str
    version: str
    reason: str


def discover(points: list[EntryPoint] | None = None) -> tuple[list[Entry], list[Broken]]:
    """Load every plugin that is installed.

    Args:
        points: the entry points to load; by default those of the group `wholeword`.
    """
    if points is None:
        points = sorted(entry_points(group=PROJECT), key=lambda point: (_distribution(point) != PROJECT, _distribution(point), point.name))
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    entries: list[Entry] = []
    broken: list[Broken] = []
    for point in points:
        try:
            found = _offers(manager, point)
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit too
            version = point.dist.version if point.dist else "?"
            broken.append(
                Broken(f"{point.name} = {point.value}", _distribution(point), version, f"{type(error).__name__}: {_one_line(error)}")
            )
        else:
            entries.extend(found)
    return entries, broken


def _offers(manager: pluggy.PluginManager, point: EntryPoint) -> list[Entry]:
    """The entries of one plugin; raises whatever is wrong with it."""
    plugin = point.load()
    manager.register(plugin, name=f"{_distribution(point)}:{point.name}")
    try:
        callers = manager.get_hookcallers(plugin) or []
        for caller in callers:
            if not caller.has_spec():
                raise LookupError(f"unknown hook {caller.name!r}{_did_you_mean(caller.name)}; the hooks are {', '.join(HOOKS.values())}")
        if not callers:
            raise LookupError(
                f"{point.value} implements no hook; mark functions with wholeword.hookimpl and name them as in {', '.join(HOOKS.values())}"
            )
        entries: list[Entry] = []
        for kind, hook in HOOKS.items():
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                if implementation.plugin is plugin:
                    register = _register(kind, point, entries)
                    implementation.function(*[register for _ in implementation.argnames])
        return entries
    finally:
        manager.unregister(plugin)


def _register(kind: str, point: EntryPoint, entries: list[Entry]) -> Any:
    version = point.dist.version if point.dist else "?"

    def register(name: str, target: str, *, extra: str | None = None) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"{HOOKS[kind]}: name {name!r}; expected letters, digits, '-', '_', '.'")
        if not isinstance(target, str) or not TARGET.fullmatch(target):
            raise ValueError(f"{HOOKS[kind]}: target {target!r} of {name!r}; expected a string 'module:object'")
        if any(entry.name == name and entry.kind == kind for entry in entries):
            raise ValueError(f"{HOOKS[kind]}: {name!r} is registered twice")
        entries.append(Entry(kind, name, target, _distribution(point), version, extra))

    return register


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "?"


def _did_you_mean(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, HOOKS.values(), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"
