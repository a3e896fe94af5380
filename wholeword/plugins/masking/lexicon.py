"""Whole word masking in which the entries of a word list stay whole: names, terms of a domain."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.contracts import Masked
from wholeword.core.data.masking import Budget, RandomPool, Replacement, Unknown
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.data.word_lists import pieces_of_words, read_word_list
from wholeword.core.errors import UserError
from wholeword.plugins.masking.whole_word import WholeWord

END = np.int32(-1)  # an id that no piece has


class Lexicon:
    """Wherever the pieces of an entry stand, they and the words that they share a piece with are one word. Entries that overlap are one
    word as well. What is no entry is cut as the segmenter did.

    Args:
        words: a word list (`wholeword.core.data.word_lists`), or the entries themselves. An entry with a character that the vocabulary
            does not know is left out, with a warning: nothing tells it from others in a row of ids.
        rate, budget, replacement, random_pool, unknown: see `wholeword.core.data.masking.Rules`.
    Raises: UserError if a setting is none, the file cannot be read, or there is no entry.
    """

    def __init__(
        self,
        *,
        words: Path | list[str],
        rate: float = 0.15,
        budget: Budget = "google",
        replacement: Replacement = "token",
        random_pool: RandomPool = "all",
        unknown: Unknown = "keep",
    ):
        self.source = "masking.words"
        if isinstance(words, list):
            self.words = words
        else:
            self.words = [entry.word for entry in read_word_list(words, setting=self.source)]
            self.source += f": {words}"
        if not self.words:
            raise UserError("masking.words: no entry; expected at least one")
        self._whole_word = WholeWord(rate=rate, budget=budget, replacement=replacement, random_pool=random_pool, unknown=unknown)
        self._tree: _Tree | None = None

    def bind(self, tokenizer: WordPieceTokenizer) -> None:
        """Cut the entries into the pieces of a tokenizer. The framework calls this before the first batch."""
        self._tree = _Tree(pieces_of_words(self.words, tokenizer, source=self.source), len(tokenizer.vocabulary))

    def mask(self, ids: np.ndarray, word_starts: np.ndarray, candidates: np.ndarray, sample_ids: np.ndarray, **context: Any) -> Masked:
        assert self._tree is not None, "bind() gives the entries their pieces first"
        inside = self._tree.inside(np.where(candidates, ids, END))
        return self._whole_word.mask(ids, word_starts & ~inside, candidates, sample_ids, **context)


class _Tree:
    """The entries as a prefix tree whose steps are looked up for all places of a batch at once.

    Node n and the id i that follows it lead to `targets` at the place of n * vocab_size + i in the sorted `steps`.
    """

    def __init__(self, entries: Iterable[tuple[int, ...]], vocab_size: int):
        self.vocab_size = vocab_size
        nodes: dict[int, int] = {}
        ends = [False]
        for entry in entries:
            node = 0
            for id in entry:
                node = nodes.setdefault(node * vocab_size + id, len(ends))
                if node == len(ends):
                    ends.append(False)
            ends[node] = True
        self.steps = np.array(sorted(nodes), np.int64)
        self.targets = np.array([nodes[step] for step in self.steps.tolist()], np.int64)
        self.ends = np.array(ends)
        self.begins = np.zeros(vocab_size, bool)
        self.begins[[step for step in nodes if step < vocab_size]] = True

    def inside(self, ids: np.ndarray) -> np.ndarray:
        """bool [rows, length]: the places of entries behind their first piece.

        Args:
            ids: int32 [rows, length], -1 where nothing can be part of an entry.
        """
        rows, length = ids.shape
        flat = np.append(ids, np.full((rows, 1), END), axis=1).reshape(-1)  # no entry continues in the next row
        marks = np.zeros(len(flat) + 1, np.int32)  # +1 where the inside of an entry begins, -1 behind it
        places = np.flatnonzero(self.begins[flat] & (flat >= 0))
        nodes, depth = np.zeros(len(places), np.int64), 0
        while len(places):
            following = flat[places + depth]
            steps = nodes * self.vocab_size + following
            matches = np.minimum(np.searchsorted(self.steps, steps), len(self.steps) - 1)
            exists = (self.steps[matches] == steps) & (following >= 0)
            places, nodes, depth = places[exists], self.targets[matches[exists]], depth + 1
            ended = places[self.ends[nodes]]
            np.add.at(marks, ended + 1, 1)
            np.add.at(marks, ended + depth, -1)
        return (marks[:-1].cumsum() > 0).reshape(rows, length + 1)[:, :length]
