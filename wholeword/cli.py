"""The command line. Everything but click is imported inside the command that uses it: `--help` and `plugins` stay quick."""

import errno
import sys
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from wholeword.commands import (
    AppCommands,
    fit_streams_to_locale,
    json_option,
    json_text,
    next_commands,
    path_type,
    print_warnings,
    recipe_argument,
    resumable,
    set_option,
    show_warning,
)
from wholeword.core.errors import WholewordError
from wholeword.core.threads import bound_spinning

MODULES = {  # command -> where it is, imported when it is used or listed
    **{"check": "check", "mask": "show", "report": "show", "fill": "fill", "recipes": "recipes", "zoo": "zoo"},
    **{"export": "models", "repair-head": "models", "take-layers": "models", "grow-vocab": "models"},
    **{"finetune": "finetune", "bench": "bench", "leakage": "leakage"},
}


@click.group(
    cls=AppCommands,
    modules=MODULES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="RECIPE is a YAML file or the name of a shipped recipe. Add --debug to any command to see the traceback of an error. "
    "Exit codes: 0 success, 1 diverged training, 2 invalid input, 3 damaged data, 4 plugin error, 5 network error, 74 disk error, "
    "130 interrupted.",
)
@click.version_option(None, "-V", "--version", package_name="wholeword")
def app() -> None:
    """Pre-train Chinese BERT models with whole word masking: raw text and one YAML file in, models out."""


@app.command()
@recipe_argument
@set_option
@click.option(
    "--resume",
    type=click.Choice(["auto", "never"]),
    default="auto",
    show_default=True,
    help="auto resumes an unfinished run; never moves it aside and starts over.",
)
def train(recipe: str, overrides: tuple[str, ...], resume: str) -> None:
    """Run a recipe: prepare, train, evaluate and export. The same command resumes an interrupted run."""
    from wholeword.core.config.job import resolve
    from wholeword.core.config.recipes import shipped_recipes
    from wholeword.core.console import observer
    from wholeword.core.training.run import train as train_run
    from wholeword.planning.check import early_advice
    from wholeword.planning.preflight import expect_ready

    is_shipped = recipe in shipped_recipes()
    job = resolve(_load(recipe, overrides))
    print_warnings(expect_ready(job, resume=resume))
    begins = resume == "never" or not (job.output / "recipe.json").exists()
    for item in early_advice(job) if begins and (overrides or not is_shipped) else ():
        print(f"advice: {item}", file=sys.stderr)
    with resumable(), observer() as console:
        train_run(job, resume=resume, observer=console)
    for line in next_commands(job, shipped=is_shipped):
        click.echo(line)


@app.command()
@recipe_argument
@set_option
@click.option("--to", type=click.Choice(["tfrecord"]), help="Also write the training rows for TensorFlow, one folder per phase.")
@click.option("--shards", type=click.IntRange(1, 99_999), metavar="N", help="With --to: files per phase.  [default: 10]")
@click.option("--passes", type=click.IntRange(1), metavar="N", help="With --to: epochs to write.  [default: masking.dupe_factor]")
@click.option("-o", "--output", type=path_type, metavar="DIR", help="With --to: output folder.  [default: tfrecord in the recipe's output]")
def prepare(recipe: str, overrides: tuple[str, ...], to: str | None, shards: int | None, passes: int | None, output: Path | None) -> None:
    """Build the token store of a recipe. The same command resumes an interrupted build."""
    from wholeword.core.config.job import resolve
    from wholeword.core.console import observer
    from wholeword.core.data.store import TokenStore
    from wholeword.core.training.prepare import prepare as prepare_store
    from wholeword.core.training.store_lines import store_lines
    from wholeword.planning.preflight import expect_preparable

    if to is None and (shards, passes, output) != (None, None, None):
        raise click.UsageError("--shards, --passes and --output require --to tfrecord")
    job = resolve(_load(recipe, overrides))
    print_warnings(expect_preparable(job))
    with resumable(), observer() as console:
        path = prepare_store(
            job.prepare, progress=lambda done, total, tokens: console.progress("prepare", done, total, f"{tokens:,} tokens")
        )
        counts = (store := TokenStore(path, verify=False)).manifest["counts"]
        for line in store_lines(store):
            console.say(line)
        console.say(f"{path}: " + ", ".join(f"{number:,} {name.removeprefix('num_').replace('_', ' ')}" for name, number in counts.items()))
        if to == "tfrecord":
            from wholeword.core.training.records import write_tfrecords

            target = output or job.output / "tfrecord"
            write_tfrecords(job, TokenStore(path), target, shards=shards or 10, passes=passes, observer=console)


