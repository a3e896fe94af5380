"""Files that may be compressed -> blocks of bytes."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from wholeword.core.errors import UserError
from wholeword.core.file_kinds import HEAD, kind_of

BLOCK = 1 << 20  # bytes to read at once
MAGIC = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
COMPRESSED = tuple(MAGIC)


def read_blocks(path: Path) -> Iterator[tuple[bytes, int]]:
    """The content of a plain, .gz or .zst file in blocks, each with the number of bytes read from the disk so far.

    Raises: UserError if it is truncated or no such file, or zstandard is missing.
    """
    with open(path, "rb") as file:
        try:
            if path.suffix == ".gz":
                stream = gzip.GzipFile(fileobj=file)
                while block := stream.read(BLOCK):
                    yield block, file.tell()
            elif path.suffix == ".zst":
                for block in _decompress_zstd(path, iter(lambda: file.read(1 << 14), b"")):
                    yield block, file.tell()
            else:
                while block := file.read(BLOCK):
                    yield block, file.tell()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path}: cannot be decompressed: {error}{_instead(path)}") from None


def _instead(path: Path) -> str:
    """What a file with the name of a packed one is, where it is nothing packed."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    kind = kind_of(head)
    if kind is None and head:
        return f"; it may be plain text: take {path.suffix} off its name"
    return "" if kind is None or head.startswith(MAGIC[path.suffix]) else f"; it is {kind.name}: {kind.advice}"


def _decompress_zstd(path: Path, parts: Iterator[bytes]) -> Iterator[bytes]:
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
        raise EOFError("it is truncated")
