"""What turns a corpus into words: corpus formats, cleaners and segmenters."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from wholeword.core.contracts.arrays import Array


class TextPart(NamedTuple):
    """Some consecutive lines of a corpus file, decoded."""

    path: str
    first_line: int  # its number in the file, counted from 1
    text: str

    def where(self, index: int) -> str:
        """`file:line` of the line at an index of `text`, for messages."""
        return f"{self.path}:{self.first_line + index}"


class Documents(NamedTuple):
    """Documents, one after the other."""

    lines: Sequence[str]  # of all documents, without line feeds; blanks around a line and empty lines do no harm
    starts: Sequence[int] | Array  # [num_documents], the index in `lines` of the first line of each document; ascending, the first is 0
    numbers: Sequence[int] | Array  # [num_lines], the line of the file that each comes from, for messages


class CorpusFormat(Protocol):
    """Reads the documents of a corpus file.

    The framework reads files as a stream of bytes, cuts them into shards of about `corpus.shard_mb` where documents end, decodes UTF-8 and
    has the parts of a shard read by any process in any order. So both methods are pure functions, and memory never grows with a file.
    Cleaners and the splitting into sentences come after the format.

    Settings come from the keyword-only signature; if it has `documents` or `text_key`, these are the settings of the `corpus` section.
    Optional: an attribute `version: str`, for the store's manifest; the methods of `FileReader` and `DocumentSplitter`.
    """

    lines_are_sentences: bool  # or each line is yet to be split into sentences
    smallest_part: Literal["text", "line", "document"]
    """What can be read by itself, in samples and where a document does not fit into a shard: any stretch of "text", even a part of a line;
    any whole "line"; or nothing but a whole "document", and these in order from the beginning of a file."""

    def last_border(self, data: bytes | bytearray, end: int) -> int:
        """The last place in `data[:end]` where a document ends, as a number of bytes; 0 if there is none.

        Args:
            data: bytes that begin where a document does; at least `end`.
        """
        ...

    def documents(self, part: TextPart) -> Documents:
        """Read some text, which begins where a document begins, and ends where one ends.

        Raises: UserError beginning with `part.where(index)` for a line that is not what the format expects.
        """
        ...


@runtime_checkable
class FileReader(Protocol):
    """A corpus format whose files are not plain, gzip or zstd UTF-8 text, such as Parquet or another encoding."""

    def blocks(self, path: Path) -> Iterable[tuple[bytes, int]]:
        """A file as UTF-8 text in blocks of about a MiB, each with the number of bytes that have been read of the file so far.

        With one record per line, the line numbers in messages are those of records.
        """
        ...


@runtime_checkable
class DocumentSplitter(Protocol):
    """A corpus format that can leave out duplicates (`corpus.drop_duplicates`)."""

    def split(self, data: bytes) -> list[bytes]:
        """The data cut into documents and the blanks between them; joined, the parts are the data.

        Where a duplicate is left out, its line feeds stay, so that lines keep their numbers: they must be no document.
        """
        ...

    def identity(self, document: bytes) -> bytes:
        """What is equal for equal documents, such as their text. Never raises; `documents` reports what is wrong."""
        ...


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
