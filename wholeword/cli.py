"""The command line. Everything but click is imported inside the command that uses it: `--help` and `plugins` stay quick."""

import errno
import json
import sys
from pathlib import Path
from typing import Any

import click

from wholeword.commands import Commands, json_option, path_type, recipe_argument, set_option
from wholeword.commands.bench import bench
from wholeword.commands.fill import fill
from wholeword.commands.finetune import finetune
from wholeword.commands.leakage import leakage
from wholeword.commands.models import grow_vocab, take_layers
from wholeword.core.errors import PluginError, UserError, WholewordError


@click.group(
    cls=Commands,
    epilog="RECIPE is a YAML file or the name of a shipped recipe. --debug, anywhere, shows the traceback of an error. "
    "Exit: 0 fine, 2 your input, 3 damaged data, 4 plugin, 5 network, 74 disk, 130 interrupted.",
)
@click.version_option(package_name="wholeword")
def app() -> None:
    """Chinese BERT with whole word masking: raw text in, one YAML file, models out."""


@app.command()
@recipe_argument
@set_option
@click.option(
    "--resume",
    type=click.Choice(["auto", "never"]),
    default="auto",
    show_default=True,
    help="Go on where the run was left, or keep it aside and start anew.",
)
def train(recipe: str, overrides: tuple[str, ...], resume: str) -> None:
    """Carry out a recipe: prepare, train, evaluate, export. The same command goes on with an interrupted run."""
    from wholeword.core.advice import advise
    from wholeword.core.console import observer
    from wholeword.core.plan import planned_config
    from wholeword.core.run import train as train_run

    loaded = _load(recipe, overrides)
    for item in advise(loaded, config=planned_config(loaded, vocab_size=1)):
        print(f"advice: {item}", file=sys.stderr)
    with observer() as console:
        folder = train_run(loaded, resume=resume, observer=console)
    for line in _next_commands(folder):
        click.echo(line)


@app.command()
@recipe_argument
@set_option
@click.option("--to", type=click.Choice(["tfrecord"]), help="Write the rows to train on too: files for TensorFlow, a folder a phase.")
@click.option("--shards", type=click.IntRange(1, 99_999), metavar="N", help="With --to: files of a phase.  [default: 10]")
@click.option("--passes", type=click.IntRange(1), metavar="N", help="With --to: passes over the corpus.  [default: masking.dupe_factor]")
@click.option("-o", "--output", type=path_type, metavar="DIR", help="With --to: where to.  [default: tfrecord in the recipe's output]")
def prepare(recipe: str, overrides: tuple[str, ...], to: str | None, shards: int | None, passes: int | None, output: Path | None) -> None:
    """Build the token store of a recipe; an interrupted build goes on."""
    from wholeword.core.console import observer
    from wholeword.core.data.prepare import prepare as prepare_store
    from wholeword.core.data.store import TokenStore

    if to is None and (shards, passes, output) != (None, None, None):
        raise click.UsageError("--shards, --passes and --output go with --to tfrecord")
    loaded = _load(recipe, overrides)
    with observer() as console:
        path = prepare_store(loaded, progress=lambda done, total, tokens: console.progress("prepare", done, total, f"{tokens:,} tokens"))
        counts = TokenStore(path, verify=False).manifest["counts"]
        console.say(f"{path}: " + ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items()))
        if to == "tfrecord":
            from wholeword.core.tfrecords import write_tfrecords

            target = output or Path(loaded.output) / "tfrecord"
            write_tfrecords(loaded, TokenStore(path), target, shards=shards or 10, passes=passes, observer=console)


