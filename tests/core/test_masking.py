"""Masking chooses as Google's function does, whole words only, and every row gets its share."""

import os
import random
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from masking_rows import JIEBA, VOCABULARY, make_rows, words_of

from wholeword.core.data.align import pieces_of_batch
from wholeword.core.data.draws import Stream, below, draws, row_keys
from wholeword.core.data.google import budget, take_words
from wholeword.core.data.groups import find_groups
from wholeword.core.data.masking import budgets, choose_groups, take_in_order
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.testing import check_masking
from wholeword.core.vocabulary import Vocabulary
from wholeword.plugins.masking.whole_word import WholeWord
from wholeword.plugins.masking.wordpiece import WordPiece
from wholeword.plugins.segmenters.jieba import Jieba


def mask(batch, *, strategy=None, seed=1, epoch=0, max_predictions=20, vocabulary=VOCABULARY):
    strategy = strategy or WholeWord()
    return strategy.mask(*batch, seed=seed, epoch=epoch, max_predictions=max_predictions, vocabulary=vocabulary)


def test_groups_of_a_sentence():
    #           [CLS] 使 用 语 言 模 型 [SEP] 预 测 。 [SEP] [PAD]
    starts = [[0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0]]  # 语言模型 as one word; 预 lost its start to truncation
    candidates = [[0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0]]
    groups = find_groups(np.array(starts, bool), np.array(candidates, bool))
    assert groups.starts.tolist() == [1, 3, 8, 10]
    assert groups.lengths.tolist() == [2, 4, 2, 1]


def test_groups_do_not_join_rows():
    groups = find_groups(np.zeros((3, 4), bool), np.ones((3, 4), bool))
    assert groups.starts.tolist() == [0, 4, 8] and groups.lengths.tolist() == [4, 4, 4]


def test_groups_are_those_of_the_definition():
    generator = np.random.default_rng(0)
    for _ in range(200):
        shape = generator.integers(1, 6), generator.integers(1, 40)
        word_starts, candidates = generator.random(shape) < generator.random(), generator.random(shape) < generator.random()
        groups = find_groups(word_starts, candidates)
        rows = [words_of(*row) for row in zip(word_starts, candidates, strict=True)]
        expected = [[number * shape[1] + place for place in word] for number, row in enumerate(rows) for word in row]
        assert groups.starts.tolist() == [word[0] for word in expected]
        assert groups.lengths.tolist() == [len(word) for word in expected]


def test_budget_is_googles():
    sizes = np.arange(3, 513)
    for most in (1, 20, 77, 1000):
        assert budgets(sizes, 0.15, most).tolist() == [budget(size, rate=0.15, max_predictions=most) for size in sizes.tolist()]
    assert budgets(np.array([30, 50, 70]), 0.15, 100).tolist() == [4, 8, 10]  # 4.5, 7.5, 10.5 to the even side


def test_words_are_taken_in_order_if_they_fit():
    lengths = np.array([[2, 3, 1, 4, 1, 0], [5, 5, 5, 2, 1, 1], [1, 1, 1, 1, 1, 1], [9, 9, 9, 9, 9, 9], [2, 2, 3, 1, 1, 1]], np.int32)
    taken = take_in_order(lengths, np.array([6, 4, 4, 8, 5]))
    assert taken.tolist() == [[2, 3, 1, 0, 0, 0], [0, 0, 0, 2, 1, 1], [1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0], [2, 2, 0, 1, 0, 0]]


def hostile_batches():
    """Word lengths, row lengths and rates that leave budgets of one, words longer than any budget, rows of specials only."""
    for seed in range(60):
        generator = np.random.default_rng(seed)
        length = int(generator.choice([8, 9, 31, 64, 128, 512]))
        word_lengths = [[1], JIEBA, [0.2] * 5, [0.05] * 40, [0, 0, 0, 1], [0.5, 0, 0, 0, 0, 0, 0, 0.5], [0.01, *[0] * 60, 1]][seed % 7]
        batch = make_rows(100, length, seed, word_lengths=word_lengths, full=generator.random())
        ids, _, candidates, _ = batch
        empty = generator.random(100) < 0.05
        ids[empty, 1:] = VOCABULARY.pad_id
        candidates[empty] = False
        yield batch, float(generator.choice([0.001, 0.05, 0.15, 0.5, 1.0])), int(generator.choice([1, 2, 20, 77, 600]))


