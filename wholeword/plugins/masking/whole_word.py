"""Whole word masking (Cui et al. 2019, arXiv:1906.08101): the pieces of a word are chosen together."""

import numpy as np

from wholeword.core.data.draws import Stream, draws, row_keys, uniform
from wholeword.core.data.masking import budgets, check_rate, choose_groups, find_groups, replace
from wholeword.core.data.vocabulary import Vocabulary
from wholeword.core.errors import UserError
from wholeword.core.interfaces import Masked


class WholeWord:
    """Google's rule over words.

    Args:
        rate: share of the pieces of a row to choose, [CLS] and [SEP] counted, in (0, 1].
        wordpiece_rate: share of the rows in which every piece counts as a word, in [0, 1]. The two kinds of masks may be mixed
            (ymcui/MacBERT#8); from single pieces a narrow model learns much sooner to look at its neighbours.
    Raises: UserError if a rate is none.
    """

    def __init__(self, *, rate: float = 0.15, wordpiece_rate: float = 0.0):
        self.rate = check_rate(rate)
        if not 0 <= wordpiece_rate <= 1:
            raise UserError(f"masking.wordpiece_rate is {wordpiece_rate}; expected a share of at least 0 and at most 1")
        self.wordpiece_rate = wordpiece_rate

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
        if self.wordpiece_rate:
            single = uniform(draws(keys, 0, Stream.KIND)) < self.wordpiece_rate
            word_starts = word_starts | single[:, None]
        groups = find_groups(word_starts, candidates)
        chosen = choose_groups(groups, budget, keys, length=ids.shape[1], max_predictions=max_predictions)
        return Masked(replace(ids, chosen, keys, vocabulary), chosen)
