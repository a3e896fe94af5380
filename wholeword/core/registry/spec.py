"""A plugin as a recipe names it."""

from typing import Any, NamedTuple


class PluginSpec(NamedTuple):
    """What `registry.create` takes beside the kind; can be sent to another process."""

    name: str  # or distribution:name
    settings: dict[str, Any]
