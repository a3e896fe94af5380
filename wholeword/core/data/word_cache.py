"""A cache of segmented text, by content: text that was segmented for one recipe is not segmented again for another.

A file holds one bit per character of a shard's sentences, which is set where a word begins. Its name is a hash of the text and of
everything that decides the words (the segmenter, its settings and version), and each batch of sentences has a checksum. So nothing ever
has to be invalidated, any file can be removed at any time, and a file that is damaged or does not match is ignored.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.data.align import Fallback, Words
from wholeword.core.files import atomic_write, to_json

DIGEST = hashlib.sha256().digest_size


class WordCache:
    """The words of the batches of one shard, in order.

    Args:
        folder: of the files; it need not exist yet. None for no cache.
        identity: everything that decides the words of a text, as JSON.
        text: a hash of the shard's text.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any], text: str):
        key = hashlib.sha256(to_json({**identity, "text": text})).hexdigest()
        self.path = folder and folder / key[:2] / f"{key}.words"
        self._found = self._read()
        self._batches: list[dict[str, Any]] = []
        self._bits: list[bytes] = []
        self._changed = False

    def get(self, sentences: Sequence[str]) -> Words | None:
        """The words of the next batch, if they are in the cache."""
        if not self._found:
            return None
        batch, bits = self._found.pop(0)
        if batch["digest"] != _digest(sentences):
            self._found = []
            return None
        self._batches.append(batch)
        self._bits.append(bits)
        starts = np.unpackbits(np.frombuffer(bits, np.uint8), count=batch["num_characters"], bitorder="little").view(bool)
        return Words(starts, [Fallback(*fallback) for fallback in batch["fallbacks"]])

    def add(self, sentences: Sequence[str], words: Words) -> None:
        """Add the words of the next batch."""
        if self.path is None:
            return
        self._changed = True
        self._batches.append({"digest": _digest(sentences), "num_characters": len(words.starts), "fallbacks": words.fallbacks})
        self._bits.append(np.packbits(words.starts, bitorder="little").tobytes())

    def save(self) -> None:
        """Write what was added. Raises: DiskError if the disk is full."""
        if self.path is None or not self._changed:
            return
        content = json.dumps(self._batches, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" + b"".join(self._bits)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        mine = self.path.with_name(f"{self.path.name}.{os.getpid()}")  # two builds may save the same words
        atomic_write(mine, [hashlib.sha256(content).digest(), content])
        os.replace(mine, self.path)

    def _read(self) -> list[tuple[dict[str, Any], bytes]]:
        if self.path is None or not self.path.exists():
            return []
        data = self.path.read_bytes()
        if hashlib.sha256(data[DIGEST:]).digest() != data[:DIGEST]:
            return []
        header, _, bits = data[DIGEST:].partition(b"\n")
        batches, start = [], 0
        for batch in json.loads(header):
            end = start + (batch["num_characters"] + 7) // 8
            batches.append((batch, bits[start:end]))
            start = end
        return batches


def _digest(sentences: Sequence[str]) -> int:
    """A checksum of the sentences: the sha256 in the name of the file covers the text, but not how it was split."""
    return zlib.crc32("\n".join(sentences).encode("utf-8", "surrogatepass"))
