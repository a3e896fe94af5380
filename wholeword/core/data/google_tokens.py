"""WordPiece as google-research/bert does it, with the place of every piece.

Follows `BasicTokenizer` and `WordpieceTokenizer` of tokenization.py (commit eedf571). Rare characters get other pieces here than from
`tokenizers`, and thus from the fast tokenizers of transformers:

    here                                                         `tokenizers`
    words of up to 200 characters have pieces                    of up to 100
    private-use and unassigned characters belong to words        are dropped
    U+2B820 ... U+2B91F are Chinese                              belong to words
    a capital sigma at the end of a word becomes a final one     never
    categories are those of Python's Unicode version             those of Unicode 8, more or less

The Unicode version matters: punctuation that is newer than the running Python is part of a word here, as it is for Google's code.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from wholeword.core.vocabulary import Vocabulary, is_chinese

MAX_WORD = 200  # max_input_chars_per_word of WordpieceTokenizer: a longer word is one [UNK]
SIGMA = "Σ"  # the only character whose lower case depends on its neighbours
ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
DROPPED, BLANK, CHINESE, OTHER = range(4)

Placed = tuple[str, int]  # a character, and where it stands in the text


class PlacedPieces(NamedTuple):
    """The pieces of a text, in order."""

    ids: Sequence[int]
    words: Sequence[int | None]  # the number of the word that each piece is part of
    offsets: Sequence[tuple[int, int]]  # first character and character after the last


class GoogleWordPiece:
    """Text -> pieces. Arguments as of `WordPieceTokenizer`."""

    def __init__(self, vocabulary: Vocabulary, lowercase: bool):
        self._ids, self._unk_id, self._lowercase = vocabulary.ids, vocabulary.unk_id, lowercase
        self._longest = max(map(len, vocabulary.pieces))

    def encode(self, text: str) -> PlacedPieces:
        """The pieces of a text of any length."""
        ids: list[int] = []
        words: list[int | None] = []
        offsets: list[tuple[int, int]] = []
        number = 0
        for token in _tokens(text):
            for word in _split_at_punctuation(_lowered(token) if self._lowercase else token):
                for id, part in self._pieces(word):
                    places = [place for _, place in part]
                    ids.append(id)
                    words.append(number)
                    offsets.append((min(places), max(places) + 1))
                number += 1
        return PlacedPieces(ids, words, offsets)

    def _pieces(self, word: Sequence[Placed]) -> list[tuple[int, Sequence[Placed]]]:
        """The longest piece that fits, again and again; one [UNK] if at some point none does."""
        unknown = [(self._unk_id, word)]
        if len(word) > MAX_WORD:
            return unknown
        text, start, pieces = "".join(character for character, _ in word), 0, []
        while start < len(text):
            prefix = "##" if start else ""
            ends = range(min(len(text), start + self._longest), start, -1)
            end = next((end for end in ends if prefix + text[start:end] in self._ids), None)
            if end is None:
                return unknown
            pieces.append((self._ids[prefix + text[start:end]], word[start:end]))
            start = end
        return pieces


def settle_sigmas(text: str) -> str:
    """The text with each capital sigma in lower case: final at the end of a word, as Python has it, which punctuation does not end."""
    characters = list(text)
    for token in _tokens(text):
        word = "".join(character for character, _ in token)
        for number, (character, place) in enumerate(token):
            if character == SIGMA:
                characters[place] = word.lower()[len(word[:number].lower())]
    return "".join(characters)


def _tokens(text: str) -> Iterator[list[Placed]]:
    """What stands between blanks, without control characters; a Chinese character stands alone."""
    token: list[Placed] = []
    for place, character in enumerate(text):
        kind = _kind(character)
        if kind == OTHER:
            token.append((character, place))
        elif kind != DROPPED:
            if token:
                yield token
            token = []
            if kind == CHINESE:
                yield [(character, place)]
    if token:
        yield token


@lru_cache(maxsize=1 << 16)
def _kind(character: str) -> int:
    if character in " \t\n\r":
        return BLANK
    if character in "\0\ufffd" or unicodedata.category(character) in ("Cc", "Cf"):
        return DROPPED
    if character.isspace():  # Zs and, since Google's code uses `str.split`, U+2028 and U+2029
        return BLANK
    return CHINESE if is_chinese(character) else OTHER


def _lowered(token: Sequence[Placed]) -> list[Placed]:
    """The token in lower case and canonically decomposed, without accents (category Mn)."""
    text = "".join(character for character, _ in token)
    places = [place for character, place in token for _ in character.lower()]
    lower = zip(text.lower(), places, strict=True)
    if text.isascii():
        return list(lower)
    parts = [(part, place) for character, place in lower for part in unicodedata.normalize("NFD", character)]
    ordered: list[Placed] = []  # as NFD orders combining characters: by class between two starters
    for are_starters, group in groupby(parts, key=lambda part: unicodedata.combining(part[0]) == 0):
        neighbours = list(group)
        ordered += neighbours if are_starters else sorted(neighbours, key=lambda part: unicodedata.combining(part[0]))
    return [part for part in ordered if unicodedata.category(part[0]) != "Mn"]


def _split_at_punctuation(token: Sequence[Placed]) -> Iterator[list[Placed]]:
    """Words; a punctuation mark is a word by itself."""
    for mark, group in groupby(token, key=lambda placed: _is_punctuation(placed[0])):
        if mark:
            yield from ([placed] for placed in group)
        else:
            yield list(group)


def _is_punctuation(character: str) -> bool:
    return character in ASCII_PUNCTUATION or unicodedata.category(character).startswith("P")
