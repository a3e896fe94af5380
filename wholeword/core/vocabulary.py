"""A BERT vocabulary: one piece per line; the id is the line number, from 0."""

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from wholeword.core.errors import UserError
from wholeword.core.text_files import lines, read_text

SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNUSED = re.compile(r"\[unused[0-9]+\]")

CHINESE = (  # BasicTokenizer._is_chinese_char of google-research/bert
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def is_chinese(character: str) -> bool:
    """Whether the character is Chinese to BERT, which makes such characters pieces of their own."""
    return any(first <= ord(character) <= last for first, last in CHINESE)


class Vocabulary:
    """Pieces and their ids.

    Args:
        pieces: in the order of ids; the five special pieces must be among them.
        source: the file, for error messages.
    Raises: UserError if a special piece is missing, or a piece appears twice.
    """

    def __init__(self, pieces: Sequence[str], *, source: str = "vocabulary"):
        self.pieces = tuple(pieces)
        self.ids = {piece: number for number, piece in enumerate(self.pieces)}
        missing = [piece for piece in SPECIAL_PIECES if piece not in self.ids]
        if missing:
            raise UserError(f"{source}: no {', '.join(missing)} among {len(self.pieces)} entries; every BERT vocabulary has them")
        if len(self.ids) != len(self.pieces):
            duplicate = next(piece for number, piece in enumerate(self.pieces) if self.ids[piece] != number)
            shown = repr(duplicate) if duplicate else "an empty line"
            raise UserError(f"{source}: {shown} is a duplicate entry (last on line {self.ids[duplicate] + 1}); every piece needs one id")
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (self.ids[piece] for piece in SPECIAL_PIECES)

    @classmethod
    def read(cls, path: Path | str) -> "Vocabulary":
        """Read `vocab.txt`: every line is a piece, whatever is on it, except empty lines at the end, which editors add.

        Raises: UserError, also for the vocabulary of another tool.
        """
        expected = "a vocab.txt with one piece per line"
        pieces = lines(read_text(path, expected=expected, keep_marks=True))
        while len(pieces) > 1 and not pieces[-1]:
            pieces.pop()
        if problem := _not_of_bert(pieces):
            raise UserError(f"{path}: {problem}; expected {expected}, as BERT has it")
        return cls(pieces, source=str(path))

    def to_bytes(self) -> bytes:
        """The content of `vocab.txt`."""
        return ("\n".join(self.pieces) + "\n").encode("utf-8")

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def sha256(self) -> str:
        """Of `to_bytes`."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @cached_property
    def is_continuation(self) -> np.ndarray:
        """bool [vocab_size]: pieces that begin with `##`."""
        return np.array([piece.startswith("##") and len(piece) > 2 for piece in self.pieces])

    def pool(self, name: str) -> np.ndarray:
        """Ids to draw random pieces from, int64, ascending: "all", "no-special" (without the five special pieces and [unused1] ...), or
        "live" (no-special without the pieces that no text contains: `##` before a Chinese character, 7,322 in Google's Chinese vocabulary).
        """
        return self._pools[name]

    @cached_property
    def _pools(self) -> dict[str, np.ndarray]:
        special = np.array([piece in SPECIAL_PIECES or bool(UNUSED.fullmatch(piece)) for piece in self.pieces])
        dead = np.array([piece.startswith("##") and any(map(is_chinese, piece)) for piece in self.pieces])
        return {"all": np.arange(len(self)), "no-special": np.flatnonzero(~special), "live": np.flatnonzero(~special & ~dead)}


def _not_of_bert(pieces: Sequence[str]) -> str:
    """Which other tool a vocabulary is of, if it lacks a special piece; empty if nothing speaks for one."""
    some = set(pieces)
    if some.issuperset(SPECIAL_PIECES):
        return ""
    if pieces[0].lstrip()[:1] == "{":
        return "JSON, such as a tokenizer.json or a vocab.json"
    columns = [piece.split("\t") for piece in pieces]
    if len(pieces) > 1 and all(len(cells) == 2 for cells in columns):
        return f"{columns[0][0]!r}, a tab and {columns[0][1]!r} on its first line, as SentencePiece or a word count writes it"
    if some & {"<s>", "<unk>", "<pad>"}:
        return "the special pieces of another tokenizer (<s>, <unk> or <pad>)"
    return ""
