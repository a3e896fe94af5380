"""The subcommands that plugins add to `wholeword`.

`wholeword --help` lists them without importing them: their names and one line of help come from `register`. Whether any other package
has plugins at all is read from the entry points on the disk, which takes a fraction of the time that importing pluggy takes.
"""

import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from wholeword.commands import Commands
from wholeword.core.errors import PluginError, WholewordError


class AppCommands(Commands):
    """The commands of wholeword itself, then those of plugins, which never replace one of the former."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As click does, with the commands of plugins at the end."""
        return [*super().list_commands(ctx), *_plugin_commands(self)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """As click does; plugins are looked up for names that are not wholeword's own."""
        return super().get_command(ctx, cmd_name) or _plugin_commands(self).get(cmd_name)


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


def _plugin_commands(group: click.Group) -> dict[str, PluginCommand]:
    """By the name to type: the bare one, or distribution:name where that is taken."""
    if not _others_have_plugins():
        return {}
    from wholeword.core.registry.registry import registry

    entries = [entry for entry in registry.entries if entry.kind == "command"]
    names = [entry.name for entry in entries]
    commands = {}
    for entry in entries:
        taken = entry.name in group.commands or names.count(entry.name) > 1
        for name in (entry.qualified_name,) if taken else (entry.name,):
            commands[name] = PluginCommand(name, entry)
    return dict(sorted(commands.items()))


def _others_have_plugins() -> bool:
    """Whether a distribution other than wholeword has an entry point of its group; True where that cannot be seen quickly."""
    return any(b"[wholeword]" in content for content in _entry_points())


def _entry_points() -> Iterator[bytes]:
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as items:
                names = [item.name for item in items if item.name.endswith((".dist-info", ".egg-info"))]
        except NotADirectoryError:
            if "python3" not in os.path.basename(folder):  # python311.zip, the standard library
                yield b"[wholeword]"
            continue
        except OSError:
            continue
        for name in names:
            if not name.startswith("wholeword-"):
                try:
                    with open(os.path.join(folder, name, "entry_points.txt"), "rb", buffering=0) as file:
                        yield file.read()
                except OSError:
                    continue
