"""Rows to mask, for several tests."""

import numpy as np

from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *(chr(0x4E00 + number) for number in range(995))])
JIEBA = [0.49, 0.42, 0.066, 0.021, 0.003]  # share of words of 1, 2, ... pieces in CMRC 2018


def make_rows(num_rows, length, seed, *, word_lengths=JIEBA, full=0.7):
    """[CLS] A [SEP] B [SEP] and padding, with words of random lengths; a segment may end inside of a word."""
    generator = np.random.default_rng(seed)
    sizes = np.where(generator.random(num_rows) < full, length, generator.integers(8, length + 1, num_rows))
    middles = np.maximum(2, (sizes * generator.uniform(0.1, 0.9, num_rows)).astype(int))
    ids = generator.integers(len(SPECIAL_PIECES), len(VOCABULARY), (num_rows, length)).astype(np.int32)
    places, rows = np.arange(length), np.arange(num_rows)
    lengths = 1 + generator.choice(len(word_lengths), (num_rows, length), p=np.array(word_lengths) / sum(word_lengths))
    starts = np.zeros((num_rows, length + 1), bool)
    ends = np.minimum(lengths.cumsum(axis=1), length)
    starts[rows[:, None], ends] = True
    starts[:, 0] = True
    ids[places >= sizes[:, None]] = VOCABULARY.pad_id
    ids[:, 0], ids[rows, middles], ids[rows, sizes - 1] = VOCABULARY.cls_id, VOCABULARY.sep_id, VOCABULARY.sep_id
    return ids, starts[:, :length], ids >= len(SPECIAL_PIECES), rows.astype(np.uint64)


def words_of(word_starts, candidates):
    """The words of one row, as lists of positions; the definition, word for word."""
    words = []
    for place in range(len(candidates)):
        if candidates[place]:
            if word_starts[place] or place == 0 or not candidates[place - 1]:
                words.append([])
            words[-1].append(place)
    return words
