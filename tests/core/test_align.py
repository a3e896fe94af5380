import json
import os
import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.data.align import pieces_of, pieces_of_batch, segment, walk
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import PluginError
from wholeword.core.text_files import valid
from wholeword.core.vocabulary import Vocabulary
from wholeword.plugins.segmenters.jieba import Jieba
from wholeword.plugins.segmenters.presegmented import Presegmented

SMALL = Path(__file__).parents[1] / "data" / "google_small"
DATA = os.environ.get("WHOLEWORD_DATA")
VOCABULARY = Vocabulary.read(SMALL / "vocab.txt")
TOKENIZER = WordPieceTokenizer(VOCABULARY, True)
JIEBA = Jieba()


def grouped(sentence, words, tokenizer=TOKENIZER):
    """The pieces of each group, joined; and the fallbacks."""
    aligned = pieces_of(sentence, words, tokenizer)
    groups: list[str] = []
    for start, (first, last) in zip(aligned.word_starts, aligned.offsets.tolist(), strict=True):
        if start:
            groups.append("")
        groups[-1] += sentence[first:last]
    return groups, aligned.fallbacks


@pytest.mark.parametrize("folder", [SMALL, Path(DATA or "", "../fixtures/google")], ids=["small", "whole"])
def test_pieces_and_groups_are_those_of_google_with_jieba(folder):
    if not (folder / "documents.json").exists():
        pytest.skip("WHOLEWORD_DATA is unset: no golden outputs beside it")
    vocabulary = Vocabulary.read(folder / "vocab.txt" if folder == SMALL else Path(DATA, "vocab/vocab.txt"))
    tokenizer = WordPieceTokenizer(vocabulary, True)
    documents = json.loads((folder / "documents.json").read_text(encoding="utf-8"))["documents"]
    expected = json.loads((folder / "marked_documents.json").read_text(encoding="utf-8"))["marked_documents"]
    for sentences, marked in zip(documents, expected, strict=True):
        for sentence, pieces, words in zip(sentences, marked, JIEBA.segment(sentences), strict=True):
            aligned = pieces_of(sentence, words, tokenizer)
            ours = [vocabulary.pieces[id] for id in aligned.ids]
            assert [p if start or p.startswith("##") else "##" + p for p, start in zip(ours, aligned.word_starts, strict=True)] == pieces
            assert aligned.fallbacks == 0


@pytest.mark.parametrize(
    ("sentence", "words", "groups", "fallbacks"),
    [
        ("使用语言模型", ["使用", "语言", "模型"], ["使用", "语言", "模型"], 0),
        ("价格1990.5元", ["价格", "1990.5", "元"], ["价格", "1990.5", "元"], 0),  # the word wins over WordPiece's three
        ("2.4km长", ["2.4", "km", "长"], ["2.4km", "长"], 0),  # the piece 4k covers two words
        ("École很好", ["É", "cole", "很", "好"], ["École", "很", "好"], 0),
        ("使用 语言 模型", ["使用 ", "语言 ", "模型"], ["使用", "语言", "模型"], 0),  # LTP's blanks
        ("使用 语言 模型", ["使用", " 语言", " 模型"], ["使用", "语言", "模型"], 0),
        ("使用 语言", ["使用 语言"], ["使用语言"], 0),
        ("在New York 读书", ["在", "New York ", "读书"], ["在", "New", "York", "读书"], 0),
        ("第 1 章", ["第 1 章"], ["第1章"], 0),
        ("使用 语言", ["使用", "语言"], ["使用", "语言"], 0),  # blanks lost
        ("使\u200b用语言", ["使用", "语言"], ["使用", "语言"], 0),
        ("２０２７年3月", ["2027", "年", "3", "月"], ["２０２７", "年", "3", "月"], 1),  # width changed
        ("2019年的书", ["年", "的", "书"], ["2019", "年", "的", "书"], 1),  # digits lost, as by LTP 4.2.x
        ("语言模型很好", ["语言", "膜型", "很好"], ["语言", "模", "型", "很好"], 1),
        ("语言模型很好", ["语言", "膜型"], ["语言", "模", "型", "很", "好"], 1),
        ("语言模型", [], ["语", "言", "模", "型"], 1),
        ("语言模型", ["[UNK]", "语言", "[UNK]", "模型"], ["语言", "模型"], 2),
        ("", ["语"], [], 1),
    ],
)
def test_words_are_found_in_the_text(sentence, words, groups, fallbacks):
    pieces = [*VOCABULARY.pieces, "4k", "##m", "ecole", "new", "york", "1990", "2019", "２", "##０", "##２", "##７", *".135年元第章很书"]
    tokenizer = WordPieceTokenizer(Vocabulary(list(dict.fromkeys(pieces))), True)
    assert grouped(sentence, words, tokenizer) == (groups, fallbacks)


TEXTS = st.text(
    st.one_of(
        st.sampled_from("使用语言模型一个词年的，。“”·.-%+ 　aAbBéÉ１２2019²½가か\u0301\u200b\u200d\ufffd\x00\n\t\u2028\ud800🇨"),
        st.characters(),
    ),
    max_size=40,
)


def cut_at_random(text: str, generator: random.Random) -> list[str]:
    words, start = [], 0
    while start < len(text):
        end = start + generator.randint(0, 4)
        words.append(text[start:end])
        start = end
    return words


def lossy(text: str, generator: random.Random) -> list[str]:
    """Words of a segmenter that drops, doubles, changes and shuffles."""
    words = []
    for word in cut_at_random(text, generator):
        words += generator.choice([[word], [word], [word], [word.strip()], [], [word, word], [word[::-1]], [f"{word}X"], ["的"], [""]])
    return words


