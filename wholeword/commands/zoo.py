"""`wholeword zoo`: models by name."""

from pathlib import Path

import click

from wholeword.commands import Commands, complete_model, json_option, path_type, print_definitions, print_result


@click.group(cls=Commands)
def zoo() -> None:
    """List, describe, fetch and verify models by name."""


@zoo.command("ls")
@json_option
def zoo_ls(as_json: bool) -> None:
    """List the models: layers x width, parameters and their share of RoBERTa-wwm-ext, state of the MLM head, licence."""
    from wholeword.zoo import info, list_models

    cards = [info(name) for name in list_models()]
    if as_json:
        print_result(cards, (), as_json)
        return
    text = "{size:>9}  {parameters:13} {head:18} {license}"
    rows = [(card["name"], text.format(head=f"MLM head {card['heads']['mlm']}", **card)) for card in cards]
    print_definitions(rows, 37)


@zoo.command("info")
@click.argument("model", metavar="NAME|PATH", shell_complete=complete_model)
@click.option("--weights", is_flag=True, help="Fetch or read the weights, and report whether their heads are trained.")
@json_option
def zoo_info(model: str, weights: bool, as_json: bool) -> None:
    """Show what is known about a model, or what a folder contains."""
    from wholeword.zoo.describe import describe, lines

    facts = describe(model, weights=weights)
    print_result(facts, lines(facts), as_json)


@zoo.command("get")
@click.argument("name", shell_complete=complete_model)
@click.option(
    "-o", "--output", type=path_type, metavar="DIR", help="Copy it to this folder, with checksums.  [default: leave it in the cache]"
)
@click.option("--revision", metavar="REVISION", help="Branch, tag or commit on the hub.")
def zoo_get(name: str, output: Path | None, revision: str | None) -> None:
    """Fetch a model, verify it and print its path."""
    from wholeword.zoo.describe import copy
    from wholeword.zoo.find import find

    path = find(name, revision=revision)
    click.echo(str(copy(path, output, name=name) if output else path))


@zoo.command("verify")
@click.argument("model", metavar="NAME|PATH", shell_complete=complete_model)
@json_option
def zoo_verify(model: str, as_json: bool) -> None:
    """Check every byte of a model, fetched or in a folder, against its checksums."""
    from wholeword.zoo.describe import verify

    checksums = verify(model)
    print_result(checksums, (f"{checksum}  {file}" for file, checksum in checksums.items()), as_json)
