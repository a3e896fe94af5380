"""Text files that users bring: what is refused and how, where lines end, tables, JSON."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wholeword.core.errors import UserError
from wholeword.core.file_kinds import kind_of
from wholeword.core.text_files import csv_rows, decode, json_rows, lines, parse_json, read_text, tsv_rows
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

REVIEWS = "酒店的房间很干净，服务员不错。\n这本书的内容很好看！\n" * 40
NO_LINE_ENDS = "\u2028\u2029\x85\f\v\x1c\x1d\x1e"  # to str.splitlines they are


def text(content):
    return decode(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content, "a.txt", expected="reviews")


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", REVIEWS)
    return file.getvalue()


def tar(data):
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (gzip.compress(REVIEWS.encode()), "gzip data"),
        (bz2.compress(REVIEWS.encode()), "bzip2 data"),
        (lzma.compress(REVIEWS.encode()), "xz data"),
        (b"\x28\xb5\x2f\xfd\x04\x00\x01", "Zstandard data"),
        (zipped(), "a zip archive"),
        (tar(REVIEWS.encode()), "a tar archive"),
        (REVIEWS.encode("utf-16"), "UTF-16 text"),
        (REVIEWS.encode("utf-16-le"), "UTF-16 text"),
        (REVIEWS.encode("utf-16-be"), "UTF-16 text"),
        ("label\ttext\n1\tgood\n".encode("utf-16-le"), "UTF-16 text"),
        (("房间很干净，服务员态度也不错。" * 300).encode("utf-16-le"), "UTF-16 text"),
        (("房间很干净，服务员态度也不错。" * 300).encode("utf-16-be"), "UTF-16 text"),
        (REVIEWS.encode("utf-32"), "UTF-32 text"),
        (REVIEWS.encode("utf-32-le"), "UTF-32 text"),
        (REVIEWS.encode("utf-32-be"), "UTF-32 text"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C">\n<html>', "an HTML page"),
        (b"<!-- saved from url=(0014)about:internet -->\n<!-- a -->\n<html>", "an HTML page"),
        (REVIEWS.encode()[:-2], "the file ends within a character: it is cut off"),
        ("好".encode() + b"\xed\xa0\xbd\n", "CESU-8"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "Microsoft Office"),
        (b"PAR1\x15\x04\x15", "a Parquet file"),
        (b"\x80\x02}q\x00(X\x05\x00\x00\x00", "a Python pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a Git LFS pointer"),
        ("\n<!DOCTYPE html>\n<html><body>登录</body></html>".encode(), "an HTML page"),
        (b'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">', "a MediaWiki dump"),
        (bytes(range(256)) * 8, "binary data"),
        ("好\r坏\r一般\r".encode(), "carriage returns alone"),
        (b"", "empty; expected reviews"),
        (b"\xef\xbb\xbf\r\n \n", "nothing but blanks; expected reviews"),
    ],
)
def test_a_file_that_is_no_text_is_called_what_it_is(data, name):
    with pytest.raises(UserError) as error:
        text(data)
    message = str(error.value)
    assert message.startswith("a.txt:") and name in message and "\n" not in message
    assert "gb18030" not in message and "bad_bytes" not in message


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "shift_jis"])
def test_text_in_an_encoding_of_east_asia_is_not_taken_for_anything_else(encoding):
    data = "我的房子很大，天下。\n今日本人口。\n".encode(encoding)
    assert kind_of(data) is None
    with pytest.raises(UserError, match=r"a\.txt:1: byte 1 of the line \(0x..\) is not UTF-8; convert the file \(iconv -f gb18030"):
        text(data)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_no_text_is_taken_for_another_kind_of_file(content):
    assert kind_of(f"标题：{content}".encode()) is None or content.count("\0") > 3


def test_the_place_of_a_byte_that_is_not_utf8_is_told():
    with pytest.raises(UserError, match=r"a\.txt:3: byte 5 of the line \(0xff\) is not UTF-8"):
        text("好\n坏\n很a".encode() + b"\xff\n")


def test_lines_end_in_line_feeds_alone():
    kept = "".join(f"标题{character}副标题" for character in NO_LINE_ENDS)
    assert lines(text(f"一\r\n{kept}\n\n二")) == ["一", kept, "", "二"]
    assert [cells for _, cells in tsv_rows(text(f"1\t{kept}\n"))] == [["1", kept]]
    assert [cells for _, cells in csv_rows(text(f"1,{kept}\n"))] == [["1", kept]]


def test_byte_order_marks_at_the_beginning_of_lines_are_no_text():
    joined = text("\ufeff好\n\ufeff坏\na\ufeffb\n")
    assert lines(joined) == ["好", "坏", "a\ufeffb"]
    assert joined.notes == ["byte order marks at the beginning of 1 lines are left out; the file was joined from several"]
    assert text("\ufeff好\n").notes == []


def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^masking\.words: .*none\.txt: no such file; expected words$"):
        read_text(tmp_path / "none.txt", expected="words", setting="masking.words")
    with pytest.raises(UserError, match=r": Is a directory; expected words$"):
        read_text(tmp_path, expected="words")


@given(st.text(st.sampled_from('a好,"\n '), max_size=30))
def test_csv_rows_are_those_of_pythons_strict_reader(content):
    """Compared with `csv.reader(strict=True)`: rows, the line on which each begins, and what is refused."""
    source = text("x\n" + content)
    try:
        expected, begin = [], 1
        reader = csv.reader(io.StringIO(source.content, newline=""), strict=True)
        for row in reader:
            expected.append((begin, row))
            begin = reader.line_num + 1
    except csv.Error:
        with pytest.raises(UserError, match=r"^a\.txt:\d+:\d+: "):
            list(csv_rows(source))
        return
    assert list(csv_rows(source)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('1,"好\n0,不好\n', r'a\.txt:1:3: this quotation mark is never closed; expected "..." with "" for a mark inside'),
        ('1,好\n0,"他说""好""\n', r"a\.txt:2:3: this quotation mark is never closed"),
        ('1,"好"地方\n', r"a\.txt:1:3: the quotation mark here closes at 1:5, before '地方"),
        ('1,"好\n0,不好\n1,"很好"\n', r"a\.txt:1:3: the quotation mark here closes at 3:3, before '很好"),
    ],
)
def test_a_quotation_mark_that_does_not_close_is_named_where_it_opens(content, message):
    with pytest.raises(UserError, match=message):
        list(csv_rows(text(content)))


def test_a_quoted_text_of_several_lines_is_one_cell_and_said():
    source = text('label,text\n1,"好\n很好"\r\n0,"a ""b"", c"\n')
    assert list(csv_rows(source)) == [(1, ["label", "text"]), (2, ["1", "好\n很好"]), (4, ["0", 'a "b", c'])]
    assert source.notes == ["1 rows have quoted text of several lines (the first: lines 2 to 3)"]


def test_a_cell_may_be_of_any_length():
    long = "好" * 140_000  # the csv module refuses more than 131,072 characters
    assert [cells for _, cells in csv_rows(text(f'1,{long}\n0,"{long}"\n'))] == [["1", long], ["0", long]]


def test_half_surrogates_in_json_are_replaced_and_counted():
    source = text('{"text": "\\u597d\\ud83d", "\\uDE00": [1]}\n{"text": "\\ud83d\\ude00"}\n')
    assert [row for _, row in json_rows(source)] == [{"text": "好\ufffd", "\ufffd": [1]}, {"text": "😀"}]
    assert source.notes == ["2 halves of surrogate pairs are replaced by U+FFFD"]
    source = text('[["\\ud83d"]]')
    assert parse_json(source) == [["\ufffd"]] and len(source.notes) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\nnull\n', r"a\.txt:2: null; expected one object a line"),
        ('"好"\n', r"a\.txt:1: a string; expected"),
        ('[{"a": 1},\n{"a": 2}]\n', r"a\.txt:1: a list; expected one object a line, without a list around them"),
        ("[\n", r"a\.txt:1: a list; expected"),
        ('{"a": 1, "a": 2}\n', r"a\.txt:1: not JSON: the key 'a' appears twice in one object"),
        ('{"a": ' + "[" * 100_000 + "\n", r"a\.txt:1: JSON nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}\n", r"a\.txt:1: a whole number of thousands of digits; expected one object a line"),
        ('{"a": }\n', r"a\.txt:1: not JSON: Expecting value"),
    ],
)
def test_a_line_that_is_no_object_is_refused(content, message):
    with pytest.raises(UserError, match=message) as error:
        list(json_rows(text(content)))
    assert "\n" not in str(error.value)


def test_a_vocabulary_is_read_whatever_its_line_ends_and_its_mark(tmp_path):
    pieces = [*SPECIAL_PIECES, "好", "\u2028", "##a"]
    for content in ("\n".join(pieces), "\r\n".join(pieces) + "\r\n", "\ufeff" + "\n".join(pieces) + "\n"):
        (tmp_path / "vocab.txt").write_bytes(content.encode())
        assert Vocabulary.read(tmp_path / "vocab.txt").pieces == tuple(pieces)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"version": "1.0", "model": {}}', "JSON, such as a tokenizer.json"),
        ("<unk>\t0\n<s>\t0\n▁\t-2.1\n", "as SentencePiece or a word count writes it"),
        ("<s>\n<pad>\n</s>\n<unk>\n好\n", "the special pieces of another tokenizer"),
        ("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("[PAD]\r[UNK]\r", "carriage returns alone"),
        ("好\n坏\n", r"no \[PAD\], \[UNK\]"),
    ],
)
def test_a_vocabulary_of_another_tool_is_called_what_it_is(tmp_path, content, message):
    (tmp_path / "vocab.txt").write_bytes(content.encode())
    with pytest.raises(UserError, match=message):
        Vocabulary.read(tmp_path / "vocab.txt")
