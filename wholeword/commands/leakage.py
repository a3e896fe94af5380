"""`wholeword leakage`: whether test texts appear in training or pre-training text."""

from pathlib import Path

import click

from wholeword.commands import json_option, json_text, path_type


@click.command()
@click.argument("tasks", metavar="TASK=FOLDER...", nargs=-1, required=True)
@click.option(
    "--store", type=path_type, metavar="STORE", help="Also search pre-training text: a token store, or the run that it belongs to."
)
@click.option(
    "--near",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.8,
    show_default=True,
    help="Similarity from which texts are near duplicates.",
)
@click.option("--examples", type=click.IntRange(0), default=0, metavar="N", help="Show up to N ids of each kind.")
@json_option
def leakage(tasks: tuple[str, ...], store: Path | None, near: float, examples: int, as_json: bool) -> None:
    """Count texts that the splits of a task share. With --store, also texts found in pre-training text. Tasks: chnsenticorp=FOLDER."""
    from wholeword.core.config.settings import create_from
    from wholeword.core.console import doing
    from wholeword.core.data.store import TokenStore
    from wholeword.core.errors import UserError
    from wholeword.reports.leakage import find_overlaps

    for name in tasks:
        if "=" not in name:
            raise UserError(f"{name}: expected {name}=FOLDER, the folder of its files")
    texts = TokenStore(store / "store" if (store / "store").is_dir() else store, verify=False) if store else None
    for name in tasks:
        task = create_from("task", name)
        with doing(f"comparing the texts of {name}"):
            overlaps = list(find_overlaps(name.partition("=")[0], task, texts, near=near))
        for overlap in overlaps:
            if as_json:
                click.echo(json_text(overlap._asdict(), indent=None))
                continue
            for line in overlap.lines(examples):
                click.echo(line)
