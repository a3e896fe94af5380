"""name -> object, by kind; imported on first use, with answers that help when it cannot be."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wholeword.core.errors import PluginError, WholewordError
from wholeword.core.registry.hookspecs import HOOKS
from wholeword.core.registry.plugins import Broken, Entry, discover

if TYPE_CHECKING:
    import inspect

# what to install for a library whose import name is not its distribution's
DISTRIBUTIONS = {"yaml": "pyyaml", "huggingface_hub": "huggingface-hub", "keras_hub": "keras-hub", "paddle": "paddlepaddle"}


class Registry:
    """What the installed plugins offer.

    A name offered by two distributions is an error only when it is asked for; `distribution:name` settles it.

    Args:
        offers: entries and broken plugins; by default what is installed, looked up on first use.
    """

    def __init__(self, offers: tuple[list[Entry], list[Broken]] | None = None):
        if offers is not None:
            self._offers = offers

    @cached_property
    def _offers(self) -> tuple[list[Entry], list[Broken]]:
        return discover()

    @property
    def entries(self) -> list[Entry]:
        return self._offers[0]

    @property
    def broken(self) -> list[Broken]:
        return self._offers[1]

    def names(self, kind: str) -> list[str]:
        assert kind in HOOKS, kind
        return sorted({entry.name for entry in self.entries if entry.kind == kind})

    def clashes(self) -> list[list[Entry]]:
        """Entries that share kind and name."""
        groups: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            groups.setdefault((entry.kind, entry.name), []).append(entry)
        return [group for group in groups.values() if len(group) > 1]

    def find(self, kind: str, name: str) -> Entry:
        """The entry called `name` or `distribution:name`.

        Raises: PluginError if there is none (with the nearest names and the whole list) or more than one.
        """
        assert kind in HOOKS, kind
        found = [entry for entry in self.entries if entry.kind == kind and name in (entry.name, entry.qualified_name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise PluginError(f"{len(found)} plugins offer the {kind} {name!r}; write {_choices(entry.qualified_name for entry in found)}")
        from difflib import get_close_matches

        names = self.names(kind)
        close = get_close_matches(name, names, n=1)
        suggestion = f"; did you mean {close[0]!r}?" if close else ""
        broken = "".join(f" (broken plugin {plugin.distribution}: {plugin.reason})" for plugin in self.broken)
        raise PluginError(f"unknown {kind} {name!r}{suggestion or ';'} expected one of: {', '.join(names) or 'none installed'}{broken}")

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


def _explained(entry: Entry, error: Exception) -> PluginError:
    """What to tell the user; a missing library gets its pip line."""
    where = f"{entry.kind} {entry.name!r}"
    missing = error.name.split(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else None
    if missing and missing != entry.target.split(".")[0].split(":")[0]:
        what = f'"{entry.distribution}[{entry.extra}]"' if entry.extra else DISTRIBUTIONS.get(missing, missing)
        return PluginError(f"{where} needs {missing!r}: pip install {what}")
    message = " ".join(str(error).split())
    return PluginError(f"{where} of {entry.distribution} {entry.version} failed: {type(error).__name__}: {message}")


def _choices(words: Iterable[str]) -> str:
    return " or ".join(repr(word) for word in words)


registry = Registry()
