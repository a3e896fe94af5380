"""What turns a corpus into words: cleaners and segmenters."""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from wholeword.core.contracts.arrays import Array


@runtime_checkable
class Versioned(Protocol):
    """A cleaner or segmenter whose results may change with more than its distribution's version, such as that of a dictionary.

    The version goes into the token store's manifest. Text that another version has segmented is segmented again.
    """

    version: str


@runtime_checkable
class Cleaner(Protocol):
    """Changes lines of a corpus before they are split into sentences.

    A setting annotated `Path` is relative to the recipe's folder, and the content of that file or folder is part of the store's identity.
    Optional: `Versioned`.
    """

    def clean(self, lines: Sequence[str]) -> Sequence[str]:
        """One line for each, in the same order; an empty one where nothing is left.

        Lines have no line feed, neither those given nor those returned. The result for a line depends on that line alone: a long document
        comes in parts.
        """
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Splits sentences into words.

    A setting annotated `Path` is relative to the recipe's folder, and the content of that file or folder is part of the store's identity.
    Optional: `Versioned`, `SplittingSegmenter`, `BulkSegmenter`, `FastSegmenter`.
    """

    def segment(self, sentences: Sequence[str]) -> Iterable[list[str]]:
        """One list of words per sentence, in the same order; the words of a sentence do not depend on the others.

        `"".join(words) == sentence` is the fast case. Where it does not hold, the framework walks the original text and falls
        back to single characters for the span that does not match. Segmenters never see or produce token ids.
        """
        ...


@runtime_checkable
class SplittingSegmenter(Protocol):
    """A segmenter for sentences that hold more than their text, such as blanks between words."""

    def split(self, sentences: Sequence[str]) -> Iterable[tuple[str, list[str]]]:
        """(text, words) per sentence; called in place of `segment`."""
        ...


@runtime_checkable
class BulkSegmenter(Protocol):
    """A segmenter that never alters text, and is faster with many sentences at once."""

    def word_starts(self, text: str) -> Array:
        """True where a word begins, bool [num_characters]; called in place of `segment`.

        Args:
            text: many sentences, each followed by a line feed.
        """
        ...


@runtime_checkable
class FastSegmenter(Protocol):
    """A segmenter that decides whether its words are cached."""

    worth_keeping: bool  # False: segmenting is as fast as reading the cache