def in_our_order(words, key):
    """The words of a row in the order in which they first come up in the row's draws; they are drawn as they are asked for."""
    seen = set()
    draw = 0
    while len(seen) < len(words):
        for number in below(draws(key, np.arange(draw, draw + 100), Stream.ORDER), len(words)).tolist():
            if number not in seen:
                seen.add(number)
                yield words[number]
        draw += 100


def test_choice_is_the_sequential_rule_on_the_same_order():
    """Six thousand hostile rows: exactly the pieces that Google's loop takes when it gets the words in our order."""
    exceptions = 0
    for (ids, word_starts, candidates, sample_ids), rate, most in hostile_batches():
        strategy = WholeWord(rate=rate)
        chosen = mask((ids, word_starts, candidates, sample_ids), strategy=strategy, seed=9, epoch=4, max_predictions=most).chosen
        keys = row_keys(9, 4, sample_ids)
        for row in range(len(ids)):
            words = words_of(word_starts[row].tolist(), candidates[row].tolist())
            size = int((ids[row] != VOCABULARY.pad_id).sum())
            expected = sorted(take_words(in_our_order(words, keys[row]), budget(size, rate=rate, max_predictions=most)))
            if not expected and words:  # our departure: the first of the shortest words, so that no row is without a mask
                exceptions += 1
                shortest = min(map(len, words))
                expected = next(word for word in in_our_order(words, keys[row]) if len(word) == shortest) if shortest <= most else []
            assert np.flatnonzero(chosen[row]).tolist() == expected
    assert exceptions > 100  # the rule was seen at work


def test_order_of_words_is_uniform():
    """The six orders of three words, read off the choice with a budget that only the first of them fills."""
    rows = 6000
    starts = np.tile(np.array([False, True, True, True, False]), (rows, 1))
    groups = find_groups(starts, starts)
    pairs = np.zeros((3, 3), int)
    keys = row_keys(1, 0, np.arange(rows))
    one = choose_groups(groups, np.full(rows, 1), keys, length=5, max_predictions=3)[:, 1:4]
    two = choose_groups(groups, np.full(rows, 2), keys, length=5, max_predictions=3)[:, 1:4]
    assert (one.sum(axis=1) == 1).all() and (two.sum(axis=1) == 2).all() and (one <= two).all()
    np.add.at(pairs, (one.argmax(axis=1), (two & ~one).argmax(axis=1)), 1)
    for count in pairs[~np.eye(3, dtype=bool)]:
        assert abs(count - rows / 6) < 4 * sqrt(rows * 5 / 36)


def test_short_sentence_gets_its_shortest_word():
    # [CLS] 欢 迎 光 临 本 店 [SEP]: a budget of one, and words 欢迎, 光临本店
    starts = np.array([[0, 1, 0, 1, 0, 0, 0, 0]], bool)
    candidates = np.array([[0, 1, 1, 1, 1, 1, 1, 0]], bool)
    groups = find_groups(starts, candidates)
    for most, expected in ((1, []), (2, [1, 2]), (20, [1, 2])):
        chosen = choose_groups(groups, np.array([1]), np.array([5], np.uint64), length=8, max_predictions=most)
        assert np.flatnonzero(chosen).tolist() == expected


