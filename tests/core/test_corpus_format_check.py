"""wholeword's own corpus formats keep their contract, and broken ones are found."""

import json

import pytest

from wholeword.core.contracts import Documents
from wholeword.core.testing import check_corpus_format
from wholeword.plugins.corpus_formats.jsonl import Jsonl
from wholeword.plugins.corpus_formats.sentences import Sentences
from wholeword.plugins.corpus_formats.text import Text

LINES = ["今天天气很好，我们去公园。", "", "书很有意思。", "第三句：𠮷野家。", "", "", "\r", "Ａ１ mixed 文本。", "", "最后一篇。"]
TEXT = "\n".join(LINES) + "\n"
RECORDS = "\n".join(json.dumps({"text": "第一行。\n第二行。", "n": number}, ensure_ascii=number % 2 == 0) for number in range(5)) + "\n"


@pytest.mark.parametrize("corpus_format", [Sentences(), Text(), Sentences(documents="line"), Text(documents="line")])
def test_own_formats_of_lines(corpus_format):
    check_corpus_format(corpus_format, TEXT)
    check_corpus_format(corpus_format, TEXT.rstrip("\n"))


def test_jsonl():
    check_corpus_format(Jsonl(), RECORDS)


class Paragraphs:
    lines_are_sentences = True
    smallest_part = "document"

    def last_border(self, data, end):
        return data.rfind(b"\n\n", 0, end) + 2 if b"\n\n" in data[:end] else 0

    def documents(self, part):
        lines, starts, numbers, begins = [], [], [], True
        for number, line in enumerate(part.text.split("\n"), part.first_line):
            if line.strip():
                starts += [len(lines)] if begins else []
                lines.append(line)
                numbers.append(number)
            begins = not line.strip()
        return Documents(lines, starts, numbers)


class CutsAnywhere(Paragraphs):
    def last_border(self, data, end):
        return data.rfind(b"\n", 0, end) + 1


class CutsCharacters(Paragraphs):
    def last_border(self, data, end):
        return end


class NoBorder(Paragraphs):
    def last_border(self, data, end):
        return 0


class ForgetsTheFirstLine(Paragraphs):
    def documents(self, part):
        lines, starts, numbers = super().documents(part)
        return Documents(lines, starts, [number - part.first_line + 1 for number in numbers])


class StartsLate(Paragraphs):
    def documents(self, part):
        lines, starts, numbers = super().documents(part)
        return Documents(lines, [start + 1 for start in starts], numbers)


class Unsure(Paragraphs):
    smallest_part = "page"


PARAGRAPHS = "一二三。\n四五六。\n\n七八九。\n十。\n\n百。\n"


def test_a_format_of_paragraphs_passes():
    check_corpus_format(Paragraphs(), PARAGRAPHS)


@pytest.mark.parametrize(
    "broken, message",
    [
        (CutsAnywhere, "has other documents than the whole text"),
        (CutsCharacters, "inside of a character"),
        (NoBorder, "found no border"),
        (ForgetsTheFirstLine, "expected one from"),
        (StartsLate, "the first of them 0"),
        (Unsure, "smallest_part is 'page'"),
    ],
)
def test_a_broken_format_is_found(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_corpus_format(broken(), PARAGRAPHS)


def test_text_with_one_document_checks_nothing_and_is_refused():
    with pytest.raises(AssertionError, match="at least two"):
        check_corpus_format(Paragraphs(), "只有一篇。\n")
