"""Which rows make up each step of fine-tuning: every row once an epoch, rows of like length together.

Shuffled rows are sorted by length inside windows of many batches, and the batches are shuffled again. On ChnSentiCorp (256 pieces at most)
1.02 tokens are then computed for a useful one; padding a random batch to its longest row computes 2.3 to 2.6, padding to 256, 2.6.
"""

from itertools import pairwise

import numpy as np

from wholeword.core.data.draws import permutation

WINDOW = 50  # batches


def epoch_batches(lengths: np.ndarray, *, batch_size: int, seed: int, epoch: int, window: int = WINDOW) -> list[np.ndarray]:
    """The numbers of the rows of each step; a function of its arguments alone.

    The last step of all, if the rows do not come out even, has fewer rows; which ones is drawn, so that they are not always the longest.

    Args:
        lengths: of each row, in pieces.
        window: how many batches are sorted at once.
    """
    num_rows = len(lengths)
    order = permutation(seed, 2 * epoch, np.arange(num_rows), num_rows)
    even = num_rows - num_rows % batch_size
    batches = []
    for first, last in pairwise([*range(0, even, window * batch_size), even]):
        rows = order[first:last]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += np.split(rows, range(batch_size, len(rows), batch_size))
    batches += [order[even:]] if even < num_rows else []
    return [batches[number] for number in permutation(seed, 2 * epoch + 1, np.arange(len(batches)), len(batches))]
