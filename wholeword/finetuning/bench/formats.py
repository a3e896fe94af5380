"""Tables as Markdown, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Callable, Iterable

from wholeword.finetuning.bench.tables import Table

LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {sign: f"\\{sign}" for sign in "&%$#_{}"}


def markdown(tables: Iterable[Table]) -> str:
    """As in READMEs: the first column aligned left, the others centred."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    rows = [table.head, [":-------", *([":---------:"] * (len(table.head) - 1))], *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    metrics = [note for note in table.notes if note.startswith("Evaluation")]
    after = [f"* {note}" for note in table.notes if note not in metrics]
    return "\n".join([f"### {table.title}", *metrics, "", *lines, *(["", *after] if after else []), ""])


def as_csv(tables: Iterable[Table]) -> str:
    """For programs: a block for each table, its title and notes on lines that begin with #, blocks separated by an empty line."""
    blocks = []
    for table in tables:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([table.head, *table.rows])
        blocks.append("".join(f"# {line}\n" for line in (table.title, *table.notes)) + out.getvalue())
    return "\n".join(blocks)


def latex(tables: Iterable[Table]) -> str:
    """Tables for a paper that uses the package booktabs."""
    return "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    head, *rows = [" & ".join(map(_escaped, row)) + r" \\" for row in [table.head, *table.rows]]
    caption = _escaped(". ".join(note.rstrip(".") for note in (table.title, *table.notes)) + ".")
    inside = [r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
    columns = "l" + "c" * (len(table.head) - 1)
    lines = [rf"\begin{{tabular}}{{{columns}}}", *inside, r"\end{tabular}"]
    return "\n".join([r"\begin{table}", r"\centering", *lines, rf"\caption{{{caption}}}", r"\end{table}", ""])


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda match: LATEX[match[0]], text).replace("±", r"$\pm$")


WRITERS: dict[str, Callable[[Iterable[Table]], str]] = {"markdown": markdown, "csv": as_csv, "latex": latex}
