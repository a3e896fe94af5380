"""Text files -> chunks of about a shard each, cut where documents end, as a stream.

One process reads bytes in order, so that the cuts are a function of the text alone; any process can then decode a chunk (`documents.py`).
No file is ever in memory as a whole.

Which documents are duplicates (`drop_duplicates`) depends on the text of the files; `cleaning` comes after it.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from wholeword.core.data.compressed import BLOCK
from wholeword.core.data.corpus import CorpusFile, CorpusLayout
from wholeword.core.data.corpus_format import CheckedFormat
from wholeword.core.data.hash_set import HashSet
from wholeword.core.errors import UserError

MAX_LINE = 64 << 20  # bytes
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MARKS = re.compile(rb"^(?:\xef\xbb\xbf)+", re.MULTILINE)


def without_marks(data: bytes) -> bytes:
    """Lines without the byte order marks at their beginning, which joined files have in the middle too."""
    return MARKS.sub(b"", data) if BYTE_ORDER_MARK in data else data


class Span(NamedTuple):
    """Some consecutive lines of a file."""

    path: str
    first_line: int  # counted from 1
    data: bytes


@dataclass
class Chunk:
    """The text of a shard, about `shard_mb`; it ends where a document ends, if possible."""

    number: int
    spans: list[Span] = field(default_factory=list)
    bytes_read: int = 0  # of the files on the disk
    counts: Counter[str] = field(default_factory=Counter)

    @cached_property
    def sha256(self) -> str:
        """Of the text and where its files begin; the chunk is complete."""
        digest = hashlib.sha256()
        for span in self.spans:
            digest.update(b"%d %d\n" % (span.first_line, len(span.data)))
            digest.update(span.data)
        return digest.hexdigest()


class CorpusReader:
    """One pass over the corpus."""

    def __init__(self, files: Sequence[CorpusFile], corpus: CorpusLayout):
        self.files, self.format, self.limit = files, CheckedFormat(corpus.format, markup=corpus.markup), corpus.shard_mb << 20
        self.sha256: list[str] = []  # of each file's text, decompressed; complete after the pass
        self._seen = HashSet() if corpus.drop_duplicates else None

    def chunks(self) -> Iterator[Chunk]:
        """Cut the corpus. A document that is larger than a shard is cut at the end of a line if it may be, and counted as `num_cut`.

        Raises: UserError naming file and line for a file that cannot be decompressed, or a line or part over 64 MiB; PluginError for a
            broken format.
        """
        chunk, room, done = Chunk(0), self.limit, 0
        for file in self.files:
            window = _Window(file, self.format)
            while window.fill(1):
                end = window.last_border(room)
                full = not end
                if full and room == self.limit:  # one document fills the chunk
                    end, cut = window.next_border(room)
                    chunk.counts["num_cut"] += cut and not window.inside_document
                if end:
                    window.inside_document = full
                    where = window.where
                    first_line, data = window.take(end)
                    if self._seen is not None:
                        data = self._without_duplicates(data, chunk.counts, self._seen, where)
                    chunk.bytes_read, done = chunk.bytes_read + window.position - done, window.position
                    if data and not data.isspace():
                        chunk.spans.append(Span(str(file.path), first_line, data))
                        room -= len(data)
                if full:
                    yield chunk
                    chunk, room = Chunk(chunk.number + 1), self.limit
            done = 0
            self.sha256.append(window.digest.hexdigest())
        if chunk.spans or chunk.counts or chunk.bytes_read:
            yield chunk

    def _without_duplicates(self, data: bytes, counts: Counter[str], seen: HashSet, where: str) -> bytes:
        """The text without documents that occurred before; their line feeds stay, so that lines keep their numbers."""
        parts = self.format.split(data, where)
        documents = [number for number, part in enumerate(parts) if part.strip()]
        known = ~seen.add(self.format.hashes((parts[number] for number in documents), where))
        for number in np.array(documents, np.int64)[known].tolist():
            parts[number] = b"\n" * parts[number].count(b"\n")
        counts["num_duplicates"] += int(known.sum())
        return b"".join(parts)


class _Window:
    """The part of a file that is in memory."""

    def __init__(self, file: CorpusFile, format: CheckedFormat):
        self.file, self.format = file, format
        self.digest = hashlib.sha256()
        self.line = 1
        self.inside_document = False  # whether the last cut was inside one
        self._buffer = bytearray()
        self._blocks = format.blocks(file.path)
        self._knows_size = format.knows_size(file.path)
        self._read = 0  # bytes on the disk
        self._ended = False
        if self.fill(len(BYTE_ORDER_MARK)) and self._buffer.startswith(BYTE_ORDER_MARK):
            del self._buffer[: len(BYTE_ORDER_MARK)]

    def fill(self, size: int) -> int:
        """Read until there are `size` bytes or the file ends. Returns: how many there are."""
        while len(self._buffer) < size and not self._ended:
            block, self._read = next(self._blocks, (b"", self._read))
            self._ended = not block
            self.digest.update(block)
            self._buffer += block
        return len(self._buffer)

    @property
    def where(self) -> str:
        return f"{self.file.path}:{self.line}"

    @property
    def position(self) -> int:
        """Bytes on the disk that have been processed (for a compressed file: read)."""
        return self._read - (len(self._buffer) if self._knows_size else 0)

    def take(self, size: int) -> tuple[int, bytes]:
        """Remove bytes from the front, which is where a line begins.

        Returns: the number of their first line, and the bytes without byte order marks.
        """
        with memoryview(self._buffer) as view:
            data, line = bytes(view[:size]), self.line
        del self._buffer[:size]
        data = without_marks(data)
        self.line += data.count(b"\n")
        if len(data) > MAX_LINE:
            for number, text in enumerate(data.split(b"\n")):
                self._check_line(len(text), line + number)
        return line, data

    def _check_line(self, size: int, number: int) -> None:
        if size > MAX_LINE:
            raise UserError(f"{self.file.path}:{number}: a line of over {MAX_LINE >> 20} MiB; expected text with line feeds")

    def last_border(self, room: int) -> int:
        """The last place among the next `room` bytes where a document ends; 0 if there is none."""
        if self.fill(room + 1) <= room:
            return len(self._buffer)
        return self.format.last_border(self._buffer, room, self.where)

    def next_border(self, room: int) -> tuple[int, bool]:
        """Where to cut if no document ends among the next `room` bytes, and whether that is inside a document."""
        if self.format.smallest_part == "document":
            return self._end_of_document(room), False
        end = self._last_line_end(room)
        line = bytes(self._buffer[self._buffer.rfind(b"\n", 0, end - 1) + 1 : end]).removesuffix(b"\n") + b"\n"
        return end, self.format.last_border(line, len(line), self.where) != len(line)

    def _last_line_end(self, room: int) -> int:
        """The last place among the next `room` bytes where a line ends; if the next line is longer, its end."""
        end = self._buffer.rfind(b"\n", 0, room) + 1
        while not end:
            searched = len(self._buffer)
            self._check_line(searched, self.line)
            if self.fill(searched + BLOCK) == searched:
                return searched
            end = self._buffer.find(b"\n", searched) + 1
        return end

    def _end_of_document(self, room: int) -> int:
        """The last border in the smallest power of two times `room` bytes that has one, or the end of the file."""
        while room <= MAX_LINE:
            room *= 2
            if border := self.last_border(room):
                return border
        raise UserError(f"{self.where}: no document ends within {room >> 20} MiB; expected smaller documents")
