"""The draws are a good hash: uniform bits, no memory of neighbours, exact ranges, a shuffle that is a bijection."""

from itertools import permutations
from math import sqrt

import numpy as np
import pytest

from wholeword.core.data.draws import below, child, draws, permutation, row_keys, uniform


def chi_square_is_plausible(counts, expected):
    """Within 5 standard deviations of its mean, below and above (a chi-square of k degrees has mean k and variance 2 k)."""
    counts = np.asarray(counts, float).reshape(-1)
    freedom = len(counts) - 1
    return abs(((counts - expected) ** 2 / expected).sum() - freedom) < 5 * sqrt(2 * freedom)


def test_draws_are_those_of_splitmix64():
    # first outputs of Vigna's splitmix64.c for the state 1234567 (also in the Rosetta Code task "Splitmix64")
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert child(1234567, np.arange(5)).tolist() == expected


def test_draws_do_not_depend_on_shape_or_neighbours():
    keys = row_keys(7, 3, np.arange(10))
    table = draws(keys[:, None], np.arange(20), 2)
    assert table.shape == (10, 20) and table.dtype == np.uint64
    assert table[4, 11] == draws(row_keys(7, 3, 4), 11, 2)
    assert np.array_equal(table[[8, 1]], draws(row_keys(7, 3, np.array([8, 1]))[:, None], np.arange(20), 2))


def test_any_integer_is_a_seed():
    seeds = [0, 1, -1, 2**63, 2**64 - 2, 12345678901234567890]
    assert len({int(row_keys(seed, 0, 0)) for seed in seeds}) == len(seeds)


@pytest.mark.parametrize("varied", ["seed", "pass", "sample", "position", "stream"])
def test_bits_are_fair_and_neighbours_independent(varied):
    """Along each thing that a draw depends on: every bit is set half of the time, and differs from its neighbour's half of the time."""
    n = 20_000
    count = np.arange(n)
    bits = {
        "seed": lambda: np.array([draws(row_keys(seed, 0, 0), 0, 0) for seed in range(n)]),
        "pass": lambda: draws(child(child(np.uint64(1), count), 5), 0, 0),
        "sample": lambda: draws(row_keys(1, 0, count), 0, 0),
        "position": lambda: draws(row_keys(1, 0, 5), count, 0),
        "stream": lambda: draws(row_keys(1, 0, 5), 3, count),
    }[varied]()
    ones = np.unpackbits(bits.view(np.uint8)).reshape(n, 64)
    for flips in (ones, ones[1:] ^ ones[:-1], ones[:, 1:] ^ ones[:, :-1]):
        share = flips.mean(axis=0)
        assert abs(share - 0.5).max() < 5 * 0.5 / sqrt(len(flips))
    for shift in (0, 24, 48):  # low, middle and high bits as numbers below 64, and the pairs of neighbours
        value = (bits >> np.uint64(shift)) & np.uint64(63)
        assert chi_square_is_plausible(np.bincount(value.astype(int), minlength=64), n / 64)
        pair = (value[1:] & np.uint64(7)) * np.uint64(8) + (value[:-1] & np.uint64(7))
        assert chi_square_is_plausible(np.bincount(pair.astype(int), minlength=64), (n - 1) / 64)


def test_below_is_an_exact_floor():
    values = draws(row_keys(3, 0, 0), np.arange(2000), 0)
    for n in (0, 1, 2, 10, 21128, 2**31 + 11, 2**32 - 1):
        assert below(values, n).tolist() == [(int(value) >> 32) * n >> 32 for value in values]
    assert below(np.array([0, 2**64 - 1], np.uint64), 21128).tolist() == [0, 21127]


def test_uniform_is_in_the_unit_interval():
    assert uniform(np.array([0, 2**64 - 1], np.uint64)).tolist() == [0.0, 1 - 2.0**-53]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 10, 97, 100, 101, 1000, 17410, 65536, 65537])
def test_permutation_is_a_bijection(n):
    for epoch in range(3):
        assert np.array_equal(np.sort(permutation(5, epoch, np.arange(n), n)), np.arange(n))


def test_permutation_needs_no_neighbours():
    whole = permutation(5, 2, np.arange(1000), 1000)
    assert [int(permutation(5, 2, place, 1000)) for place in range(0, 1000, 37)] == whole[::37].tolist()
    far = permutation(5, 2, np.arange(10**12, 10**12 + 1000), 10**13)
    assert len(set(far.tolist())) == 1000 and far.min() >= 0 and far.max() < 10**13


def test_every_order_of_a_few_is_equally_likely():
    for n, passes in ((2, 200), (3, 300), (4, 1200), (5, 2400)):
        orders = {order: number for number, order in enumerate(permutations(range(n)))}
        seen = [orders[tuple(permutation(1, epoch, np.arange(n), n).tolist())] for epoch in range(passes)]
        assert chi_square_is_plausible(np.bincount(seen, minlength=len(orders)), passes / len(orders))


def test_permuted_places_are_uniform_and_neighbours_part():
    n, passes = 100, 3000
    table = np.array([permutation(11, epoch, np.arange(n), n) for epoch in range(passes)])
    for place in (0, 1, 50, 99):
        assert chi_square_is_plausible(np.bincount(table[:, place], minlength=n), passes / n)
    apart = (table[:, 1:] - table[:, :-1]) % n  # 0 cannot be; the others are equally likely
    assert chi_square_is_plausible(np.bincount(apart.reshape(-1), minlength=n)[1:], passes)
    again = (table[1:, 7] - table[:-1, 7]) % n  # the same place in the next pass
    assert chi_square_is_plausible(np.bincount(again, minlength=n), (passes - 1) / n)
    large = permutation(11, 0, np.arange(200_000), 200_000)
    blocks = np.bincount(np.arange(200_000) // 20_000 * 10 + large // 20_000, minlength=100)
    assert chi_square_is_plausible(blocks, 2000)
