"""What masking strategies share: budgets, groups of pieces, the choice of whole groups, and their replacement.

Follows `create_masked_lm_predictions` of google-research/bert: words in uniformly random order; a word is taken if it fits what is left
of the row's budget, else skipped; of the pieces taken 80 % become [MASK], 10 % stay, 10 % become a random piece, drawn piece by piece.
It departs from it in two points. Words never join across [SEP]. And a row in which no word fits the budget (Google masks nothing there;
in practice a row of a few pieces) gets its shortest word, if that fits `max_predictions`, so that no row is without a prediction.
"""

from typing import NamedTuple

import numpy as np

from wholeword.core.data.draws import Stream, below, child
from wholeword.core.data.ragged import ragged_range
from wholeword.core.data.vocabulary import Vocabulary
from wholeword.core.errors import UserError

NEVER = np.iinfo(np.int64).max


class Groups(NamedTuple):
    """The words of a batch, in order: what is chosen together or not at all."""

    starts: np.ndarray  # int64 [groups], the first piece of each, as row * length + position
    lengths: np.ndarray  # int32 [groups], pieces


def check_rate(rate: float) -> float:
    """The rate itself. Raises: UserError if it is not a share in (0, 1]."""
    if not 0 < rate <= 1:
        raise UserError(f"masking.rate is {rate}; expected a share above 0 and at most 1, such as 0.15")
    return rate


def budgets(num_tokens: np.ndarray, rate: float, max_predictions: int) -> np.ndarray:
    """Pieces to choose in each row, int32 [rows]; `num_tokens` counts [CLS] and [SEP] but no padding. Halves go to the even side."""
    return np.clip(np.rint(num_tokens * rate).astype(np.int32), 1, max_predictions)


def find_edges(word_starts: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Where a group begins or no candidate stands: bool [rows, length]. A group begins at a start bit, at the first candidate after a
    non-candidate and at the first of a row, and ends before the next edge.

    Args:
        word_starts, candidates: bool [rows, length].
    """
    edges = word_starts | ~candidates
    edges[:, 1:] |= ~candidates[:, :-1]
    edges[:, 0] = True
    return edges


def find_groups(word_starts: np.ndarray, candidates: np.ndarray) -> Groups:
    """The groups of a batch, see `find_edges`."""
    places = np.flatnonzero(find_edges(word_starts, candidates))
    lengths = (np.append(places[1:], word_starts.size) - places).astype(np.int32)
    begins = candidates.reshape(-1)[places]
    return Groups(places[begins], lengths[begins])


def group_lengths_at(places: np.ndarray, word_starts: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """How many pieces the groups have that some candidates are part of: int64 [places].

    Args:
        places: int64 [places], as row * length + position.
    """
    edges = np.append(find_edges(word_starts, candidates), True)
    begins, ends = places.copy(), places + 1
    for moving, step in ((begins, -1), (ends, 1)):  # to the nearest edge; as many steps as the longest group has pieces
        inside = np.flatnonzero(~edges[moving])
        while len(inside):
            moving[inside] += step
            inside = inside[~edges[moving[inside]]]
    return ends - begins


def choose_groups(groups: Groups, budgets: np.ndarray, keys: np.ndarray, *, length: int, max_predictions: int) -> np.ndarray:
    """Take whole groups in random order, each if it fits what is left of its row's budget.

    The order is that in which the groups of a row first come up in an endless sequence of draws, each of which picks any of them. So it
    is uniformly random, and only as many groups are looked at as it takes; how many draws are made at a time changes nothing.

    Args:
        budgets: int32 [rows], pieces.
        keys: uint64 [rows], see `row_keys`.
        length: of a row.
    Returns: bool [rows, length], True where a piece is chosen; at most `max_predictions` a row.
    """
    begins = np.searchsorted(groups.starts, np.arange(len(keys) + 1) * length)  # number of the first group of each row
    sizes = np.diff(begins)
    rows = np.flatnonzero(sizes)
    shortest = np.minimum.reduceat(groups.lengths, begins[rows]) if len(rows) else budgets[rows]
    left = np.where(shortest <= max_predictions, np.maximum(budgets[rows], shortest), budgets[rows])
    num_draws = 8 + int(1.5 * left.max(initial=0) * len(groups.starts) / max(1, groups.lengths.sum()))  # nearly always enough
    order_keys = child(keys, Stream.ORDER)
    came_up = np.full(len(groups.starts), NEVER)  # the draw at which a group came up first
    taken = [np.zeros(0, np.int64)]
    num_seen = np.zeros(len(rows), np.int64)
    draw = np.arange(num_draws)
    while len(rows):
        numbers = begins[rows, None] + below(child(order_keys[rows, None], draw), sizes[rows, None])
        np.minimum.at(came_up, numbers.reshape(-1), np.tile(draw, len(rows)))
        first = came_up[numbers] == draw
        fitting = take_in_order(groups.lengths[numbers] * first, left)
        taken.append(numbers[fitting > 0])
        left = left - fitting.sum(axis=1, dtype=np.int32)
        num_seen += first.sum(axis=1)
        again = (left >= shortest) & (num_seen < sizes[rows])
        rows, shortest, left, num_seen = rows[again], shortest[again], left[again], num_seen[again]
        draw = draw[-1] + 1 + np.arange(4 * len(draw))
    numbers = np.concatenate(taken)
    lengths = groups.lengths[numbers]
    chosen = np.zeros(len(keys) * length, bool)
    chosen[np.repeat(groups.starts[numbers], lengths) + ragged_range(lengths)] = True
    return chosen.reshape(len(keys), length)


def take_in_order(lengths: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Google's rule, all rows at once: from left to right, take a group if it fits what is left of the budget, else skip it.

    Args:
        lengths: int32 [rows, groups], pieces; 0 for no group.
        budgets: int32 [rows].
    Returns: int32 [rows, groups], the lengths with those of the skipped groups set to 0.

    As long as the sum fits, everything is taken. From the first group that does not fit, all that are longer than what is left there
    can be skipped at once, for less will be left later. Then the sum is taken anew: a few rounds, since what is left shrinks.
    """
    taken = lengths.copy()
    rows = np.arange(len(lengths))
    while len(rows):
        part, budget = taken[rows], budgets[rows, None]
        total = part.cumsum(axis=1, dtype=np.int32)
        over = total > budget
        first = np.arange(len(rows)), over.argmax(axis=1)
        left = budget - (total[first] - part[first])[:, None]
        np.putmask(part, over & (part > left), 0)
        taken[rows] = part
        rows = rows[over[:, -1] & (left > 0)[:, 0]]
    return taken


def replace(ids: np.ndarray, chosen: np.ndarray, keys: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """The ids with 80 % of the chosen pieces as [MASK], 10 % as they were, 10 % any piece of the vocabulary, drawn piece by piece.

    Args:
        ids: integers [rows, length].
        chosen: bool [rows, length].
        keys: uint64 [rows], see `row_keys`.
    """
    places = np.flatnonzero(chosen)
    rows = places // ids.shape[1]
    columns = places - rows * ids.shape[1]
    fate = below(child(child(keys, Stream.REPLACEMENT)[rows], columns), 10)
    random = np.flatnonzero(fate == 9)
    pieces = below(child(child(keys, Stream.PIECE)[rows[random]], columns[random]), len(vocabulary))
    replaced = ids.copy()
    flat = replaced.reshape(-1)
    flat[places[fate < 8]] = vocabulary.mask_id
    flat[places[random]] = pieces
    return replaced
