"""What the installed plugins offer: `registry`, and how it finds them."""

from wholeword.core.registry.registry import registry

__all__ = ["registry"]
