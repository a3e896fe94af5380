"""Whether the libraries of a plugin are installed; none is imported to find out."""

from importlib.util import find_spec

from wholeword.core.contracts.needs import NeedsLibraries
from wholeword.core.registry.registry import registry


def expect_libraries(kind: str, name: str) -> None:
    """Raises: PluginError with the pip line for a library that a plugin names in `libraries`, or imports when it is loaded."""
    plugin = registry.load(kind, name)
    for library in plugin.libraries if isinstance(plugin, NeedsLibraries) else ():
        if not _is_installed(library):
            raise registry.explained(kind, name, ModuleNotFoundError(f"No module named {library!r}", name=library))


def _is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ValueError:  # imported, by something that does not say from where
        return True
