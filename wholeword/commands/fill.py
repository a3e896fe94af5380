"""`wholeword fill`: fill in the masks of sentences."""

import sys
from pathlib import Path

import click

from wholeword.commands import as_text, complete_model, json_option, json_text, path_type

DEFAULT_MODEL = "runs/quickstart"  # output folder of `wholeword train quickstart`


@click.command()
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option(
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    metavar="MODEL",
    help="Name of a zoo model, or folder of a run or model.",
    shell_complete=complete_model,
)
@click.option("--words", type=path_type, metavar="FILE", help="Word list: consider only its words, and all that fit.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="Number of candidates to show.")
@click.option(
    "--width", type=click.IntRange(1), metavar="N", help="Partial candidates kept after each mask.  [default: 64, or all of --words]"
)
@click.option("--backend", default="pytorch", show_default=True, metavar="NAME", help="Backend that runs the model.")
@json_option
def fill(texts: tuple[str, ...], model: str, words: Path | None, top: int, width: int | None, backend: str, as_json: bool) -> None:
    """Fill in the [MASK]s of sentences. All masks of a sentence are filled jointly: 今天[MASK][MASK]很好.

    [CLS] at the beginning and [SEP] at the end may be written or not; a [SEP] within the text separates two texts.
    """
    from wholeword.core.console import doing
    from wholeword.core.data.masked_sentence import problem_of_masked
    from wholeword.core.data.tokenizer import WordPieceTokenizer
    from wholeword.core.data.word_lists import read_word_list
    from wholeword.core.errors import UserError
    from wholeword.core.training.fill import check_head, start_model
    from wholeword.core.training.fill import fill as fill_masks
    from wholeword.zoo.find import read

    texts = tuple(map(as_text, texts))
    for text in texts:
        if problem := problem_of_masked(text):
            raise UserError(f"{text}: {problem}")
    allowed = [entry.word for entry in read_word_list(words)] if words else None
    if model == DEFAULT_MODEL and not Path(model).exists():
        raise UserError(f"{model}: no such folder; give --model, or train one with: wholeword train quickstart")
    files = read(model)
    with doing("checking whether its MLM head was trained"):
        warning = check_head(files, model)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    trainer = start_model(files, backend=backend)
    tokenizer = WordPieceTokenizer(files.vocabulary, files.lowercase, definition="transformers")
    for text in texts:
        positions = files.config.max_position_embeddings
        with doing(f"filling in {text}"):
            candidates = fill_masks(trainer, tokenizer, text, top=top, width=width, words=allowed, max_seq_length=positions)
        if as_json:
            result = {"sentence": text, "model": model, "candidates": [candidate.plain() for candidate in candidates]}
            click.echo(json_text(result, indent=None))
            continue
        click.echo(text)
        for candidate in candidates:
            click.echo(f"  {candidate.plain()['probability']:9.2e}  {' '.join(candidate.words)}  {candidate.text}")
