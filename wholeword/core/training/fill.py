"""Fill-mask for words: the best candidates for several masks together, not the best piece for each mask by itself.

A candidate's score is the probability of filling its masks from left to right, each one visible to those after it:

    log p(x1 | the sentence) + log p(x2 | the sentence with x1) + ... + log p(xk | the sentence with x1 ... xk-1)

where positions that are not filled yet hold [MASK]. This is a distribution: it sums to 1 over all pieces in all positions. The model
computes it in float32, without approximation; only the search is approximate, if `width` is smaller than the number of candidates.
"""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wholeword.core.bert.parts import lacks, untrained_head
from wholeword.core.contracts import ModelFiles, Trainer
from wholeword.core.data.masked_sentence import MASK, encode_masked
from wholeword.core.data.word_lists import pieces_of_words
from wholeword.core.errors import UserError
from wholeword.core.registry.registry import registry
from wholeword.core.training.evaluation import prediction_batch
from wholeword.core.training.trainers import NoOptimizer, start_trainer

if TYPE_CHECKING:
    from wholeword.core.data.tokenizer import WordPieceTokenizer

WIDTH = 64  # partial candidates kept after each mask
TOKENS = 4096  # in rows that are computed together


class Candidate(NamedTuple):
    """One way to fill the masks of a sentence."""

    pieces: tuple[str, ...]  # one per mask
    words: tuple[str, ...]  # one for each run of masks with nothing between
    text: str  # the whole sentence
    log_probability: float

    def plain(self) -> dict[str, Any]:
        """For JSON, with the probability."""
        return self._asdict() | {"probability": math.exp(self.log_probability)}


def start_model(model: ModelFiles, *, backend: str = "pytorch") -> Trainer:
    """A model that predicts and is not trained, in float32."""
    settings = {"precision": "fp32"} if "precision" in registry.parameters("backend", backend) else {}
    return start_trainer(
        registry.create("backend", backend, **settings),
        backend,
        NoOptimizer(),
        config=model.config,
        weights=model.weights,
        next_sentence=False,
        clip_norm=1.0,
        trainable=(),
    )


def check_head(model: ModelFiles, name: str) -> str | None:
    """A warning about a model's predictions, in one line, or None. Raises: UserError if it has no MLM head to predict with."""
    if model.head is not None or lacks(model, "MLM head"):
        raise UserError(
            f"{name}: its files contain no MLM head, and a random one would predict nothing useful; `wholeword repair-head` trains one"
        )
    return untrained_head(model, name)


def fill(
    trainer: Trainer,
    tokenizer: "WordPieceTokenizer",
    sentence: str,
    *,
    top: int = 10,
    width: int | None = None,
    words: Iterable[str] | None = None,
    max_seq_length: int = 512,
) -> list[Candidate]:
    """The `top` candidates for the masks of a sentence, the most probable first.

    Args:
        width: partial candidates to keep after each mask. By default WIDTH; all of them for words of a list, so that none is missed.
        words: allowed fillings of adjacent masks; only words of that many pieces are used. By default any pieces that text can produce.
        max_seq_length: of the model.
    Raises: UserError if the sentence has no mask, special pieces where none can be, or is too long, or no word fits.
    """
    row, positions = encode_masked(sentence, tokenizer)
    if len(row) > max_seq_length:
        raise UserError(
            f"{sentence}: {len(row)} pieces with [CLS] and [SEP]; the model takes at most {max_seq_length}: expected a shorter text"
        )
    between = sentence.split(MASK)[1:-1]
    runs = [list(run) for run in np.split(np.arange(len(positions)), [number for number, text in enumerate(between, 1) if text])]
    choices = _any_pieces(tokenizer) if words is None else _word_pieces(words, [len(run) for run in runs], tokenizer)
    if width is None:
        width = WIDTH if words is None or len(runs) > 1 else sys.maxsize
    beams = _search(trainer, row, positions, choices, vocab_size=len(tokenizer.vocabulary), width=width)
    return [_candidate(ids, score, sentence, runs, tokenizer) for ids, score in beams[:top]]


Choices = Callable[[tuple[int, ...]], np.ndarray]  # ids of the masks filled so far -> allowed ids for the next one, ascending
Beam = tuple[tuple[int, ...], float]


