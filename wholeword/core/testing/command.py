"""Checks of subcommands."""

import click
from click.testing import CliRunner

from wholeword.core.contracts import Command


def check_command(command: Command) -> None:
    """Check the contract of `contracts.Command`, as far as possible without running it.

    Raises: AssertionError that says which rule was broken.
    """
    assert isinstance(command, click.Command), (
        f"{type(command).__name__} is no click command; expected what click.command or click.group makes of a function"
    )
    assert command.get_short_help_str(), "the command has no help; expected a docstring, for `wholeword COMMAND --help`"
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0, f"--help ended with code {result.exit_code}: {result.exception!r}; expected 0"
    assert result.output.startswith("Usage:"), f"--help printed {result.output[:80]!r}; expected its usage"
    result = CliRunner().invoke(command, ["--no-such-option-of-any-command"])
    assert result.exit_code == 2, f"an unknown option ended with code {result.exit_code}; expected 2, a usage error"