def real_rows(num_rows, length):
    """[CLS] text [SEP] from Debian's handbooks, words by jieba, the vocabulary of BERT-base Chinese."""
    data = os.environ.get("WHOLEWORD_DATA")
    if not data:
        pytest.skip("WHOLEWORD_DATA is not set: no real text")
    vocabulary = Vocabulary.read(Path(data, "vocab", "vocab.txt"))
    sentences = [
        line for file in sorted(Path(data, "raw").glob("*/*-*.txt")) for line in file.read_text(encoding="utf-8").split("\n") if line
    ]
    pieces = pieces_of_batch(sentences, Jieba().segment(sentences), WordPieceTokenizer(vocabulary, lowercase=True))
    room = num_rows * (length - 2)
    edge = np.zeros((num_rows, 1), np.int32)
    ids = np.hstack([edge + vocabulary.cls_id, pieces.ids[:room].reshape(num_rows, -1), edge + vocabulary.sep_id])
    word_starts = np.hstack([edge > 0, pieces.word_starts[:room].reshape(num_rows, -1), edge > 0])
    candidates = np.ones(ids.shape, bool)
    candidates[:, [0, -1]] = False
    return vocabulary, (ids, word_starts, candidates, np.arange(num_rows, dtype=np.uint64))


@pytest.fixture(
    scope="module",
    params=[("synthetic", 128, 20), ("synthetic", 512, 77), ("real", 128, 20), ("real", 512, 77)],
    ids=lambda kind: f"{kind[0]}-{kind[1]}",
)
def million(request):
    """Over a million pieces as we mask them: the vocabulary, the rows, the most predictions, input ids and choice."""
    kind, length, most = request.param
    num_rows = 1_300_000 // length
    vocabulary, batch = real_rows(num_rows, length) if kind == "real" else (VOCABULARY, make_rows(num_rows, length, seed=length))
    assert batch[2].sum() > 1_000_000
    return vocabulary, batch, most, *mask(batch, max_predictions=most, seed=2, vocabulary=vocabulary)


def test_every_mask_is_a_union_of_whole_words(million):
    _, (_, word_starts, candidates, _), _, _, chosen = million
    assert not (chosen & ~candidates).any()
    inside = candidates.copy()
    inside.reshape(-1)[find_groups(word_starts, candidates).starts] = False
    assert inside.sum() > 300_000
    assert (chosen[:, 1:] == chosen[:, :-1])[inside[:, 1:]].all()


def test_no_row_is_without_a_mask_and_the_share_is_15_percent(million):
    vocabulary, (ids, _, candidates, _), most, _, chosen = million
    assert (chosen.any(axis=1) == candidates.any(axis=1)).all()
    assert chosen.sum(axis=1).max() <= most
    assert abs(chosen.sum() / (ids != vocabulary.pad_id).sum() - 0.15) < 0.002


def test_words_of_every_length_are_chosen_as_often_as_by_google(million):
    """One pass of Google's function over a million pieces, eight of ours."""
    vocabulary, batch, most, *_ = million
    ids, word_starts, candidates, _ = batch
    groups = find_groups(word_starts, candidates)
    lengths = np.minimum(groups.lengths, 5)
    words = np.bincount(lengths, minlength=6)
    us = sum(
        np.bincount(lengths[masked.chosen.reshape(-1)[groups.starts]], minlength=6)
        for masked in (mask(batch, max_predictions=most, epoch=number, vocabulary=vocabulary) for number in range(8))
    )
    google = np.zeros(6)
    generator = random.Random(12345)
    for row in range(len(ids)):
        size = int((ids[row] != vocabulary.pad_id).sum())
        row_words = words_of(word_starts[row, :size].tolist(), candidates[row, :size].tolist())
        generator.shuffle(row_words)
        positions = set(take_words(row_words, budget(size, rate=0.15, max_predictions=most)))
        for word in row_words:
            google[min(len(word), 5)] += word[0] in positions
    for length in range(1, 6):
        ours, googles = us[length] / words[length] / 8, google[length] / words[length]
        error = sqrt(googles * (1 - googles) / words[length] * (1 + 1 / 8))
        assert abs(ours - googles) < 3 * error, f"words of {length}: ours {ours:.4f}, Google's {googles:.4f}, error {error:.4f}"


