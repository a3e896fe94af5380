"""About a megabyte of a corpus, the same in every call, for comparing segmenters."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wholeword.core.data.chunks import BYTE_ORDER_MARK, Chunk, Span, without_marks
from wholeword.core.data.cleaning import make_cleaners
from wholeword.core.data.corpus import CorpusFile, CorpusLayout, expand_files
from wholeword.core.data.corpus_format import CheckedFormat
from wholeword.core.data.documents import read_documents
from wholeword.core.errors import UserError
from wholeword.core.registry.spec import PluginSpec
from wholeword.core.text_files import valid

SAMPLE_BYTES = 1 << 20
NUM_PLACES = 16  # of a larger corpus


@dataclass(frozen=True)
class SampleInfo:
    """Where sentences come from."""

    files: list[str]
    sampled: bool  # whether there is more text
    num_bytes: int
    num_bytes_of_files: int
    num_sentences: int
    num_characters: int


def sample(corpus: CorpusLayout, cleaning: Sequence[PluginSpec]) -> tuple[list[str], SampleInfo]:
    """Sentences of a corpus, and where they come from.

    Raises: UserError if there is no text; what reading a corpus raises, except that bytes that are not UTF-8 are skipped.
    """
    files = expand_files(corpus)
    spans, sampled = sample_lines(files, CheckedFormat(corpus.format, markup=corpus.markup))
    cleaners = make_cleaners(cleaning)
    documents = read_documents(Chunk(0, spans), replace(corpus, bad_bytes="replace"), Counter(), cleaners)
    sentences = [valid(sentence) for _, document in documents for sentence in document]
    if not sentences:
        raise UserError(f"no text in {', '.join(file.name for file in files[:3])}{' ...' if len(files) > 3 else ''}")
    info = SampleInfo(
        files=[file.name for file in files],
        sampled=sampled,
        num_bytes=sum(len(span.data) for span in spans),
        num_bytes_of_files=sum(file.size for file in files),
        num_sentences=len(sentences),
        num_characters=sum(map(len, sentences)),
    )
    return sentences, info


def sample_lines(files: Sequence[CorpusFile], format: CheckedFormat) -> tuple[list[Span], bool]:
    """Whole lines from evenly spread places of the files, as if they were one; from the beginnings of files that cannot be read from
    anywhere, such as compressed ones.

    Returns: the lines, and whether there are more.
    """
    total = sum(file.size for file in files)
    places, size = [0], total
    if total > SAMPLE_BYTES:
        places, size = [total * number // NUM_PLACES for number in range(NUM_PLACES)], SAMPLE_BYTES // NUM_PLACES
    spans, sampled, begin = [], total > SAMPLE_BYTES, 0
    for file in files:
        parts = [(max(place - begin, 0), min(place + size - begin, file.size)) for place in places]
        parts = [(first, end) for first, end in parts if first < end]
        if parts and not _reads_anywhere(file.path, format):
            parts = [(0, max(sum(end - first for first, end in parts), SAMPLE_BYTES * file.size // total))]
        for first, end in parts:
            data, ended = _read(file.path, first, end, format)
            if first == 0 and _reads_anywhere(file.path, format):
                format.expect_text(data, file.path)
            sampled |= first == 0 and not ended
            data = data.removeprefix(BYTE_ORDER_MARK) if first == 0 else data
            if format.smallest_part == "document" and not ended:
                lines = data[: format.last_border(data, len(data), f"{file.path}:1")]
            else:
                lines = data[data.find(b"\n") + 1 if first else 0 : len(data) if ended else data.rfind(b"\n") + 1]
            if lines := lines or (data if format.smallest_part == "text" else b""):
                lines = without_marks(lines)
                spans.append(Span(f"{file.path} (from byte {first:,})" if first else str(file.path), 1, lines))
        begin += file.size
    return spans, sampled


def _reads_anywhere(path: Path, format: CheckedFormat) -> bool:
    return format.knows_size(path) and format.smallest_part != "document"


def _read(path: Path, first: int, end: int, format: CheckedFormat) -> tuple[bytes, bool]:
    """Some bytes of the text of a file, and whether it ends there."""
    if _reads_anywhere(path, format):
        with open(path, "rb") as stream:
            stream.seek(first)
            data = stream.read(end - first + 1)
    else:
        data = b""
        for block, _ in format.blocks(path):
            data += block
            if len(data) > end:
                break
    return data[: end - first], len(data) <= end - first
