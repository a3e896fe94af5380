"""Word lists, in one form wherever a setting or option takes one: `segmenter.user_dictionary`, `masking.words`, `fill --words`.

An entry a line: the word, then perhaps a frequency and a tag, as in jieba's dictionaries, between blanks or tabs. A word may hold blanks
(`New York`): what follows a blank belongs to it unless it is a number, a tag that jieba uses, or a lower-case tag behind a
number. What follows a tab never belongs to it.
"""

import multiprocessing
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import InputWarning, UserError
from wholeword.core.text_files import BLANKS, lines, read_text

SHOWN, SHOWN_CHARACTERS = 5, 40  # entries that a message lists, and characters of each
EXPECTED = "a word list: an entry a line, perhaps with a frequency and a tag"
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
MAX_FREQUENCY = 10**12
# the tags in jieba's own dictionary, and those that its tagger gives marks and blanks
TAGS = frozenset(
    "a ad ag an b c d df dg e eng f g h i j k l m mg mq n ng nr nrfg nrt ns nt nw nz o p q r rg rr rz s t tg u ud ug uj ul uv uz "
    "v vd vg vi vn vq w x y z zg".split()
)


class Entry(NamedTuple):
    """A line of a word list."""

    word: str
    line: int  # of the file
    frequency: int | None = None
    tag: str | None = None


def read_word_list(path: Path | str, *, setting: str = "") -> list[Entry]:
    """Read a word list.

    Args:
        setting: the setting that names the file, for messages.
    Raises: UserError if it cannot be read, is no text, or has no entry.
    """
    text = read_text(path, expected=EXPECTED, setting=setting)
    entries = [parse_entry(line, number) for number, line in enumerate(lines(text), 1) if line.strip(BLANKS)]
    if not entries:
        raise UserError(f"{f'{setting}: ' if setting else ''}{path}: no entry; expected {EXPECTED}")
    return entries


def parse_entry(text: str, line: int) -> Entry:
    """The entry on a line that is not white."""
    before, _, behind = text.strip(BLANKS).partition("\t")
    word = [field for field in before.replace("\u3000", " ").split(" ") if field]
    rest = behind.split()
    if len(word) > 2 and NUMBER.fullmatch(word[-2]) and (word[-1].lower() in TAGS or word[-1].islower()):
        *word, frequency, tag = word
        return Entry(" ".join(word), line, _whole(frequency), tag)
    while len(word) > 1 and (NUMBER.fullmatch(word[-1]) or word[-1].lower() in TAGS) and len(rest) < 2:
        rest.insert(0, word.pop())
    frequencies = [field for field in rest[:2] if NUMBER.fullmatch(field)]
    tags = [field for field in rest[:2] if field.isascii() and field.isalpha()]
    return Entry(" ".join(word), line, _whole(frequencies[0]) if frequencies else None, tags[0] if tags else None)


def _whole(frequency: str) -> int:
    """A frequency as jieba takes it: a whole number; one that is not 0 does not become 0."""
    value = float(frequency)
    return min(max(round(min(value, MAX_FREQUENCY)), int(value > 0)), MAX_FREQUENCY)


def pieces_of_words(words: Iterable[str], tokenizer: WordPieceTokenizer, *, source: str) -> list[tuple[int, ...]]:
    """The ids of each word that text can hold; warns of those that can never match.

    Args:
        source: the list, for messages.
    """
    matching, never, total = [], [], 0
    for word in words:
        total += 1
        ids = tuple(tokenizer.encode(word)[0].tolist())
        if ids and tokenizer.vocabulary.unk_id not in ids:
            matching.append(ids)
        else:
            never.append(
                f"{word[:SHOWN_CHARACTERS]!r} (pieces that the vocabulary lacks)" if ids else f"{word[:SHOWN_CHARACTERS]!r} (no text)"
            )
    warn_of_entries(never, total, source)
    return matching


def warn_of_entries(never: Sequence[str], total: int, source: str) -> None:
    """Warn of the entries of a list that can never match, each with its reason."""
    if not never:
        return
    more = f" and {len(never) - SHOWN:,} more" if len(never) > SHOWN else ""
    message = f"{source}: {len(never):,} of {total:,} entries can never match: {', '.join(never[:SHOWN])}{more}"
    if multiprocessing.parent_process() is None:
        warnings.warn(message, InputWarning, stacklevel=3)
    elif multiprocessing.current_process().name.endswith("-1"):  # the first worker speaks for all
        print(f"warning: {message}", file=sys.stderr)