def _search(trainer: Trainer, row: np.ndarray, positions: np.ndarray, choices: Choices, *, vocab_size: int, width: int) -> list[Beam]:
    """Beam search over the masks, left to right; the best first."""
    beams: list[Beam] = [((), 0.0)]
    rows_at_once = max(1, TOKENS // len(row))
    for number, position in enumerate(positions):
        scores, parents, pieces = [], [], []
        for first in range(0, len(beams), rows_at_once):
            some = beams[first : first + rows_at_once]
            rows = np.repeat(row[None], len(some), axis=0)
            rows[:, positions[:number]] = np.array([ids for ids, _ in some], np.int32).reshape(len(some), number)
            log_probabilities = _log_probabilities(trainer, rows, position, vocab_size)
            for offset, (ids, score) in enumerate(some):
                allowed = choices(ids)
                scores.append(score + log_probabilities[offset, allowed])
                parents.append(np.full(len(allowed), first + offset))
                pieces.append(allowed)
        all_scores, all_parents, all_pieces = map(np.concatenate, (scores, parents, pieces))
        best = np.argsort(-all_scores, kind="stable")[:width]
        beams = [((*beams[all_parents[at]][0], int(all_pieces[at])), float(all_scores[at])) for at in best]
    return beams


def _log_probabilities(trainer: Trainer, rows: np.ndarray, position: int, vocab_size: int) -> np.ndarray:
    """float64 [batch, vocab_size]: of each piece at one position of each row."""
    ids, probabilities = (array[:, 0] for array in trainer.predict(prediction_batch(rows, np.array([position])), vocab_size))
    by_id = np.zeros((len(rows), vocab_size))
    np.put_along_axis(by_id, ids, probabilities.astype(np.float64), axis=1)
    with np.errstate(divide="ignore"):  # for a piece less probable than 1e-45
        return np.log(by_id)


# --- allowed pieces


def _any_pieces(tokenizer: "WordPieceTokenizer") -> Choices:
    """All pieces that text can produce: no special piece, and no `##` before a Chinese character."""
    pool = tokenizer.vocabulary.pool("live")
    return lambda filled: pool


def _word_pieces(words: Iterable[str], lengths: Sequence[int], tokenizer: "WordPieceTokenizer") -> Choices:
    """For each run of adjacent masks, the words of as many pieces. Raises: UserError if there is none for a run."""
    by_length: dict[int, set[tuple[int, ...]]] = {length: set() for length in lengths}
    for ids in pieces_of_words(words, tokenizer, source="the word list"):
        if len(ids) in by_length:
            by_length[len(ids)].add(ids)
    trees = {length: _prefixes(matches) for length, matches in by_length.items()}
    if missing := [length for length, matches in by_length.items() if not matches]:
        raise UserError(f"the list has no word of {missing[0]} pieces; expected one for every run of that many {MASK}")
    runs = [(number, length) for length in lengths for number in range(length)]  # mask -> its number in its run, length of the run

    def choices(filled: tuple[int, ...]) -> np.ndarray:
        number, length = runs[len(filled)]
        return trees[length][filled[len(filled) - number :]]

    return choices


def _prefixes(words: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], np.ndarray]:
    """Every prefix of a word -> the pieces that may follow it, ascending."""
    following: dict[tuple[int, ...], set[int]] = {}
    for ids in words:
        for number, piece in enumerate(ids):
            following.setdefault(ids[:number], set()).add(piece)
    return {prefix: np.array(sorted(pieces)) for prefix, pieces in following.items()}


# --- candidates as text


def _candidate(
    ids: tuple[int, ...], score: float, sentence: str, runs: Sequence[Sequence[int]], tokenizer: "WordPieceTokenizer"
) -> Candidate:
    pieces = tuple(tokenizer.vocabulary.pieces[piece] for piece in ids)
    words = tuple(_joined([pieces[number] for number in run]) for run in runs)
    parts = sentence.split(MASK)
    text, run_of = parts[0], {run[0]: word for run, word in zip(runs, words, strict=True)}
    for number, part in enumerate(parts[1:]):
        text += run_of.get(number, "") + part
    return Candidate(pieces, words, text, score)


def _joined(pieces: Sequence[str]) -> str:
    """Pieces as text: without `##`, and with a space between two words of letters or digits."""
    text = ""
    for piece in pieces:
        apart = text and text[-1].isascii() and piece[0].isascii() and text[-1].isalnum() and piece[0].isalnum()
        text += f" {piece}" if apart else piece.removeprefix("##") if len(piece) > 2 else piece
    return text
