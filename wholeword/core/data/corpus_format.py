"""A corpus format whose results are checked before they are used."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.contracts import CorpusFormat, DocumentSplitter, FileReader, TextPart
from wholeword.core.data.compressed import COMPRESSED, read_blocks
from wholeword.core.errors import PluginError, UserError, WholewordError
from wholeword.core.file_kinds import CARRIAGE_RETURNS, ends_lines_in_carriage_returns, kind_of
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import contract_error
from wholeword.core.registry.spec import PluginSpec
from wholeword.core.text_files import SURROGATES, valid

LINE_FEED = ord("\n")
SHOWN = 80  # characters of a wrong value


class Lines(NamedTuple):
    """Checked `Documents`; every line is valid Unicode."""

    lines: list[str]
    starts: np.ndarray  # int64 [num_documents]
    numbers: np.ndarray  # int64 [num_lines]


class CheckedFormat:
    """The corpus format of a recipe.

    Every method raises a PluginError that names the distribution if the format breaks its contract (`CorpusFormat`). A UserError raised by
    the format is passed on.

    Args:
        markup: see `CorpusLayout`.
    """

    def __init__(self, spec: PluginSpec, *, markup: bool = True):
        self.name, self.markup = spec.name, markup
        self.plugin: CorpusFormat = registry.create("corpus_format", spec.name, **spec.settings)
        self.lines_are_sentences = self._attribute("lines_are_sentences", (True, False))
        self.smallest_part = self._attribute("smallest_part", ("text", "line", "document"))

    def _attribute(self, name: str, choices: tuple[Any, ...]) -> Any:
        value = getattr(self.plugin, name, None)
        if value not in choices:
            raise self._error(f"has the {name} {_shown(value)}; expected one of {', '.join(map(repr, choices))}")
        return value

    def knows_size(self, path: Path) -> bool:
        """Whether the size of a file is that of its text."""
        return path.suffix not in COMPRESSED and not isinstance(self.plugin, FileReader)

    def blocks(self, path: Path) -> Iterator[tuple[bytes, int]]:
        """The text of a file in blocks, each with the number of bytes of the file that have been read.

        Raises: UserError if the file is no text: packed in another way than its name says, UTF-16, binary.
        """
        if not isinstance(self.plugin, FileReader):
            for number, block in enumerate(read_blocks(path)):
                if number == 0:
                    self.expect_text(block[0], path)
                yield block
            return
        with self._explaining(str(path)):
            for block in self.plugin.blocks(path):
                if not (isinstance(block, tuple) and len(block) == 2 and isinstance(block[0], bytes) and isinstance(block[1], int)):
                    raise self._error(f"returned {_shown(block)} as a block; expected (bytes, bytes read of the file)", str(path))
                if block[0]:
                    yield block

    def expect_text(self, beginning: bytes, path: Path) -> None:
        """Raises: UserError if a file begins as no text does, or as a page that nothing takes the tags from."""
        kind = kind_of(beginning)
        if kind and kind.is_markup and not self.markup:
            raise UserError(f"{path}: {kind}; or take the tags out (corpus.cleaning: [html])")
        if kind and not kind.is_markup:
            raise UserError(f"{path}: {kind}")
        if ends_lines_in_carriage_returns(beginning):
            raise UserError(f"{path}: {CARRIAGE_RETURNS}")

    def last_border(self, data: bytes | bytearray, end: int, where: str) -> int:
        """See `CorpusFormat.last_border`."""
        with self._explaining(where):
            border = self.plugin.last_border(data, end)
        if not isinstance(border, int) or not 0 <= border <= end:
            raise self._error(f"returned {_shown(border)} as the last border; expected a whole number from 0 to {end}", where)
        return border

    def documents(self, part: TextPart, counts: Counter[str]) -> Lines:
        """See `CorpusFormat.documents`. Lone surrogates are replaced, and counted as `num_replaced`."""
        with self._explaining(part.where(0)):
            lines, starts, numbers = self.plugin.documents(part)
            joined = "\n".join(lines)
            starts, numbers = (np.asarray(values if len(values) else np.zeros(0, np.int64)) for values in (starts, numbers))
        try:
            encoded = joined.encode("utf-32-le")  # the quickest of the codecs that refuse surrogates
        except UnicodeEncodeError:
            counts["num_replaced"] += len(SURROGATES.findall(joined))
            encoded = valid(joined).encode("utf-32-le")
            lines = valid(joined).split("\n") if len(lines) else []
        if np.count_nonzero(np.frombuffer(encoded, "<u4") == LINE_FEED) != max(0, len(lines) - 1):
            line = next(line for line in lines if "\n" in line)
            raise self._error(f"returned the line {_shown(line)}; expected lines without line feeds", part.where(0))
        if numbers.dtype.kind not in "iu" or numbers.shape != (len(lines),):
            raise self._error(f"returned {_shape(numbers)} as numbers of {len(lines)} lines; expected an integer for each", part.where(0))
        if starts.dtype.kind not in "iu" or starts.ndim != 1:
            raise self._error(f"returned {_shape(starts)} as starts of documents; expected a list of integers", part.where(0))
        steps = np.diff(starts, prepend=0, append=len(lines))
        if (steps < 0).any() or (len(starts) == 0) != (len(lines) == 0) or (len(starts) and starts[0] != 0):
            expectation = f"ascending integers from 0 to at most {len(lines)}, the number of lines"
            raise self._error(f"returned the starts {_shown(starts.tolist())}; expected {expectation}", part.where(0))
        return Lines(lines if isinstance(lines, list) else list(lines), starts.astype(np.int64), numbers.astype(np.int64))

    def split(self, data: bytes, where: str) -> list[bytes]:
        """See `DocumentSplitter.split`. Raises: UserError if the format cannot do it."""
        if not isinstance(self.plugin, DocumentSplitter):
            raise UserError(f"corpus.drop_duplicates: the format {self.name!r} cannot leave out duplicates; set it to false")
        with self._explaining(where):
            parts = self.plugin.split(data)
            if b"".join(parts) == data:
                return parts
        raise self._error("returned parts that do not make up the text; expected them to, joined", where)

    def hashes(self, documents: Iterable[bytes], where: str) -> np.ndarray:
        """Of the documents' identities (see `DocumentSplitter.identity`), after `split`: uint64 [num_documents]."""
        assert isinstance(self.plugin, DocumentSplitter)
        with self._explaining(where):
            digests = [hashlib.blake2b(self.plugin.identity(document), digest_size=8).digest() for document in documents]
        return np.frombuffer(b"".join(digests), "<u8")

    @contextmanager
    def _explaining(self, where: str) -> Iterator[None]:
        """Around calls of the plugin."""
        try:
            yield
        except WholewordError:
            raise
        except Exception as error:
            raise self._error(f"failed with {type(error).__name__}: {' '.join(str(error).split())}", where) from error

    def _error(self, message: str, where: str = "") -> PluginError:
        return contract_error("corpus_format", self.name, message + (f" (at {where})" if where else ""))


def _shown(value: Any) -> str:
    return repr(value)[:SHOWN]


def _shape(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"
