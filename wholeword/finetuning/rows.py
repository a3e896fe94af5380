"""Examples -> rows of ids for fine-tuning, as run_classifier.py and run_squad.py of google-research/bert make them.

A text that does not fit becomes windows: each begins `doc_stride` pieces after the previous one, and the last ends with the text. Rows are
stored one after another in flat arrays; only `Rows.batch` pads. Google's code splits text differently for one task; here the pieces are
always those of pre-training.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.contracts import Head, Rows
from wholeword.core.contracts.tasks import NO_TARGET, Example, SpanExample, TaggedExample, TextExample
from wholeword.core.data.tokenizer import Encoded, WordPieceTokenizer, offsets_in_sentence
from wholeword.core.errors import UserError
from wholeword.core.ragged import ragged_range

CHUNK = 1 << 20  # characters turned into rows at once


def make_rows(
    examples: Sequence[Example],
    tokenizer: WordPieceTokenizer,
    *,
    head: Head,
    labels: Sequence[str] = (),
    max_seq_length: int,
    doc_stride: int | None = None,
    max_query_length: int = 64,
) -> Rows:
    """Turn the examples of a task into rows.

    - classification: `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`; targets are numbers of labels. What is too long is
      truncated at its end (a pair at the end of its longer text, piece by piece); with `doc_stride`, a single text becomes windows instead.
    - span: `[CLS] question [SEP] window of the context [SEP]`; targets are the positions of the answer's first and last piece in the
      row, or 0, 0 if the answer is not in this window.
    - tagging: `[CLS] window of the units [SEP]`; each unit is tokenized by itself, and the target of its first piece is its tag's number.

    An unknown label is -1, and so is every position that is not to be learnt.

    Args:
        labels: targets are indices into it.
        max_seq_length: the largest number of pieces in a row, special pieces included.
        doc_stride: pieces from the start of one window to the next; for spans and tags, half a window by default.
        max_query_length: the largest number of pieces in a question.
    Raises: UserError if a row has no room for text, or a label is not among `labels`.
    """
    room = max_seq_length - 3 - (max_query_length if head == "span" else 0)
    if room < 1 or (doc_stride is not None and doc_stride < 1):
        raise UserError(
            f"max_seq_length {max_seq_length}, doc_stride {doc_stride}: expected at least {max_seq_length - room + 1} and 1 for {head}"
        )
    makers: dict[str, Callable[..., Rows]] = {"classification": _text_rows, "span": _span_rows, "tagging": _tagged_rows}
    numbers = {label: number for number, label in enumerate(labels)}
    parts, first = [], 0
    for chunk in _chunks(examples):
        rows = makers[head](chunk, tokenizer, numbers, max_seq_length, doc_stride, max_query_length)
        rows.examples[:] += first
        parts.append(rows)
        first += len(chunk)
    return _joined(parts)


class _Windows(NamedTuple):
    """Which part of its text each row holds."""

    examples: np.ndarray  # int64 [num_rows]
    starts: np.ndarray  # int64 [num_rows], in pieces
    sizes: np.ndarray  # int64 [num_rows]


def _windows(lengths: np.ndarray, rooms: np.ndarray, strides: np.ndarray) -> _Windows:
    """Cut texts with these numbers of pieces into windows; a text that fits is one window, an empty one too."""
    strides = np.minimum(strides, rooms)
    counts = 1 + np.maximum(0, -(-(lengths - rooms) // strides))
    examples = np.repeat(np.arange(len(lengths)), counts)
    starts = ragged_range(counts) * strides[examples]
    return _Windows(examples, starts, np.minimum(lengths[examples] - starts, rooms[examples]))


def _text_rows(
    examples: Sequence[TextExample],
    tokenizer: WordPieceTokenizer,
    numbers: dict[str, int],
    max_seq_length: int,
    doc_stride: int | None,
    max_query_length: int,
) -> Rows:
    encoded = tokenizer.encode_batch([example.text for example in examples] + [example.pair or "" for example in examples])
    lengths = np.diff(encoded.sentence_pieces)
    text, pair = lengths[: len(examples)], lengths[len(examples) :]
    paired = np.array([example.pair is not None for example in examples], bool)
    room = max_seq_length - 2 - paired
    kept = np.minimum(text, np.maximum(room - pair, -(-room // 2)))  # _truncate_seq_pair of run_classifier.py, all steps at once
    kept_pair = np.minimum(pair, room - kept)
    if doc_stride is None:
        windows = _Windows(np.arange(len(examples)), np.zeros(len(examples), np.int64), kept)
    else:
        windows = _windows(np.where(paired, kept, text), room, np.full(len(examples), doc_stride))
    first = _stretch(encoded, windows.examples, windows.starts, windows.sizes)
    second = _stretch(encoded, windows.examples + len(examples), 0, kept_pair[windows.examples])
    ids, segments, row_pieces, _ = _assemble(encoded.ids, first, second, tokenizer, paired[windows.examples])
    targets = np.array([_number(numbers, example.label, example.id) for example in examples], np.int64)[windows.examples]
    cut = paired | (doc_stride is None)
    counts = _counts(windows, truncated=int((cut & (kept + kept_pair < text + pair)).sum()))
    return Rows(ids, segments, row_pieces, windows.examples, targets, np.empty(0, np.int32), counts)


def _span_rows(
    examples: Sequence[SpanExample],
    tokenizer: WordPieceTokenizer,
    numbers: dict[str, int],
    max_seq_length: int,
    doc_stride: int | None,
    max_query_length: int,
) -> Rows:
    encoded = tokenizer.encode_batch([example.question for example in examples] + [example.context for example in examples])
    lengths = np.diff(encoded.sentence_pieces)
    query, context = np.minimum(lengths[: len(examples)], max_query_length), lengths[len(examples) :]
    room = max_seq_length - 3 - query
    windows = _windows(context, room, np.maximum(1, room // 2) if doc_stride is None else np.full(len(examples), doc_stride))
    a = _stretch(encoded, windows.examples, 0, query[windows.examples])
    b = _stretch(encoded, windows.examples + len(examples), windows.starts, windows.sizes)
    ids, segments, row_pieces, slots = _assemble(encoded.ids, a, b, tokenizer, np.ones(len(windows.examples), bool))
    places = np.full((len(ids), 2), NO_TARGET, np.int32)
    places[slots] = offsets_in_sentence(encoded)[b.pieces]

    answers = [next((answer for answer in example.answers if answer.start is not None), None) for example in examples]
    known = np.array([answer is not None for answer in answers], bool)
    spans = np.array([(answer.start, answer.start + len(answer.text)) if answer else (0, 0) for answer in answers], np.int64)  # type: ignore[operator]
    spans = spans.reshape(-1, 2) + encoded.sentence_starts[len(examples) :, None]
    origin = encoded.sentence_pieces[len(examples) : -1]
    answer_first = np.searchsorted(encoded.ends, spans[:, 0], side="right") - origin
    answer_last = np.searchsorted(encoded.starts, spans[:, 1], side="left") - 1 - origin
    known &= answer_first <= answer_last
    begin, end = answer_first[windows.examples], answer_last[windows.examples]
    inside = known[windows.examples] & (begin >= windows.starts) & (end < windows.starts + windows.sizes)
    shift = query[windows.examples] + 2 - windows.starts
    targets = np.where(inside[:, None], np.stack([begin + shift, end + shift], axis=1), 0)
    has_answer = np.zeros(len(examples), bool)
    has_answer[windows.examples[inside]] = True
    counts = _counts(
        windows,
        truncated=int((lengths[: len(examples)] > query).sum()),
        answers_not_in_a_window=int((np.array([bool(example.answers) for example in examples], bool) & ~has_answer).sum()),
    )
    return Rows(ids, segments, row_pieces, windows.examples, targets, places, counts)


def _tagged_rows(
    examples: Sequence[TaggedExample],
    tokenizer: WordPieceTokenizer,
    numbers: dict[str, int],
    max_seq_length: int,
    doc_stride: int | None,
    max_query_length: int,
) -> Rows:
    encoded = tokenizer.encode_batch([unit for example in examples for unit in example.units])
    empty = np.diff(encoded.sentence_pieces) == 0  # subtle: a blank or control character has no piece, but still needs a tag
    pieces = np.insert(encoded.ids, encoded.sentence_pieces[:-1][empty], tokenizer.vocabulary.unk_id)
    unit_pieces = encoded.sentence_pieces + np.append(0, np.cumsum(empty))
    sizes = np.array([len(example.units) for example in examples], np.int64)
    example_pieces = unit_pieces[np.append(0, np.cumsum(sizes))]
    units, tags = (np.full(len(pieces), NO_TARGET, np.int64) for _ in range(2))
    units[unit_pieces[:-1]] = ragged_range(sizes)
    tags[unit_pieces[:-1]] = [
        _number(numbers, tag, example.id) for example in examples for tag in (example.tags or [None] * len(example.units))
    ]

    lengths = np.diff(example_pieces)
    room = max_seq_length - 2
    windows = _windows(lengths, np.full(len(lengths), room), np.full(len(lengths), doc_stride or max(1, room // 2)))
    a = _stretch_of(example_pieces[:-1][windows.examples] + windows.starts, windows.sizes)
    no_pair = _stretch_of(np.zeros_like(windows.sizes), np.zeros_like(windows.sizes))
    ids, segments, row_pieces, _ = _assemble(pieces, a, no_pair, tokenizer, np.zeros(len(windows.examples), bool))
    slots = np.repeat(row_pieces[:-1] + 1, a.sizes) + ragged_range(a.sizes)
    targets, places = np.full(len(ids), NO_TARGET, np.int64), np.full(len(ids), NO_TARGET, np.int32)
    targets[slots], places[slots] = tags[a.pieces], units[a.pieces]
    return Rows(ids, segments, row_pieces, windows.examples, targets, places, _counts(windows, truncated=0))


class _Stretch(NamedTuple):
    sizes: np.ndarray  # int64 [num_rows]
    pieces: np.ndarray  # int64 [sum of sizes], positions among the pieces of the encoded texts


def _stretch(encoded: Encoded, sentences: np.ndarray, starts: np.ndarray | int, sizes: np.ndarray) -> _Stretch:
    return _stretch_of(encoded.sentence_pieces[sentences] + starts, sizes)


def _stretch_of(begins: np.ndarray, sizes: np.ndarray) -> _Stretch:
    return _Stretch(sizes, np.repeat(begins, sizes) + ragged_range(sizes))


def _assemble(
    pieces: np.ndarray, a: _Stretch, b: _Stretch, tokenizer: WordPieceTokenizer, paired: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns: ids, segments, row_pieces, and the positions of the pieces of B."""
    row_pieces = np.append(0, np.cumsum(2 + a.sizes + np.where(paired, 1 + b.sizes, 0)))
    begins = row_pieces[:-1]
    ids = np.full(row_pieces[-1], tokenizer.vocabulary.sep_id, np.int32)
    ids[begins] = tokenizer.vocabulary.cls_id
    ids[np.repeat(begins + 1, a.sizes) + ragged_range(a.sizes)] = pieces[a.pieces]
    slots = np.repeat(begins + 2 + a.sizes, b.sizes) + ragged_range(b.sizes)
    ids[slots] = pieces[b.pieces]
    segments = np.zeros(len(ids), np.int8)
    segments[slots] = 1
    segments[row_pieces[1:][paired] - 1] = 1
    return ids, segments, row_pieces, slots


