"""`wholeword finetune`: fine-tune a model on a task, once for each seed."""

import click

from wholeword.commands import json_option, json_text, print_warnings, recipe_argument, resumable, set_option


@click.command()
@recipe_argument
@set_option
@json_option
def finetune(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Fine-tune a model on a task, once for each seed, and score it. The same command resumes an interrupted run."""
    from contextlib import nullcontext

    from wholeword.core.console import Silent, observer
    from wholeword.finetuning.finetune import finetune as run
    from wholeword.finetuning.recipe import load_finetune_recipe
    from wholeword.finetuning.results import results, seed_folder, summary

    loaded = load_finetune_recipe(recipe, overrides)
    print_warnings(loaded.warnings)
    with resumable(), nullcontext(Silent()) if as_json else observer() as console:
        folder = run(loaded, observer=console)
    by_seed = results(folder, loaded.seeds)
    if as_json:
        click.echo(json_text({"output": str(folder), "seeds": by_seed}))
        return
    for line in summary(by_seed) if len(by_seed) > 1 else ():
        click.echo(line)
    click.echo(f"predictions and model of a seed: {seed_folder(folder, loaded.seeds[0])}")
