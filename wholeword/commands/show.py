"""Look at what masking does: `wholeword mask`, `wholeword report`."""

import sys
from pathlib import Path
from typing import Any

import click

from wholeword.commands import as_text, json_option, json_text, path_type, print_result, warn_of_shadows
from wholeword.core.errors import UserError


@click.command()
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option("--segmenter", default="jieba", show_default=True, help="Segmenter; ltp=FOLDER sets its model.")
@click.option("--strategy", default="whole-word", show_default=True, help="Masking strategy; lexicon=FILE sets its words.")
@click.option("--compare", metavar="A,B", help="Show several strategies side by side.")
@click.option("--vocab", type=path_type, metavar="FILE", help="A model's vocab.txt.  [default: a built-in vocabulary for display]")
@click.option("--cased", is_flag=True, help="Do not lower-case the text.")
@click.option("--seed", type=int, default=12345, show_default=True, help="Seed of the masks.")
@json_option
@click.option("--html", type=path_type, metavar="FILE", help="Write an HTML page instead.")
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
    """Show words, pieces and masks of sentences. With - as TEXT, they are read from standard input, one per line."""
    from wholeword.core.config.settings import create_from
    from wholeword.core.console import doing
    from wholeword.core.data.tokenizer import WordPieceTokenizer
    from wholeword.core.training.sources import bind
    from wholeword.core.vocabulary import Vocabulary
    from wholeword.reports.preview import display_vocabulary, preview
    from wholeword.reports.terminal import print_previews

    names = [name.strip() for name in compare.split(",")] if compare else [strategy]
    warn_of_shadows("segmenter", "segmenter", [segmenter.partition("=")[0]])
    warn_of_shadows("masking", "compare" if compare else "strategy", [name.partition("=")[0] for name in names])
    sentences = [line for text in texts for line in (_standard_input() if text == "-" else [as_text(text)]) if line.strip()]
    tokenizer = WordPieceTokenizer(Vocabulary.read(vocab) if vocab else display_vocabulary(), not cased, definition="transformers")
    strategies = {name: bind(create_from("masking", name), tokenizer, name=name.partition("=")[0]) for name in names}
    with doing(f"loading {segmenter} and segmenting"):
        previews = preview(sentences, create_from("segmenter", segmenter), strategies, tokenizer, seed=seed)
    if html:
        from wholeword.reports.html import preview_page

        html.write_text(preview_page(previews), encoding="utf-8")
        click.echo(f"{html}: {len(previews)} sentence{'s' * (len(previews) != 1)}")
    elif as_json:
        for sentence in previews:
            for row in sentence.plain():
                click.echo(json_text(row, indent=None))
    else:
        print_previews(previews)


@click.command()
@click.argument("source", metavar="STORE|RUN|RECIPE|TEXT")
@click.option("--compare", metavar="A,B", help="Compare segmenters on the text of a recipe, run or .txt file: jieba,characters,ltp=FOLDER.")
@click.option("--strategy", metavar="NAME", help="Masking strategy.  [default: that of the run or recipe, or whole-word]")
@click.option("--rate", type=click.FloatRange(0, 1, min_open=True), help="Share of the pieces to mask.")
@click.option("--max-seq-length", "lengths", type=click.IntRange(8), multiple=True, metavar="N", help="Length of the rows; repeatable.")
@json_option
@click.option("--html", type=path_type, metavar="FILE", help="Write an HTML page instead.")
def report(
    source: str,
    compare: str | None,
    strategy: str | None,
    rate: float | None,
    lengths: tuple[int, ...],
    as_json: bool,
    html: Path | None,
) -> None:
    """Report what masking does to a corpus, or the results of a fine-tuning run.

    With --compare, report how segmenters differ on the text of a corpus instead.
    """
    from wholeword.core.console import doing
    from wholeword.finetuning.report import holds_finetuning, report_run
    from wholeword.reports.compare import CompareReport, compare_source
    from wholeword.reports.lines import compare_lines, store_lines
    from wholeword.reports.store import report_source

    if holds_finetuning(source):
        if compare or strategy or rate or lengths or html:
            raise UserError(f"{source}: a fine-tuning run; its report has no options but --json")
        run = report_run(source)
        return print_result(run.plain(), run.lines(), as_json)
    warn_of_shadows("masking", "strategy", [strategy] if strategy else [])
    warn_of_shadows("segmenter", "compare", [name.strip().partition("=")[0] for name in compare.split(",")] if compare else [])
    masks: dict[str, Any] = {"strategy": strategy, "rate": rate, "lengths": lengths}
    segmenters = [name.strip() for name in compare.split(",")] if compare else []
    with doing(f"segmenting text of {source} {len(segmenters)} times" if compare else f"counting {source} and drawing masks"):
        result = compare_source(source, segmenters, **masks) if compare else report_source(source, **masks)
    if html:
        from wholeword.reports.html import compare_page, store_page

        html.write_text(compare_page(result) if isinstance(result, CompareReport) else store_page(result), encoding="utf-8")
        click.echo(str(html))
    else:
        lines = compare_lines(result) if isinstance(result, CompareReport) else store_lines(result)
        print_result(result.plain(), lines, as_json)


def _standard_input() -> list[str]:
    from wholeword.core.text_files import decode, lines

    return lines(decode(sys.stdin.buffer.read(), "standard input", expected="a sentence a line"))
