"""WordPiece as BERT does it, for millions of characters a second.

There are two definitions, which differ in rare characters only (see `google_tokens`): that of Google's original code, and that of
`tokenizers` (BertNormalizer, BertPreTokenizer, WordPiece), which transformers' fast tokenizers use; ids and offsets are equal to theirs.

A Chinese character, a punctuation mark or a blank means the same in any context, so a table from code point to id settles it. The runs
between such characters (Latin, digits, kana, Hangul, marks, control characters ...) are encoded by the definition once each, and cached.
The table is learned from the definition too, for common marks at the start and for others when they first occur, so that no Unicode rule
is written down twice. Only common Chinese characters are not asked about: they are their own piece if the vocabulary has it, else [UNK].

No special piece is recognised in text: `[MASK]` in a corpus is a bracket, a word and a bracket.
"""

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from wholeword.core.data.google_tokens import SIGMA, GoogleWordPiece, PlacedPieces, settle_sigmas
from wholeword.core.ragged import ragged_range
from wholeword.core.text_files import valid
from wholeword.core.vocabulary import CHINESE, Vocabulary

COMMON_CHINESE = CHINESE[:2]  # the basic block and extension A
COMMON_BLOCKS = (range(0x20, 0x7F), range(0x2010, 0x2040), range(0x3000, 0x3020), range(0xFF00, 0xFF61))  # ASCII, marks, full-width forms
BLANK, RUN, UNSEEN = -1, -2, -3  # what a code point is when it is not one piece by itself
CODE_POINTS = 0x110000
MAX_WORD = 100  # characters; in transformers, a longer word is one [UNK]
MAX_RUNS = 1 << 16  # runs to remember
MAX_RUN_CHARACTERS = 1 << 22  # the same, in characters

Definition = Literal["google", "transformers"]


class Encoded(NamedTuple):
    """Pieces of a batch of sentences, with positions in their joined text: a line feed before each sentence and one at the end."""

    codes: np.ndarray  # uint32 [num_characters], the code points of the joined text
    ids: np.ndarray  # int32 [num_pieces]
    starts: np.ndarray  # int64 [num_pieces], the first character of each piece
    ends: np.ndarray  # int64 [num_pieces], the character after its last
    sentence_starts: np.ndarray  # int64 [num_sentences], where each sentence begins in the joined text
    sentence_pieces: np.ndarray  # int64 [num_sentences + 1], the pieces of sentence i are sentence_pieces[i] ... sentence_pieces[i + 1] - 1


