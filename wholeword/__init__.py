"""Whole word masking pre-training for Chinese BERT models, from raw text and one YAML file."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wholeword import zoo
    from wholeword.core.registry.hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl", "zoo"]


class FormerNames:
    """Asks `wholeword.core.moved` about modules that are not found; importing that costs nothing before."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """See `importlib.abc.MetaPathFinder`."""
        if not name.startswith("wholeword."):
            return None
        from wholeword.core.moved import find_spec

        return find_spec(name)


if FormerNames not in sys.meta_path:
    sys.meta_path.append(FormerNames)


def __getattr__(name: str) -> Any:
    if name == "hookimpl":  # on first use: `wholeword --help` needs no pluggy
        from wholeword.core.registry.hookspecs import hookimpl

        return hookimpl
    if name == "zoo":
        from importlib import import_module  # `from wholeword import zoo` would ask here again

        return import_module("wholeword.zoo")
    raise AttributeError(f"module 'wholeword' has no attribute {name!r}")
