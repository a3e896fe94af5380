"""Damaged files, thousands for each reader: tasks, word lists, vocabularies. A file is read or refused in one line, and no row is lost or
made without being counted.

`WHOLEWORD_HOSTILE_FILES=20000 pytest tests/core/test_hostile_files.py` damages so many files for each reader; by default 2,000.
"""

import bz2
import csv
import gzip
import json
import os
import random
import re
import tempfile
import warnings
from pathlib import Path

import jieba
import pytest

from wholeword.core.bert.growth import grow_vocabulary, read_pieces
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.data.word_lists import read_word_list
from wholeword.core.errors import InputWarning, WholewordError
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.plugins.masking.lexicon import Lexicon
from wholeword.plugins.segmenters.jieba import _add_words
from wholeword.plugins.tasks.columns import KNOWN

NUMBER = int(os.environ.get("WHOLEWORD_HOSTILE_FILES", 2000))
SMALL = Path(__file__).parents[1] / "data" / "tasks"
OWN = ("classification", "pairs", "spans", "tagging")

PIECES = [*SPECIAL_PIECES, *"云计算机房在里", "a", "##b", "。"]
TOKENIZER = WordPieceTokenizer(Vocabulary(PIECES), True)
WORD_LIST = "云计算机房 100 n\n机房\t3\tnz\nNew York\n理查德·凯利 99999\n计算机\n\n在 云\n".encode()

INSERTED = [
    *("\t", "\t\t", ",", '"', '""', '"\n', "\n", "\n\n", "\r", "\r\n", "\u2028", "\u2029", "\x85", "\f", "\v", "\x1c", "\0", " ", "\u3000"),
    *("\ufeff", "\n\ufeff", "\u200b", "😀", "\\ud83d", "\\ud83d\\ude00", "{", "}", "[", "]", "\\", ":", "null", "NaN", "-1", "1e999", "-"),
    *("B-", "-PER", "O", "label", "text_a", "FAKE_ANSWER", "9" * 5000, "好" * 140_000, "[" * 3000, "0", "1.0", "-DOCSTART-"),
]
VALUES = [
    *(
        "null",
        "1",
        "1.5",
        "-3",
        "true",
        "[]",
        "{}",
        '""',
        '"\\ud83d"',
        '["a", "b"]',
        '{"text": null}',
        "[null]",
        "1e999",
        "NaN",
        '" "',
        '"\\n"',
    ),
    *("12345678901234567890", '"YES"'),
]
JSON_VALUE = re.compile(rb'(?<=: )("(?:[^"\\]|\\.)*"|-?[0-9.]+|null|true|false|\[\]|\{\})')
WHOLE_FILES = [
    gzip.compress,
    bz2.compress,
    *(
        lambda data, encoding=encoding: _text(data).encode(encoding, "replace")
        for encoding in ("gb18030", "utf-16", "utf-16-le", "utf-8-sig")
    ),
    lambda data: data.replace(b"\n", b"\r"),
    lambda data: data.replace(b"\n", b"\r\n"),
    lambda data: data.replace(b"\t", b" "),
    lambda data: data.replace(b"\t", b","),
    lambda data: data.replace(b",", b"\t"),
    lambda data: data.replace(b'"', b"'"),
    lambda data: data + b"\xef\xbb\xbf" + data,
    lambda data: data * 2,
    lambda data: b"[" + data.replace(b"\n", b",\n").rstrip(b",\n") + b"]",
    lambda data: b"",
    lambda data: b"\n",
    lambda data: b"<!DOCTYPE html>\n" + data,
    lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
]


