"""WordPiece masking (Devlin et al. 2018, the original BERT): every piece is chosen on its own, `##` continuations too."""

from typing import Any

import numpy as np

from wholeword.core.contracts import Masked
from wholeword.core.data.masking import Budget, RandomPool, Unknown
from wholeword.plugins.masking.whole_word import WholeWord


class WordPiece:
    """Whole word masking with every piece a word.

    Args:
        rate, budget, random_pool, unknown: see `wholeword.core.data.masking.Rules`.
    Raises: UserError if a setting is none.
    """

    def __init__(self, *, rate: float = 0.15, budget: Budget = "google", random_pool: RandomPool = "all", unknown: Unknown = "keep"):
        self._whole_word = WholeWord(rate=rate, budget=budget, random_pool=random_pool, unknown=unknown)

    def mask(self, ids: np.ndarray, word_starts: np.ndarray, candidates: np.ndarray, sample_ids: np.ndarray, **context: Any) -> Masked:
        return self._whole_word.mask(ids, np.ones_like(word_starts), candidates, sample_ids, **context)
