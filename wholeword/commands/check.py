"""`wholeword check`: what a recipe will do and need."""

import click

from wholeword.commands import json_option, print_result, print_warnings, recipe_argument, set_option


@click.command()
@recipe_argument
@set_option
@json_option
def check(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show what a recipe will do and need, without running it."""
    from wholeword.core.config import load_recipe
    from wholeword.core.config.job import resolve
    from wholeword.core.config.recipes import shipped_recipes
    from wholeword.core.console import doing
    from wholeword.planning.check import check as check_job

    loaded = load_recipe(recipe, overrides=overrides)
    print_warnings(loaded.warnings)
    with doing("reading the corpus, and measuring this machine"):
        result = check_job(resolve(loaded), warnings=loaded.warnings, is_template=recipe in shipped_recipes())
    print_result(result.plain(), result.lines(), as_json)
