"""The other strategies and the options that all of them share, by what is known of them and by brute force."""

import os
from collections import Counter
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masking_rows import VOCABULARY, make_rows, words_of

from wholeword.core.data.align import pieces_of
from wholeword.core.data.draws import row_keys
from wholeword.core.data.groups import find_groups, join_groups
from wholeword.core.data.masking import Rules, budgets
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary, is_chinese
from wholeword.plugins.masking.lexicon import Lexicon
from wholeword.plugins.masking.spans import NGram, Span
from wholeword.plugins.masking.whole_word import WholeWord
from wholeword.plugins.masking.wordpiece import WordPiece
from wholeword.plugins.segmenters.characters import Characters
from wholeword.plugins.segmenters.jieba import Jieba

DATA = os.environ.get("WHOLEWORD_DATA")


def mask(strategy, batch, *, seed=1, epoch=0, max_predictions=20, vocabulary=VOCABULARY):
    return strategy.mask(*batch, seed=seed, epoch=epoch, max_predictions=max_predictions, vocabulary=vocabulary)


def group_numbers(batch):
    """int [rows, length]: which word each candidate belongs to, -1 for the others."""
    ids, word_starts, candidates, _ = batch
    groups = find_groups(word_starts, candidates)
    numbers = np.full(ids.size, -1)
    for number, (start, length) in enumerate(zip(groups.starts.tolist(), groups.lengths.tolist(), strict=True)):
        numbers[start : start + length] = number
    return numbers.reshape(ids.shape), groups


# --- spans of words


