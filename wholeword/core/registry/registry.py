"""name -> object, by kind; imported on first use, with answers that help when it cannot be."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wholeword.core.errors import AmbiguousPluginError, PluginError, UnknownPluginError, WholewordError
from wholeword.core.registry.hookspecs import HOOKS, PROJECT
from wholeword.core.registry.plugins import Broken, Entry, Ignored, Offers, discover

if TYPE_CHECKING:
    import inspect

# what to install for a library whose import name is not its distribution's
DISTRIBUTIONS = {"yaml": "pyyaml", "huggingface_hub": "huggingface-hub", "keras_hub": "keras-hub", "paddle": "paddlepaddle"}


class Registry:
    """What the installed plugins offer.

    A bare name means wholeword's own plugin where there is one, so that installing a package never changes a recipe; `distribution:name`
    names any other. A name that only other distributions share is an error, but not before it is used.

    Args:
        offers: entries and broken plugins; by default what is installed, looked up on first use.
    """

    def __init__(self, offers: tuple[list[Entry], list[Broken]] | Offers | None = None):
        if offers is not None:
            self._offers = Offers(*offers)

    @cached_property
    def _offers(self) -> Offers:
        return discover()

    @property
    def entries(self) -> list[Entry]:
        """Everything that can be used."""
        return self._offers.entries

    @property
    def broken(self) -> list[Broken]:
        """The plugins that cannot."""
        return self._offers.broken

    @property
    def ignored(self) -> Sequence[Ignored]:
        """The hooks that this version does not know."""
        return self._offers.ignored

    def names(self, kind: str) -> list[str]:
        """The bare names of a kind, sorted."""
        assert kind in HOOKS, kind
        return sorted({entry.name for entry in self.entries if entry.kind == kind})

    def clashes(self) -> list[list[Entry]]:
        """Entries that share kind and name."""
        groups: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            groups.setdefault((entry.kind, entry.name), []).append(entry)
        return [group for group in groups.values() if len(group) > 1]

    def find(self, kind: str, name: str) -> Entry:
        """The entry called `name` or `distribution:name`; of several, wholeword's own.

        Raises: UnknownPluginError if there is none (with the nearest names and the whole list); AmbiguousPluginError if there are several
            of other distributions.
        """
        matches = self._matches(kind, name)
        if len(matches) == 1 or (matches and matches[0].distribution == PROJECT):
            return matches[0]
        if matches:
            choices = _choices(entry.qualified_name for entry in matches)
            raise AmbiguousPluginError(f"{len(matches)} plugins offer the {kind} {name!r}; write {choices}")
        from difflib import get_close_matches

        names = self.names(kind)
        close = get_close_matches(name, [*names, *(entry.qualified_name for entry in self.entries if entry.kind == kind)], n=1)
        suggestion = f"; did you mean {close[0]!r}?" if close else ""
        notes = [f" (broken plugin {plugin.distribution}: {plugin.reason})" for plugin in self.broken]
        notes += [f" (plugin {plugin.distribution}: {plugin.reason})" for plugin in self.ignored if repr(HOOKS[kind]) in plugin.reason]
        message = f"unknown {kind} {name!r}{suggestion or ';'} expected one of: {', '.join(names) or 'none installed'}"
        raise UnknownPluginError(message + "".join(notes))

    def has(self, kind: str, name: str) -> bool:
        """Whether there is anything called `name` or `distribution:name`."""
        return bool(self._matches(kind, name))

    def canonical_name(self, kind: str, name: str) -> str:
        """The one spelling of a name: bare for wholeword's own, as given for others. Raises: PluginError as `find`."""
        entry = self.find(kind, name)
        return entry.name if entry.distribution == PROJECT else entry.qualified_name if ":" in name else name

    def shadowed(self, kind: str, name: str) -> str | None:
        """A warning for a bare name of wholeword's own that other distributions offer too; None where there is nothing to say."""
        matches = self._matches(kind, name)
        if len(matches) < 2 or matches[0].distribution != PROJECT:
            return None
        others = matches[1:]
        names = " and ".join(entry.distribution for entry in others)
        choices = _choices(entry.qualified_name for entry in others)
        return f"{kind} {name!r} means wholeword's own, although {names} offer{'s' * (len(others) == 1)} it too; write {choices} for that"

    def ignored_hooks(self, entry: Entry) -> str | None:
        """A warning if the distribution of an entry implements hooks that this version does not know; None if it does not."""
        reasons = [plugin.reason for plugin in self.ignored if plugin.distribution == entry.distribution]
        return f"plugin {entry.distribution} {entry.version}: {', '.join(reasons)}" if reasons else None

    def has_bare_name(self, entry: Entry) -> bool:
        """Whether the bare name of an entry means this one."""
        first, *others = self._matches(entry.kind, entry.name)
        return first == entry and (entry.distribution == PROJECT or not others)

    def _matches(self, kind: str, name: str) -> list[Entry]:
        """Everything called `name` or `distribution:name`, wholeword's own first."""
        assert kind in HOOKS, kind
        distribution, _, bare = name.rpartition(":")
        matches = [entry for entry in self.entries if entry.kind == kind and entry.name == bare]
        if distribution:
            matches = [entry for entry in matches if _same_distribution(entry.distribution, distribution)]
        return sorted(matches, key=lambda entry: entry.distribution != PROJECT)

    def load(self, kind: str, name: str) -> Any:
        """Import the object called `name`.

        Raises: PluginError that names the distribution, and the pip line when a library is missing.
        """
        entry = self.find(kind, name)
        module, attribute = entry.target.split(":")
        try:
            return getattr(import_module(module), attribute)
        except Exception as error:
            raise _explained(entry, error) from error

    def create(self, kind: str, name: str, **settings: Any) -> Any:
        """Import and call it with a recipe's settings.

        Raises: PluginError as `load` does, and for whatever its constructor raises that is not a WholewordError itself.
        """
        target = self.load(kind, name)
        try:
            return target(**settings)
        except WholewordError:
            raise
        except Exception as error:
            raise _explained(self.find(kind, name), error) from error

    def explained(self, kind: str, name: str, error: BaseException) -> PluginError:
        """The error to show for one that a plugin's code raised."""
        return _explained(self.find(kind, name), error)

    @contextmanager
    def explaining(self, kind: str, name: str) -> Iterator[None]:
        """Around a use of a plugin's object that may import its library. Raises: PluginError with the pip line when it is missing."""
        try:
            yield
        except ModuleNotFoundError as error:
            raise _explained(self.find(kind, name), error) from error

    def parameters(self, kind: str, name: str) -> dict[str, "inspect.Parameter"]:
        """The settings of a plugin: keyword-only parameters of its object, annotations evaluated."""
        import inspect

        target = self.load(kind, name)
        try:
            signature = inspect.signature(target, eval_str=True)
        except Exception as error:
            raise _explained(self.find(kind, name), error) from error
        parameters = list(signature.parameters.values())
        wrong = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        if wrong:
            where = f"{kind} {name!r}: {', '.join(wrong)} of {self.find(kind, name).target}"
            raise PluginError(f"{where} must be keyword-only; a recipe gives settings by name")
        return {parameter.name: parameter for parameter in parameters}


def _explained(entry: Entry, error: BaseException) -> PluginError:
    """The error to show the user; for a missing library, it includes the pip command."""
    where = f"{entry.kind} {entry.name!r}"
    missing = error.name.split(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else None
    if missing and missing != entry.target.split(".")[0].split(":")[0]:
        requirement = f'"{entry.distribution}[{entry.extra}]"' if entry.extra else DISTRIBUTIONS.get(missing, missing)
        origin = "" if entry.distribution == PROJECT else f" of {entry.distribution}"
        return PluginError(f"{where}{origin} needs {missing!r}: pip install {requirement}")
    message = " ".join(str(error).split())
    return PluginError(f"{where} of {entry.distribution} {entry.version} failed: {type(error).__name__}: {message}")


def _same_distribution(one: str, other: str) -> bool:
    """`My_Plugin` is `my-plugin`, as for pip."""
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()


def _choices(words: Iterable[str]) -> str:
    return " or ".join(repr(word) for word in words)


registry = Registry()
