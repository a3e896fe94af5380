"""What plugins return, checked where it comes in: whoever breaks a contract is named, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from wholeword.core.errors import PluginError, WholewordError
from wholeword.core.registry.registry import registry


def contract_error(kind: str, name: str, message: str) -> PluginError:
    """For what a plugin returned: names the plugin and its distribution."""
    entry = registry.find(kind, name)
    return PluginError(f"{kind} {name!r} of {entry.distribution} {entry.version}: {message}")


@contextmanager
def calling(kind: str, name: str) -> Iterator[None]:
    """Around a call of a plugin's method. Raises: PluginError for any exception that is not a WholewordError itself."""
    try:
        yield
    except WholewordError:
        raise
    except Exception as error:
        entry = registry.find(kind, name)
        message = f"{kind} {name!r} of {entry.distribution} {entry.version} failed: {type(error).__name__}: {' '.join(str(error).split())}"
        raise PluginError(message) from error
