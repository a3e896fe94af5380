"""The subcommands that plugins add to `wholeword`.

`wholeword --help` lists them without importing them: their names and one line of help come from `register`.
"""

import errno
from typing import Any

import click

from wholeword.core.errors import PluginError, WholewordError


class PluginCommand(click.Command):
    """A plugin's command, imported when it is run."""

    def __init__(self, name: str, entry: Any):
        super().__init__(name, help=entry.help or f"(of {entry.distribution})")
        self.entry = entry
        self.target: click.Command | None = None

    def make_context(self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any) -> click.Context:
        """As the plugin's command does; its errors name the plugin."""
        from wholeword.core.registry.registry import registry

        target = registry.load("command", self.entry.qualified_name)
        if not isinstance(target, click.Command):
            where = f"command {self.entry.name!r} of {self.entry.distribution} {self.entry.version}"
            raise PluginError(f"{where}: {self.entry.target} is {type(target).__name__}; expected what click.command makes of a function")
        self.target = target
        with _errors_of(self.entry):
            context = target.make_context(info_name, args, parent, **extra)
        context.command = self
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """As the plugin's command does; its errors name the plugin."""
        assert self.target is not None
        ctx.command = self.target
        with _errors_of(self.entry):
            return self.target.invoke(ctx)


class _errors_of:
    """Around a plugin's code: what is no error for users becomes a PluginError."""

    def __init__(self, entry: Any):
        self.entry = entry

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        harmless = (WholewordError, click.ClickException, click.exceptions.Exit, click.Abort)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EPIPE)
        if isinstance(error, Exception) and not isinstance(error, harmless) and not full:
            from wholeword.core.registry.registry import registry

            raise registry.explained("command", self.entry.qualified_name, error) from error


def plugin_commands(group: click.Group) -> dict[str, PluginCommand]:
    """By the name to type: the bare one, or distribution:name where that is taken."""
    from wholeword.core.registry.registry import registry

    entries = [entry for entry in registry.entries if entry.kind == "command"]
    names = [entry.name for entry in entries]
    commands = {}
    for entry in entries:
        taken = entry.name in group.commands or names.count(entry.name) > 1
        for name in (entry.qualified_name,) if taken else (entry.name,):
            commands[name] = PluginCommand(name, entry)
    return dict(sorted(commands.items()))
