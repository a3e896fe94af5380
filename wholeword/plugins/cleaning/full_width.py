"""Full-width letters and digits, as input methods write them, to ASCII."""

import string
from collections.abc import Sequence

FULL_WIDTH = 0xFEE0  # from an ASCII character to its full-width form


class FullWidth:
    """ＡＢＣ１２３ becomes ABC123, and U+3000 a plain blank. ，。！？ and the like are Chinese punctuation and stay.

    Args:
        punctuation: write the full-width forms ，！？：；（）％＋＝～ ... in ASCII too. 。、「」《》 have none.
    """

    version = "1"

    def __init__(self, *, punctuation: bool = False):
        characters = string.ascii_letters + string.digits + (string.punctuation if punctuation else "")
        self._table = {0x3000: " "} | {ord(character) + FULL_WIDTH: character for character in characters}

    def clean(self, lines: Sequence[str]) -> list[str]:
        return [line.translate(self._table) for line in lines]
