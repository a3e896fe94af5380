"""Plugins' contracts, enforced where results come in: an error names the plugin and its distribution, in one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wholeword.core.contracts import Versioned
from wholeword.core.errors import PluginError, WholewordError
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.local_source import source_of
from wholeword.core.registry.plugins import Entry
from wholeword.core.registry.registry import registry

FULL_DISK = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def contract_error(kind: str, name: str, message: str) -> PluginError:
    """For what a plugin returned: names the plugin and its distribution."""
    entry = registry.find(kind, name)
    return PluginError(f"{kind} {name!r} of {entry.distribution} {entry.version}: {message}")


@contextmanager
def calling(kind: str, name: str) -> Iterator[None]:
    """Around a call of a plugin's method.

    Raises: PluginError for any exception that is not a WholewordError itself; with the pip line where a library is missing. A full disk
        stays one, and a defect of wholeword's own plugins keeps its traceback.
    """
    try:
        yield
    except WholewordError:
        raise
    except Exception as error:
        is_own = registry.find(kind, name).distribution == PROJECT
        if (is_own and not isinstance(error, ModuleNotFoundError)) or (isinstance(error, OSError) and error.errno in FULL_DISK):
            raise
        raise registry.explained(kind, name, error) from error


def title_of(kind: str, name: str) -> str:
    """A plugin in messages; one of another distribution is named with it."""
    entry = registry.find(kind, name) if registry.has(kind, name) else None
    return f"{kind} {name!r}" + (f" of {entry.distribution} {entry.version}" if entry and entry.distribution != PROJECT else "")


def version_of(plugin: Any, entry: Entry) -> str:
    """What decides the results of a plugin apart from its settings: its own version, or that of its distribution; and its source where
    that may change while the version stays (see `local_source`).
    """
    version, source = str(plugin.version) if isinstance(plugin, Versioned) else entry.version, source_of(entry)
    return f"{version}, source {source}" if source else version