def test_n_grams_are_a_walk_over_the_words():
    """Every span begins where the one before it ended; none leaves its row or crosses [SEP]; their words are all words."""
    batch = make_rows(300, 128, seed=3)
    _, word_starts, candidates, sample_ids = batch
    words = find_groups(word_starts, candidates)
    spans = join_groups(words, row_keys(1, 0, sample_ids), length=128, weights=(0.4, 0.3, 0.2, 0.1))
    assert spans.lengths.sum() == words.lengths.sum() == candidates.sum()
    places = np.concatenate([np.arange(start, start + size) for start, size in zip(spans.starts, spans.lengths, strict=True)])
    assert np.array_equal(places, np.flatnonzero(candidates))
    assert set(spans.starts.tolist()) <= set(words.starts.tolist())
    assert (spans.starts // 128 == (spans.starts + spans.lengths - 1) // 128).all()


@pytest.mark.parametrize(("strategy", "expected"), [(NGram(), [0.4, 0.3, 0.2, 0.1]), (Span(), [0.2 * 0.8**k for k in range(10)])])
def test_spans_have_as_many_words_as_they_should(strategy, expected):
    """Chi-square of the sizes; the last span of a segment, which may find too few words, is left out."""
    batch = make_rows(4000, 128, seed=5, full=1.0)
    _, word_starts, candidates, sample_ids = batch
    words = find_groups(word_starts, candidates)
    spans = join_groups(words, row_keys(2, 0, sample_ids), length=128, weights=strategy.weights)
    first = np.searchsorted(words.starts, spans.starts)
    sizes = np.diff(first, append=len(words.starts))
    ends = spans.starts + spans.lengths
    room = np.ones(len(spans.starts), bool)  # spans that end ten words or more before their segment does are not cut by it
    segment_end = np.flatnonzero(~candidates.reshape(-1))
    words_left = np.searchsorted(words.starts, segment_end[np.searchsorted(segment_end, ends)]) - np.searchsorted(words.starts, ends)
    room = words_left + sizes >= 10
    # subtle: a span that begins ten words before the end can be of any size, so looking only at where it begins does not favour any
    begins_with_room = np.searchsorted(words.starts, segment_end[np.searchsorted(segment_end, spans.starts)]) - first >= 10
    assert (room == begins_with_room).all()
    counts = np.bincount(sizes[begins_with_room], minlength=len(expected) + 1)[1:]
    wanted = np.array(expected) / sum(expected) * counts.sum()
    assert counts.sum() > 20_000 and len(counts) == len(expected)
    chi_square = ((counts - wanted) ** 2 / wanted).sum()
    degrees = len(expected) - 1
    assert chi_square < degrees + 4 * sqrt(2 * degrees), counts / counts.sum()


@pytest.mark.parametrize("strategy", [NGram(), Span(), NGram(weights=[0, 0, 1])])
def test_spans_are_chosen_whole(strategy):
    batch = make_rows(400, 128, seed=6)
    ids, word_starts, candidates, sample_ids = batch
    chosen = mask(strategy, batch).chosen.reshape(-1)
    words = find_groups(word_starts, candidates)
    spans = join_groups(words, row_keys(1, 0, sample_ids), length=128, weights=strategy.weights)
    share = np.add.reduceat(chosen, spans.starts) / spans.lengths  # spans tile the candidates, reduceat runs into specials, never chosen
    assert set(np.round(share, 6).tolist()) == {0.0, 1.0}
    budget = budgets((ids != VOCABULARY.pad_id).sum(axis=1), 0.15, 20)
    count = mask(strategy, batch).chosen.sum(axis=1)
    assert (count <= np.maximum(budget, 20)).all() and count.mean() > 0.95 * budget.mean()


def test_an_n_gram_of_one_word_is_whole_word_masking():
    batch = make_rows(200, 128, seed=7)
    assert np.array_equal(mask(NGram(weights=[1]), batch).chosen, mask(WholeWord(), batch).chosen)
    assert np.array_equal(mask(Span(p=1.0), batch).chosen, mask(WholeWord(), batch).chosen)


# --- replacement


@pytest.mark.parametrize(("replacement", "both"), [("token", 0.64), ("word", 0.8)])
def test_a_word_is_replaced_piece_by_piece_or_as_one(replacement, both):
    """Of chosen words of two pieces, how many are [MASK][MASK] (MISSION 6.2: 64 %, or 80 %); mixed ones only piece by piece."""
    batch = make_rows(6000, 128, seed=8, word_lengths=[0, 1])
    masked = mask(WholeWord(replacement=replacement), batch)
    groups = find_groups(batch[1], batch[2])
    pairs = groups.starts[(groups.lengths == 2) & masked.chosen.reshape(-1)[groups.starts]]
    is_mask = (masked.input_ids == VOCABULARY.mask_id).reshape(-1)
    count = len(pairs)
    assert count > 40_000
    assert abs((is_mask[pairs] & is_mask[pairs + 1]).mean() - both) < 4 * sqrt(both * (1 - both) / count)
    changed = (masked.input_ids != batch[0]).reshape(-1)
    untouched = (~changed[pairs] & ~changed[pairs + 1]).mean()
    expected = {"token": 0.01, "word": 0.1}[replacement]
    assert abs(untouched - expected) < 0.005
    if replacement == "word":
        assert (is_mask[pairs] == is_mask[pairs + 1]).mean() > 0.999  # a random piece may be [MASK] by chance


def test_a_span_is_replaced_as_one():
    batch = make_rows(3000, 128, seed=9)
    masked = mask(Span(), batch)
    spans = join_groups(find_groups(batch[1], batch[2]), row_keys(1, 0, batch[3]), length=128, weights=Span().weights)
    taken = masked.chosen.reshape(-1)[spans.starts]
    is_mask = (masked.input_ids == VOCABULARY.mask_id).reshape(-1)
    share = np.add.reduceat(is_mask & masked.chosen.reshape(-1), spans.starts)[taken] / spans.lengths[taken]
    whole = (share == 1).mean()
    assert abs(whole - 0.8) < 4 * sqrt(0.16 / taken.sum()) + 0.002
    assert ((share == 0) | (share == 1)).mean() > 0.99


# --- random pieces

LIVE = Vocabulary([*SPECIAL_PIECES, "[unused1]", "[unused99]", "词", "##词", "模", "##模", "##ing", "a", "##a型", "か", "##か", "##", "#"])


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ("all", set(LIVE.pieces)),
        ("no-special", set(LIVE.pieces) - set(SPECIAL_PIECES) - {"[unused1]", "[unused99]"}),
        ("live", {"词", "模", "##ing", "a", "か", "##か", "##", "#"}),
    ],
)
def test_random_pieces_come_from_their_pool(pool, expected):
    rows = 3000
    ids = np.full((rows, 20), LIVE.ids["词"], np.int32)
    starts = np.ones(ids.shape, bool)
    batch = ids, starts, starts.copy(), np.arange(rows, dtype=np.uint64)
    masked = mask(WholeWord(rate=1.0, random_pool=pool), batch, vocabulary=LIVE)
    counts = Counter(masked.input_ids.reshape(-1).tolist())
    assert {LIVE.pieces[piece] for piece in counts} - {"[MASK]"} == expected - {"[MASK]"}
    others = np.array([count for piece, count in counts.items() if LIVE.pieces[piece] not in ("[MASK]", "词")])
    assert ((others - others.mean()) ** 2 / others.mean()).sum() < len(others) + 4 * sqrt(2 * len(others))  # equally often


