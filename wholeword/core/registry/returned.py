"""Plugins' contracts, enforced where results come in: an error names the plugin and its distribution, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wholeword.core.contracts import Versioned
from wholeword.core.errors import PluginError, WholewordError
from wholeword.core.registry.plugins import Entry
from wholeword.core.registry.registry import registry


def contract_error(kind: str, name: str, message: str) -> PluginError:
    """For what a plugin returned: names the plugin and its distribution."""
    entry = registry.find(kind, name)
    return PluginError(f"{kind} {name!r} of {entry.distribution} {entry.version}: {message}")


@contextmanager
def calling(kind: str, name: str) -> Iterator[None]:
    """Around a call of a plugin's method.

    Raises: PluginError for any exception that is not a WholewordError itself; with the pip line where a library is missing.
    """
    try:
        yield
    except WholewordError:
        raise
    except Exception as error:
        raise registry.explained(kind, name, error) from error


def version_of(plugin: Any, entry: Entry) -> str:
    """What decides, beside its settings, the results of a cleaner or segmenter: its own version, or that of its distribution."""
    return str(plugin.version) if isinstance(plugin, Versioned) else entry.version
