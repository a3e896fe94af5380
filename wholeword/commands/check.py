"""`wholeword check`: what a recipe will do and need, and what would stop it."""

import re
from typing import TYPE_CHECKING

import click

from wholeword.commands import json_option, print_result, print_warnings, recipe_argument, set_option

if TYPE_CHECKING:
    from wholeword.finetuning.bench.check import TableCheck
    from wholeword.finetuning.check import FinetuneCheck
    from wholeword.planning.check import Check

# settings that a shipped recipe waits for
TEXT = r"corpus$|corpus\.files|model\.init|tokenizer\.vocab"
TASK = r"models?$|models\.|task$|task\.data|tasks"


@click.command()
@recipe_argument
@set_option
@json_option
def check(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show what a recipe will do and need, and everything that would stop it, without running it. Fine-tuning recipes and tables too."""
    from wholeword.core.errors import RecipeError

    result = _check(recipe, overrides)
    print_warnings(result.warnings)
    print_result(result.plain(), result.lines(), as_json)
    if result.problems:
        raise RecipeError(list(result.problems))


def _check(recipe: str, overrides: tuple[str, ...]) -> "Check | FinetuneCheck | TableCheck":
    from wholeword.core.config.sections import open_document

    document, _ = open_document(recipe, expected="a .yaml file or the name of a shipped recipe")
    if "phases" in document.data:
        return _check_pretraining(recipe, overrides)
    if "tasks" in document.data:
        return _check_table(recipe, overrides)
    return _check_finetuning(recipe, overrides) if "task" in document.data else _check_pretraining(recipe, overrides)


def _is_shipped(recipe: str, overrides: tuple[str, ...], waits_for: str) -> bool:
    """Whether a recipe is a shipped one, with nothing filled in."""
    from wholeword.core.config.recipes import shipped_recipes

    return recipe in shipped_recipes() and not any(re.match(waits_for, text.partition("=")[0].strip()) for text in overrides)


def _check_pretraining(recipe: str, overrides: tuple[str, ...]) -> "Check":
    from wholeword.core.config import load_recipe
    from wholeword.core.config.job import resolve
    from wholeword.core.console import doing
    from wholeword.planning.check import check as check_job

    loaded = load_recipe(recipe, overrides=overrides)
    with doing("reading the corpus, and measuring this machine"):
        return check_job(resolve(loaded), warnings=loaded.warnings, is_shipped=_is_shipped(recipe, overrides, TEXT))


def _check_finetuning(recipe: str, overrides: tuple[str, ...]) -> "FinetuneCheck":
    from wholeword.core.console import doing
    from wholeword.finetuning.check import check as check_recipe
    from wholeword.finetuning.recipe import load_finetune_recipe

    loaded = load_finetune_recipe(recipe, overrides)
    with doing(f"reading {loaded.task.name}"):
        return check_recipe(loaded, is_shipped=_is_shipped(recipe, overrides, TASK))


def _check_table(recipe: str, overrides: tuple[str, ...]) -> "TableCheck":
    from wholeword.core.console import doing
    from wholeword.finetuning.bench.check import check as check_table
    from wholeword.finetuning.bench.recipe import load_table

    loaded = load_table(recipe, overrides)
    with doing("reading the tasks"):
        return check_table(loaded, is_shipped=_is_shipped(recipe, overrides, TASK))
