"""Text as create_pretraining_data.py of google-research/bert (commit eedf571) reads it, for `compat: google`.

It differs from the corpus formats in rare files only: a line of any white space ends a document (U+00A0, for example), carriage returns
vanish wherever they are, lines of any length stay whole, and a file continues the last document of the file before it unless that ends
with a blank line. The last is refused here, as is a document that does not fit a shard.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from wholeword.core.data.chunks import Chunk
from wholeword.core.data.compressed import COMPRESSED
from wholeword.core.data.corpus import CorpusFile, CorpusLayout
from wholeword.core.data.corpus_format import Lines
from wholeword.core.errors import UserError
from wholeword.core.registry.hookspecs import PROJECT

FORMATS = ("sentences", "text")
TAIL = 1 << 16  # bytes in which a file's last line is looked for


def ends_at_blank_lines(corpus: CorpusLayout) -> bool:
    """Whether blank lines separate documents, as they do for Google."""
    name = corpus.format.name.removeprefix(f"{PROJECT}:")
    return name in FORMATS and corpus.format.settings.get("documents", "blank-line") == "blank-line"


def split_at_blank_lines(documents: Lines) -> Lines:
    """The documents, split where a line is empty once it is stripped."""
    blank = np.fromiter((not line.strip() for line in documents.lines), bool, len(documents.lines))
    begins = np.flatnonzero(blank) + 1
    return documents._replace(starts=np.union1d(documents.starts, begins[begins < len(blank)]))


def check_ends(files: Sequence[CorpusFile], corpus: CorpusLayout) -> None:
    """Raises: UserError for a file, other than the last, whose last document Google's code would continue with the next file."""
    if not ends_at_blank_lines(corpus):
        return
    for file, following in pairwise(files):
        if file.path.suffix not in COMPRESSED and file.size and not _ends_with_blank_line(file.path):
            raise UserError(
                f"{file.path}: the last line is not blank, so create_pretraining_data.py would continue its last document in "
                f"{following.path.name}; compat: google expects a blank line at the end of each file but the last: add one"
            )


def refuse_cuts(chunk: Chunk, corpus: CorpusLayout) -> None:
    """Raises: UserError if a document of the chunk has been cut."""
    if chunk.counts["num_cut"]:
        raise UserError(
            f"{chunk.spans[-1].path}: a document exceeds corpus.shard_mb, {corpus.shard_mb}, and would be cut, which "
            "create_pretraining_data.py never does; set corpus.shard_mb to more than the size of the file, in MiB"
        )


def _ends_with_blank_line(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        tail = file.read().decode("utf-8", "replace")
    *_, line = tail.removesuffix("\n").split("\n")
    return not line.strip()
