"""Masked sentences in colours, for a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from wholeword.reports.preview import Preview

STYLES = {"mask": "bold white on red", "kept": "black on green", "random": "black on yellow", "piece": ""}


def print_previews(previews: Sequence[Preview]) -> None:
    """Print sentences, their words, and the output of each strategy."""
    console = Console(highlight=False, soft_wrap=True)
    for preview in previews:
        width = max(len(name) for name in ("words", *(masked.strategy for masked in preview.masked)))
        console.print(Text(preview.text, style="bold"))
        console.print(Text(f"  {'words':{width}}  " + " / ".join(preview.words)))
        for masked in preview.masked:
            line = Text(f"  {masked.strategy:{width}}  ")
            for number, word in enumerate(masked.words()):
                line.append(" " * (number > 0))
                for piece in word:
                    line.append(piece.text, style=STYLES[piece.kind])
            console.print(line)
        if preview.fallbacks:
            console.print(Text(f"  {preview.fallbacks} span(s) where the segmenter altered the text: single characters there"))
