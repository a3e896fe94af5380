"""Words and pieces, aligned by position: which pieces begin a word.

Words mark characters of the text, pieces carry offsets into the same text, and nothing is ever matched by spelling. With c(x) the number of
word starts at characters <= x, a piece begins a group exactly if it is no `##` continuation and

    c(first character of the piece) > c(last character of the piece before)

so blanks at either end of a word do no harm, a piece that covers several words joins them, and pieces that share a character stay
together. (Groups are the connected components of "same word", "same WordPiece word" and "same piece".) A blank between two letters or
digits that are not Chinese always begins a group, as in Google's masking: a segmenter's `New York` is two.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np

from wholeword.core.contracts import BulkSegmenter, Segmenter, SplittingSegmenter
from wholeword.core.data.tokenizer import Encoded, WordPieceTokenizer, offsets_in_sentence
from wholeword.core.errors import PluginError
from wholeword.core.vocabulary import is_chinese

MAX_SKIPPED_WORDS = 16  # how far the walk looks for the next word that is in the text ...
MAX_SKIPPED_CHARACTERS = 256  # ... and how far in the text for it


class Aligned(NamedTuple):
    """Pieces and word starts of one sentence."""

    ids: np.ndarray  # int32 [num_pieces]
    word_starts: np.ndarray  # bool [num_pieces], True where a group begins
    offsets: np.ndarray  # int32 [num_pieces, 2], first character and character after the last, in the sentence
    fallbacks: int  # spans of text that the words do not match


class AlignedBatch(NamedTuple):
    """Pieces and word starts of many sentences, one after the other."""

    ids: np.ndarray  # int32 [num_pieces]
    word_starts: np.ndarray  # bool [num_pieces]
    sentence_pieces: np.ndarray  # int64 [num_sentences + 1], the pieces of sentence i are sentence_pieces[i] ... sentence_pieces[i + 1] - 1
    fallbacks: int


class Fallback(NamedTuple):
    """A sentence in which words are not those of the text."""

    sentence: int  # its number among the sentences
    spans: int  # how many stretches of it do not match
    words: list[str]  # as the segmenter gave them


class Words(NamedTuple):
    """Where the words of some sentences begin, in their joined text (see `wholeword.core.data.tokenizer.Encoded`)."""

    starts: np.ndarray  # bool [num_characters]
    fallbacks: list[Fallback]


def find_words(segmenter: Segmenter, sentences: Sequence[str]) -> tuple[Sequence[str], Words]:
    """Ask a segmenter for the words of some sentences.

    A `BulkSegmenter` gets all sentences at once.

    Returns: the sentences as text (without what only separates words), and where words begin in it.
    Raises: PluginError that says what came back instead.
    """
    if isinstance(segmenter, SplittingSegmenter) or not isinstance(segmenter, BulkSegmenter):
        texts, words = segment(segmenter, sentences)
        return texts, mark_words(texts, words)
    text = "\n".join([*sentences, ""])
    with _explaining():
        starts = np.asarray(segmenter.word_starts(text))
    if starts.shape != (len(text),) or starts.dtype != bool:
        raise PluginError(f"gave word starts {starts.dtype} {list(starts.shape)}; expected bool [{len(text)}], one a character")
    return sentences, Words(np.concatenate([[False], starts]), [])


def segment(segmenter: Segmenter, sentences: Sequence[str]) -> tuple[Sequence[str], list[list[str]]]:
    """Ask a segmenter for words, and check that it keeps its contract.

    A `SplittingSegmenter` finds the text in the sentence as well (separators between words are not text).

    Returns: the texts, and one list of words for each.
    Raises: PluginError that says what came back instead.
    """
    with _explaining():
        if isinstance(segmenter, SplittingSegmenter):
            pairs = list(segmenter.split(sentences))
            texts: Sequence[str] = [text for text, _ in pairs]
            words = [line for _, line in pairs]
            "".join(texts)  # raises for what is no text
        else:
            texts, words = sentences, list(segmenter.segment(sentences))
    if len(words) != len(sentences):
        raise PluginError(f"gave {len(words)} lists of words for {len(sentences)} sentences; expected one each")
    try:
        wrong = [line for line in words if not isinstance(line, list)]
        "".join(chain.from_iterable(words))
    except TypeError:
        wrong = [line for line in words if not isinstance(line, list) or not all(isinstance(word, str) for word in line)]
    if wrong:
        raise PluginError(f"gave {repr(wrong[0])[:80]} for a sentence; expected a list of strings")
    return texts, words


@contextmanager
def _explaining() -> Iterator[None]:
    """Around calls of a segmenter."""
    try:
        yield
    except Exception as error:
        raise PluginError(f"failed with {type(error).__name__}: {' '.join(str(error).split())}") from error


def pieces_of(sentence: str, words: Sequence[str], tokenizer: WordPieceTokenizer, *, keep_latin: bool = False) -> Aligned:
    """Pieces of one sentence, and which of them begin a word. Any list of words is accepted; mismatches are counted."""
    encoded = tokenizer.encode_batch([sentence])
    marked = mark_words([sentence], [words])
    word_starts = align(encoded, marked.starts, tokenizer, keep_latin=keep_latin)
    return Aligned(encoded.ids, word_starts, offsets_in_sentence(encoded), sum(fallback.spans for fallback in marked.fallbacks))


def pieces_of_batch(sentences: Sequence[str], words: Sequence[Sequence[str]], tokenizer: WordPieceTokenizer) -> AlignedBatch:
    """`pieces_of` for many sentences at once, without a loop over characters, words or pieces."""
    encoded, marked = tokenizer.encode_batch(sentences), mark_words(sentences, words)
    fallbacks = sum(fallback.spans for fallback in marked.fallbacks)
    return AlignedBatch(encoded.ids, align(encoded, marked.starts, tokenizer), encoded.sentence_pieces, fallbacks)


def align(encoded: Encoded, starts: np.ndarray, tokenizer: WordPieceTokenizer, *, keep_latin: bool = False) -> np.ndarray:
    """Which pieces begin a word: bool [num_pieces].

    Args:
        starts: bool [num_characters], where words begin, see `Words`.
        keep_latin: keep a segmenter's `New York` as one word.
    """
    word_count = np.cumsum(starts, dtype=np.int32)
    first, last = encoded.starts, encoded.ends - 1
    continues = tokenizer.vocabulary.is_continuation[encoded.ids]
    begins = np.ones(len(encoded.ids), bool)
    begins[1:] = (word_count[first[1:]] > word_count[last[:-1]]) & ~continues[1:]
    if not keep_latin:
        after_gap = np.flatnonzero(~begins[1:] & ~continues[1:] & (first[1:] > last[:-1] + 1)) + 1  # inside of a word, after a blank
        begins[after_gap] = _is_latin(encoded.codes[last[after_gap - 1]]) & _is_latin(encoded.codes[first[after_gap]])
    opening = encoded.sentence_pieces[:-1]
    begins[opening[opening < encoded.sentence_pieces[1:]]] = True
    return begins


def mark_words(sentences: Sequence[str], words: Sequence[Sequence[str]]) -> Words:
    """Where the given words begin, whether or not they match the text."""
    sizes = np.fromiter(map(len, sentences), np.int64, len(sentences))
    sentence_starts = np.cumsum(sizes + 1) - sizes
    starts = np.zeros(int(sizes.sum()) + len(sentences) + 1, bool)
    joins = np.fromiter(("".join(line) == sentence for sentence, line in zip(sentences, words, strict=True)), bool, len(sentences))
    matching = words if joins.all() else [words[number] for number in np.flatnonzero(joins).tolist()]
    counts = np.fromiter(map(len, matching), np.int64, len(matching))
    shifts = sentence_starts[joins] - (np.cumsum(sizes[joins]) - sizes[joins])
    places = _begins(list(chain.from_iterable(matching)), np.repeat(shifts, counts))
    starts[places] = True
    fallbacks = []
    for number in np.flatnonzero(~joins).tolist():
        matches, unmatched = walk(sentences[number], words[number])
        starts[sentence_starts[number] + np.array(matches, np.int64)] = True
        if unmatched:
            fallbacks.append(Fallback(number, unmatched, list(words[number])))
    return Words(starts, fallbacks)


def _begins(words: Sequence[str], shifts: np.ndarray | int = 0) -> np.ndarray:
    """Where consecutive words begin, each moved by its shift: int64, without empty words."""
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    begins = np.cumsum(lengths) - lengths + shifts
    return begins if lengths.all() else begins[lengths > 0]


def walk(sentence: str, words: Iterable[str]) -> tuple[list[int], int]:
    """Find the words of a segmenter that changes text in the original text.

    White space and control characters are skipped on both sides. Where a word does not match, the walk continues at the nearby word that
    skips the fewest characters of text and words; every character that is skipped is a word of its own.

    Returns: the characters where words start, and how many spans were skipped.
    """
    places = [place for place, character in enumerate(sentence) if _is_visible(character)]
    text = "".join(sentence[place] for place in places)
    visible = ["".join(filter(_is_visible, word)) for word in words]
    visible = [word for word in visible if word]
    starts: list[int] = []
    fallbacks = position = number = 0
    lost = False  # inside of a span that does not match
    while number < len(visible):
        skipped, place = _next_match(text, position, visible[number : number + MAX_SKIPPED_WORDS])
        if (skipped or place != position) and not lost:
            fallbacks += 1
        lost = place is None
        if place is None:  # nothing nearby: continue after what these words would have covered
            window = visible[number : number + MAX_SKIPPED_WORDS]
            skipped, place = len(window), min(len(text), position + sum(map(len, window)))
        starts.extend(range(position, place))
        position, number = place, number + skipped
        if not lost:
            starts.append(position)
            position, number = position + len(visible[number]), number + 1
    if position < len(text):
        fallbacks += not lost
        starts.extend(range(position, len(text)))
    return [places[start] for start in starts], fallbacks


def _next_match(text: str, position: int, words: Sequence[str]) -> tuple[int, int | None]:
    """The nearby word to continue with: how many words to skip, and where it is in the text (None: there is none)."""
    if text.startswith(words[0], position):
        return 0, position
    best: tuple[int, int, int] | None = None  # characters left behind, words left behind, place
    left_behind = 0
    for skipped, word in enumerate(words):
        place = text.find(word, position, position + MAX_SKIPPED_CHARACTERS + len(word))
        if place >= 0:
            candidate = (left_behind + place - position, skipped, place)
            best = min(best, candidate) if best else candidate
        left_behind += len(word)
    return (best[1], best[2]) if best else (0, None)


@lru_cache(maxsize=1 << 16)
def _is_visible(character: str) -> bool:
    """Not white space, nor a control, format or replacement character or a lone surrogate: what segmenters and BERT drop or change."""
    return not (character.isspace() or character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Cs"))


def is_latin(character: str) -> bool:
    """A letter or digit that is not a Chinese character, so that a blank separates words (Cyrillic, kana and Hangul as well as Latin)."""
    return character.isalnum() and not is_chinese(character)


def _is_latin(codes: np.ndarray) -> np.ndarray:
    """`is_latin` of code points: bool, same shape."""
    different, where = np.unique(codes, return_inverse=True)
    return np.array([is_latin(chr(code)) for code in different.tolist()], bool)[where]
