"""Training examples as an index over a token store: which tokens make a row, before any masking.

Pairs follow `create_instances_from_document` of google-research/bert; `sop-pairs` are those of ALBERT, `full-sentences` and
`doc-sentences` those of RoBERTa. Every choice is a draw keyed by (seed, epoch, document, sentence), so an example depends only on its
own document, and the start of the next chunk of a document is a function of the start of this one: all successors are computed at once,
and following them gives the chunks. This differs from Google's code in these points:

- The document of a random B is drawn from the other documents directly. (Google draws up to ten times and then takes the same one.)
- In a corpus of a single document, a random B comes from anywhere in it, as with Google; but a chunk of one sentence is left out.
- In `sop-pairs` a chunk takes at least two sentences; a single sentence left at the end of a document is dropped.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.data.draws import Stream, below, draws, row_keys, uniform
from wholeword.core.data.selection import select_documents
from wholeword.core.data.store import Shard, TokenStore
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import atomic_directory, check_manifest, write_manifest
from wholeword.core.ragged import ragged_range

PAIRS = ("nsp-pairs", "sop-pairs")
KINDS = (*PAIRS, "full-sentences", "doc-sentences")
FILES: dict[str, tuple[type, tuple[int, ...]]] = {"starts": (np.int64, (2,)), "lengths": (np.int32, (2,)), "labels": (np.int8, ())}


@dataclass(frozen=True)
class ExamplesSpec:
    """Which examples of a store to build, the epoch aside."""

    kind: str  # one of `KINDS`
    max_seq_length: int
    seed: int
    short_seq_rate: float = 0.0  # share of documents whose examples are short, of a length drawn once per document
    documents: str = "train"  # or "held_out" or "all"
    held_out_rate: float = 0.0

    @property
    def is_random(self) -> bool:
        """Whether another epoch has other examples."""
        return self.kind in PAIRS or self.short_seq_rate > 0

    @property
    def room(self) -> int:
        """Tokens of a row beside [CLS] and [SEP]: [CLS] A [SEP] B [SEP], or [CLS] A [SEP]."""
        return self.max_seq_length - (3 if self.kind in PAIRS else 2)

    def check(self) -> None:
        """Raises: UserError if the kind is unknown or a row has no room."""
        if self.kind not in KINDS:
            raise UserError(f"examples.name is {self.kind!r}; expected one of {', '.join(KINDS)}")
        if self.room < 2:
            shortest = self.max_seq_length - self.room + 2
            raise UserError(f"max_seq_length {self.max_seq_length} is too short for {self.kind}; expected at least {shortest}")


@dataclass(frozen=True)
class Examples:
    """What each row is made of. The arrays may be memory-mapped."""

    starts: np.ndarray  # int64 [examples, 2], where A and B begin in the store
    lengths: np.ndarray  # int32 [examples, 2], their tokens; 0 for B when there is one segment
    labels: np.ndarray  # int8 [examples], 0 next or in order, 1 random or swapped; 0 when there is one segment
    random: bool  # whether another epoch makes other examples

    def __len__(self) -> int:
        return len(self.labels)


def build_examples(store: TokenStore, spec: ExamplesSpec, *, epoch: int, path: Path | None = None) -> Examples:
    """All examples of one epoch, in the order of the store.

    Args:
        path: a folder to store them in, reused if it holds exactly these. They are then mapped into memory, and building them takes
            memory for one shard (and four bytes per document).
    Raises: UserError if the kind is unknown or a row has no room.
    """
    spec.check()
    epoch = epoch if spec.is_random else 0
    if path is None:
        columns = zip([np.zeros((0, *shape), dtype) for dtype, shape in FILES.values()], *_by_shard(store, spec, epoch), strict=True)
        return Examples(**dict(zip(FILES, map(np.concatenate, columns), strict=True)), random=spec.is_random)
    arguments = {
        "store": store.manifest["fingerprint"],
        "name": spec.kind,
        "max_seq_length": spec.max_seq_length,
        "short_seq_rate": spec.short_seq_rate,
        "seed": spec.seed,
        "pass_number": epoch,  # the name in the manifests of earlier versions
        "documents": spec.documents,
        "held_out_rate": spec.held_out_rate,
    }
    if not is_whole(path, arguments):
        _write_examples(path, _by_shard(store, spec, epoch), arguments)
    return Examples(**{key: open_array(path / key, dtype, shape) for key, (dtype, shape) in FILES.items()}, random=spec.is_random)


def _by_shard(store: TokenStore, spec: ExamplesSpec, epoch: int) -> Iterator[tuple[np.ndarray, ...]]:
    """The arrays of `FILES`, shard by shard."""
    members = select_documents(store, spec.documents, spec.seed, spec.held_out_rate)
    for shard in store.shards:
        if shard.num_sentences:
            sentences = read_sentences(shard, members, spec.room, spec.short_seq_rate, spec.seed, epoch)
            if spec.kind in PAIRS:
                yield make_pairs(store, shard, sentences, members, spec.room, swap=spec.kind == "sop-pairs")
            else:
                yield pack_sentences(shard, sentences, spec.room, cross_documents=spec.kind == "full-sentences")


def _write_examples(path: Path, shards: Iterable[tuple[np.ndarray, ...]], arguments: dict[str, Any]) -> None:
    """Write the folder of some examples from scratch, shard by shard."""
    shutil.rmtree(path, ignore_errors=True)
    with atomic_directory(path) as folder:
        with ExitStack() as stack:
            files = [stack.enter_context(open(folder / key, "wb")) for key in FILES]
            for arrays in shards:
                for file, array in zip(files, arrays, strict=True):
                    file.write(array.tobytes())
        write_manifest(folder, {"examples": arguments})


def is_whole(path: Path, arguments: dict[str, Any]) -> bool:
    """Whether a folder holds complete examples that were made with these arguments."""
    try:
        return check_manifest(path).get("examples") == arguments
    except IntegrityError:
        return False


def open_array(path: Path, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """A file mapped as an array."""
    if not path.stat().st_size:  # cannot be mapped
        return np.zeros((0, *shape), dtype)
    return np.asarray(np.memmap(path, dtype, "r")).reshape(-1, *shape)  # a plain view: indexing a memmap is slow


class Sentences(NamedTuple):
    """The sentences of a shard, numbered within it. Each array has one entry per sentence."""

    ends: np.ndarray  # int64, token where it ends
    document_start: np.ndarray  # int64, the first sentence of its document
    document_end: np.ndarray  # int64, the sentence after the last of its document
    document: np.ndarray  # int64, the global number of its document
    selected: np.ndarray  # bool, whether its document is
    target: np.ndarray  # int64, tokens that an example of its document should have
    keys: np.ndarray  # uint64, the key of its document


def read_sentences(shard: Shard, members: np.ndarray, room: int, short_seq_rate: float, seed: int, epoch: int) -> Sentences:
    """The sentences of a shard, with the properties of their documents."""
    document_ends = shard.document_ends.astype(np.int64)
    document_starts = np.append(0, document_ends[:-1])
    numbers = shard.document_offset + np.arange(shard.num_documents)
    keys = row_keys(seed, epoch, numbers)
    short = uniform(draws(keys, 0, Stream.SHORT)) < short_seq_rate
    target = np.where(short, 2 + below(draws(keys, 0, Stream.TARGET), room - 1), room)
    selected = np.zeros(len(numbers), bool)
    begin, end = np.searchsorted(members, np.array([0, len(numbers)], members.dtype) + members.dtype.type(shard.document_offset))
    selected[members[begin:end] - shard.document_offset] = True
    columns = (document_starts, document_ends, numbers, selected, target, keys)
    sizes = document_ends - document_starts
    return Sentences(shard.sentence_ends.astype(np.int64), *(np.repeat(column, sizes) for column in columns))


def make_pairs(
    store: TokenStore, shard: Shard, sentences: Sentences, members: np.ndarray, room: int, *, swap: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`nsp-pairs`, or with `swap` `sop-pairs`: starts, lengths and labels as in `Examples`."""
    first = np.arange(len(sentences.ends))
    keys = draws(sentences.keys, first - sentences.document_start, Stream.CHUNK)
    end = reach(sentences.ends, first, sentences.target)
    end = np.minimum(np.maximum(end, first + 2) if swap else end, sentences.document_end)
    alone = end - first == 1
    a_end = first + 1 + below(draws(keys, 0, Stream.A_END), end - first - 1)
    label = below(draws(keys, 0, Stream.LABEL), 2) == 1
    random = np.zeros_like(alone) if swap else label & ~alone if len(members) < 2 else label | alone
    chunk = walk(np.where(random, a_end, end))  # what a random B leaves unused begins the next chunk
    chunk = chunk[(sentences.selected & (random | ~alone))[chunk]]

    keys, label, random = keys[chunk], label[chunk], random[chunk]
    marks = boundary(sentences.ends, np.stack([first[chunk], a_end[chunk], end[chunk]], axis=1)) + shard.token_offset
    starts, stops = marks[:, :2].copy(), marks[:, 1:].copy()
    tokens = (sentences.target[chunk] - (stops - starts)[:, 0])[random]
    starts[random, 1], stops[random, 1] = random_segments(store, members, sentences.document[chunk][random], keys[random], tokens)
    if swap:
        starts[label], stops[label] = starts[label, ::-1], stops[label, ::-1]
    starts, lengths = truncate(starts, stops - starts, room, keys)
    return starts, lengths.astype(np.int32), (label if swap else random).astype(np.int8)


