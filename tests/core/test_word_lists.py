"""Word lists have one form, wherever a setting or option takes one."""

import multiprocessing

import pytest

from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.data.word_lists import Entry, parse_entry, pieces_of_words, read_word_list, warn_of_entries
from wholeword.core.errors import InputWarning, UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.plugins.masking.lexicon import Lexicon
from wholeword.plugins.segmenters.jieba import Jieba

WORD = "云计算机房"
TOKENIZER = WordPieceTokenizer(Vocabulary([*SPECIAL_PIECES, *WORD, "里", "在", "new", "york"]), True)
FORMS = {
    "plain": f"{WORD}\n",
    "blank": f"{WORD} 100 n\n",
    "tab": f"{WORD}\t100\tn\n",
    "windows": f"\ufeff{WORD} 100 n\r\n",
    "upper case": f"{WORD} 100 NZ\n",
    "tag alone": f"{WORD} nz\n",
    "tag first": f"{WORD} n 100\n",
    "wide blanks": f"\u3000{WORD}\u3000100\n",
    "decimal": f"{WORD}\t100.0\n",
    "joined": f"在\n\ufeff{WORD}\n",
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_a_word_list_works_wherever_one_is_taken(tmp_path, content):
    path = tmp_path / "words.txt"
    path.write_bytes(content.encode())
    assert WORD in Jieba(user_dictionary=path).segment([f"在{WORD}里"])[0]
    assert WORD in Lexicon(words=path).words
    assert WORD in [entry.word for entry in read_word_list(path)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("New York", ("New York", None, None)),
        ("new york 100 n", ("new york", 100, "n")),
        ("Edu Trust认证 2000", ("Edu Trust认证", 2000, None)),
        ("easy_install 3 eng", ("easy_install", 3, "eng")),
        ("八一双鹿 3 nz", ("八一双鹿", 3, "nz")),
        ("凱特琳 nz", ("凱特琳", None, "nz")),
        ("韩玉鉴赏 99 mytag", ("韩玉鉴赏", 99, "mytag")),
        ("卡拉 OK", ("卡拉 OK", None, None)),
        ("机器学习\t术语 100", ("机器学习", 100, None)),
        ("1984", ("1984", None, None)),
        ("n", ("n", None, None)),
        ("词 0", ("词", 0, None)),
        ("词 0.2", ("词", 1, None)),
        ("词 1e999", ("词", 10**12, None)),
        ("  词 \t 5", ("词", 5, None)),
    ],
)
def test_what_follows_a_word_is_a_frequency_a_tag_or_part_of_it(line, expected):
    assert parse_entry(line, 7) == Entry(expected[0], 7, *expected[1:])


def test_entries_that_jieba_never_keeps_whole_are_named(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(f"理查德·凯利 99999\n{WORD} 100\n我们的 1\n卡拉 OK\n·\n词的 0\n", "utf-8")
    with pytest.warns(InputWarning) as warned:
        Jieba(user_dictionary=path)
    (message,) = (str(warning.message) for warning in warned)
    assert message.startswith(f"segmenter.user_dictionary: {path}: 3 of 6 entries can never match: ")
    assert "'理查德·凯利' (line 1: jieba always cuts at '·')" in message
    assert "'我们的' (line 3: cut into 我们 / 的 at frequency 1; leave the frequency out)" in message
    assert "'卡拉 OK' (line 4: jieba always cuts at ' ')" in message


def test_entries_that_no_row_can_hold_are_named(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(f"{WORD}\n房价\n\u200b\nNew York\n", "utf-8")
    with pytest.warns(InputWarning, match=r"masking\.words: .*words\.txt: 2 of 4 entries can never match: '房价' \(pieces that the vocab"):
        Lexicon(words=path).bind(TOKENIZER)
    with pytest.warns(InputWarning, match=r"the list: 1 of 1 entries can never match: '\\u200b' \(no text\)"):
        assert pieces_of_words(["\u200b"], TOKENIZER, source="the list") == []


@pytest.mark.parametrize("read", [read_word_list, lambda path: Jieba(user_dictionary=path), lambda path: Lexicon(words=path)])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{WORD} 100\n".encode("gb18030"), r"words\.txt:1: byte 1 of the line \(0xd4\) is not UTF-8; convert the file"),
        (b"\n \n", "nothing but blanks; expected a word list"),
        (b"", "empty; expected a word list"),
        (f"{WORD}\r{WORD}\r".encode(), "carriage returns alone"),
        (b"<!doctype html><p>", "an HTML page"),
        ("\ufeff\n\u3000\n".encode(), "no entry; expected a word list"),
    ],
)
def test_a_file_that_is_no_word_list_is_refused_by_every_reader(tmp_path, read, content, message):
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(path)


def test_of_several_workers_the_first_alone_names_entries(capfd):
    context = multiprocessing.get_context("spawn")
    for name in ("SpawnProcess-1", "SpawnProcess-2"):
        worker = context.Process(target=warn_of_entries, args=(["'a'"], 3, "words.txt"), name=name)
        worker.start()
        worker.join()
    assert capfd.readouterr().err.count("warning: words.txt: 1 of 3 entries can never match: 'a'") == 1
