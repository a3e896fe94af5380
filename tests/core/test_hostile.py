"""Hostile text on the whole way from sentences to masked rows: segment, pieces, token store, examples, batches, every masking strategy.

`WHOLEWORD_HOSTILE=20000 pytest tests/core/test_hostile.py` runs so many sentences with each segmenter (some minutes); by default 200.
"""

import os
import random
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from row_sources import batch_source, examples_of

from wholeword.core.data.align import align, find_words, pieces_of_batch, segment
from wholeword.core.data.examples import KINDS
from wholeword.core.data.rows import EXAMPLE_BITS
from wholeword.core.data.store import write_store
from wholeword.core.data.tokenizer import WordPieceTokenizer, offsets_in_sentence
from wholeword.core.registry.registry import registry
from wholeword.core.text_files import valid
from wholeword.core.vocabulary import Vocabulary
from wholeword.plugins.segmenters.jieba import Jieba

SENTENCES = 40  # in one corpus
CORPORA = -(-int(os.environ.get("WHOLEWORD_HOSTILE", 200)) // SENTENCES)
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # a store is synced to the disk file by file
CHARACTERS = "使用语言模型来预测下一个词的概率，。！“”（）…—·.,-%+# 　abBéÉİßﬁǆ012²½９Ａかガー한글ᄒ"
PIECES = [
    *CHARACTERS,
    *"ehikmost⁄アﾊ㐀𠮷",
    *(f"##{character}" for character in "abehkmost012²９ＡＢかなガハー한글ᅡᆫ⁄\u3099"),
    "ab",
    "##bc",
    "##一",
]
PIECES = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES]))
TOKENIZERS = [
    WordPieceTokenizer(Vocabulary(PIECES), True, definition="transformers"),
    WordPieceTokenizer(Vocabulary(PIECES[::-1]), False, definition="transformers"),
]
ENTRIES = ["语言模型", "一个词的", "ab的", "012", "，。"]
STRATEGIES = {"lexicon": {"words": ENTRIES}}  # settings of those that do not go without

FRAGMENTS = st.sampled_from(
    [
        *("😀", "👨\u200d👩\u200d👧\u200d👦", "🇨🇳", "👍🏽", "❤️", "©️"),  # emoji, joined, flags, with modifiers
        *("\ud800", "\udfff", "\ud83d", "\x00", "\x1b[0m", "\x7f", "\x85", "\ufffd", "\ufffe", "\U0010ffff", "\ue000"),
        *("\u200b", "\u200c", "\u200d", "\u2060", "\u00ad", "\u200f", "\u202e", "\u2066", "\u2069", "\ufe0f"),  # zero width, direction
        *("\u2028", "\u2029", "\n", "\r\n", "\t", "\v", "\u3000", "\u00a0", "\ufeff"),  # separators, a byte order mark inside
        *("㐀", "𠮷", "𪚥", "\U0002f800", "\ufa0e", "々", "〇", "⿰"),  # Chinese, and what looks so
        *("ＡＢＣ１２３", "９", "｡", "ｶﾞ", "かな", "カ\u3099", "한국어", "각", "กำ", "हिन्दी", "עִבְרִית", "العربية"),
        *("²0", "½", "①", "㎏", "e\u0301", "É", "ﬁ", "ǆ", "İ", "ß", "Å\u0323\u0301", "\u0301", "a\u0300\u0301\u0302", "q\u0334"),
        *("[MASK]", "[CLS]", "##一", "##", "[UNK]", "</s>", "https://a.b/?c=%E4%BD%A0", "C++", "3.14%", "zh-hant", "a_b", "New York"),
        *("使用语言模型", "预测下一个词的概率", "，。", "……", "——", "“”", "。"),
    ]
)
TEXTS = st.lists(st.one_of(FRAGMENTS, st.sampled_from(CHARACTERS), st.characters()), max_size=12).map("".join)
LONG = st.builds(str.__mul__, st.one_of(FRAGMENTS, st.sampled_from(["a", "ab1", "模型", "一", "a的"])), st.integers(90, 2000))
LINES = st.one_of(*[TEXTS] * 15, LONG, st.builds("".join, st.permutations(["ab", "语言模型", "x" * 101, "\u200b"])))


class Cuts:
    """Words of random lengths, empty ones too."""

    def __init__(self, seed: int):
        self.generator = random.Random(seed)

    def segment(self, sentences):
        return [list(self.cut(sentence)) for sentence in sentences]

    def cut(self, sentence):
        start = 0
        while start < len(sentence):
            end = start + self.generator.randint(0, 5)
            yield sentence[start:end]
            start = end


class Lossy(Cuts):
    """Drops, doubles, changes and turns round some words."""

    def cut(self, sentence):
        for word in super().cut(sentence):
            yield from self.generator.choice(
                [*[[word]] * 4, [word.strip()], [], [word] * 2, [word[::-1]], [f"{word}X"], ["的"], [word.upper()]]
            )


SEGMENTERS = {"jieba": lambda seed: Jieba(), "random cuts": Cuts, "lossy": Lossy}


