"""Segmenters are compared as plain Python would."""

import json
import random
import statistics
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from report_parts import HAN, TEXT, VOCABULARY, printed, whole_word

from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.registry.registry import registry
from wholeword.reports.compare import compare
from wholeword.reports.preview import display_vocabulary


class Cut:
    """A segmenter that cuts every sentence at places of its own."""

    def __init__(self, seed):
        self.seed = seed

    def segment(self, sentences):
        return [self.words(sentence) for sentence in sentences]

    def words(self, sentence):
        generator = random.Random(f"{self.seed} {sentence}")
        places = [0, *(place for place in range(1, len(sentence)) if generator.random() < 0.5), len(sentence)]
        return [sentence[first:end] for first, end in pairwise(places)]


def borders_of(words):
    return set(np.cumsum([len(word) for word in words[:-1]]).tolist())


def spans_of(words):
    ends = np.cumsum([len(word) for word in words]).tolist()
    return set(zip([0, *ends], ends, strict=False))


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_that_of_plain_python(seed):
    generator = random.Random(seed)
    sentences = ["".join(generator.choices(HAN[:30], k=generator.randint(1, 12))) for _ in range(200)]
    a, b = Cut(f"a{seed}"), Cut(f"b{seed}")
    comparison = compare(sentences, {"a": a, "b": b}, WordPieceTokenizer(VOCABULARY, lowercase=True), whole_word())
    [pair] = comparison.pairs
    total, spans = Counter(), Counter()
    for sentence in sentences:
        cut_a, cut_b = a.words(sentence), b.words(sentence)
        borders_a, borders_b = borders_of(cut_a), borders_of(cut_b)
        total += Counter(a=len(borders_a), b=len(borders_b), both=len(borders_a & borders_b), differ=int(cut_a != cut_b))
        total += Counter(words_a=len(cut_a), words_b=len(cut_b), words=len(spans_of(cut_a) & spans_of(cut_b)))
        common = [0, *sorted(borders_a & borders_b), len(sentence)]
        for first, end in pairwise(common):
            inside = [[place for place in sorted(borders) if first < place < end] for borders in (borders_a, borders_b)]
            if any(inside):
                cuts = [[first, *places, end] for places in inside]
                spans[tuple("/".join(sentence[x:y] for x, y in pairwise(cut)) for cut in cuts)] += 1
    precision, recall = total["both"] / total["b"], total["both"] / total["a"]
    assert (pair.precision, pair.recall) == (pytest.approx(precision, abs=1e-6), pytest.approx(recall, abs=1e-6))
    assert pair.f1 == pytest.approx(statistics.harmonic_mean([precision, recall]), abs=1e-6)
    assert pair.words_of_a_rate == pytest.approx(total["words"] / total["words_a"], abs=1e-6)
    assert pair.words_of_b_rate == pytest.approx(total["words"] / total["words_b"], abs=1e-6)
    assert pair.num_sentences_that_differ == total["differ"]
    assert pair.num_spans == spans.total()
    assert {(span.a, span.b): span.times for span in pair.spans}.items() <= spans.items()
    assert [span.times for span in pair.spans] == sorted(spans.values(), reverse=True)[:100]
    assert [segmenter.num_words for segmenter in comparison.segmenters] == [total["words_a"], total["words_b"]]
    for first, second in comparison.sentences:
        assert first.text == second.text and (first.words, second.words) == (a.words(first.text), b.words(first.text))
    assert len(comparison.sentences) == 8


def test_what_a_segmenter_has_to_do_with_masks():
    tokenizer = WordPieceTokenizer(display_vocabulary(), lowercase=True)
    jieba = registry.create("segmenter", "jieba")
    twice = {"jieba": jieba, "again": registry.create("segmenter", "jieba"), "characters": registry.create("segmenter", "characters")}
    comparison = compare(TEXT, twice, tokenizer, whole_word(lengths=[(64, 10)]))
    same, *others = comparison.pairs
    assert same.f1 == same.words_of_a_rate == same.masks.overlap_rate == 1
    assert same.spans == [] and same.num_sentences_that_differ == 0
    for pair in others:  # the masks of single characters leave parts of words visible; those of words do not cut characters
        assert pair.recall == 1 > pair.precision and pair.masks.overlap_rate < 0.6
        assert pair.masks.words_of_a_partly_rate > 0.5
        assert ("图书馆", "图/书/馆", 1) in pair.spans or ("图书", "图/书", 2) in pair.spans
    by_jieba, _, by_characters = comparison.segmenters
    assert by_jieba.masks.beside_rate > 0.4 > 0.2 > by_characters.masks.beside_rate
    assert by_jieba.mean_pieces > 1.4 and by_jieba.num_fallbacks == 0


def test_a_text_that_was_cut_before_can_be_the_truth(tmp_path, capsys):
    path = tmp_path / "gold.txt"
    path.write_text("北京 大学生 前来 应聘\n研究生 命 起源\n", encoding="utf-8")
    report = json.loads(printed(capsys, "report", path, "--compare", "jieba,presegmented,characters", "--json"))
    assert [segmenter["name"] for segmenter in report["segmenters"]] == ["jieba", "presegmented", "characters"]
    assert report["segmenters"][1]["num_words"] == 7 and report["segmenters"][1]["num_fallbacks"] == 0
    assert report["num_pieces"] == 15
    assert all(row["text"] in ("北京大学生前来应聘", "研究生命起源") for rows in report["sentences"] for row in rows)
    assert ["研究/生命", "研究生/命", 1] in report["pairs"][0]["spans"]


def test_a_segmenter_is_given_its_first_setting(tmp_path, capsys):
    (tmp_path / "words.txt").write_text("语言模型\n", encoding="utf-8")
    (tmp_path / "text.txt").write_text("使用语言模型来预测。\n" * 3, encoding="utf-8")
    names = f"jieba,jieba={tmp_path / 'words.txt'}"
    [pair] = json.loads(printed(capsys, "report", tmp_path / "text.txt", "--compare", names, "--json"))["pairs"]
    assert pair["spans"] == [["语言/模型", "语言模型", 3]]