@pytest.mark.skipif(DATA is None, reason="WHOLEWORD_DATA is unset: no real vocabulary")
def test_a_third_of_the_released_vocabulary_is_dead():
    """MISSION, finding 7: 7,322 of 21,128 pieces no text can give; of the rest a million draws give no such piece."""
    vocabulary = Vocabulary.read(Path(DATA, "vocab", "vocab.txt"))
    dead = [piece for piece in vocabulary.pieces if piece.startswith("##") and is_chinese(piece[2])]
    assert len(dead) == 7322 and len(vocabulary) == 21128
    live = {vocabulary.pieces[piece] for piece in vocabulary.pool("live").tolist()}
    assert not live & set(dead) and len(vocabulary.pool("live")) == 21128 - 7322 - 5 - 99
    ids = np.full((4000, 252), vocabulary.ids["的"], np.int32)
    starts = np.ones(ids.shape, bool)
    batch = ids, starts, starts.copy(), np.arange(4000, dtype=np.uint64)
    strategy = WholeWord(rate=1.0, random_pool="live")
    passes = (mask(strategy, batch, vocabulary=vocabulary, epoch=number, max_predictions=252) for number in range(10))
    draws = np.concatenate([masked.input_ids.ravel() for masked in passes])
    random_pieces = draws[(draws != vocabulary.mask_id) & (draws != vocabulary.ids["的"])]
    assert len(random_pieces) > 1_000_000 and set(np.unique(random_pieces).tolist()) <= set(vocabulary.pool("live").tolist())


# --- budgets


@pytest.mark.parametrize("strategy", [WholeWord, NGram, Span])
def test_the_exact_budget_is_exact_and_does_not_mind_the_length_of_words(strategy):
    batch = make_rows(4000, 128, seed=11)
    ids, _, candidates, _ = batch
    chosen = mask(strategy(budget="exact"), batch, max_predictions=40).chosen
    budget = budgets((ids != VOCABULARY.pad_id).sum(axis=1), 0.15, 40)
    assert chosen.sum(axis=1).tolist() == np.minimum(budget, candidates.sum(axis=1)).tolist()
    numbers, groups = group_numbers(batch)
    share = np.bincount(numbers[candidates], weights=chosen[candidates]) / groups.lengths
    cut = np.add.reduceat(((share > 0) & (share < 1)).astype(int), np.searchsorted(groups.starts, np.arange(4000) * 128))
    if strategy is WholeWord:
        assert cut.max() == 1  # at most the last word of a row
        by_length = [chosen.reshape(-1)[groups.starts[groups.lengths == size]].mean() for size in (1, 2, 3, 4)]
        assert max(by_length) - min(by_length) < 0.02
    assert cut.max() <= 1