def strategies(tokenizer):
    """Every masking strategy that comes with wholeword."""
    made = {}
    for entry in registry.entries:
        if entry.kind == "masking" and entry.distribution == "wholeword":
            made[entry.name] = registry.create("masking", entry.name, **STRATEGIES.get(entry.name, {}))
            if hasattr(made[entry.name], "bind"):
                made[entry.name].bind(tokenizer)
    return made


MASKINGS = {tokenizer: strategies(tokenizer) for tokenizer in TOKENIZERS}


def check_pieces(sentences, aligned, tokenizer):
    """Pieces are those of `tokenizers`; offsets rise and stay in the sentence; words begin where sentences do and never at a `##`."""
    encoded = tokenizer.encode_batch(sentences)
    assert np.array_equal(encoded.ids, aligned.ids) and np.array_equal(encoded.sentence_pieces, aligned.sentence_pieces)
    borders, offsets = aligned.sentence_pieces, offsets_in_sentence(encoded)
    reference = tokenizer.reference.encode_batch([valid(sentence) for sentence in sentences], add_special_tokens=False)
    assert len(borders) == len(sentences) + 1 and len(aligned.word_starts) == len(aligned.ids) == borders[-1]
    for sentence, expected, first, end in zip(sentences, reference, borders[:-1], borders[1:], strict=True):
        starts, ends = offsets[first:end].T
        assert aligned.ids[first:end].tolist() == expected.ids
        assert (starts >= 0).all() and (starts < ends).all() and (ends <= len(sentence)).all()
        assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all()
        assert aligned.word_starts[first:end][:1].all()
    assert not (aligned.word_starts & tokenizer.vocabulary.is_continuation[aligned.ids]).any()


def layout(examples, ids, word_starts, length, vocabulary):
    """The rows before masking, from their definition: ids, where words begin, what may be masked, tokens."""
    rows = len(examples)
    table, starts = np.full((rows, length), vocabulary.pad_id), np.zeros((rows, length), bool)
    candidates, sizes = np.zeros((rows, length), bool), np.zeros(rows, int)
    for row, (spans, lengths) in enumerate(zip(examples.starts.tolist(), examples.lengths.tolist(), strict=True)):
        table[row, 0], place = vocabulary.cls_id, 1
        for first, size in zip(spans, lengths, strict=True):
            if size:
                table[row, place : place + size] = ids[first : first + size]
                starts[row, place : place + size] = word_starts[first : first + size]
                starts[row, place] = True  # whatever was cut off, what is left begins with a word
                candidates[row, place : place + size] = True
                table[row, place + size] = vocabulary.sep_id
                place += size + 1
        sizes[row] = place
    return table, starts, candidates, sizes


def check_rows(name, batch, rows, max_predictions):
    """What was masked can be undone, is whole words, and as much as the budget says."""
    table, starts, candidates, sizes = rows
    row, slot = np.nonzero(batch["masked_lm_weights"])
    positions = batch["masked_lm_positions"][row, slot]
    assert (np.diff(positions)[np.diff(row) == 0] > 0).all()
    chosen = np.zeros(table.shape, bool)
    chosen[row, positions] = True
    assert not (chosen & ~candidates).any()
    restored = batch["input_ids"].copy()
    assert ((restored >= 0) & (restored < len(PIECES))).all()
    restored[row, positions] = batch["masked_lm_ids"][row, slot]
    assert np.array_equal(restored, table)
    assert np.array_equal(batch["input_mask"], np.arange(table.shape[1]) < sizes[:, None])

    words, lengths = words_in(candidates if name == "wordpiece" else starts, candidates)
    masked = chosen.reshape(-1)[words]
    assert np.array_equal(
        np.bincount(np.repeat(np.arange(len(words)), lengths)[chosen[candidates]], minlength=len(words)), lengths * masked
    )
    if name not in ("whole-word", "wordpiece"):
        # what was tried together is not known here; so of what is left out at most all that stands side by side, of what is masked a word
        words, lengths = words_in(np.diff(chosen, axis=1, prepend=False), candidates)
        masked = chosen.reshape(-1)[words]

    count, budget = chosen.sum(axis=1), [min(max_predictions, max(1, round(size * 0.15))) for size in sizes.tolist()]
    for number, (first, end) in enumerate(pairwise(np.searchsorted(words, np.arange(len(table) + 1) * table.shape[1]).tolist())):
        sizes_in, sizes_out = lengths[first:end][masked[first:end]], lengths[first:end][~masked[first:end]]
        left = budget[number] - count[number]
        assert count[number] <= max_predictions
        if left < 0:  # no word fitted the budget: it is the shortest one
            assert len(sizes_in) == 1 and (name not in ("whole-word", "wordpiece") or sizes_in[0] <= sizes_out.min(initial=1 << 30))
        elif count[number]:
            assert left < sizes_out.min(initial=1 << 30), "something that fits was left out"
        else:
            assert max_predictions < sizes_out.min(initial=1 << 30), "nothing is masked"