class WordPieceTokenizer:
    """Sentences -> pieces with their places in the original text.

    Args:
        lowercase: lower-case and strip accents, as the uncased BERT models do.
        definition: whose tokenization it is; see `google_tokens` for the differences.
    """

    def __init__(self, vocabulary: Vocabulary, lowercase: bool, *, definition: Definition = "google"):
        self.vocabulary, self.lowercase, self.definition = vocabulary, lowercase, definition
        self._google = GoogleWordPiece(vocabulary, lowercase) if definition == "google" else None
        self._table = np.full(CODE_POINTS, UNSEEN, np.int32)
        self._table[0xD800:0xE000] = RUN  # lone surrogates, which `tokenizers` refuses
        single = [piece for piece in vocabulary.pieces if len(piece) == 1]
        codes, ids = np.array(list(map(ord, single)), np.int64), np.array([vocabulary.ids[piece] for piece in single], np.int32)
        for first, last in COMMON_CHINESE:
            self._table[first : last + 1] = vocabulary.unk_id
            inside = (first <= codes) & (codes <= last)
            self._table[codes[inside]] = ids[inside]
        self._dropped = np.where(self._table == UNSEEN, -1, 0).astype(np.int8)  # see `count_dropped`; -1: not known yet
        self._learn([code for block in COMMON_BLOCKS for code in block])
        self._run_numbers: dict[str, int] = {}
        self._run_characters = 0
        self._run_pieces = np.zeros(1, np.int64)  # the pieces of run i are rows _run_pieces[i] ... _run_pieces[i + 1] - 1 of
        self._runs = np.empty((0, 3), np.int32)  # id, start, end (within the run)

    @cached_property
    def reference(self) -> Tokenizer:
        """The definition of transformers, slower than this."""
        model = WordPiece(self.vocabulary.ids, unk_token="[UNK]", max_input_chars_per_word=MAX_WORD, continuing_subword_prefix="##")
        reference = Tokenizer(model)
        reference.normalizer = BertNormalizer(lowercase=self.lowercase)
        reference.pre_tokenizer = BertPreTokenizer()
        return reference

    def encode(self, sentence: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns: ids int32 [num_pieces], offsets int32 [num_pieces, 2] into the sentence (first character, character after the last)."""
        encoded = self.encode_batch([sentence])
        return encoded.ids, offsets_in_sentence(encoded)

    def encode_batch(self, sentences: Sequence[str]) -> Encoded:
        """The pieces of many sentences at once."""
        codes, kinds, run_starts, runs = self.split("\n".join(["", *sentences, ""]))  # no run crosses a line feed: it is a blank
        numbers = self._numbers(runs)
        first = self._run_pieces[numbers]
        counts = self._run_pieces[numbers + 1] - first

        begins = kinds >= 0
        begins[run_starts] = True
        places = np.flatnonzero(begins)  # where one piece stands, or a run with any number of them
        run_places = np.searchsorted(places, run_starts)
        copies = np.ones(len(places), np.int64)
        copies[run_places] = counts
        ids, starts = np.repeat(kinds[places], copies), np.repeat(places, copies)
        ends = starts + 1

        steps = ragged_range(counts)
        rows = self._runs[np.repeat(first, counts) + steps]
        slots = np.repeat(run_places + np.cumsum(counts - 1) - (counts - 1), counts) + steps
        ids[slots] = rows[:, 0]
        ends[slots] = starts[slots] + rows[:, 2]
        starts[slots] += rows[:, 1]

        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        sentence_starts = np.cumsum(lengths + 1) - lengths
        return Encoded(codes, ids, starts, ends, sentence_starts, np.append(np.searchsorted(starts, sentence_starts), len(ids)))

    def count_dropped(self, codes: np.ndarray) -> int:
        """How many characters leave no trace although they are no blanks, control characters or accents: in transformers, those for
        private use and those that its version of Unicode does not have.

        Args:
            codes: uint32 [num_characters], code points.
        """
        if self._google:
            return 0
        dropped = self._dropped[codes]
        unseen = np.unique(codes[dropped < 0]).tolist()
        if unseen:
            self._dropped[unseen] = [self._drops(chr(code)) for code in unseen]
            dropped = self._dropped[codes]
        return int(np.count_nonzero(dropped))

    def _drops(self, character: str) -> bool:
        if character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Mn"):
            return False
        return not self.reference.normalizer.normalize_str(character)

    def split(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
        """Separate characters that are settled by themselves from the runs between them, in a text that begins and ends with a line feed.

        Returns: codes uint32 [n], kinds int32 [n] (an id, or BLANK, or RUN), run_starts int64 [num_runs], the runs.
        """
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        kinds = self._table[codes]
        unseen = codes[kinds == UNSEEN]
        if len(unseen):
            self._learn(np.unique(unseen).tolist())
            kinds = self._table[codes]
        if self._google and self.lowercase and SIGMA in text:
            text = settle_sigmas(text)  # before it is split into runs, which end where its words do not
        in_run = kinds == RUN
        edges = np.flatnonzero(in_run[1:] != in_run[:-1]) + 1
        starts, ends = edges[::2], edges[1::2]
        return codes, kinds, starts, [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def _learn(self, codes: list[int]) -> None:
        """Find out what each character does between two letters: separate them and vanish, separate them and be one piece, or neither."""
        pieces = self._defined("".join(f"a{chr(code)}a\n" for code in codes))
        ids, words, (starts, ends) = np.array(pieces.ids), np.array(pieces.words), np.array(pieces.offsets).T
        lines, places = np.divmod(starts, 4)
        first = np.searchsorted(lines, np.arange(len(codes)))
        count = np.bincount(lines, minlength=len(codes))
        last = first + count - 1
        parted = (places[first] == 0) & (places[last] == 2) & (ends[first] == starts[first] + 1) & (ends[last] == starts[last] + 1)
        blank = parted & (count == 2) & (words[last] == words[first] + 1)
        second = np.minimum(first + 1, last)
        alone = parted & (count == 3) & (words[last] == words[first] + 2) & (places[second] == 1) & (ends[second] == starts[last])
        alone &= np.fromiter((_stands_alone(chr(code)) for code in codes), bool, len(codes))
        self._table[codes] = np.where(blank, BLANK, np.where(alone, ids[second], RUN))

    def _defined(self, text: str) -> PlacedPieces:
        """The pieces of a text by definition."""
        if self._google:
            return self._google.encode(text)
        encoding = self.reference.encode(text, add_special_tokens=False)
        return PlacedPieces(encoding.ids, encoding.word_ids, encoding.offsets)

    def _numbers(self, runs: list[str]) -> np.ndarray:
        """The number of each run, by which `_run_pieces` finds its pieces: int64 [num_runs]. Unknown runs are encoded first."""
        known = self._run_numbers
        numbers = list(map(known.get, runs))
        if None in numbers:
            if len(known) > MAX_RUNS or self._run_characters > MAX_RUN_CHARACTERS:  # bounded memory: start over
                known.clear()
                self._run_characters, self._run_pieces, self._runs = 0, self._run_pieces[:1], self._runs[:0]
            new = [run for run in dict.fromkeys(runs) if run not in known]
            pieces = self._defined(valid("\n".join(new)))  # a line feed is a blank: they stay apart
            starts, ends = np.array(pieces.offsets, np.int64).reshape(-1, 2).T
            borders = np.cumsum(np.fromiter(map(len, new), np.int64, len(new)) + 1)  # where the next run begins
            number = np.searchsorted(borders, starts, side="right")
            origin = np.append(0, borders)[number]
            rows = np.stack([np.array(pieces.ids, np.int64), starts - origin, ends - origin], axis=1).astype(np.int32)
            self._runs = np.concatenate([self._runs, rows])
            self._run_pieces = np.append(self._run_pieces, self._run_pieces[-1] + np.cumsum(np.bincount(number, minlength=len(new))))
            self._run_characters += sum(map(len, new))
            known.update(zip(new, range(len(known), len(known) + len(new)), strict=True))
            numbers = list(map(known.get, runs))
        return np.array(numbers, np.int64)


def definition_of(compat: str | None) -> Definition:
    """Whose tokenization a recipe gets, by its setting `compat`."""
    return "google" if compat == "google" else "transformers"


def offsets_in_sentence(encoded: Encoded) -> np.ndarray:
    """int32 [num_pieces, 2]: the first character of each piece and the character after its last, relative to its sentence."""
    origin = np.repeat(encoded.sentence_starts, np.diff(encoded.sentence_pieces))
    return np.stack([encoded.starts - origin, encoded.ends - origin], axis=1).astype(np.int32)


def _stands_alone(character: str) -> bool:
    """Whether combining marks after it leave it as it is: it stays one character in NFD, and is a starter."""
    return len(unicodedata.normalize("NFD", character)) == 1 and unicodedata.combining(character) == 0