def random_segments(
    store: TokenStore, members: np.ndarray, documents: np.ndarray, keys: np.ndarray, tokens: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each of `documents`, consecutive sentences of another one, beginning at a random one, until there are `tokens` or it ends.

    Args:
        documents: int64 [pairs], global; each among the `members`. Where there is no other document, B is from the same one.
        keys: uint64 [pairs].
        tokens: int64 [pairs].
    Returns: where they start and stop, int64 [pairs] each, in the store.
    """
    starts, stops = np.zeros_like(documents), np.zeros_like(documents)
    if not len(documents):
        return starts, stops
    number = below(draws(keys, 0, Stream.DOCUMENT), max(1, len(members) - 1))
    number += number >= np.searchsorted(members, documents.astype(members.dtype))
    other = members[number % len(members)].astype(np.int64)
    shard_numbers = np.searchsorted([shard.document_offset for shard in store.shards], other, side="right") - 1
    for shard_number in np.unique(shard_numbers):
        rows = np.flatnonzero(shard_numbers == shard_number)
        shard = store.shards[shard_number]
        document = other[rows] - shard.document_offset
        document_start, document_end = boundary(shard.document_ends, document), shard.document_ends[document].astype(np.int64)
        first = document_start + below(draws(keys[rows], 0, Stream.SENTENCE), document_end - document_start)
        end = np.minimum(reach(shard.sentence_ends, first, tokens[rows]), document_end)
        starts[rows] = boundary(shard.sentence_ends, first) + shard.token_offset
        stops[rows] = boundary(shard.sentence_ends, end) + shard.token_offset
    return starts, stops


def truncate(starts: np.ndarray, lengths: np.ndarray, room: int, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Google's `truncate_seq_pair`: while A and B have more than `room` tokens, the longer one (B if neither is) loses its first or last
    token, by the flip of a coin. How many each loses follows from the lengths, and how many of them at the front from random bits.

    Args:
        starts, lengths: int64 [pairs, 2].
        keys: uint64 [pairs].
    Returns: the new starts and lengths.
    """
    difference = lengths[:, 0] - lengths[:, 1]
    excess = np.maximum(lengths.sum(axis=1) - room, 0)
    longer = np.minimum(excess, abs(difference))
    both = excess - longer
    cut = np.stack([both // 2 + longer * (difference > 0), both - both // 2 + longer * (difference < 0)], axis=1)
    front = np.stack([heads(cut[:, 0], keys, Stream.FRONT_A), heads(cut[:, 1], keys, Stream.FRONT_B)], axis=1)
    return starts + front, lengths - cut


def heads(flips: np.ndarray, keys: np.ndarray, stream: Stream) -> np.ndarray:
    """How many of `flips` flips of a coin show heads: int64 [rows], counted in random bits, 64 per draw."""
    count = np.zeros(len(flips), np.int64)
    done = 0
    while len(rows := np.flatnonzero(flips > done)):
        bits = np.unpackbits(draws(keys[rows], done, stream).astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
        count[rows] += (bits & (np.arange(64) < (flips[rows] - done)[:, None])).sum(axis=1, dtype=np.int64)
        done += 64
    return count


def pack_sentences(shard: Shard, sentences: Sentences, room: int, *, cross_documents: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`doc-sentences`, or with `cross_documents` `full-sentences`: starts, lengths and labels as in `Examples`.

    Each example takes as many consecutive sentences as fit, at least one; a sentence longer than `room` is first cut into pieces of that
    length. With `cross_documents`, an example may span documents, but neither skip one that is not selected nor leave the shard.
    """
    sentence_starts = np.append(0, sentences.ends[:-1])
    pieces = -(-(sentences.ends - sentence_starts) // room)
    sentence = np.repeat(np.arange(len(pieces)), pieces)
    begins = sentence_starts[sentence] + room * ragged_range(pieces)
    ends = np.append(begins[1:], sentences.ends[-1])
    selected = sentences.selected[sentence]
    runs = np.diff(selected, prepend=selected[0]).cumsum() if cross_documents else sentences.document[sentence]
    end = np.searchsorted(ends, begins + sentences.target[sentence], side="right")
    end = np.clip(end, np.arange(len(begins)) + 1, np.searchsorted(runs, runs, side="right"))
    chunk = walk(end)
    chunk = chunk[selected[chunk]]
    starts = begins[chunk] + shard.token_offset
    lengths = ends[end[chunk] - 1] - begins[chunk]
    nothing = np.zeros(len(chunk), np.int8)
    return np.stack([starts, starts], axis=1), np.stack([lengths, nothing], axis=1).astype(np.int32), nothing


def boundary(ends: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Where consecutive items begin that end at `ends`: int64 of the shape of `numbers`, which may be one past the last."""
    return np.where(numbers > 0, ends[numbers - 1], 0).astype(np.int64)


def reach(ends: np.ndarray, first: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The end of the sentences from `first` on that have at least `tokens`: at least one sentence, possibly past the last."""
    target = boundary(ends, first) + np.maximum(tokens, 1)
    behind: np.ndarray = np.searchsorted(ends, target.astype(ends.dtype)) + 1
    return behind


def walk(successors: np.ndarray) -> np.ndarray:
    """0, its successor, the successor of that, ... as long as they are within the array."""
    following, at, path = successors.tolist(), 0, []
    while at < len(following):
        path.append(at)
        at = following[at]
    return np.array(path, np.int64)