@app.command()
@json_option
def plugins(as_json: bool) -> None:
    """List what plugins offer, and plugins that fail to load."""
    from wholeword.core.registry.plugins import Broken, Ignored
    from wholeword.core.registry.registry import registry

    clashing = {entry for group in registry.clashes() for entry in group}
    troubles: dict[str, Sequence[Broken | Ignored]] = {"broken": registry.broken, "ignored": registry.ignored}
    if as_json:
        rows = [entry._asdict() | {"clash": entry in clashing} for entry in registry.entries]
        reasons = {state: [plugin._asdict() for plugin in unusable] for state, unusable in troubles.items()}
        click.echo(json_text({"entries": rows, **reasons}))
        return
    lines = []
    for entry in sorted(registry.entries):
        ambiguous = entry in clashing and not registry.has_bare_name(entry)
        note = f"  offered by several packages: write {entry.qualified_name}" if ambiguous else ""
        lines.append(f"{entry.kind:11} {entry.name:16} {entry.distribution} {entry.version}  {entry.target}{note}")
    for state, unusable in troubles.items():
        lines += [f"{state:11} {plugin.distribution} {plugin.version}  {plugin.entry_point}  {plugin.reason}" for plugin in unusable]
    click.echo("\n".join(lines))


@app.command()
@json_option
def doctor(as_json: bool) -> None:
    """Show versions, devices and which plugins work. A plugin that does not work says what it needs."""
    from wholeword.planning.doctor import examine

    machine = examine()
    if as_json:
        click.echo(json_text(machine))
        return
    for section, rows in machine.items():
        click.echo(section)
        for name, value in rows.items():
            click.echo(f"  {name:28} {value}")


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; standard error has one line for each problem."""
    bound_spinning()
    warnings.showwarning = show_warning
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    fit_streams_to_locale()
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    try:
        with _announced(arguments):
            app(arguments, prog_name="wholeword", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BaseException as error:
        cause = error.__cause__ if isinstance(error, click.Abort) and error.__cause__ else error  # click wraps KeyboardInterrupt
        code = _exit_code(cause)
        if code is None or (debug and not isinstance(cause, SystemExit)):
            raise
        if isinstance(cause, UnicodeEncodeError):
            print(_of_the_locale(cause), file=sys.stderr)
        elif str(cause) and not isinstance(cause, SystemExit):
            print(cause, file=sys.stderr)
        sys.exit(code)


def _announced(arguments: Sequence[str]) -> AbstractContextManager[None]:
    """Around a command, whose imports may take long; help and the version have none."""
    if not arguments or not {"-h", "--help", "-V", "--version"}.isdisjoint(arguments):
        return nullcontext()
    from wholeword.core.console import doing

    return doing(f"loading what `wholeword {arguments[0]}` needs", outer=True)


def _exit_code(error: BaseException) -> int | None:
    """The exit code of an error; None for a bug, which shows its traceback."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 2
    if isinstance(error, WholewordError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, UnicodeEncodeError) and error.encoding != "utf-8":
        return 2
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()  # the reader of our output is gone; print nothing more
        return 0
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return 74
    if isinstance(error, OSError) and error.filename is not None:
        return 2
    return None


def _of_the_locale(error: UnicodeEncodeError) -> str:
    text = error.object[error.start : error.end]
    return f"{error.object}: the locale's encoding, {error.encoding}, has no {text!r}; set PYTHONUTF8=1, or LC_ALL to a UTF-8 locale"


def _load(recipe: str, overrides: tuple[str, ...]) -> Any:
    from wholeword.core.config import load_recipe

    loaded = load_recipe(recipe, overrides=overrides)
    print_warnings(loaded.warnings)
    return loaded
