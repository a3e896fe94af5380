"""What is run from the command line."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Command(Protocol):
    """A subcommand of `wholeword`: what `click.command` or `click.group` makes of a function.

    The object itself is registered, not a class; nothing is called before its user types its name.
    """

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """As of `click.Command`."""
        ...

    def invoke(self, ctx: Any) -> Any:
        """As of `click.Command`."""
        ...

    def get_short_help_str(self, limit: int = 45) -> str:
        """As of `click.Command`."""
        ...
