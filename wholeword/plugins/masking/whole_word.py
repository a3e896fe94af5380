"""Whole word masking (Cui et al. 2019, arXiv:1906.08101): the pieces of a word are chosen together."""

import numpy as np

from wholeword.core.data.draws import row_keys
from wholeword.core.data.masking import budgets, check_rate, choose_groups, find_groups, replace
from wholeword.core.data.vocabulary import Vocabulary
from wholeword.core.interfaces import Masked


class WholeWord:
    """Google's rule over words.

    Args:
        rate: share of the pieces of a row to choose, [CLS] and [SEP] counted, in (0, 1].
    Raises: UserError if the rate is none.
    """

    def __init__(self, *, rate: float = 0.15):
        self.rate = check_rate(rate)

    def mask(
        self,
        ids: np.ndarray,
        word_starts: np.ndarray,
        candidates: np.ndarray,
        sample_ids: np.ndarray,
        *,
        seed: int,
        pass_number: int,
        max_predictions: int,
        vocabulary: Vocabulary,
    ) -> Masked:
        keys = row_keys(seed, pass_number, sample_ids)
        budget = budgets((ids != vocabulary.pad_id).sum(axis=1), self.rate, max_predictions)
        groups = find_groups(word_starts, candidates)
        chosen = choose_groups(groups, budget, keys, length=ids.shape[1], max_predictions=max_predictions)
        return Masked(replace(ids, chosen, keys, vocabulary), chosen)
