"""Whole word masking (Cui et al. 2019, arXiv:1906.08101): the pieces of a word are chosen together."""

import numpy as np

from wholeword.core.contracts import Masked
from wholeword.core.data.draws import Stream, draws, row_keys, uniform
from wholeword.core.data.groups import find_groups
from wholeword.core.data.masking import Budget, RandomPool, Replacement, Rules, Unknown, mask_groups
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import Vocabulary


class WholeWord:
    """Google's rule over words.

    Args:
        rate, budget, replacement, random_pool, unknown: see `wholeword.core.data.masking.Rules`.
        wordpiece_rate: share of the rows in which every piece counts as a word, in [0, 1]. The two kinds of masks may be mixed
            (ymcui/MacBERT#8); from single pieces a narrow model learns much sooner to look at its neighbours.
    Raises: UserError if a setting is none.
    """

    def __init__(
        self,
        *,
        rate: float = 0.15,
        wordpiece_rate: float = 0.0,
        budget: Budget = "google",
        replacement: Replacement = "token",
        random_pool: RandomPool = "all",
        unknown: Unknown = "keep",
    ):
        self.rules = Rules(rate, budget, replacement, random_pool, unknown)
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
        epoch: int,
        max_predictions: int,
        vocabulary: Vocabulary,
    ) -> Masked:
        keys = row_keys(seed, epoch, sample_ids)
        if self.wordpiece_rate:
            single = uniform(draws(keys, 0, Stream.KIND)) < self.wordpiece_rate
            word_starts = word_starts | single[:, None]
        words = find_groups(word_starts, candidates)
        return mask_groups(ids, words, keys, rules=self.rules, max_predictions=max_predictions, vocabulary=vocabulary)
