import numpy as np

from wholeword.core.data.groups import group_lengths_at
from wholeword.plugins.masking.whole_word import WholeWord


class ContentWords(WholeWord):
    """Whole word masking that leaves words of one piece alone, as long as a row has longer ones."""

    def mask(self, ids, word_starts, candidates, sample_ids, **arguments):
        places = np.flatnonzero(candidates)
        long = np.zeros(ids.shape, bool)
        long.flat[places[group_lengths_at(places, word_starts, candidates) > 1]] = True
        candidates = np.where(long.any(axis=1, keepdims=True), long, candidates)
        return super().mask(ids, word_starts, candidates, sample_ids, **arguments)