def words_in(starts, candidates):
    """Where words begin, as row * length + position, and their lengths; they are the candidates without a gap."""
    begins = candidates & (starts | ~np.pad(candidates, ((0, 0), (1, 0)))[:, :-1])
    return np.flatnonzero(begins), np.diff(np.append(np.flatnonzero(begins[candidates]), candidates.sum()))


def check_corpus(sentences, cutter, *, seed, tokenizer, kind, length, most, tokens_per_shard=1 << 22):
    given = [valid(sentence) for sentence in sentences] if cutter == "jieba" else sentences  # `segment` never gets lone surrogates
    texts, words = segment(SEGMENTERS[cutter](seed), given)
    assert texts == given
    aligned = pieces_of_batch(texts, words, tokenizer)
    found = find_words(SEGMENTERS[cutter](seed), given)[1]  # all at once, as `prepare` does
    assert np.array_equal(align(tokenizer.encode_batch(texts), found.starts, tokenizer), aligned.word_starts)
    assert sum(fallback.spans for fallback in found.fallbacks) == aligned.fallbacks
    check_pieces(texts, aligned, tokenizer)
    if cutter == "lossy":
        assert 0 <= aligned.fallbacks <= sum(map(len, words)) + len(texts)
    else:
        assert aligned.fallbacks == 0
    ids, starts = (np.split(array, aligned.sentence_pieces[1:-1]) for array in (aligned.ids, aligned.word_starts))
    lines = list(zip(ids, starts, strict=True))
    documents = [lines[first : first + 4] for first in range(0, len(lines), 4)]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = write_store(Path(folder, "store"), tokenizer.vocabulary, documents, tokens_per_shard=tokens_per_shard)
        chosen = {"max_seq_length": length, "short_seq_rate": 0.1, "seed": seed}
        examples = examples_of(store, kind=kind, epoch=0, documents="all", held_out_rate=0.0, **chosen)
        if not len(examples):
            return
        rows = layout(examples, aligned.ids, aligned.word_starts, length, tokenizer.vocabulary)
        for name, strategy in MASKINGS[tokenizer].items():
            source = batch_source(
                store,
                kind=kind,
                strategy=strategy,
                max_predictions=most,
                batch_size=len(examples),
                dynamic=True,
                dupe_factor=1,
                documents="all",
                **chosen,
            )
            batch = source.batch(0)
            order = (batch["sample_ids"] & np.uint64((1 << EXAMPLE_BITS) - 1)).astype(np.int64)
            assert sorted(order.tolist()) == list(range(len(examples)))
            check_rows(name, batch, [array[order] for array in rows], most)


@pytest.mark.parametrize("cutter", SEGMENTERS)
@settings(max_examples=CORPORA, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sentences=st.lists(LINES, min_size=SENTENCES, max_size=SENTENCES),
    seed=st.integers(0, 10_000),
    tokenizer=st.sampled_from(TOKENIZERS),
    kind=st.sampled_from(KINDS),
    shape=st.sampled_from([(8, 1), (8, 20), (16, 2), (33, 5), (64, 10), (128, 20), (512, 77)]),
    tokens_per_shard=st.sampled_from([20, 300, 1 << 22]),
)
def test_what_is_promised_holds_for_hostile_text(cutter, sentences, seed, tokenizer, kind, shape, tokens_per_shard):
    assume(len(tokenizer.encode_batch(sentences).ids))
    length, most = shape
    check_corpus(sentences, cutter, seed=seed, tokenizer=tokenizer, kind=kind, length=length, most=most, tokens_per_shard=tokens_per_shard)


@pytest.mark.parametrize("cutter", SEGMENTERS)
@pytest.mark.parametrize(
    "line",
    ["模型" * 50_000, "a" * 100_000, "a-" * 50_000, "语言a1" * 20_000, "한" * 50_000, "\u200b" * 50_000 + "一", "e" + "\u0301" * 50_000],
    ids=["Chinese", "Latin", "joined Latin", "mixed", "Hangul", "zero width", "accents"],
)
def test_lines_as_long_as_they_may_be(cutter, line):
    """A line without an end is split into such ones."""
    check_corpus([line, "使用语言模型。"] * 2, cutter, seed=1, tokenizer=TOKENIZERS[0], kind="full-sentences", length=128, most=20)


@pytest.mark.parametrize("cutter", SEGMENTERS)
@pytest.mark.parametrize("unit", ["模型", "a", "a-", "语言a1", "한", "\u200b一", "e\u0301"])
def test_work_grows_with_the_length_of_a_line_and_not_with_its_square(cutter, unit):
    """Counted in calls of functions: of a line twice as long, not much more than twice as many."""

    def calls(line):
        count = 0

        def counted(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        segmenter = SEGMENTERS[cutter](1)
        sys.setprofile(counted)
        try:
            texts, words = segment(segmenter, [line])
            pieces_of_batch(texts, words, TOKENIZERS[0])
            align(TOKENIZERS[0].encode_batch(texts), find_words(segmenter, [line])[1].starts, TOKENIZERS[0])
        finally:
            sys.setprofile(None)
        return count

    calls(unit)  # loads and caches what is loaded once
    assert calls(unit * 4_000) < 2.5 * calls(unit * 2_000)
