"""Models made from other models: `wholeword export`, `wholeword repair-head`, `wholeword take-layers`, `wholeword grow-vocab`."""

from pathlib import Path
from typing import Any

import click

from wholeword.commands import complete_model, next_commands, path_type, print_warnings, resumable, set_option, warn_of_shadows
from wholeword.core.errors import PluginError, UserError

to_option = click.option(
    "--to", default="pytorch-bin", show_default=True, metavar="NAME", help="Exporter to write with; see wholeword plugins."
)
output_option = click.option("-o", "--output", required=True, type=path_type, metavar="DIR", help="Folder for the new model.")
seed_option = click.option("--seed", default=12345, show_default=True, help="Seed of random values.")


@click.command()
@click.argument("source", metavar="MODEL", shell_complete=complete_model)
@click.option("--to", required=True, metavar="A,B", help="One exporter or several; see wholeword plugins.")
@click.option(
    "-o", "--output", required=True, type=path_type, metavar="DIR", help="Output folder; several exporters write to subfolders of it."
)
@click.option("--verify", is_flag=True, help="Read each export back, and check the outputs that the tool it is meant for computes.")
def export(source: str, to: str, output: Path, verify: bool) -> None:
    """Write a model in the formats of other tools. MODEL is the name of a zoo model, or the folder of a run, checkpoint or model.

    A fine-tuned model is written with its head.
    """
    from wholeword.core.console import doing
    from wholeword.core.registry.hookspecs import PROJECT
    from wholeword.core.registry.registry import registry
    from wholeword.core.training.export import expect_head_written, export_folder, head_warnings, read_back, verify_by_exporter
    from wholeword.core.training.export import export as export_model
    from wholeword.zoo.finetuned import read_with_head
    from wholeword.zoo.verify import model_path
    from wholeword.zoo.verify import verify as verify_export

    names = [name.strip() for name in to.split(",")]
    for name in names:
        registry.find("exporter", name)
    warn_of_shadows("exporter", "to", names)
    model = read_with_head(source)
    for name in names if model.head else ():
        expect_head_written(model, name, registry.create("exporter", name))
    print_warnings(head_warnings(model, source))
    unverified = []
    for name in names:
        target = output / export_folder(name) if len(names) > 1 else output
        with doing(f"writing {target}"):
            export_model(model, name, target)
        click.echo(f"{name}: {target}")
        is_own = registry.find("exporter", name).distribution == PROJECT  # whose files the zoo reads
        if is_own and (verify or model.provenance.slots is not None):
            for line in read_back(model, read_with_head(str(model_path(target)), head=model.head)):
                click.echo(f"{name}: {line}")
        if verify:
            try:
                for line in [verify_export(model, name, target)] if is_own else verify_by_exporter(model, name, target):
                    click.echo(line if is_own else f"{name}: {line}")
            except PluginError as error:
                unverified.append(str(error))
    if unverified:
        raise PluginError("\n".join(unverified))


@click.command("repair-head")
@click.argument("source", metavar="MODEL", shell_complete=complete_model)
@click.argument("recipe", metavar="[RECIPE]", required=False)
@click.option("--corpus", multiple=True, metavar="FILES", help="Text files, one document per line; repeatable.")
@click.option("-o", "--output", required=True, type=path_type, metavar="DIR", help="Output folder of the run.")
@set_option
def repair_head(source: str, recipe: str | None, corpus: tuple[str, ...], output: Path, overrides: tuple[str, ...]) -> None:
    """Retrain the MLM head of a model. The encoder stays frozen; the text is that of a recipe or of --corpus."""
    from wholeword.core.bert.heads import inspect, inspect_model
    from wholeword.core.config.job import resolve
    from wholeword.core.console import observer
    from wholeword.core.training.repair import repair_recipe
    from wholeword.core.training.run import train as train_run
    from wholeword.planning.preflight import expect_ready
    from wholeword.zoo.find import find, foreign_source, read

    if recipe is None and not corpus:
        raise click.UsageError("expected a RECIPE or --corpus to train on")
    model = read(source)
    click.echo(f"before: MLM head {': '.join(inspect_model(model).mlm)}")
    location = source if foreign_source(source) else str(find(source))
    loaded = repair_recipe(location, model, output, recipe=recipe, corpus=corpus, overrides=overrides)
    job = resolve(loaded)
    print_warnings([*loaded.warnings, *expect_ready(job)])
    with resumable(), observer() as console:
        folder = train_run(job, observer=console)
    after = read(str(folder.absolute()))
    click.echo(f"after: MLM head {': '.join(inspect(after.weights, after.config).mlm)}")
    for line in next_commands(job):
        click.echo(line)