@pytest.fixture
def folder():
    """In memory, if that can be had: every file is written anew."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


def _text(data):
    return data.decode("utf-8", "replace")


def damaged(data, generator):
    """The data with one to three kinds of damage."""
    for _ in range(generator.choice((1, 1, 2, 3))):
        kind, place = generator.randrange(9), generator.randrange(len(data) + 1)
        lines = data.split(b"\n")
        at = generator.randrange(len(lines))
        if kind == 0 and data:
            data = data[: place - 1] + bytes([generator.randrange(256)]) + data[place:] if place else data
        elif kind <= 2:
            new = generator.choice(INSERTED).encode()
            while place < len(data) and data[place] & 0xC0 == 0x80 and generator.random() < 0.9:
                place += 1  # seldom inside of a character
            data = data[:place] + new + data[place:]
        elif kind == 3:
            data = data[:place] + data[place + generator.randrange(1, 9) :]
        elif kind == 4:
            data = b"\n".join([*lines[:at], *lines[at : at + 1] * generator.choice((0, 2, 3)), *lines[at + 1 :]])
        elif kind == 5:
            generator.shuffle(lines)
            data = b"\n".join(lines)
        elif kind == 6 and generator.random() < 0.5:
            data = generator.choice(WHOLE_FILES)(data)
        elif matches := list(JSON_VALUE.finditer(data)):
            match = generator.choice(matches)
            data = data[: match.start()] + generator.choice(VALUES).encode() + data[match.end() :]
        else:
            cells = re.split(rb"([\t,\n ])", data)
            at = generator.randrange(len(cells))
            cells[at] = generator.choice((b"", b'"', b"0", b" ", b"\t", cells[generator.randrange(len(cells))]))
            data = b"".join(cells)
    return data


def damaged_files(name, data):
    for number in range(NUMBER):
        yield number, damaged(data, random.Random(f"{name} {number}"))


def num_rows(path, data):
    """How many examples a file holds, counted without the readers."""
    text = re.sub(r"(?m)^\ufeff+", "", data.decode("utf-8"))
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if path.suffix == ".csv":
        return num_cells(csv.reader([f"{line}\n".replace("\r", "\x01") for line in lines], strict=True))  # a lone one is text
    if path.suffix == ".json" and text.lstrip()[:1] in "{[" and ("paragraphs" in text or "query_id" in text):
        content = json.loads(text)
        articles = content if isinstance(content, list) else [one for item in content["data"] for one in item["paragraphs"]]
        return sum(len(article["qas"]) for article in articles)
    if path.suffix in (".json", ".jsonl"):
        return sum(bool(line.strip()) for line in lines)
    return num_cells(line.split("\t") for line in lines)


def num_cells(rows):
    rows = [row for row in rows if any(row)]
    return len(rows) - (not KNOWN.isdisjoint(cell.strip().casefold() for cell in rows[0]))


def num_sentences(data):
    text = re.sub(r"(?m)^\ufeff+", "", data.decode("utf-8"))
    blocks = re.split(r"\n(?:[^\S\n]*\n)+", text.replace("\r\n", "\n"))
    return sum(any(line.strip() and not line.startswith("-DOCSTART-") for line in block.split("\n")) for block in blocks)


def num_left_out(task):
    lines = [*task.notes, *getattr(task, "descriptions", ())]
    return sum(
        int(match.replace(",", ""))
        for line in lines
        for match in re.findall(r"([\d,]+) [^:;]*\b(?:examples|questions|rows)\b.*left out", line)
    )


@pytest.mark.parametrize("name", sorted(registry.names("task")))
def test_a_damaged_file_of_a_task_is_read_or_refused_in_one_line(name, folder):
    settings = {} if name in OWN else {"check": False}
    sources = sorted((SMALL / name).iterdir())
    csv.field_size_limit(1 << 30)
    outcomes = {"read": 0, "refused": 0}
    for source in sources:
        (folder / source.name).write_bytes(source.read_bytes())
    task = registry.create("task", name, data=folder, **settings)
    splits = {split: task._path(split) for split in task.splits}
    kinds = [(split, path, path.read_bytes()) for split, path in splits.items()]
    for number in range(NUMBER):
        split, path, original = kinds[number % len(kinds)]
        data = damaged(original, random.Random(f"{name} {number}"))
        path.write_bytes(data)
        task = registry.create("task", name, data=folder, **settings)
        try:
            examples = task.read(split)
        except WholewordError as error:
            message = str(error).replace("\u3000", " ")
            assert message.isprintable() and message and len(message) < 2000, (number, message[:300])
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
            assert all(line.replace("\u3000", " ").isprintable() and len(line) < 2000 for line in (*task.notes, *task.descriptions)), number
            check_rows(task, path, data, examples, number)
        path.write_bytes(original)
    assert min(outcomes.values()) > NUMBER // 50, outcomes


def check_rows(task, path, data, examples, number):
    if task.head == "tagging":
        assert len(examples) == num_sentences(data), number
        return
    expected = num_rows(path, data)
    assert len(examples) + num_left_out(task) == expected, (number, len(examples), task.notes, expected)


READERS = {
    "word list": lambda path: len(read_word_list(path)),
    "lexicon": lambda path: bound_lexicon(path),
    "user dictionary": lambda path: with_user_dictionary(path),
}


def bound_lexicon(path):
    lexicon = Lexicon(words=path)
    lexicon.bind(TOKENIZER)
    return len(lexicon.words)


def with_user_dictionary(path):
    """A jieba with a dictionary of its own of one word, and the user's."""
    small = path.with_name("small.dict")
    small.write_text("计算机 100 n\n", "utf-8")
    tokenizer = jieba.Tokenizer(str(small))
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    _add_words(tokenizer, path, True)
    return None


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_word_list_is_read_or_refused_in_one_line(reader, folder):
    path, outcomes = folder / "words.txt", {"read": 0, "refused": 0}
    forced = set(jieba.finalseg.Force_Split_Words)  # which a frequency of 0 adds to, for all of jieba
    for number, data in damaged_files("words", WORD_LIST):
        path.write_bytes(data)
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                count = READERS[reader](path)
        except WholewordError as error:
            assert "\n" not in str(error), (number, error)
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
            lines = re.sub(r"(?m)^\ufeff+", "", data.decode("utf-8")).split("\n")
            assert count in (None, sum(bool(line.strip(" \t\r\f\v\u3000")) for line in lines)), number
            assert all(issubclass(warning.category, InputWarning) and "\n" not in str(warning.message) for warning in warned), number
    jieba.finalseg.Force_Split_Words &= forced
    assert min(outcomes.values()) > NUMBER // 50, outcomes


@pytest.mark.parametrize("kind", ["vocabulary", "pieces to add"])
def test_a_damaged_vocabulary_is_read_or_refused_in_one_line(kind, folder):
    path, outcomes = folder / "vocab.txt", {"read": 0, "refused": 0}
    content = "\n".join(PIECES) + "\n" if kind == "vocabulary" else "covid\n“\n##ing\n㎡\nかな\n"
    for number, data in damaged_files(kind, content.encode()):
        path.write_bytes(data)
        try:
            if kind == "vocabulary":
                pieces = Vocabulary.read(path).pieces
                rows = [row.removesuffix("\r") for row in data.decode("utf-8").removeprefix("\ufeff").split("\n")]
                assert list(pieces) == rows[: len(pieces)] and not any(rows[len(pieces) :]), number  # but for empty lines at the end
            else:
                pieces = read_pieces(path)
                assert set(pieces) <= set(grow_vocabulary(TOKENIZER.vocabulary, pieces, lowercase=True).pieces), number
            outcomes["read"] += 1
        except WholewordError as error:
            assert "\n" not in str(error), (number, error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > NUMBER // 50, outcomes
