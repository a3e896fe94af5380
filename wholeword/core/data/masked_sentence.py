"""Sentences to fill, as people write them: `今天[MASK]很好`, or with BERT's frame, `[CLS]今天[MASK]很好[SEP]`."""

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wholeword.core.errors import UserError
from wholeword.core.vocabulary import SPECIAL_PIECES

if TYPE_CHECKING:
    from wholeword.core.data.tokenizer import WordPieceTokenizer

MASK, CLS, SEP, PAD = "[MASK]", "[CLS]", "[SEP]", "[PAD]"
SPECIAL = re.compile(f"({'|'.join(map(re.escape, SPECIAL_PIECES))})")
LIKE_SPECIAL = re.compile(r"[\[［【]\s*(?:MASK|CLS|SEP)\s*[\]］】]", re.IGNORECASE)  # as typed by mistake


class MaskedSentence(NamedTuple):
    """A row for the model, of one segment."""

    ids: np.ndarray  # int32 [length], from [CLS] to [SEP]
    positions: np.ndarray  # int64 [masks]


def encode_masked(sentence: str, tokenizer: "WordPieceTokenizer") -> MaskedSentence:
    """The row of a sentence. Special pieces mean what they are, as in other tools; the frame is added where it is not written.

    Raises: UserError as `problem_of_masked` says.
    """
    if problem := problem_of_masked(sentence):
        raise UserError(f"{sentence}: {problem}")
    vocabulary, body = tokenizer.vocabulary, _without_frame(sentence)
    ids = [vocabulary.cls_id]
    for part in SPECIAL.split(body):
        ids += [vocabulary.ids[part]] if part in SPECIAL_PIECES else tokenizer.encode(part)[0].tolist()
    row = np.array([*ids, vocabulary.sep_id], np.int32)
    return MaskedSentence(row, np.flatnonzero(row == vocabulary.mask_id))


def problem_of_masked(sentence: str) -> str | None:
    """What is wrong with a sentence to fill, in one line; None if nothing is."""
    pieces = SPECIAL.findall(_without_frame(sentence))
    unclear = [match[0] for match in LIKE_SPECIAL.finditer(sentence) if match[0] not in SPECIAL_PIECES]
    found = f", only {unclear[0]}, which is text" if unclear else ""
    if MASK not in pieces:
        return f"contains no {MASK}{found}; expected one {MASK} for each piece to fill in"
    if unclear:
        return f"{unclear[0]} is text to the model; write the special piece as it is, such as {MASK}"
    if CLS in pieces:
        return f"{CLS} within the text; expected it at the very beginning, or nowhere"
    if PAD in pieces:
        return f"contains {PAD}, which fills rows up behind the text; leave it out"
    return None


def _without_frame(sentence: str) -> str:
    """Without a [CLS] at the beginning and a [SEP] at the end."""
    return sentence.strip().removeprefix(CLS).removesuffix(SEP)
