"""Random numbers that are functions of what they are for, so that nothing depends on order, batch, worker or restart.

The hash is the output function of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"; constants
of Stafford's "mix 13", as in Vigna's splitmix64.c). Keys are chained by `child`: seed -> pass -> sample -> stream -> position.
"""

from enum import IntEnum
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, the increment of SplitMix64
ONE, HALF = np.uint64(1), np.uint64(32)
SHIFTS, FACTORS = np.array([30, 27, 31, 33], np.uint64), np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)
FEISTEL_ROUNDS = 12  # Luby and Rackoff 1988 need four, for large n; at twelve all orders of five things come equally often


class Stream(IntEnum):
    """What a draw is for. Draws of two streams are independent; a plugin's own streams should start at 1000."""

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
    FRONT_A = 12  # the tokens that are cut off the front of A; the other surplus ones are cut off its end
    FRONT_B = 13  # the same for B


def _mixed(z: np.ndarray) -> np.ndarray:
    """The finaliser, in place."""
    z ^= z >> SHIFTS[0]
    z *= FACTORS[0]
    z ^= z >> SHIFTS[1]
    z *= FACTORS[1]
    z ^= z >> SHIFTS[2]
    return z


def child(keys: ArrayLike, numbers: ArrayLike) -> np.ndarray:
    """Output `numbers` of the SplitMix64 generators seeded with `keys`: uint64, of their common (broadcast) shape."""
    with np.errstate(over="ignore"):  # scalars warn where arrays wrap
        return _mixed(np.asarray(keys, np.uint64) + (np.asarray(numbers).astype(np.uint64) + ONE) * GOLDEN)


def row_keys(seed: int, pass_number: int, sample_ids: ArrayLike) -> np.ndarray:
    """One key a sample (uint64, the shape of `sample_ids`): all that is drawn for the sample in this pass comes from it."""
    return child(child(np.uint64(seed % 2**64), pass_number), sample_ids)


def draws(keys: ArrayLike, positions: ArrayLike, stream: int) -> np.ndarray:
    """64 random bits for each key and position: uint64, of their common (broadcast) shape; `keys[:, None]` for one row a key."""
    return child(child(keys, stream), positions)


def below(draws: np.ndarray, n: ArrayLike) -> np.ndarray:
    """int64 in [0, n): the upper 32 bits of each draw as a share of n; from even to within n / 2**32 of each value's chance."""
    return (((draws >> HALF) * np.asarray(n).astype(np.uint64)) >> HALF).view(np.int64)


def uniform(draws: np.ndarray) -> np.ndarray:
    """float64 in [0, 1), 53 random bits."""
    return (draws >> np.uint64(11)) * 2.0**-53


def permutation(seed: int, pass_number: int, positions: ArrayLike, n: int) -> np.ndarray:
    """Where a shuffle of [0, n) puts `positions`, int64 of their shape, without holding the shuffle: a bijection on [0, n), n < 2**63.

    An alternating Feistel network on pairs (left, right) with left * width + right in [0, height * width), the smallest near-square
    that holds n; what falls outside of [0, n) goes through it again ("cycle walking").
    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains", method 3.
    """
    root = isqrt(max(n, 1) - 1) + 1
    height = min(range(root, root + min(root // 8, 64) + 1), key=lambda height: -n % height)
    width = -(-n // height)
    sizes = np.array([height, width], np.uint64)
    keys = child(row_keys(seed, pass_number, Stream.SHUFFLE), np.arange(FEISTEL_ROUNDS))

    def network(x: np.ndarray) -> np.ndarray:
        halves = [x // sizes[1], x % sizes[1]]
        for number in range(FEISTEL_ROUNDS):
            side = number % 2
            hashed = halves[1 - side] * GOLDEN + keys[number]
            hashed = ((hashed >> SHIFTS[0] ^ hashed) * FACTORS[0]) >> SHIFTS[3]  # half of the finaliser; 31 bits, so that the sum cannot wrap
            halves[side] = (halves[side] + hashed) % sizes[side]
        return halves[0] * sizes[1] + halves[1]

    x = network(np.atleast_1d(np.asarray(positions, np.uint64)))
    while len(outside := np.flatnonzero(x >= np.uint64(n))):
        x[outside] = network(x[outside])
    return x.astype(np.int64).reshape(np.shape(positions))
