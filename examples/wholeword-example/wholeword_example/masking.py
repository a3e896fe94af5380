import numpy as np

from wholeword.core.data.masking import Groups, find_groups, spread
from wholeword.plugins.masking.whole_word import WholeWord


class ContentWords(WholeWord):
    """Whole word masking that leaves words of one piece alone, as long as a row has longer ones."""

    def mask(self, ids, word_starts, candidates, sample_ids, **arguments):
        groups = find_groups(word_starts, candidates)
        several = groups.lengths > 1
        long = np.zeros(ids.shape, bool)
        long.flat[spread(Groups(groups.starts[several], groups.lengths[several]))] = True
        candidates = np.where(long.any(axis=1, keepdims=True), long, candidates)
        return super().mask(ids, word_starts, candidates, sample_ids, **arguments)
