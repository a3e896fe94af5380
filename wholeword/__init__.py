"""Whole word masking pre-training for Chinese BERT models, from raw text and one YAML file."""

from typing import TYPE_CHECKING, Any

from wholeword.core.moved import install as _install_former_names

if TYPE_CHECKING:
    from wholeword import zoo
    from wholeword.core.registry.hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl", "zoo"]

_install_former_names()


def __getattr__(name: str) -> Any:
    if name == "hookimpl":  # on first use: `wholeword --help` needs no pluggy
        from wholeword.core.registry.hookspecs import hookimpl

        return hookimpl
    if name == "zoo":
        from importlib import import_module  # `from wholeword import zoo` would ask here again

        return import_module("wholeword.zoo")
    raise AttributeError(f"module 'wholeword' has no attribute {name!r}")