def _number(numbers: dict[str, int], label: str | None, id: str) -> int:
    if label is None:
        return NO_TARGET
    try:
        return numbers[label]
    except KeyError:
        raise UserError(f"example {id}: {label!r}; expected one of the labels {', '.join(numbers)}") from None


def _counts(windows: _Windows, **others: int) -> dict[str, int]:
    rows_of = np.bincount(windows.examples)
    return {"examples": len(rows_of), "rows": len(windows.examples), "windowed": int((rows_of > 1).sum()), **others}


def _chunks(examples: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The examples in parts with about `CHUNK` characters each; one empty part if there are none."""
    first = size = 0
    for number, example in enumerate(examples):
        size += sum(len(part) for part in example[1:3] if part)
        if size >= CHUNK:
            yield examples[first : number + 1]
            first, size = number + 1, 0
    if first < len(examples) or not examples:
        yield examples[first:]


def _joined(parts: Sequence[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    shifts = np.cumsum([0, *(len(part.ids) for part in parts)])
    row_pieces = [part.row_pieces[:-1] + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "segments", "examples", "targets", "places")
    }
    counts = {key: sum(part.counts[key] for part in parts) for key in parts[0].counts}
    return Rows(row_pieces=np.concatenate([*row_pieces, shifts[-1:]]), counts=counts, **joined)
