"""Quotation marks, dashes and the ellipsis as the vocabulary of the released models has them."""

from collections.abc import Sequence

# what is not among the 21,128 pieces of the released models and becomes [UNK], and what is written for it: one character for one
REPLACEMENTS = {
    "“": '"',
    "”": '"',
    "‟": '"',
    "‘": "'",
    "’": "'",
    "‚": "'",
    "‛": "'",
    "—": "-",  # a Chinese dash is two of them
    "―": "-",
    "–": "-",
    "‒": "-",
    "‐": "-",
    "‑": "-",
    "…": "⋯",  # not "...", which ends no sentence and is three pieces
}
TABLE = str.maketrans(REPLACEMENTS)


class Quotes:
    """Writes `REPLACEMENTS`. 「」『』《》„«» stay: they are in the vocabulary."""

    version = "1"

    def clean(self, lines: Sequence[str]) -> list[str]:
        return [line.translate(TABLE) for line in lines]
