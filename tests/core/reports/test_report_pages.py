"""Pages are whole, load nothing, and show text as text."""

import re
from collections import Counter
from html.parser import HTMLParser

from report_parts import HAN, HOSTILE, TEXT, printed, whole_word

from wholeword.core.data.store import write_store
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.files import write_manifest
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.reports.compare import CompareReport, compare
from wholeword.reports.html import compare_page, preview_page, store_page
from wholeword.reports.lines import compare_lines
from wholeword.reports.preview import display_vocabulary, preview
from wholeword.reports.sample import SampleInfo
from wholeword.reports.store import store_report


class Page(HTMLParser):
    """Tags that are open, must be closed, and where a page leads to."""

    VOID = frozenset(["meta", "wbr", "br", "hr", "img", "link", "input"])

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], Counter(), [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        self.links += [value for name, value in attributes if name in ("src", "href", "action", "data", "style") and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def check_page(html):
    page = Page(html)
    assert not set(page.tags) & {"script", "link", "img", "iframe", "object", "svg", "base", "form"}
    assert not re.search(r"https?:|//|url\(|@import|@font-face", html.replace("<!doctype html>", ""))
    assert all(re.fullmatch(r"(width|left):[0-9.]+%", link) for link in page.links)
    assert "prefers-color-scheme:dark" in html and "color-scheme:light dark" in html
    assert 'name="viewport"' in html and page.tags["h1"] == 1
    return "".join(page.text)


def test_the_page_of_a_store_is_whole_and_harmless(tmp_path):
    vocabulary = Vocabulary([*SPECIAL_PIECES, HOSTILE, "<b>", "##</b>", *HAN])
    documents = [[([5, 6, 7, 8, 9, 10], [1, 1, 0, 1, 0, 1])] * 3] * 4
    path = tmp_path / "<i>store"
    store = write_store(path, vocabulary, documents)
    about = {key: value for key, value in store.manifest.items() if key != "files"}
    about["segmenter"] = {"name": "<u>", "version": "<u>1", "distribution": "x", "settings": {}}
    about |= {"unknown": [[HOSTILE, 3], ["“", 2]], "fallback_examples": [{"where": f"{HOSTILE}:1", "text": HOSTILE, "words": [HOSTILE]}]}
    (path / "manifest.json").unlink()
    write_manifest(path, about)
    report = store_report(type(store)(path), whole_word(lengths=[(16, 2), (32, 5)]))
    text = check_page(store_page(report))
    assert text.count(HOSTILE) >= 5
    parts = ("Corpus report 语料报告", "<i>store", "<u> (<u>1)", "masked only in part", "未登录词片", "重复文档")
    for part in parts:
        assert part in text
    assert "14.29 %" in text and "15.38 %" in text  # 12 of 84 and of 78 pieces are masked


def test_the_page_of_masks_is_whole_and_harmless():
    tokenizer = WordPieceTokenizer(display_vocabulary(), lowercase=True)
    strategies = {name: registry.create("masking", name) for name in ("wordpiece", "whole-word")}
    sentences = [HOSTILE, "使用语言模型来预测下一个词的probability。", "。"]
    previews = preview(sentences, registry.create("segmenter", "jieba"), strategies, tokenizer, seed=1)
    text = check_page(preview_page(previews))
    assert HOSTILE in text and text.count("[MASK]") > 3
    for sentence in previews:  # above what is masked or random is what it was
        for masked in sentence.masked:
            assert [masked.pieces[position] for position in masked.masked_positions] == masked.labels


def test_pages_are_written(recipe, tmp_path, capsys):
    printed(capsys, "prepare", recipe)
    for arguments in ([], ["--compare", "jieba,characters"]):
        page = tmp_path / "page.html"
        assert printed(capsys, "report", recipe, *arguments, "--html", page).strip() == str(page)
        assert "jieba" in check_page(page.read_text(encoding="utf-8"))
        page.unlink()


def test_the_page_of_a_comparison_is_whole_and_harmless():
    segmenters = {name: registry.create("segmenter", name) for name in ("jieba", "characters")}
    comparison = compare(TEXT, segmenters, WordPieceTokenizer(display_vocabulary(), lowercase=True), whole_word(lengths=[(64, 10)]))
    report = CompareReport(SampleInfo([HOSTILE], False, 9, 9, 36, 800), comparison)
    lines = "\n".join(compare_lines(report))
    assert "jieba | characters" in lines and f"all of {HOSTILE}" in lines
    assert HOSTILE in check_page(compare_page(report))