@app.command()
@recipe_argument
@set_option
@json_option
def check(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what a recipe will do and need, without doing it."""
    from dataclasses import asdict

    from wholeword.core.advice import advise
    from wholeword.core.config.recipes import shipped_recipes
    from wholeword.core.plan import UTILISATION, local_vocabulary, plan, planned_config
    from wholeword.core.tpu import plan_tpu

    loaded = _load(recipe, overrides)
    result = plan(loaded, is_template=recipe in shipped_recipes())
    config = planned_config(loaded, result.vocab_size)
    advice = advise(loaded, config=config, plan=result if result.num_tokens else None, vocabulary=local_vocabulary(loaded))
    tpu = plan_tpu(loaded, config, utilisation=UTILISATION)
    if as_json:
        said = {"advice": [item._asdict() for item in advice], "warnings": loaded.warnings, "tpu": asdict(tpu) if tpu else None}
        click.echo(json.dumps(asdict(result) | said, ensure_ascii=False, indent=1))
    else:
        for line in [*result.lines(), *(tpu.lines() if tpu else []), *(f"advice: {item}" for item in advice)]:
            click.echo(line)


@app.command()
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option("--segmenter", default="jieba", show_default=True, help="What cuts words; ltp=FOLDER sets its model.")
@click.option("--strategy", default="whole-word", show_default=True, help="What chooses the masks; lexicon=FILE.")
@click.option("--compare", metavar="A,B", help="Several strategies side by side.")
@click.option("--vocab", type=path_type, metavar="FILE", help="A model's vocab.txt; without it a vocabulary for display.")
@click.option("--cased", is_flag=True, help="Do not lower-case.")
@click.option("--seed", type=int, default=12345, show_default=True, help="Another seed, other masks.")
@json_option
@click.option("--html", type=path_type, metavar="FILE", help="Write a page instead.")
def mask(
    texts: tuple[str, ...],
    segmenter: str,
    strategy: str,
    compare: str | None,
    vocab: Path | None,
    cased: bool,
    seed: int,
    as_json: bool,
    html: Path | None,
) -> None:
    """Show words, pieces and masks of sentences; - reads them from standard input, one a line."""
    from wholeword.core.data.tokenizer import WordPieceTokenizer
    from wholeword.core.data.vocabulary import Vocabulary
    from wholeword.core.preview import display_vocabulary, preview, to_html
    from wholeword.core.settings import create_from
    from wholeword.core.sources import bind

    sentences = [line for text in texts for line in (_standard_input() if text == "-" else [text]) if line.strip()]
    names = [name.strip() for name in compare.split(",")] if compare else [strategy]
    tokenizer = WordPieceTokenizer(Vocabulary.read(vocab) if vocab else display_vocabulary(), not cased)
    strategies = {name: bind(create_from("masking", name), tokenizer) for name in names}
    previews = preview(sentences, create_from("segmenter", segmenter), strategies, tokenizer, seed=seed)
    if html:
        html.write_text(to_html(previews), encoding="utf-8")
        click.echo(f"{html}: {len(previews)} sentence{'s' * (len(previews) != 1)}")
    elif as_json:
        for rows in previews:
            for row in rows:
                click.echo(json.dumps(row, ensure_ascii=False))
    else:
        _print_previews(previews)


@app.command()
@click.argument("source", metavar="STORE|RUN|RECIPE|TEXT")
@click.option("--compare", metavar="A,B", help="Segmenters over the text of a recipe or a .txt instead: jieba,characters,ltp=FOLDER.")
@click.option("--strategy", metavar="NAME", help="What chooses the masks.  [default: as the run or recipe says, or whole-word]")
@click.option("--rate", type=click.FloatRange(0, 1, min_open=True), help="Share to mask.")
@click.option("--max-seq-length", "lengths", type=click.IntRange(8), multiple=True, metavar="N", help="Of rows; may come several times.")
@json_option
@click.option("--html", type=path_type, metavar="FILE", help="Write a page instead.")
def report(
    source: str,
    compare: str | None,
    strategy: str | None,
    rate: float | None,
    lengths: tuple[int, ...],
    as_json: bool,
    html: Path | None,
) -> None:
    """Show what masking does to a corpus, or what another segmenter would."""
    from wholeword.core.report import lines, pages
    from wholeword.core.report.compare import compare_source
    from wholeword.core.report.compare_page import compare_page
    from wholeword.core.report.figures import report_source

    masks: dict[str, Any] = {"strategy": strategy, "rate": rate, "lengths": lengths}
    if compare:
        figures = compare_source(source, [name.strip() for name in compare.split(",")], **masks)
    else:
        figures = report_source(source, **masks)
    if html:
        html.write_text(compare_page(figures) if compare else pages.store_page(figures), encoding="utf-8")
        click.echo(str(html))
    elif as_json:
        click.echo(json.dumps(figures, ensure_ascii=False, indent=1))
    else:
        for line in lines.compare_lines(figures) if compare else lines.store_lines(figures):
            click.echo(line)


@app.group(cls=Commands)
def recipes() -> None:
    """List, print and copy the recipes that come with wholeword."""


@recipes.command("ls")
def recipes_ls() -> None:
    """List the shipped recipes."""
    from wholeword.core.config.recipes import shipped_recipes

    for name, description in shipped_recipes().items():
        click.echo(f"{name:24} {description}")


@recipes.command("show")
@click.argument("name")
@click.option("--sources", is_flag=True, help="Instead, where each value comes from.")
@json_option
def recipes_show(name: str, sources: bool, as_json: bool) -> None:
    """Print a shipped recipe, or where each of its values comes from."""
    from wholeword.core.config.recipes import read_recipe

    if not (sources or as_json):
        click.echo(read_recipe(name), nl=False)
        return
    from wholeword.core.config.origins import declared_sources, lines, origins

    found = origins(read_recipe(name), f"{name}.yaml")
    if as_json:
        said = {"sources": declared_sources(read_recipe(name)), "values": [origin.plain() for origin in found]}
        click.echo(json.dumps(said, ensure_ascii=False, indent=1))
    else:
        for line in lines(found):
            click.echo(line)


@recipes.command("cp")
@click.argument("name")
@click.argument("target", type=path_type, default=".")
def recipes_cp(name: str, target: Path) -> None:
    """Copy a shipped recipe to a file or folder of your own; refuses to overwrite."""
    from wholeword.core.config.recipes import copy_recipe

    click.echo(str(copy_recipe(name, target)))


@app.group(cls=Commands)
def zoo() -> None:
    """List, describe, fetch and check models by name."""


@zoo.command("ls")
@json_option
def zoo_ls(as_json: bool) -> None:
    """List the models: layers x width, parameters and their share of RoBERTa-wwm-ext, the state of the MLM head, licence."""
    from wholeword.zoo import info, list_models

    cards = [info(name) for name in list_models()]
    if as_json:
        click.echo(json.dumps(cards, ensure_ascii=False, indent=1))
        return
    for card in cards:
        head = f"MLM head {card['heads']['mlm']}"
        click.echo(f"{card['name']:37} {card['size']:>9}  {card['parameters']:13} {head:18} {card['license']}")


@zoo.command("info")
@click.argument("model", metavar="NAME|PATH")
@click.option("--weights", is_flag=True, help="Fetch or read the weights, and say whether the heads in them are trained.")
@json_option
def zoo_info(model: str, weights: bool, as_json: bool) -> None:
    """Say what is known of a model, or what a folder holds."""
    from wholeword.zoo.describe import describe, lines

    facts = describe(model, weights=weights)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        for line in lines(facts):
            click.echo(line)


@zoo.command("get")
@click.argument("name")
@click.option("-o", "--output", type=path_type, metavar="DIR", help="Copy it there, with checksums; by default it stays in the cache.")
@click.option("--revision", metavar="REVISION", help="Branch, tag or commit of the hub.")
def zoo_get(name: str, output: Path | None, revision: str | None) -> None:
    """Fetch a model, check it and print where it is."""
    from wholeword.zoo.describe import copy
    from wholeword.zoo.find import find

    path = find(name, revision=revision)
    click.echo(str(copy(path, output, name=name) if output else path))


@zoo.command("verify")
@click.argument("model", metavar="NAME|PATH")
@json_option
def zoo_verify(model: str, as_json: bool) -> None:
    """Compare every byte of a model, fetched or in a folder, with its checksums."""
    from wholeword.zoo.describe import verify

    checksums = verify(model)
    if as_json:
        click.echo(json.dumps(checksums, indent=1))
    else:
        for file, checksum in checksums.items():
            click.echo(f"{checksum}  {file}")


@app.command()
@json_option
def plugins(as_json: bool) -> None:
    """List what the installed plugins offer, and those that are broken."""
    from wholeword.core.registry import registry

    clashing = {entry for group in registry.clashes() for entry in group}
    if as_json:
        rows = [entry._asdict() | {"clash": entry in clashing} for entry in registry.entries]
        click.echo(json.dumps({"entries": rows, "broken": [plugin._asdict() for plugin in registry.broken]}, ensure_ascii=False, indent=1))
        return
    for entry in sorted(registry.entries):
        note = f"  offered more than once: write {entry.qualified_name}" if entry in clashing else ""
        click.echo(f"{entry.kind:11} {entry.name:16} {entry.distribution} {entry.version}  {entry.target}{note}")
    for plugin in registry.broken:
        click.echo(f"broken      {plugin.distribution} {plugin.version}  {plugin.entry_point}  {plugin.reason}")


@app.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what this machine has: versions, devices, plugins that work or what they need."""
    from wholeword.core.doctor import examine

    findings = examine()
    if as_json:
        click.echo(json.dumps(findings, ensure_ascii=False, indent=1))
        return
    for section, rows in findings.items():
        click.echo(section)
        for name, value in rows.items():
            click.echo(f"  {name:28} {value}")


@app.command()
@click.argument("source", metavar="MODEL")
@click.option("--to", required=True, metavar="A,B", help="Exporters; see wholeword plugins.")
@click.option(
    "-o", "--output", required=True, type=path_type, metavar="DIR", help="Where to; with several exporters a folder each below it."
)
@click.option("--verify", is_flag=True, help="Read each result back, and compare what the tool it is meant for computes with it.")
def export(source: str, to: str, output: Path, verify: bool) -> None:
    """Write a model for other tools. MODEL is a name of the zoo, or the folder of a run, checkpoint or model."""
    from wholeword.core.registry import registry
    from wholeword.core.run import export as export_model
    from wholeword.core.run import read_back
    from wholeword.zoo.find import read
    from wholeword.zoo.verify import place_of
    from wholeword.zoo.verify import verify as verify_export

    names = [name.strip() for name in to.split(",")]
    for name in names:
        registry.find("exporter", name)
    model = read(source)
    unverified = []
    for name in names:
        target = output / name if len(names) > 1 else output
        export_model(model, name, target)
        click.echo(f"{name}: {target}")
        if verify or "slots" in model.provenance:
            for line in read_back(model, read(str(place_of(target)))):
                click.echo(f"{name}: {line}")
        if verify:
            try:
                click.echo(verify_export(model, name, target))
            except PluginError as error:
                unverified.append(str(error))
    if unverified:
        raise PluginError("\n".join(unverified))


@app.command("repair-head")
@click.argument("source", metavar="MODEL")
@click.argument("recipe", metavar="[RECIPE]", required=False)
@click.option("--corpus", multiple=True, metavar="FILES", help="Text, one document a line; may come several times.")
@click.option("-o", "--output", required=True, type=path_type, metavar="DIR", help="Folder of the run.")
@set_option
def repair_head(source: str, recipe: str | None, corpus: tuple[str, ...], output: Path, overrides: tuple[str, ...]) -> None:
    """Fit the MLM head of a model over its frozen encoder, on the corpus of a recipe or on files."""
    from wholeword.core.console import observer
    from wholeword.core.heads import inspect, inspect_model
    from wholeword.core.repair import repair_recipe
    from wholeword.core.run import train as train_run
    from wholeword.zoo.find import find, read

    if recipe is None and not corpus:
        raise click.UsageError("a RECIPE or --corpus says on what text")
    model = read(source)
    click.echo(f"before: MLM head {': '.join(inspect_model(model).mlm)}")
    loaded = repair_recipe(str(find(source)), model, output, recipe=recipe, corpus=corpus, overrides=overrides)
    with observer() as console:
        folder = train_run(loaded, observer=console)
    after = read(str(folder.absolute()))
    click.echo(f"after: MLM head {': '.join(inspect(after.weights, after.config).mlm)}")
    for line in _next_commands(folder):
        click.echo(line)


app.add_command(bench)
app.add_command(fill)
app.add_command(finetune)
app.add_command(leakage)
app.add_command(take_layers)
app.add_command(grow_vocab)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; an error is one line a problem on standard error."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    try:
        app(arguments, prog_name="wholeword", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BaseException as error:
        cause = error.__cause__ if isinstance(error, click.Abort) and error.__cause__ else error  # click wraps KeyboardInterrupt
        code = _exit_code(cause)
        if code is None or (debug and not isinstance(cause, SystemExit)):
            raise
        if str(cause) and not isinstance(cause, SystemExit):
            print(cause, file=sys.stderr)
        sys.exit(code)


def _exit_code(error: BaseException) -> int | None:
    """None: a defect of ours, to be shown with its traceback."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 2
    if isinstance(error, WholewordError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()  # the reader of our output is gone: say nothing more
        return 0
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return 74
    if isinstance(error, OSError) and error.filename is not None:
        return 2
    return None


def _load(recipe: str, overrides: tuple[str, ...]) -> Any:
    from wholeword.core.config import load_recipe

    loaded = load_recipe(recipe, overrides=overrides)
    for line in loaded.warnings:
        print(f"warning: {line}", file=sys.stderr)
    return loaded


def _standard_input() -> list[str]:
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"standard input: not UTF-8 at byte {error.start}") from None
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def _print_previews(previews: list[list[dict[str, Any]]]) -> None:
    from rich.console import Console
    from rich.text import Text

    from wholeword.core.preview import marked

    styles = {"mask": "bold white on red", "kept": "black on green", "random": "black on yellow", "piece": "", "word": ""}
    console = Console(highlight=False, soft_wrap=True)
    for rows in previews:
        width = max(len(name) for name in ("words", *(row["strategy"] for row in rows)))
        console.print(Text(rows[0]["text"], style="bold"))
        console.print(Text(f"  {'words':{width}}  " + " / ".join(rows[0]["words"])))
        for row in rows:
            line = Text(f"  {row['strategy']:{width}}  ")
            for text, kind in marked(row):
                line.append(text, style=styles[kind])
            console.print(line)
        if rows[0]["fallbacks"]:
            console.print(Text(f"  {rows[0]['fallbacks']} span(s) where the segmenter altered the text: single characters there"))


def _next_commands(folder: Path) -> list[str]:
    exported = folder / "export" / "pytorch-bin"
    if not exported.exists():
        return []
    return [
        "",
        "next:",
        f"  python -c \"from transformers import pipeline; print(pipeline('fill-mask', '{exported}')('房间很[MASK]净。'))\"",
        f'  wholeword mask "{_EXAMPLE}" --compare wordpiece,whole-word --vocab {exported / "vocab.txt"}',
        "  wholeword recipes cp quickstart mine.yaml    # a recipe of your own: put your text into it, then",
        "  wholeword check mine.yaml && wholeword train mine.yaml",
    ]


_EXAMPLE = "使用语言模型来预测下一个词的probability。"
