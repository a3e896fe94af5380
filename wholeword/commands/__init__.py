"""The larger commands, one module each, and what all commands share; `wholeword/cli.py` puts them together.

As there, each command imports everything but click inside its function.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wholeword.core.errors import InputWarning

if TYPE_CHECKING:
    from wholeword.core.config.job import Job


def names_in(folder: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Complete the names of the .yaml files in a folder of the package, and paths."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
        from importlib.resources import files

        from click.shell_completion import CompletionItem

        names = sorted(file.name.removesuffix(".yaml") for file in (files("wholeword") / folder).iterdir() if file.name.endswith(".yaml"))
        return [*(CompletionItem(name) for name in names if name.startswith(incomplete)), CompletionItem(incomplete, type="file")]

    return complete


complete_recipe, complete_model = names_in("recipes"), names_in("zoo/cards")
recipe_argument = click.argument("recipe", metavar="RECIPE", shell_complete=complete_recipe)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting, such as output=runs/second; repeatable."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
path_type = click.Path(path_type=Path)


def json_text(value: Any, *, indent: int | None = 1) -> str:
    """JSON for people and programs: Chinese stays Chinese."""
    import json  # here, because --help does without it

    return json.dumps(value, ensure_ascii=not _writes_unicode(sys.stdout), indent=indent)


def _writes_unicode(stream: Any) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def fit_streams_to_locale() -> None:
    r"""Let characters that the locale's encoding lacks be printed as \uXXXX; they would be errors otherwise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and not _writes_unicode(stream):
            stream.reconfigure(errors="backslashreplace")


def as_text(argument: str) -> str:
    """An argument that is text and not a path: UTF-8, whatever the locale."""
    if sys.getfilesystemencoding() == "utf-8":
        return argument
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeDecodeError:
        return argument


def resumable() -> AbstractContextManager[None]:
    """Around work that is saved as it goes, so that Ctrl-C and SIGTERM lose little: they are answered at once."""
    from wholeword.core.training.interrupts import interruptible

    return interruptible("stopping: what is finished stays, and the same command resumes")


def print_result(result: Any, lines: Iterable[str], as_json: bool) -> None:
    """Print the result of a command, as JSON or as lines."""
    for line in [json_text(result)] if as_json else lines:
        click.echo(line)


def print_definitions(rows: Sequence[tuple[str, str]], width: int) -> None:
    """Print names and texts in two columns, a line for each name; on a narrow terminal, lines are wrapped."""
    import shutil

    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else sys.maxsize
    if columns > max(width + 1 + len(text) for _, text in rows):
        for name, text in rows:
            click.echo(f"{name:{width}} {text}")
        return
    from textwrap import fill

    for name, text in rows:
        click.echo(fill(f"{name}  {text}", columns, subsequent_indent="    ", break_on_hyphens=False))


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
    """Print the warnings that a recipe would get for these names, unless they are an option's default: for each bare name that other
    distributions offer too (see `Registry.shadowed`), and once for each distribution with hooks that this version does not know.
    """
    from click.core import ParameterSource

    from wholeword.core.registry.registry import registry

    if click.get_current_context().get_parameter_source(option) is not ParameterSource.COMMANDLINE:
        return
    known = [name for name in names if registry.has(kind, name)]  # an unknown name is an error where it is used
    warnings = [registry.shadowed(kind, name) for name in known]
    warnings += [registry.ignored_hooks(registry.find(kind, name)) for name in known]
    print_warnings(dict.fromkeys(filter(None, warnings)))


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
            message = f"No such command {args[0]!r}" + (f"; did you mean {close[0]!r}?" if close else ".")
            raise click.UsageError(f"{message} Commands: {', '.join(names)}", ctx) from error


class AppCommands(Commands):
    """The commands of wholeword itself, then those of plugins, which never replace one of the former.

    Args:
        modules: command -> its module in this package, which is imported when the command is used or listed.
    """

    def __init__(self, *arguments: Any, modules: Mapping[str, str], **settings: Any):
        super().__init__(*arguments, **settings)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As click does, with the commands of plugins at the end."""
        return [*sorted({*super().list_commands(ctx), *self.modules}), *self._plugins()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """As click does; plugins are looked up for names that are not wholeword's own."""
        if (module := self.modules.get(cmd_name)) and cmd_name not in self.commands:
            self.add_command(getattr(import_module(f"{__name__}.{module}"), cmd_name.replace("-", "_")))
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


def next_commands(job: "Job", *, shipped: bool = False) -> list[str]:
    """Commands to try with a finished run, as lines to print.

    Args:
        shipped: whether it was a shipped recipe, which is there to be copied.
    """
    import shlex

    from wholeword.core.data.store import TokenStore
    from wholeword.reports.example import masked_sentence

    folder = shlex.quote(str(job.output))
    sentence = next(iter(job.evaluation.fill_mask), None) or masked_sentence(TokenStore(job.prepare.store, verify=False))
    backend = "" if job.backend.name == "pytorch" else f" --backend {job.backend.name}"
    lines = [f"  wholeword fill {shlex.quote(sentence)} --model {folder}{backend}", f"  wholeword report {folder} --html report.html"]
    exported = job.output / "export" / "pytorch-bin"
    if exported.exists():
        code = f"from transformers import pipeline; print(pipeline('fill-mask', {str(exported)!r})({sentence!r}))"
        lines.append(f"  python -c {shlex.quote(code) if chr(34) in code or chr(36) in code else chr(34) + code + chr(34)}")
    if shipped:
        lines += ["  wholeword recipes cp quickstart mine.yaml    # your own recipe: point it at your text, then"]
        lines += ["  wholeword check mine.yaml && wholeword train mine.yaml"]
    return ["", "next:", *lines]
