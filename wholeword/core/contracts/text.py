"""What turns a corpus into words: cleaners and segmenters."""

from collections.abc import Iterable, Sequence
from typing import Protocol


class Cleaner(Protocol):
    """Changes lines of a corpus before they are cut into sentences.

    Optional: an attribute `version: str`, for the store's manifest: another version is other cleaning. A setting annotated `Path` starts
    from the recipe's folder, and what it leads to decides the store's content.
    """

    def clean(self, lines: Sequence[str]) -> Sequence[str]:
        """One line for each, in the same order; an empty one where nothing is left. No line feed may be in it; there is none in `lines`.

        What becomes of a line depends on that line alone: a long document comes in parts.
        """
        ...


class Segmenter(Protocol):
    """Cuts sentences into words.

    Optional: an attribute `version: str`, for the store's manifest, and because text that another version has segmented is segmented anew;
    `worth_keeping = False` if segmenting is as quick as reading what was segmented before; where a sentence holds more than its text (such
    as blanks between words), a method `split(sentences) -> iterable of (text, words)` that is asked instead of `segment`; and, if it never
    alters text and is quicker with many sentences at once, a method `word_starts(text) -> bool [num_characters]` (see `find_words`). A
    setting annotated `Path` starts from the recipe's folder, and what it leads to decides the store's content.
    """

    def segment(self, sentences: Sequence[str]) -> Iterable[list[str]]:
        """One list of words a sentence, in the same order.

        `"".join(words) == sentence` is the fast case. Where it does not hold, the framework walks the original text and falls
        back to single characters for the span that does not match. Segmenters never see or produce token ids.
        """
        ...
