"""What masking strategies share: budgets, the choice of whole groups of pieces, and their replacement.

Follows `create_masked_lm_predictions` of google-research/bert: words in uniformly random order; a word is taken if it fits what is left
of the row's budget, else skipped; of the pieces taken 80 % become [MASK], 10 % stay, 10 % become a random piece, drawn piece by piece.
It differs in two points. Words never join across [SEP]. And in a row in which no word fits the budget (in practice, a row of a few
pieces, where Google masks nothing) the shortest word is masked if it fits `max_predictions`, so that every row has a prediction.
`Rules` offers other variants in use. (`wholeword.core.data.google` follows Google draw for draw.)
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from wholeword.core.contracts import Masked
from wholeword.core.data.draws import Stream, below, child, uniform
from wholeword.core.data.groups import Groups
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import Vocabulary

NEVER = np.iinfo(np.int64).max

Budget = Literal["google", "bernoulli", "exact"]
Replacement = Literal["token", "word", "span"]
RandomPool = Literal["all", "no-special", "live"]
Unknown = Literal["keep", "exclude"]


@dataclass(frozen=True)
class Rules:
    """How much is chosen and how it is replaced: the settings that all strategies share. The defaults are those of HFL.

    Args:
        rate: share of the pieces of a row to choose, [CLS] and [SEP] counted, in (0, 1].
        budget: "google": round(rate x pieces) in each row; a word that does not fit what is left is skipped, so long words are chosen a
            little less often. "exact": the same number, and the word that does not fit (one per row) is truncated. "bernoulli": every
            word independently with probability `rate`, at least one per row and at most `max_predictions` pieces.
        replacement: whether [MASK], the piece itself or a random piece is decided for each "token", for a "word" or for all words that
            are chosen together (a "span").
        random_pool: which pieces random replacements come from: "all" of the vocabulary, all but special ones ("no-special"), or those
            that text can produce ("live").
        unknown: whether words that contain an [UNK] may be chosen; with "exclude" only in a row that has no others.
    Raises: UserError if a setting has another value.
    """

    rate: float = 0.15
    budget: Budget = "google"
    replacement: Replacement = "token"
    random_pool: RandomPool = "all"
    unknown: Unknown = "keep"

    def __post_init__(self) -> None:
        check_rate(self.rate)
        for name, choices in (("budget", Budget), ("replacement", Replacement), ("random_pool", RandomPool), ("unknown", Unknown)):
            if getattr(self, name) not in get_args(choices):
                raise UserError(f"masking.{name} is {getattr(self, name)!r}; expected one of {', '.join(get_args(choices))}")


def check_rate(rate: float) -> float:
    """The rate itself. Raises: UserError if it is not a share in (0, 1]."""
    if not 0 < rate <= 1:
        raise UserError(f"masking.rate is {rate}; expected a share above 0 and at most 1, such as 0.15")
    return rate


def budgets(num_tokens: np.ndarray, rate: float, max_predictions: int) -> np.ndarray:
    """Pieces to choose in each row, int32 [rows]; `num_tokens` includes [CLS] and [SEP] but no padding. Halves are rounded to even."""
    return np.clip(np.rint(num_tokens * rate).astype(np.int32), 1, max_predictions)


def choose_groups(
    groups: Groups, budgets: np.ndarray, keys: np.ndarray, *, length: int, max_predictions: int, exact: bool = False
) -> np.ndarray:
    """Take whole groups in random order, each if it fits what is left of its row's budget.

    The order is that in which the groups of a row first come up in an endless sequence of draws, each of which picks any of them. It is
    thus uniformly random, and no more groups are considered than necessary; how many draws are made at a time makes no difference.

    Args:
        budgets: int32 [rows], pieces.
        keys: uint64 [rows], see `row_keys`.
        length: of a row.
        exact: cut the group that does not fit instead, and take no more.
    Returns: bool [rows, length], True where a piece is chosen; at most `max_predictions` a row.
    """
    begins = _row_borders(groups, len(keys), length)
    sizes = begins[1:] - begins[:-1]
    rows = np.flatnonzero(sizes)
    begins, sizes, budget = begins[rows], sizes[rows], budgets[rows]
    if exact or not len(rows):
        shortest, left = np.ones_like(budget), budget
    else:
        shortest = np.minimum.reduceat(groups.lengths, begins)
        left = np.where(shortest <= max_predictions, np.maximum(budget, shortest), budget)
    num_draws = 8 + int(1.5 * left.max(initial=0) * len(groups.starts) / max(1, groups.lengths.sum()))  # nearly always enough
    order_keys = child(keys, Stream.ORDER)[rows, None]
    came_up = np.full(len(groups.starts), NEVER)  # the draw at which a group came up first
    parts = []
    num_seen = np.zeros(len(rows), np.int64)
    draw = np.arange(num_draws)
    while len(rows):
        numbers = begins[:, None] + below(child(order_keys, draw), sizes[:, None])
        np.minimum.at(came_up, numbers.reshape(-1), np.broadcast_to(draw, numbers.shape).reshape(-1))
        first = came_up[numbers] == draw
        lengths = groups.lengths[numbers] * first
        taken = cut_in_order(lengths, left) if exact else take_in_order(lengths, left)
        fits = taken > 0
        parts.append((numbers[fits], taken[fits]))
        left = left - taken.sum(axis=1, dtype=np.int32)
        num_seen += first.sum(axis=1)
        again = np.flatnonzero((left >= shortest) & (num_seen < sizes))
        begins, sizes, shortest, left = begins[again], sizes[again], shortest[again], left[again]
        rows, order_keys, num_seen = rows[again], order_keys[again], num_seen[again]
        draw = draw[-1] + 1 + np.arange(4 * len(draw))
    if not parts:
        return np.zeros((len(keys), length), bool)
    numbers, lengths = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    return _spread(groups.starts[numbers], lengths, (len(keys), length))


def choose_by_chance(groups: Groups, rate: float, keys: np.ndarray, *, length: int, max_predictions: int) -> np.ndarray:
    """Take every group independently with probability `rate`, or the one with the smallest draw if none is taken; in random order, as
    long as they fit `max_predictions`.

    Args, returns: as `choose_groups`.
    """
    if not len(groups.starts):
        return np.zeros((len(keys), length), bool)
    rows = groups.starts // length
    draws = child(child(keys, Stream.ORDER)[rows], groups.starts - rows * length)
    fitting = groups.lengths <= max_predictions
    order = np.lexsort((draws, ~fitting, rows))
    begins = _row_borders(groups, len(keys), length)
    firsts = begins[:-1][begins[1:] > begins[:-1]]
    chosen = (uniform(draws) < rate) & fitting
    chosen[order[firsts]] |= fitting[order[firsts]]
    numbers = order[chosen[order]]  # row by row, in random order
    table = np.zeros((len(keys), max(1, int(np.bincount(rows[numbers], minlength=1).max(initial=0)))), np.int64)
    counts = np.bincount(rows[numbers], minlength=len(keys))
    filled = np.arange(table.shape[1]) < counts[:, None]
    table[filled] = numbers
    taken = take_in_order(np.where(filled, groups.lengths[table], 0).astype(np.int32), np.full(len(keys), max_predictions, np.int32))
    return _spread(groups.starts[table[taken > 0]], taken[taken > 0], (len(keys), length))


def _row_borders(groups: Groups, num_rows: int, length: int) -> np.ndarray:
    """int64 [rows + 1]: the number of the first group of each row, and the number of groups."""
    return np.searchsorted(groups.starts, np.arange(num_rows + 1) * length)


def _spread(starts: np.ndarray, lengths: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """bool of `shape`, True at the positions of some groups."""
    chosen = np.zeros(shape[0] * shape[1], bool)
    chosen[starts] = True
    longer = np.flatnonzero(lengths > 1)
    step = 1
    while len(longer):
        chosen[starts[longer] + step] = True
        step += 1
        longer = longer[lengths[longer] > step]
    return chosen.reshape(shape)


def take_in_order(lengths: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Google's rule, for all rows at once: from left to right, take a group if it fits what is left of the budget, else skip it.

    Args:
        lengths: int32 [rows, groups], pieces; 0 for no group.
        budgets: int32 [rows].
    Returns: int32 [rows, groups], the lengths with those of the skipped groups set to 0.

    As long as the sum fits, everything is taken. From the first group that does not fit, all groups longer than what is left there can be
    skipped at once, since less will be left later. Then the sum is computed again; this takes a few rounds, as what is left shrinks.
    """
    taken = lengths.copy()
    rows, part, budget = np.arange(len(lengths)), taken, budgets[:, None]
    while len(rows):
        total = part.cumsum(axis=1, dtype=np.int32)
        over = total > budget
        first = np.arange(len(rows)), over.argmax(axis=1)
        left = budget - (total[first] - part[first])[:, None]
        np.putmask(part, over & (part > left), 0)
        if part is not taken:
            taken[rows] = part
        again = np.flatnonzero(over[:, -1] & (left > 0)[:, 0])
        rows, part, budget = rows[again], taken[rows[again]], budget[again]
    return taken