def word_starts_by_definition(sentence: str, words: list[str]) -> list[bool]:
    """Groups as connected components of "same word", "same piece", "same WordPiece word"; parted at blanks between Latin (MISSION 6.1)."""
    word_of = [number for number, word in enumerate(words) for _ in word]
    ids, offsets = TOKENIZER.encode(sentence)
    group = list(range(len(ids)))
    covered = [{word_of[place] for place in range(*span)} for span in offsets.tolist()]
    continues = [VOCABULARY.pieces[id].startswith("##") and id > 5 for id in ids]
    for number in range(1, len(ids)):
        previous = set().union(*(covered[other] for other in range(number) if group[other] == group[number - 1]))
        if continues[number] or covered[number] & previous:
            group[number] = group[number - 1]
    starts = [number == 0 or group[number] != group[number - 1] for number in range(len(ids))]
    for number in range(1, len(ids)):
        left, right = sentence[offsets[number - 1][1] - 1], sentence[offsets[number][0]]
        blank = sentence[offsets[number - 1][1] : offsets[number][0]]
        if not continues[number] and any(map(str.isspace, blank)) and is_latin(left) and is_latin(right):
            starts[number] = True
    return starts


def is_latin(character: str) -> bool:
    chinese = unicodedata.name(character, "").startswith("CJK ") and not 0x2CEAF < ord(character) < 0x2F800
    return character.isalnum() and not chinese


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, seed=st.integers(0, 1000), cutter=st.sampled_from(["jieba", "random"]))
def test_groups_are_the_connected_components_of_words_and_pieces(text, seed, cutter):
    text = valid(text)  # segmenters never get lone surrogates
    words = JIEBA.segment([text])[0] if cutter == "jieba" else cut_at_random(text, random.Random(seed))
    assert "".join(words) == text
    aligned = pieces_of(text, words, TOKENIZER)
    assert aligned.fallbacks == 0
    assert aligned.word_starts.tolist() == word_starts_by_definition(text, words)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, seed=st.integers(0, 1000))
def test_any_words_will_do(text, seed):
    generator = random.Random(seed)
    words = lossy(text, generator)
    aligned = pieces_of(text, words, TOKENIZER)
    ids, offsets = TOKENIZER.encode(text)
    assert aligned.ids.tolist() == ids.tolist() and aligned.offsets.tolist() == offsets.tolist()
    assert len(aligned.word_starts) == len(ids) and all(aligned.word_starts[:1])
    assert not any(aligned.word_starts & VOCABULARY.is_continuation[ids])
    assert 0 <= aligned.fallbacks <= len(words) + 1


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, seed=st.integers(0, 1000))
def test_the_walk_agrees_where_the_words_are_the_text(text, seed):
    words = cut_at_random(text, random.Random(seed))
    starts, fallbacks = walk(text, words)
    assert fallbacks == 0
    assert starts == sorted(set(starts))
    stripped = pieces_of(text, [word.strip() for word in words], TOKENIZER)  # no longer the text, if it has blanks
    assert stripped.word_starts.tolist() == pieces_of(text, words, TOKENIZER).word_starts.tolist()
    assert stripped.fallbacks == 0


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXTS, max_size=8), seed=st.integers(0, 1000))
def test_a_batch_is_its_sentences(texts, seed):
    generator = random.Random(seed)
    words = [generator.choice([cut_at_random, lossy])(text, generator) for text in texts]
    batch = pieces_of_batch(texts, words, TOKENIZER)
    alone = [pieces_of(text, line, TOKENIZER) for text, line in zip(texts, words, strict=True)]
    assert batch.ids.tolist() == [id for one in alone for id in one.ids.tolist()]
    assert batch.word_starts.tolist() == [start for one in alone for start in one.word_starts.tolist()]
    assert (batch.sentence_pieces[1:] - batch.sentence_pieces[:-1]).tolist() == [len(one.ids) for one in alone]
    assert batch.fallbacks == sum(one.fallbacks for one in alone)


def test_a_lost_stretch_costs_one_fallback_and_no_more():
    sentence = "使用语言模型" * 50
    words = ["使用", "语言", "模型"] * 10 + ["使用", "语言", "模型"] * 30  # ten repeats are missing
    groups, fallbacks = grouped(sentence, words)
    assert fallbacks == 1 and groups[: 3 * 40] == ["使用", "语言", "模型"] * 40
    assert "".join(groups) == sentence and len(groups) == 3 * 40 + 6 * 10


class Fixed:
    def __init__(self, answer):
        self.answer = answer

    def segment(self, sentences):
        return self.answer() if callable(self.answer) else self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([["使用"]], "1 lists of words for 2 sentences"),
        ([["使用"], ("语言",)], "tuple|\\('语言',\\)"),
        (["使用", "语言"], "'使用'"),
        ([["使用"], [b"x"]], "b'x'"),
        ([["使用"], None], "None"),
        (None, "TypeError"),
        (lambda: 1 // 0, "ZeroDivisionError"),
    ],
)
def test_a_segmenter_that_breaks_its_contract_is_told_how(answer, message):
    with pytest.raises(PluginError, match=message):
        segment(Fixed(answer), ["使用", "语言"])


def test_a_segmenter_may_give_a_generator():
    assert segment(Fixed(lambda: (["使", "用"] for _ in range(2))), ["使用", "使用"]) == (["使用", "使用"], [["使", "用"], ["使", "用"]])


def test_separators_are_not_text():
    texts, words = segment(Presegmented(), ["使用 BERT model  来 预测 2027 年", "", " "])
    assert texts == ["使用BERT model来预测2027年", "", ""]
    assert words == [["使用", "BERT", " model", "来", "预测", "2027", "年"], [], []]
    assert segment(Presegmented(separator="/"), ["在/New York/读/了/3/4/本"])[0] == ["在New York读了3 4本"]
