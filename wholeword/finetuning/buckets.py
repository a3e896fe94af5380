"""Which rows make up each step of fine-tuning: every row once in each epoch, rows of similar length together.

Shuffled rows are sorted by length within windows of many batches, and then the batches are shuffled. On ChnSentiCorp (256 pieces at most)
1.02 positions are computed for each piece; padding random batches to their longest row computes 2.3 to 2.6, padding to 256, 2.6.
"""

from itertools import pairwise

import numpy as np

from wholeword.core.data.draws import permutation

WINDOW = 50  # batches


def epoch_batches(lengths: np.ndarray, *, batch_size: int, seed: int, epoch: int, window: int = WINDOW) -> list[np.ndarray]:
    """The numbers of the rows in each step; a pure function.

    If the number of rows is not a multiple of the batch size, one batch is smaller. Its rows are drawn at random, because they should not
    always be the longest.

    Args:
        lengths: the number of pieces in each row.
        window: how many batches are sorted together.
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
