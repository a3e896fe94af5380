"""What is in a text and cannot be seen.

BERT's own tokenizer skips control and format characters, but a segmenter does not: a zero-width space inside of a word parts it. The lists
are written out, so that the result does not depend on Python's Unicode version; they are those of Unicode 16.
"""

import re
from collections.abc import Sequence

# category Cc without the blanks; Cf with joiners, direction marks, soft hyphens, the byte order mark and tags; variation selectors
INVISIBLE = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f\U000e0100-\U000e01ef]+"
)
BLANK = re.compile("[\t-\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")


class ControlCharacters:
    """Drops control, format and zero-width characters; any other blank becomes a plain one.

    Of an emoji sequence its parts are left (👩‍💻 is 👩💻), as after BERT's own cleaning, which drops the joiner too.
    """

    version = "1"

    def clean(self, lines: Sequence[str]) -> list[str]:
        return [line if line.isascii() and line.isprintable() else BLANK.sub(" ", INVISIBLE.sub("", line)) for line in lines]