def test_80_percent_are_masks_10_percent_stay_10_percent_are_random(million):
    vocabulary, (ids, *_), _, input_ids, chosen = million
    before, after, size = ids[chosen], input_ids[chosen], len(vocabulary)
    assert np.array_equal(ids[~chosen], input_ids[~chosen]) and input_ids.dtype == ids.dtype
    chance = 0.1 / size  # of a random piece being one in particular
    for count, expected in (((after == vocabulary.mask_id).sum(), 0.8 + chance), ((after == before).sum(), 0.1 + chance)):
        assert abs(count / len(after) - expected) < 3 * sqrt(expected * (1 - expected) / len(after))
    random_pieces = np.bincount(after[(after != before) & (after != vocabulary.mask_id)], minlength=size)
    others = np.delete(random_pieces, vocabulary.mask_id)  # specials are among them, as with Google
    chi_square = ((others - others.mean()) ** 2 / others.mean()).sum()
    assert abs(chi_square - size) < 5 * sqrt((2 + 1 / others.mean()) * size)  # the variance for counts as small as these


def test_what_replaces_a_piece_is_drawn_piece_by_piece(million):
    vocabulary, (_, word_starts, candidates, _), _, input_ids, chosen = million
    groups = find_groups(word_starts, candidates)
    pairs = groups.starts[(groups.lengths == 2) & chosen.reshape(-1)[groups.starts]]
    masked = input_ids.reshape(-1) == vocabulary.mask_id
    both = (masked[pairs] & masked[pairs + 1]).mean()
    assert abs(both - 0.64) < 3 * sqrt(0.64 * 0.36 / len(pairs))


def test_another_pass_chooses_independently(million):
    vocabulary, batch, most, _, chosen = million
    candidates, share = batch[2], chosen.sum() / batch[2].sum()
    for changes in ({"seed": 3}, {"seed": 2, "epoch": 1}):
        again = mask(batch, max_predictions=most, vocabulary=vocabulary, **changes).chosen
        assert abs((again & chosen).sum() / candidates.sum() - share**2) < 0.002


@pytest.mark.parametrize("strategy", [WholeWord(), WordPiece(), WholeWord(rate=0.4)])
def test_masks_do_not_depend_on_the_batch(strategy):
    batch = make_rows(512, 128, seed=4)
    whole = mask(batch, strategy=strategy)
    order = np.random.default_rng(0).permutation(512)
    for size in (1, 7, 256):
        for first in range(0, 512, size):
            rows = order[first : first + size]
            part = mask(tuple(array[rows] for array in batch), strategy=strategy)
            assert np.array_equal(part.input_ids, whole.input_ids[rows]) and np.array_equal(part.chosen, whole.chosen[rows])
    wider = tuple(np.pad(array, ((0, 0), (0, 72))) for array in batch[:3])  # nor on padding
    assert np.array_equal(mask((*wider, batch[3]), strategy=strategy).input_ids[:, :128], whole.input_ids)


def test_single_pieces_are_chosen_whatever_the_words():
    ids, word_starts, candidates, sample_ids = make_rows(2000, 128, seed=6)
    sizes = (ids != VOCABULARY.pad_id).sum(axis=1)
    chosen = mask((ids, word_starts, candidates, sample_ids), strategy=WordPiece(), max_predictions=30).chosen
    assert chosen.sum(axis=1).tolist() == [budget(size, rate=0.15, max_predictions=30) for size in sizes.tolist()]
    assert np.array_equal(chosen, mask((ids, ~word_starts, candidates, sample_ids), strategy=WordPiece(), max_predictions=30).chosen)


def test_strategies_keep_the_contract():
    check_masking(WholeWord())
    check_masking(WholeWord(rate=0.3), rate=0.3)
    check_masking(WordPiece(), whole_words=False)


def test_everything_is_chosen_at_rate_one():
    batch = make_rows(50, 64, seed=8)
    assert np.array_equal(mask(batch, strategy=WholeWord(rate=1.0), max_predictions=64).chosen, batch[2])


@pytest.mark.parametrize("rate", [0, -0.1, 15, 1.0001, float("nan")])
@pytest.mark.parametrize("strategy", [WholeWord, WordPiece])
def test_rate_is_a_share(strategy, rate):
    with pytest.raises(UserError, match=r"rate is .*expected a share above 0 and at most 1"):
        strategy(rate=rate)