def test_by_chance_every_word_has_the_same_chance_and_no_row_is_empty():
    batch = make_rows(8000, 128, seed=12)
    _, word_starts, candidates, _ = batch
    chosen = mask(WholeWord(budget="bernoulli"), batch, max_predictions=128).chosen
    groups = find_groups(word_starts, candidates)
    taken = chosen.reshape(-1)[groups.starts]
    for size in (1, 2, 3, 4):
        of_size = groups.lengths == size
        assert abs(taken[of_size].mean() - 0.15) < 4 * sqrt(0.15 * 0.85 / of_size.sum()) + 0.0005  # short rows have one at least
    assert np.array_equal(chosen.any(axis=1), candidates.any(axis=1))
    assert chosen.sum(axis=1).std() > 3  # unlike a budget
    few = mask(WholeWord(budget="bernoulli", rate=0.5), batch, max_predictions=10).chosen
    assert few.sum(axis=1).max() <= 10 and few.sum(axis=1).mean() > 8


def test_rows_too_short_for_anything():
    ids = np.array([[2, 3, 0, 0], [2, 700, 3, 0], [2, 700, 701, 3]], np.int32)
    candidates = ids > 4
    word_starts = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]], bool)
    batch = ids, word_starts, candidates, np.arange(3, dtype=np.uint64)
    for budget in ("google", "bernoulli", "exact"):
        for strategy in (WholeWord(budget=budget), NGram(budget=budget), Span(budget=budget), WordPiece(budget=budget)):
            chosen = mask(strategy, batch).chosen
            assert chosen.any(axis=1).tolist() == [False, True, True] and not (chosen & ~candidates).any()
            nothing = mask(strategy, tuple(array[:1] for array in batch))
            assert np.array_equal(nothing.input_ids, ids[:1]) and not nothing.chosen.any()


# --- [UNK]


def test_words_with_unknown_characters_can_be_left_alone():
    batch = make_rows(500, 128, seed=13)
    ids, word_starts, candidates, sample_ids = batch
    unknown = candidates & (np.random.default_rng(0).random(ids.shape) < 0.1)
    ids = np.where(unknown, VOCABULARY.unk_id, ids).astype(np.int32)
    ids[0] = np.where(candidates[0], VOCABULARY.unk_id, ids[0])  # nothing else is in this row
    batch = ids, word_starts, candidates, sample_ids
    numbers, _ = group_numbers(batch)
    with_unknown = np.isin(numbers, numbers[unknown]) & candidates
    kept = mask(WholeWord(), batch).chosen
    excluded = mask(WholeWord(unknown="exclude"), batch).chosen
    assert (kept & with_unknown)[1:].sum() > 1000 and not (excluded & with_unknown)[1:].any()
    assert excluded.any(axis=1).all() and excluded[0].any()
    without = mask(WholeWord(), make_rows(500, 128, seed=13)).chosen
    assert np.array_equal(mask(WholeWord(unknown="exclude"), make_rows(500, 128, seed=13)).chosen, without)


@pytest.mark.parametrize("setting", ["budget", "replacement", "random_pool", "unknown"])
def test_a_choice_that_is_none_is_told(setting):
    with pytest.raises(UserError, match=rf"masking\.{setting} is 'none'; expected one of "):
        Rules(**{setting: "none"})


# --- word lists

ENTRIES = ["机器学习", "哈工大讯飞联合实验室", "学习率", "BERT", "C++"]
TEXTS = ["哈工大讯飞联合实验室用机器学习训练BERT。", "机器学习率先用了C++。", "学习率很重要，学习也重要。"]


def pieces_vocabulary():
    return Vocabulary([*SPECIAL_PIECES, *dict.fromkeys("哈工大讯飞联合实验室用机器学习训练率先了很重要也，。+c"), "bert", "##s"])