@click.command("take-layers")
@click.argument("source", metavar="MODEL", shell_complete=complete_model)
@click.option("--layers", required=True, metavar="N|A,B,C", help="The first N layers, or these, counted from 0: 0,2,4,7,9,11.")
@click.option("--pooler", type=click.Choice(["keep", "new"]), default="keep", show_default=True, help="new: reinitialise it at random.")
@click.option(
    "--heads", type=click.Choice(["keep", "new"]), default="keep", show_default=True, help="MLM and NSP; new: reinitialise them at random."
)
@to_option
@output_option
@seed_option
def take_layers(source: str, layers: str, pooler: str, heads: str, to: str, output: Path, seed: int) -> None:
    """Make a smaller model from the layers of another, as for RBT3. MODEL is the name of a zoo model, or the folder of a run or model."""
    from wholeword.core.bert.shapes import renew
    from wholeword.core.bert.shapes import take_layers as take
    from wholeword.zoo.find import read

    try:
        numbers = [int(number) for number in layers.split(",")]
    except ValueError:
        raise UserError(f"--layers: {layers!r}; expected a number such as 3, or numbers such as 0,2,4") from None
    parent = read(source)
    if "," not in layers:
        if not 1 <= numbers[0] <= parent.config.num_hidden_layers:
            raise UserError(
                f"--layers: {layers}; expected a number of layers from 1 to {parent.config.num_hidden_layers}, "
                "or the numbers of at least two, such as 0,2"
            )
        numbers = list(range(numbers[0]))
    if duplicates := [number for place, number in enumerate(numbers) if number in numbers[:place]]:
        raise UserError(f"--layers: layer {duplicates[0]} appears twice; a recipe can repeat layers, with model.init.layers")
    model = take(parent, numbers, setting="--layers")
    model = renew(model, [part for part, choice in (("pooler", pooler), ("heads", heads)) if choice == "new"], seed)
    _write(model, source, to, output)
    click.echo(f"{output}: layers {', '.join(map(str, numbers))} of {source}")


@click.command("grow-vocab")
@click.argument("source", metavar="MODEL", shell_complete=complete_model)
@click.option("--add", required=True, type=path_type, metavar="FILE", help="Pieces to add, one per line: “, covid, ##vid, 喆.")
@click.option(
    "--rows",
    type=click.Choice(["mean", "random"]),
    default="mean",
    show_default=True,
    help="Initial embeddings: the mean of the pieces that spell the new one today, or random.",
)
@click.option("--reuse-unused", is_flag=True, help="Replace [unused1], [unused2] ... before growing the vocabulary.")
@to_option
@output_option
@seed_option
def grow_vocab(source: str, add: Path, rows: Any, reuse_unused: bool, to: str, output: Path, seed: int) -> None:
    """Add pieces to a model's vocabulary. Logits of existing pieces do not change. Chinese words of several characters cannot be added."""
    from wholeword.core.bert.growth import grow_model, grow_vocabulary, read_pieces
    from wholeword.zoo.find import read

    model, pieces = read(source), set(read_pieces(add))
    before = len(pieces & model.vocabulary.ids.keys())
    vocabulary = grow_vocabulary(model.vocabulary, read_pieces(add), lowercase=model.lowercase, reuse_unused=reuse_unused)
    _write(grow_model(model, vocabulary, rows=rows, seed=seed), source, to, output)
    added = f"{len(pieces) - before} pieces added, {before} already present"
    click.echo(f"{output}: {added}: {len(model.vocabulary):,} -> {len(vocabulary):,}")


def _write(model: Any, source: str, to: str, output: Path) -> None:
    from wholeword.core.training.export import export, head_warnings

    warn_of_shadows("exporter", "to", [to])
    print_warnings(head_warnings(model, source))
    export(model, to, output)
