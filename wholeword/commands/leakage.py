"""`wholeword leakage`: whether the texts of a test stand in what a model has learnt from."""

import json
from pathlib import Path

import click

from wholeword.commands import json_option, path_type


@click.command()
@click.argument("tasks", metavar="TASK=FOLDER...", nargs=-1, required=True)
@click.option("--store", type=path_type, metavar="STORE", help="Pre-training text too: a token store, or the run that it belongs to.")
@click.option(
    "--near", type=click.FloatRange(0, 1, min_open=True), default=0.8, show_default=True, help="What two texts share to be nearly the same."
)
@click.option("--examples", type=click.IntRange(0), default=0, metavar="N", help="Show so many ids of each kind.")
@json_option
def leakage(tasks: tuple[str, ...], store: Path | None, near: float, examples: int, as_json: bool) -> None:
    """Count the texts of a task's splits that stand in its other splits, or in pre-training text: chnsenticorp=FOLDER."""
    from wholeword.core.config.settings import create_from
    from wholeword.core.data.store import TokenStore
    from wholeword.core.errors import UserError
    from wholeword.reports.leakage import find_overlaps

    for name in tasks:
        if "=" not in name:
            raise UserError(f"{name}: expected {name}=FOLDER, the folder of its files")
    texts = None
    if store is not None:
        texts = TokenStore(store if not (store / "store").is_dir() else store / "store", verify=False)
    for name in tasks:
        task = create_from("task", name)
        for overlap in find_overlaps(name.partition("=")[0], task, texts, near=near):
            if as_json:
                click.echo(json.dumps(overlap._asdict(), ensure_ascii=False))
                continue
            click.echo(overlap.line())
            for id, other in overlap.same[:examples]:
                click.echo(f"  {id} = {other}" if other else f"  {id}")
            for id, other, share in overlap.near[:examples]:
                click.echo(f"  {id} ~ {other} {share:.3f}" if other else f"  {id} {share:.3f}")