def cut_in_order(lengths: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """From left to right, take groups until the budget is used up; the last one is truncated. Args, returns: as `take_in_order`."""
    before = lengths.cumsum(axis=1, dtype=np.int32) - lengths
    taken: np.ndarray = np.clip(budgets[:, None] - before, 0, lengths)
    return taken


def replace(
    ids: np.ndarray,
    chosen: np.ndarray,
    keys: np.ndarray,
    vocabulary: Vocabulary,
    *,
    units: Groups | None = None,
    random_pool: RandomPool = "all",
) -> np.ndarray:
    """The ids with 80 % of the chosen pieces replaced by [MASK], 10 % unchanged and 10 % replaced by random pieces.

    Args:
        ids: integers [rows, length].
        chosen: bool [rows, length].
        keys: uint64 [rows], see `row_keys`.
        units: the groups for which one of the three is drawn as a whole; None to draw it for each piece. (Random pieces are always drawn
            one by one.)
    """
    places = np.flatnonzero(chosen)
    rows = places // ids.shape[1]
    columns = places - rows * ids.shape[1]
    decided = columns if units is None else units.starts[np.searchsorted(units.starts, places, side="right") - 1] - rows * ids.shape[1]
    fate = below(child(child(keys, Stream.REPLACEMENT)[rows], decided), 10)
    random = np.flatnonzero(fate == 9)
    pool = vocabulary.pool(random_pool)
    pieces = below(child(child(keys, Stream.PIECE)[rows[random]], columns[random]), len(pool))
    replaced = ids.copy()
    flat = replaced.reshape(-1)
    flat[places[fate < 8]] = vocabulary.mask_id
    flat[places[random]] = pool[pieces]
    return replaced


def mask_groups(
    ids: np.ndarray,
    words: Groups,
    keys: np.ndarray,
    *,
    rules: Rules,
    max_predictions: int,
    vocabulary: Vocabulary,
    spans: Groups | None = None,
) -> Masked:
    """Choose among the words of a batch (or among `spans` of them) and replace the chosen pieces.

    Args:
        ids: integers [rows, length].
        keys: uint64 [rows], see `row_keys`.
    """
    groups = words if spans is None else spans
    length = ids.shape[1]
    if rules.unknown == "exclude":
        groups = without_unknown(groups, ids, vocabulary)
    sizes: dict[str, Any] = {"length": length, "max_predictions": max_predictions}
    if rules.budget == "bernoulli":
        chosen = choose_by_chance(groups, rules.rate, keys, **sizes)
    else:
        budget = budgets(np.count_nonzero(ids != vocabulary.pad_id, axis=1), rules.rate, max_predictions)
        chosen = choose_groups(groups, budget, keys, **sizes, exact=rules.budget == "exact")
    units = {"token": None, "word": words, "span": groups}[rules.replacement]
    return Masked(replace(ids, chosen, keys, vocabulary, units=units, random_pool=rules.random_pool), chosen)


def without_unknown(groups: Groups, ids: np.ndarray, vocabulary: Vocabulary) -> Groups:
    """The groups without an [UNK]; in a row that has none, all groups."""
    unknown = np.flatnonzero(ids == vocabulary.unk_id)
    number = np.searchsorted(groups.starts, unknown, side="right") - 1
    inside = (number >= 0) & (unknown < groups.starts[number] + groups.lengths[number]) if len(groups.starts) else number > 0
    known = np.ones(len(groups.starts), bool)
    known[number[inside]] = False
    rows = groups.starts // ids.shape[1]
    has_known = np.zeros(len(ids), bool)
    has_known[rows[known]] = True
    kept = known | ~has_known[rows]
    return Groups(groups.starts[kept], groups.lengths[kept])
