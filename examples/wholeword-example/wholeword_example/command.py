from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--unique", is_flag=True, help="Count each character once.")
def count(files, unique):
    """Count the characters of text files."""
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    click.echo(len(set(text)) if unique else len(text))
