"""Random numbers as functions of their purpose, so that nothing depends on order, batch, worker or restart.

The hash is the output function of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"; constants
of Stafford's "mix 13", as in Vigna's splitmix64.c). Keys are chained by `child`: seed -> epoch -> sample -> stream -> position.
"""

from enum import IntEnum
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, the increment of SplitMix64
FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
ONE, HALF = np.uint64(1), np.uint64(32)
FEISTEL_ROUNDS = 12  # Luby and Rackoff 1988 need four, for large n; with twelve, all orders of five items are equally frequent


class Stream(IntEnum):
    """The purpose of a draw. Draws of two streams are independent; a plugin's own streams should start at 1000."""

    ORDER = 0  # masking: the order in which words are tried
    REPLACEMENT = 1  # masking: [MASK], the piece itself or a random piece
    PIECE = 2  # masking: which random piece
    SHUFFLE = 3  # batches: the order of the rows
    HELD_OUT = 4  # examples: which documents are held out
    SHORT = 5  # examples: whether a document gets short examples ...
    TARGET = 6  # ... and how long they are
    CHUNK = 7  # examples: the keys of the chunks of a document, from which come:
    A_END = 8  # how many sentences of the chunk are A
    LABEL = 9  # whether B is random, or A and B are swapped
    DOCUMENT = 10  # the document that a random B is from ...
    SENTENCE = 11  # ... and the sentence it starts at
    FRONT_A = 12  # how many surplus tokens are removed from the front of A; the others are removed from its end
    FRONT_B = 13  # the same for B
    KIND = 14  # masking: whether a row is masked piece by piece
    SPAN = 15  # masking: how many words a span takes


def child(keys: ArrayLike, numbers: ArrayLike) -> np.ndarray:
    """Output `numbers` of the SplitMix64 generators seeded with `keys`: uint64, of their common (broadcast) shape."""
    with np.errstate(over="ignore"):  # scalars warn where arrays wrap
        z = np.asarray(keys, np.uint64) + (np.asarray(numbers).astype(np.uint64) + ONE) * GOLDEN
        z ^= z >> SHIFTS[0]
        z *= FACTORS[0]
        z ^= z >> SHIFTS[1]
        z *= FACTORS[1]
        z ^= z >> SHIFTS[2]
        return z


def row_keys(seed: int, epoch: int, sample_ids: ArrayLike) -> np.ndarray:
    """One key per sample (uint64, the shape of `sample_ids`), from which everything is drawn for the sample in this epoch."""
    return child(child(np.uint64(seed % 2**64), epoch), sample_ids)


def draws(keys: ArrayLike, positions: ArrayLike, stream: int) -> np.ndarray:
    """64 random bits for each key and position: uint64, of their common (broadcast) shape; pass `keys[:, None]` for one row per key."""
    return child(child(keys, stream), positions)


def below(draws: np.ndarray, n: ArrayLike) -> np.ndarray:
    """int64 in [0, n): the upper 32 bits of each draw as a share of n. Probabilities are equal to within n / 2**32."""
    return (((draws >> HALF) * np.asarray(n).astype(np.uint64)) >> HALF).view(np.int64)


def uniform(draws: np.ndarray) -> np.ndarray:
    """float64 in [0, 1), 53 random bits."""
    return (draws >> np.uint64(11)) * 2.0**-53


def permutation(seed: int, epoch: int, positions: ArrayLike, n: int) -> np.ndarray:
    """Where a shuffle of [0, n) puts `positions`, int64 of their shape, without holding the shuffle: a bijection on [0, n), n < 2**62.

    An alternating Feistel network on pairs (row, column) of a near-square table with at least n cells; results of n or above go through
    it again ("cycle walking").
    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains", method 3.
    """
    root = isqrt(max(n, 1) - 1) + 1
    height = min(range(root, root + min(root // 8, 64) + 1), key=lambda height: -n % height)  # few cells to spare
    sizes = np.uint64(height), np.uint64(-(-n // height))
    keys = child(row_keys(seed, epoch, Stream.SHUFFLE), np.arange(FEISTEL_ROUNDS))

    def network(x: np.ndarray) -> np.ndarray:
        halves = [x // sizes[1], x % sizes[1]]
        for number, key in enumerate(keys):
            side = number % 2
            z = halves[1 - side] * GOLDEN + key
            z = ((z >> SHIFTS[0]) ^ z) * FACTORS[0]  # half of the finaliser, since it is applied twelve times
            halves[side] = (halves[side] + (z >> HALF)) % sizes[side]
        return halves[0] * sizes[1] + halves[1]

    x = network(np.atleast_1d(np.asarray(positions, np.uint64)))
    while len(outside := np.flatnonzero(x >= np.uint64(n))):
        x[outside] = network(x[outside])
    return x.astype(np.int64).reshape(np.shape(positions))