@pytest.mark.parametrize("segmenter", [Jieba(), Characters()])
def test_entries_stay_whole(segmenter):
    tokenizer = WordPieceTokenizer(pieces_vocabulary(), True)
    strategy = Lexicon(words=ENTRIES, rate=0.3)
    strategy.bind(tokenizer)
    places_of = {0: ["哈工大讯飞联合实验室", "机器学习", "bert"], 1: ["机器学习率", "c++"], 2: ["学习率"]}  # two entries overlap: one word
    for number, text in enumerate(TEXTS):
        aligned = pieces_of(text, segmenter.segment([text])[0], tokenizer)
        ids = np.array([[tokenizer.vocabulary.cls_id, *aligned.ids, tokenizer.vocabulary.sep_id]], np.int32)
        candidates = ids > 4
        row = "".join(tokenizer.vocabulary.pieces[piece] for piece in ids[0, 1:-1])
        offsets = np.cumsum([0, *(len(tokenizer.vocabulary.pieces[piece]) for piece in ids[0, 1:-1])])
        starts = np.array([[False, *aligned.word_starts, False]])
        seen = Counter()
        for seed in range(200):
            batch = ids, starts, candidates, np.arange(1, dtype=np.uint64)
            chosen = mask(strategy, batch, seed=seed, vocabulary=tokenizer.vocabulary).chosen
            for entry in places_of[number]:
                begin = row.index(entry)
                inside = (offsets[:-1] >= begin) & (offsets[:-1] < begin + len(entry))
                assert chosen[0, 1:-1][inside].all() or not chosen[0, 1:-1][inside].any(), (text, entry)
                seen[entry] += chosen[0, 1:-1][inside].all()
        assert sum(seen.values()) > 10


@settings(max_examples=300, deadline=None)
@given(
    entries=st.lists(st.lists(st.integers(5, 9), min_size=1, max_size=5), min_size=1, max_size=6),
    rows=st.lists(st.lists(st.integers(0, 10), min_size=12, max_size=12), min_size=1, max_size=3),
)
def test_every_occurrence_is_found(entries, rows):
    """Against looking for each entry at each place."""
    vocabulary = Vocabulary([*SPECIAL_PIECES, *"abcdef"])
    strategy = Lexicon(words=[" ".join("abcdef"[piece - 5] for piece in entry) for entry in entries])
    strategy.bind(WordPieceTokenizer(vocabulary, True))
    ids = np.array(rows, np.int32)
    candidates = ids > 4
    inside = np.zeros(ids.shape, bool)
    for row in range(len(rows)):
        for entry in entries:
            for place in range(12 - len(entry) + 1):
                if rows[row][place : place + len(entry)] == entry:
                    inside[row, place + 1 : place + len(entry)] = True
    starts = np.ones(ids.shape, bool)
    expected = mask(WholeWord(), (ids, starts & ~inside, candidates, np.arange(len(rows), dtype=np.uint64)), vocabulary=vocabulary)
    found = mask(strategy, (ids, starts, candidates, np.arange(len(rows), dtype=np.uint64)), vocabulary=vocabulary)
    assert np.array_equal(found.chosen, expected.chosen) and np.array_equal(found.input_ids, expected.input_ids)


def test_the_words_of_a_lexicon_are_read_from_a_word_list(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff机器学习\t术语\r\n\r\n　哈工大　\n".encode())
    assert Lexicon(words=path).words == ["机器学习", "哈工大"]
    with pytest.raises(UserError, match=r"masking\.words: .*none\.txt: no such file"):
        Lexicon(words=tmp_path / "none.txt")
    with pytest.raises(UserError, match=r"masking\.words: no entry"):
        Lexicon(words=[])


def test_words_of_the_test_are_those_of_the_definition():
    """`group_numbers`, which tests above stand on, against the definition in test_masking."""
    batch = make_rows(50, 64, seed=2)
    numbers, _ = group_numbers(batch)
    for row in range(50):
        words = words_of(batch[1][row].tolist(), batch[2][row].tolist())
        assert [len(set(numbers[row, word].tolist())) for word in words] == [1] * len(words)
