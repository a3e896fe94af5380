"""`wholeword bench`: many fine-tuning runs, and tables of them."""

import sys
from pathlib import Path

import click

from wholeword.commands import Commands, complete_recipe, path_type, print_warnings, resumable

FORMATS = ("markdown", "csv", "latex", "svg")
PARTS = ("tasks", "rates", "summary", "relative", "bootstrap")


@click.group(cls=Commands)
def bench() -> None:
    """Fine-tune models x tasks x seeds, and print tables of the results."""


@bench.command("run")
@click.argument("table", metavar="TABLE", shell_complete=complete_recipe)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting: tasks.0.epochs=1.")
@click.option("--retry", is_flag=True, help="Try failed runs once more.")
@click.option("--plan", is_flag=True, help="Only list the runs.")
def bench_run(table: str, overrides: tuple[str, ...], retry: bool, plan: bool) -> None:
    """Fill a table: a YAML file, or table-chnsenticorp. The same command resumes an interrupted table; a failed run is a result too."""
    import shlex

    from wholeword.core.console import observer
    from wholeword.finetuning.bench.check import expect_ready
    from wholeword.finetuning.bench.recipe import load_table
    from wholeword.finetuning.bench.run import planned, run_table

    loaded = load_table(table, overrides)
    print_warnings(loaded.warnings)
    if plan:
        for line in planned(loaded):
            click.echo(line)
        return
    expect_ready(loaded)
    with resumable(), observer() as console:
        folder = run_table(loaded, retry=retry, observer=console)
    click.echo(f"\nnext:\n  wholeword bench table {shlex.quote(str(folder))}")


@bench.command("table")
@click.argument("results", metavar="FOLDER|RESULTS.json|METRICS.csv")
@click.option("--format", "format_name", type=click.Choice(FORMATS), default="markdown", show_default=True)
@click.option("--relative-to", metavar="MODEL", help="Add percentages of this model's results and parameters.")
@click.option("--std", is_flag=True, help="Print standard deviations beside the averages.")
@click.option("--seeds", is_flag=True, help="Add a column with the number of runs.")
@click.option("--bootstrap", is_flag=True, help="Compare each model with that of --relative-to (or the first) by a paired bootstrap.")
@click.option("--samples", type=click.IntRange(100), default=10_000, show_default=True, metavar="N", help="Resamples in the bootstrap.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Print only this table; may be repeated.")
@click.option("-o", "--output", type=path_type, metavar="FILE", help="Write the tables to a file.")
def bench_table(
    results: str,
    format_name: str,
    relative_to: str | None,
    std: bool,
    seeds: bool,
    bootstrap: bool,
    samples: int,
    seed: int,
    only: tuple[str, ...],
    output: Path | None,
) -> None:
    """Print results: max (average) of each task, best learning rates, all tasks with parameters, relative performance."""
    from wholeword.core.console import doing
    from wholeword.finetuning.bench.compare import bootstrap_table
    from wholeword.finetuning.bench.formats import WRITERS
    from wholeword.finetuning.bench.picture import picture
    from wholeword.finetuning.bench.results import read_results
    from wholeword.finetuning.bench.tables import all_tables

    read, content = read_results(results)
    if format_name == "svg":
        text = picture(read)
    else:
        tables = all_tables(read, relative_to=relative_to, std=std, seeds=seeds)
        if bootstrap or "bootstrap" in only:
            folder = Path(results) if Path(results).is_dir() else Path(results).parent
            with doing(f"drawing {samples:,} samples"):
                tables["bootstrap"] = [bootstrap_table(read, content, folder, relative_to=relative_to, num_samples=samples, seed=seed)]
        text = WRITERS[format_name](table for part in only or tables for table in tables.get(part, []))
    if output:
        output.write_text(text, encoding="utf-8")
        click.echo(str(output))
    else:
        sys.stdout.write(text)
