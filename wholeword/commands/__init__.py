"""The larger commands, one module each, and what all commands share; `wholeword/cli.py` puts them together.

As there, each command imports everything but click inside its function.
"""

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from wholeword.core.errors import InputWarning

recipe_argument = click.argument("recipe", metavar="RECIPE")
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting, such as phases.0.steps=100; repeatable."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
path_type = click.Path(path_type=Path)


def json_text(value: Any, *, indent: int | None = 1) -> str:
    """JSON for people and programs: Chinese stays Chinese."""
    import json  # here, because --help does without it

    return json.dumps(value, ensure_ascii=False, indent=indent)


def print_result(result: Any, lines: Iterable[str], as_json: bool) -> None:
    """Print the result of a command, as JSON or as lines."""
    for line in [json_text(result)] if as_json else lines:
        click.echo(line)


def print_warnings(lines: Iterable[str]) -> None:
    """Print warnings on standard error, where they are in nobody's way."""
    for line in lines:
        click.echo(f"warning: {line}", err=True)


_show_others = warnings.showwarning


def show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """What becomes of Python's warnings: those about the user's input look like the others that we print."""
    if issubclass(category, InputWarning):
        print_warnings([str(message)])
    else:
        _show_others(message, category, *where, **more)


def warn_of_shadows(kind: str, option: str, names: Iterable[str]) -> None:
    """Print a warning for each bare name that other distributions offer too (see `Registry.shadowed`), unless it is an option's default."""
    from click.core import ParameterSource

    from wholeword.core.registry.registry import registry

    if click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE:
        print_warnings(filter(None, (registry.shadowed(kind, name) for name in names)))


class Commands(click.Group):
    """A group that suggests a command where one is mistyped."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does, with a better message."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            names = self.list_commands(ctx)
            close = get_close_matches(args[0], names, n=1)
            message = f"No such command {args[0]!r}" + (f"; did you mean {close[0]!r}?" if close else "")
            raise click.UsageError(f"{message} Commands: {', '.join(names)}", ctx) from error


class AppCommands(Commands):
    """The commands of wholeword itself, then those of plugins, which never replace one of the former."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As click does, with the commands of plugins at the end."""
        return [*super().list_commands(ctx), *self._plugins()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """As click does; plugins are looked up for names that are not wholeword's own."""
        return super().get_command(ctx, cmd_name) or self._plugins().get(cmd_name)

    def _plugins(self) -> Mapping[str, click.Command]:
        if not _others_have_plugins():
            return {}
        from wholeword.commands.plugins import plugin_commands

        return plugin_commands(self)


def _others_have_plugins() -> bool:
    """Whether a distribution other than wholeword has an entry point of its group; True where that cannot be seen quickly.

    Read from the entry points on disk, in a fraction of the time that it takes to import pluggy.
    """
    return any(b"[wholeword]" in content for content in _entry_points())


def _entry_points() -> Iterator[bytes]:
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except NotADirectoryError:
            if "python3" not in os.path.basename(folder):  # python311.zip, the standard library
                yield b"[wholeword]"
            continue
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")) and not name.startswith(("wholeword-", "wholeword.")):
                try:
                    file = os.open(f"{folder or '.'}/{name}/entry_points.txt", os.O_RDONLY)
                except OSError:
                    continue
                try:
                    yield os.read(file, 1 << 20)
                finally:
                    os.close(file)


EXAMPLE = "使用语言模型来预测下一个词的probability。"


def next_commands(folder: Path) -> list[str]:
    """Commands to try with a finished run, as lines to print."""
    exported = folder / "export" / "pytorch-bin"
    if not exported.exists():
        return []
    return [
        "",
        "next:",
        f"  python -c \"from transformers import pipeline; print(pipeline('fill-mask', '{exported}')('房间很[MASK]净。'))\"",
        f'  wholeword mask "{EXAMPLE}" --compare wordpiece,whole-word --vocab {exported / "vocab.txt"}',
        "  wholeword recipes cp quickstart mine.yaml    # your own recipe: point it at your text, then",
        "  wholeword check mine.yaml && wholeword train mine.yaml",
    ]
