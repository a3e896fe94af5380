"""Masking of several neighbouring words at once: the N-grams of MacBERT and the spans of SpanBERT, both of whole words."""

from collections.abc import Sequence

import numpy as np

from wholeword.core.contracts import Masked
from wholeword.core.data.draws import row_keys
from wholeword.core.data.groups import find_groups, join_groups
from wholeword.core.data.masking import Budget, RandomPool, Replacement, Rules, Unknown, mask_groups
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import Vocabulary


class NGram:
    """Rows are cut into N-grams of words from left to right (`join_groups`), and N-grams are chosen as words are in whole word masking.

    Source: MacBERT (Cui et al. 2020, arXiv:2004.13922, section 3): N from 1 to 4 with 40, 30, 20 and 10 %; ymcui/MacBERT#13 for the walk.
    Its similar words in place of [MASK] are not part of this strategy. That what replaces the pieces is decided a word at a time is
    assumed; nobody has said.

    Args:
        weights: relative frequency of N-grams of one word, two words, ...
        rate, budget, replacement, random_pool, unknown: see `wholeword.core.data.masking.Rules`.
    Raises: UserError if a setting is none.
    """

    def __init__(
        self,
        *,
        weights: Sequence[float] = (0.4, 0.3, 0.2, 0.1),
        rate: float = 0.15,
        budget: Budget = "google",
        replacement: Replacement = "word",
        random_pool: RandomPool = "all",
        unknown: Unknown = "keep",
    ):
        if not weights or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
            raise UserError(
                f"masking.weights is {list(weights)}; expected a share for one word, two words ..., such as [0.4, 0.3, 0.2, 0.1]"
            )
        self.weights = tuple(weights)
        self.rules = Rules(rate, budget, replacement, random_pool, unknown)

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
        words = find_groups(word_starts, candidates)
        spans = join_groups(words, keys, length=ids.shape[1], weights=self.weights)
        return mask_groups(ids, words, keys, rules=self.rules, max_predictions=max_predictions, vocabulary=vocabulary, spans=spans)


class Span(NGram):
    """Spans of words whose number is geometric, replaced as one.

    Source: SpanBERT (Joshi et al. 2020, arXiv:1907.10529, section 3.1): Geo(0.2) cut at ten words, 3.8 on average. There a span begins at
    a random word and is cut where the budget ends; here rows are cut into spans, of which as many are taken as fit whole.

    Args:
        p: chance that a span ends with each of its words, in (0, 1].
        max_words: most words of a span.
        rate, budget, replacement, random_pool, unknown: see `wholeword.core.data.masking.Rules`.
    Raises: UserError if a setting is none.
    """

    def __init__(
        self,
        *,
        p: float = 0.2,
        max_words: int = 10,
        rate: float = 0.15,
        budget: Budget = "google",
        replacement: Replacement = "span",
        random_pool: RandomPool = "all",
        unknown: Unknown = "keep",
    ):
        if not 0 < p <= 1:
            raise UserError(f"masking.p is {p}; expected a chance above 0 and at most 1, such as 0.2")
        if max_words < 1:
            raise UserError(f"masking.max_words is {max_words}; expected at least 1")
        weights = [p * (1 - p) ** number for number in range(max_words)]
        super().__init__(weights=weights, rate=rate, budget=budget, replacement=replacement, random_pool=random_pool, unknown=unknown)
