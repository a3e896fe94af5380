"""jieba, the most used segmenter of Chinese.

Underneath is rjieba, which is twenty times faster and cuts by the same dictionary and model. It differs from jieba 0.42.1 in three places,
which are put right here:
- it keeps `zh-hant`, `x.y` and `a_b` whole; jieba cuts what its dictionary does not know by `SKIP`;
- it takes Chinese characters outside of jieba's range (U+4E00 to U+9FD5) into words; in jieba each is a word;
- its hidden Markov model has six digits, jieba's has sixteen, and where two characters that the dictionary leaves alone are a word or two
  with that nearly the same probability (常在, see `jieba_ties`), it may take the other one. (Left as they are: such ties among three
  characters and more, of which text that repeats one character without end is full.)
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.data.word_lists import SHOWN_CHARACTERS, Entry, read_word_list, warn_of_entries
from wholeword.plugins.segmenters.jieba_ties import TIES

CONNECTORS = "+#&._%-"
LATIN = re.compile(r"[a-zA-Z0-9+#&._%\-]+")  # jieba.re_han_default without its Chinese characters
SKIP = re.compile(r"([a-zA-Z0-9]+(?:\.\d+)?%?)")  # jieba.finalseg.re_skip
BLOCK = re.compile(r"[\u4e00-\u9fd5a-zA-Z0-9+#&._%\-]+")  # jieba.re_han_default
MAX_ENTRY = 200  # characters of a word in a user dictionary; jieba keeps every beginning of a word, which takes the square of its length
MAX_LOOSE, MAX_REMEMBERED = 1 << 16, 32  # words to remember, and characters of one
CHINESE, ALPHANUMERIC, CONNECTOR, TIE_FIRST, TIE_SECOND = (1 << bit for bit in range(5))  # kinds of characters in blocks


class Jieba:
    """jieba's words.

    Args:
        user_dictionary: a word list (`wholeword.core.data.word_lists`), `word [frequency] [tag]` a line. jieba itself does the work then,
            at its own speed. Entries that it never keeps whole are named in a warning.
        hmm: also find words that no dictionary holds.
    """

    def __init__(self, *, user_dictionary: Path | None = None, hmm: bool = True):
        self.hmm = hmm
        if user_dictionary is None:
            from importlib.metadata import version

            import rjieba

            self._rjieba = rjieba
            self._loose: dict[str, bool] = {}
            self.word_starts = self._word_starts_of_rjieba
            self.version = f"rjieba {version('rjieba')}"
        else:
            import jieba

            tokenizer = jieba.Tokenizer()
            # subtle: initialize() would unmarshal a cache out of the shared temporary folder
            tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
            tokenizer.initialized = True
            _add_words(tokenizer, user_dictionary, hmm)
            self.word_starts = lambda text: _starts_of(tokenizer.lcut(text, HMM=hmm), len(text))[0]
            self.version = f"jieba {jieba.__version__}"

    def segment(self, sentences: Sequence[str]) -> list[list[str]]:
        return [self._segment(sentence) for sentence in sentences]

    def _segment(self, sentence: str) -> list[str]:
        borders = [*np.flatnonzero(self.word_starts(sentence)).tolist(), len(sentence)]
        return [sentence[start:end] for start, end in pairwise(borders)]

    def _word_starts_of_rjieba(self, text: str) -> np.ndarray:
        """Where words begin: bool [num_characters]. The text may be any number of sentences parted by line feeds.

        What lies in two blocks never meets, and outside of them every character is a word. So only blocks are cut, parted by line feeds.
        """
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        kinds = _kinds().take(codes, mode="clip")
        kept = kinds > 0
        kept[1:] |= kept[:-1]
        places = np.flatnonzero(kept)
        kinds = kinds[places]
        blocks = np.where(kinds > 0, codes[places], ord("\n")).astype("<u2").tobytes().decode("utf-16-le")
        starts = np.ones(len(codes), bool)
        starts[places] = self._word_starts_of_blocks(blocks, kinds)
        starts[1:] &= (codes[1:] != ord("\n")) | (codes[:-1] != ord("\r"))  # jieba.re_skip_default has them as one
        return starts

    def _word_starts_of_blocks(self, text: str, kinds: np.ndarray) -> np.ndarray:
        words = self._rjieba.cut(text, self.hmm)
        starts, ends = _starts_of(words, len(text))
        if self.hmm:
            if (kinds == CONNECTOR).any():
                self._recut_latin(text, kinds, words, ends, starts)
            for place in _places_of_ties(text, kinds):
                self._cut_tie(text, place, starts)
        return starts

    def _recut_latin(self, text: str, kinds: np.ndarray, words: list[str], ends: np.ndarray, starts: np.ndarray) -> None:
        """Join neighbouring Latin words that the dictionary does not hold, where one has a connector, and cut them as jieba does."""
        beside = np.zeros(len(kinds) + 2, bool)
        beside[1:-1] = (kinds == ALPHANUMERIC) | (kinds == CONNECTOR)
        places = np.flatnonzero((kinds == CONNECTOR) & (beside[:-2] | beside[2:]))  # what is more than a mark by itself
        done = 0  # words
        for number in np.unique(np.searchsorted(ends, places, side="right")).tolist():
            if number < done:
                continue
            first, last = number, number
            while first > done and self._is_loose(words[first - 1]):
                first -= 1
            while last < len(words) and self._is_loose(words[last]):
                last += 1
            if first < last:
                position, end = ends[first] - len(words[first]), ends[last - 1]
                starts[position:end] = False
                for part in SKIP.split(text[position:end]):
                    if part:
                        starts[position] = True
                        position += len(part)
                done = last

    def _cut_tie(self, text: str, place: int, starts: np.ndarray) -> None:
        """Cut as jieba itself does the characters around the pair at `place` that the dictionary leaves alone, if it leaves the pair."""
        from jieba import finalseg

        first = place
        while first and BLOCK.match(text, first - 1):
            first -= 1
        block = BLOCK.match(text, first)
        assert block is not None
        words = self._rjieba.cut(block[0], False)
        ends = list(accumulate(map(len, words), initial=first))
        begin = end = bisect_right(ends, place) - 1  # the run of single Chinese characters around it
        while begin and _is_single(words[begin - 1]):
            begin -= 1
        while end < len(words) and _is_single(words[end]):
            end += 1
        run = text[ends[begin] : ends[end]]
        if not ends[begin] <= place < place + 2 <= ends[end]:
            return
        beside = [*words[max(begin - 1, 0) : begin], *words[end : end + 1]]
        known = self._rjieba.has_word(run) and not any(self._is_loose(word) for word in beside)  # jieba then cuts it up
        starts[ends[begin] : ends[end]] = known
        if not known:
            starts[ends[begin] + np.cumsum([0, *map(len, finalseg.cut(run))])[:-1]] = True

    def _is_loose(self, word: str) -> bool:
        """Whether it is Latin and not in the dictionary. Remembered: the same few words stand beside connectors again and again."""
        known = self._loose.get(word)
        if known is None:
            known = bool(LATIN.fullmatch(word)) and not (len(word) > 1 and self._rjieba.has_word(word))
            if len(word) <= MAX_REMEMBERED and len(self._loose) < MAX_LOOSE:
                self._loose[word] = known
        return known


def _add_words(tokenizer: Any, path: Path, hmm: bool) -> None:
    entries = read_word_list(path, setting="segmenter.user_dictionary")
    for entry in entries:
        if len(entry.word) <= MAX_ENTRY:
            tokenizer.add_word(entry.word, entry.frequency, entry.tag)
    never = [f"{entry.word[:SHOWN_CHARACTERS]!r} ({reason})" for entry in entries if (reason := _why_never(entry, tokenizer, hmm))]
    warn_of_entries(never, len(entries), f"segmenter.user_dictionary: {path}")


def _why_never(entry: Entry, tokenizer: Any, hmm: bool) -> str:
    """Why jieba never keeps an entry whole; empty if it does, or is told to split it by a frequency of 0."""
    if len(entry.word) > MAX_ENTRY:
        return f"line {entry.line}: {len(entry.word):,} characters; expected a word"
    outside = BLOCK.sub("", entry.word)
    if outside and len(entry.word) > 1:
        return f"line {entry.line}: jieba always cuts at {outside[0]!r}"
    words = [entry.word] if entry.frequency == 0 else tokenizer.lcut(entry.word, HMM=hmm)
    if len(words) == 1:
        return ""
    hint = "" if entry.frequency is None else f" at frequency {entry.frequency:,}; leave the frequency out"
    return f"line {entry.line}: cut into {' / '.join(words)}{hint}"


def _starts_of(words: list[str], num_characters: int) -> tuple[np.ndarray, np.ndarray]:
    """Where words begin that stand one behind the other, bool [num_characters], and where each ends, int64 [num_words]."""
    try:
        lengths = np.frombuffer(bytes(map(len, words)), np.uint8)  # quicker than fromiter, and nearly always enough
    except ValueError:
        lengths = np.fromiter(map(len, words), np.int64, len(words))
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = np.zeros(num_characters, bool)
    starts[ends[:-1]] = True
    starts[:1] = True
    return starts, ends


def _is_single(word: str) -> bool:
    return len(word) == 1 and "\u4e00" <= word <= "\u9fd5"


def _places_of_ties(text: str, kinds: np.ndarray) -> list[int]:
    places = np.flatnonzero((kinds[:-1] & TIE_FIRST > 0) & (kinds[1:] & TIE_SECOND > 0))
    return [place for place in places.tolist() if text[place : place + 2] in TIES]


@cache
def _kinds() -> np.ndarray:
    """uint8 [code points, with one for all above]: the kinds of each character, a bit each; 0 outside of blocks."""
    kinds = np.zeros(0x9FD7, np.uint8)
    for character in map(chr, range(128)):
        if LATIN.fullmatch(character):
            kinds[ord(character)] = CONNECTOR if character in CONNECTORS else ALPHANUMERIC
    kinds[0x4E00:0x9FD6] = CHINESE
    for place, kind in enumerate((TIE_FIRST, TIE_SECOND)):
        kinds[list({ord(pair[place]) for pair in TIES})] |= kind
    return kinds
