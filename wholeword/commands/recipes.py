"""`wholeword recipes`: the recipes that come with wholeword."""

from pathlib import Path

import click

from wholeword.commands import Commands, complete_recipe, json_option, path_type, print_definitions, print_result


@click.group(cls=Commands)
def recipes() -> None:
    """List, print and copy the shipped recipes."""


@recipes.command("ls")
def recipes_ls() -> None:
    """List the shipped recipes."""
    from wholeword.core.config.recipes import shipped_recipes

    print_definitions(list(shipped_recipes().items()), 24)


@recipes.command("show")
@click.argument("name", shell_complete=complete_recipe)
@click.option("--sources", is_flag=True, help="Show where each value comes from instead.")
@json_option
def recipes_show(name: str, sources: bool, as_json: bool) -> None:
    """Print a shipped recipe, or where each of its values comes from."""
    from wholeword.core.config.recipes import read_recipe

    content = read_recipe(name)
    if not (sources or as_json):
        click.echo(content, nl=False)
        return
    from wholeword.core.config.origins import declared_sources, lines, origins

    values = origins(content, f"{name}.yaml")
    print_result({"sources": declared_sources(content), "values": [value.plain() for value in values]}, lines(values), as_json)


@recipes.command("cp")
@click.argument("name", shell_complete=complete_recipe)
@click.argument("target", type=path_type, default=".")
def recipes_cp(name: str, target: Path) -> None:
    """Copy a shipped recipe to a file or folder, and name it after the file; never overwrites."""
    from wholeword.core.config.recipes import copy_recipe

    click.echo(str(copy_recipe(name, target)))
