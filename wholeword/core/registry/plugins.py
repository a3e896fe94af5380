"""Entry points -> hooks -> entries of the registry.

One plugin never stops another: whatever goes wrong while a plugin is imported, validated or called is kept as the reason it is
broken, beside its distribution and version, and shown by `wholeword plugins`. (pluggy's own loader stops at the first broken
entry point, and finds a misspelt hook only when asked; so each entry point is loaded by itself here.)
"""

import re
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

import pluggy

from wholeword.core.registry import hookspecs
from wholeword.core.registry.hookspecs import HOOKS, PROJECT

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
KERNEL = re.compile(r".+\.[^.]+")  # optimizer.framework
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Entry(NamedTuple):
    """One thing that a plugin offers."""

    kind: str
    name: str
    target: str
    distribution: str
    version: str
    extra: str | None = None
    help: str = ""  # of a command

    @property
    def qualified_name(self) -> str:
        """The unambiguous name, `distribution:name`."""
        return f"{self.distribution}:{self.name}"


class Broken(NamedTuple):
    """A plugin that could not be used, and why."""

    entry_point: str
    distribution: str
    version: str
    reason: str


class Ignored(NamedTuple):
    """A hook that this version does not know, of a plugin that works without it."""

    entry_point: str
    distribution: str
    version: str
    reason: str


class Offers(NamedTuple):
    """What the installed plugins offer, and what is wrong with them."""

    entries: list[Entry]
    broken: list[Broken]
    ignored: Sequence[Ignored] = ()


class Source(NamedTuple):
    """An entry point, and whose it is. (importlib parses a distribution's metadata at every question for its name.)"""

    distribution: str
    version: str
    point: EntryPoint


def discover() -> Offers:
    """Load every plugin that is installed: our own first, then by distribution."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    sources = [_source(point) for point in entry_points(group=PROJECT) if point.dist]
    entries: list[Entry] = []
    broken: list[Broken] = []
    ignored: list[Ignored] = []
    for source in sorted(sources, key=lambda source: (source.distribution != PROJECT, source.distribution, source.point.name)):
        where = f"{source.point.name} = {source.point.value}", source.distribution, source.version
        try:
            offered, unknown = _offers(manager, source)
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit too
            broken.append(Broken(*where, f"{type(error).__name__}: {_one_line(error)}"))
        else:
            entries.extend(offered)
            ignored.extend(Ignored(*where, reason) for reason in unknown)
    return Offers(entries, broken, ignored)


def _source(point: EntryPoint) -> Source:
    assert point.dist is not None
    metadata = point.dist.metadata  # parsed at every access, with the package's whole README in it
    return Source(metadata["Name"], metadata["Version"], point)


def _offers(manager: pluggy.PluginManager, source: Source) -> tuple[list[Entry], list[str]]:
    """The entries of one plugin, and a line for each of its hooks that is unknown; raises whatever else is wrong with it."""
    plugin = source.point.load()
    manager.register(plugin, name=f"{source.distribution}:{source.point.name}")
    try:
        callers = manager.get_hookcallers(plugin) or []
        known = ", ".join(HOOKS.values())
        if not callers:
            raise LookupError(
                f"{source.point.value} implements no hook; mark functions with wholeword.hookimpl and name them as in {known}"
            )
        unknown = [caller.name for caller in callers if not caller.has_spec()]
        if len(unknown) == len(callers):
            raise LookupError(f"unknown hook {unknown[0]!r}{_did_you_mean(unknown[0])}; the hooks are {known}")
        entries: list[Entry] = []
        for kind, hook in HOOKS.items():
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                if implementation.plugin is plugin:
                    register = _register(kind, source, entries)
                    implementation.function(*[register for _ in implementation.argnames])
        optional = {caller.name for caller in callers if all(hook.optionalhook for hook in caller.get_hookimpls() if hook.plugin is plugin)}
        return entries, [f"unknown hook {name!r}{_did_you_mean(name)}; ignored" for name in unknown if name not in optional]
    finally:
        manager.unregister(plugin)


def _register(kind: str, source: Source, entries: list[Entry]) -> Any:
    def register(name: str, target: str, *, extra: str | None = None, help: str = "") -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"{HOOKS[kind]}: name {name!r}; expected letters, digits, '-', '_', '.'")
        if kind == "optimizer_kernel" and not KERNEL.fullmatch(name):
            raise ValueError(f"{HOOKS[kind]}: name {name!r}; expected optimizer.framework, such as 'adamw.jax'")
        if not isinstance(target, str) or not TARGET.fullmatch(target):
            raise ValueError(f"{HOOKS[kind]}: target {target!r} of {name!r}; expected a string 'module:object'")
        if any(entry.name == name and entry.kind == kind for entry in entries):
            raise ValueError(f"{HOOKS[kind]}: {name!r} is registered twice")
        entries.append(Entry(kind, name, target, source.distribution, source.version, extra, " ".join(str(help).split())))

    return register


def _did_you_mean(name: str) -> str:
    from difflib import get_close_matches

    hooks = {hook.removeprefix("register_"): hook for hook in HOOKS.values()}
    close = get_close_matches(name.removeprefix("register_"), hooks, n=1)
    return f"; did you mean {hooks[close[0]]!r}?" if close else ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"
