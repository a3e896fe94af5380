"""Corpus formats of others: what a recipe says, what reaches them, and what becomes of a broken one."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from wholeword.core.config import load_recipe
from wholeword.core.config.layout import corpus_layout
from wholeword.core.config.preparation import prepare_job
from wholeword.core.contracts import Documents, TextPart
from wholeword.core.data.chunks import CorpusReader
from wholeword.core.data.corpus import CorpusLayout, expand_files
from wholeword.core.data.documents import read_documents
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import PluginError, RecipeError, UserError
from wholeword.core.registry.spec import PluginSpec
from wholeword.core.training.prepare import prepare

RECIPE = """
version: 1
name: test
corpus: {files: ["*.txt"], shard_mb: 1}
segmenter: characters
tokenizer: {train: 100, min_frequency: 1}
model: {size: tiny}
phases: [{max_seq_length: 32, batch_size: 2, steps: 1, peak_lr: 1e-4}]
prepare_workers: 1
"""


class Pages:
    """Documents between <page> and </page>, as in an XML dump; read in order and never cut inside."""

    lines_are_sentences = False
    smallest_part: Literal["document"] = "document"

    def __init__(self, *, title: bool = False):
        self._title = title

    def last_border(self, data: bytes | bytearray, end: int) -> int:
        place = data.rfind(b"</page>\n", 0, end)
        return place + len(b"</page>\n") if place >= 0 else 0

    def documents(self, part: TextPart) -> Documents:
        lines, starts, numbers = [], [], []
        for index, line in enumerate(part.text.split("\n")):
            if line == "<page>":
                starts.append(len(lines))
            elif line.startswith("#") and not self._title:
                continue
            elif line and line != "</page>":
                if not starts:
                    raise UserError(f"{part.where(index)}: text outside of a page")
                lines.append(line.removeprefix("#"))
                numbers.append(part.first_line + index)
        return Documents(lines, starts, numbers)


class Columns(Pages):
    """A container: text columns packed as JSON, one record per line of what is read from it."""

    smallest_part: Literal["line"] = "line"

    def blocks(self, path: Path):
        with gzip.open(path) as file:
            rows = json.load(file)
        for number, row in enumerate(rows, 1):
            yield json.dumps(row, ensure_ascii=False).encode() + b"\n", path.stat().st_size * number // len(rows)

    def last_border(self, data: bytes | bytearray, end: int) -> int:
        return data.rfind(b"\n", 0, end) + 1

    def documents(self, part: TextPart) -> Documents:
        rows = [(part.first_line + index, json.loads(line)) for index, line in enumerate(part.text.split("\n")) if line]
        return Documents([text for _, text in rows], range(len(rows)), [number for number, _ in rows])

    def split(self, data: bytes) -> list[bytes]:
        return data.splitlines(keepends=True)

    def identity(self, document: bytes) -> bytes:
        return document


PAGES = "".join(f"<page>\n#题目{number}\n今天是第{number}天。天晴了。\n</page>\n" for number in range(2000))


def read(layout: CorpusLayout, counts: Counter | None = None):
    counts = Counter() if counts is None else counts
    documents = []
    for chunk in CorpusReader(expand_files(layout), layout).chunks():
        counts.update(chunk.counts)
        documents += read_documents(chunk, layout, counts)
    return documents


def test_a_format_of_others_is_read_in_shards_and_by_name(tmp_path, plugins):
    plugins("corpus_format", "pages", Pages)
    (tmp_path / "a.txt").write_text(PAGES, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "r.yaml", ["corpus.format=pages", f"output={tmp_path / 'a'}"])
    assert recipe.resolved()["corpus"]["format"] == {"name": "pages", "title": False}
    assert "documents" not in recipe.resolved()["corpus"] and "text_key" not in recipe.resolved()["corpus"]
    documents = read(corpus_layout(recipe.corpus, tmp_path))
    assert documents == [(f"{tmp_path}/a.txt:{4 * number + 3}", [f"今天是第{number}天。", "天晴了。"]) for number in range(2000)]
    store = TokenStore(prepare(prepare_job(recipe)))
    assert store.num_documents == 2000 and store.manifest["inputs"]["corpus"]["format"] == {
        "name": "pages", "distribution": "others", "version": "1.0", "settings": {"title": False},
    }  # fmt: skip
    other = load_recipe(tmp_path / "r.yaml", ["corpus.format={name: pages, title: true}", f"output={tmp_path / 'a'}"])
    with pytest.raises(UserError, match=r"corpus\.format\.settings\.title was False, is True"):
        prepare(prepare_job(other))


def test_documents_that_cannot_be_cut_are_never_cut(tmp_path, plugins, monkeypatch):
    plugins("corpus_format", "pages", Pages)
    (tmp_path / "a.txt").write_text(PAGES, encoding="utf-8")
    layout = CorpusLayout(("a.txt",), tmp_path, PluginSpec("pages", {}))
    whole = read(layout)
    for limit in (1, 60, 150, 1000):
        reader = CorpusReader(expand_files(layout), layout)
        reader.limit = limit
        cuts = list(reader.chunks())
        assert [document for chunk in cuts for document in read_documents(chunk, layout, Counter())] == whole
        assert len(cuts) > 100 and not any(chunk.counts["num_cut"] for chunk in cuts)
    monkeypatch.setattr("wholeword.core.data.chunks.MAX_LINE", 1000)
    (tmp_path / "a.txt").write_text("<page>\n" + "没有结束。\n" * 1000, encoding="utf-8")
    reader = CorpusReader(expand_files(layout), layout)
    reader.limit = 100
    with pytest.raises(UserError, match=r"a\.txt:1: no document ends within"):
        list(reader.chunks())


def test_an_error_of_a_format_has_its_line(tmp_path, plugins):
    plugins("corpus_format", "pages", Pages)
    (tmp_path / "a.txt").write_text("\n外面\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.txt:2: text outside of a page"):
        read(CorpusLayout(("a.txt",), tmp_path, PluginSpec("pages", {})))


def test_containers_are_read_by_their_format_and_lose_duplicates(tmp_path, plugins):
    plugins("corpus_format", "columns", Columns)
    rows = ["今天下雨。我在家。", "天晴了。", "今天下雨。我在家。"]
    (tmp_path / "a.bin").write_bytes(gzip.compress(json.dumps(rows).encode()))
    layout = CorpusLayout(("a.bin",), tmp_path, PluginSpec("columns", {}))
    assert [text for _, text in read(layout)] == [["今天下雨。", "我在家。"], ["天晴了。"], ["今天下雨。", "我在家。"]]
    counts = Counter()
    assert len(read(CorpusLayout(("a.bin",), tmp_path, PluginSpec("columns", {}), drop_duplicates=True), counts)) == 2
    assert counts["num_duplicates"] == 1


def test_a_format_that_cannot_split_refuses_drop_duplicates(tmp_path, plugins):
    plugins("corpus_format", "pages", Pages)
    (tmp_path / "a.txt").write_text(PAGES, encoding="utf-8")
    with pytest.raises(UserError, match="'pages' cannot leave out duplicates"):
        read(CorpusLayout(("a.txt",), tmp_path, PluginSpec("pages", {}), drop_duplicates=True))


def test_settings_of_a_format_may_stand_beside_its_name(tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE)
    beside = load_recipe(tmp_path / "r.yaml", ["corpus.format=jsonl", "corpus.text_key=body"])
    inside = load_recipe(tmp_path / "r.yaml", ["corpus.format={name: jsonl, text_key: body}"])
    assert inside.resolved() == beside.resolved() and inside.resolved()["corpus"]["text_key"] == "body"
    assert inside.resolved()["corpus"]["format"] == "jsonl"
    line = load_recipe(tmp_path / "r.yaml", ["corpus.format={name: text, documents: line}"])
    assert prepare_job(line).corpus.format == PluginSpec("text", {"documents": "line"})
    with pytest.raises(RecipeError, match=r"corpus\.format\.documents: 'line', but corpus\.documents is also given"):
        load_recipe(tmp_path / "r.yaml", ["corpus.format={name: text, documents: line}", "corpus.documents=file"])
    with pytest.raises(RecipeError, match="unknown corpus_format 'jsnol'; did you mean 'jsonl'"):
        load_recipe(tmp_path / "r.yaml", ["corpus.format=jsnol"])


class Broken(Pages):
    """Breaks its contract in one way."""

    answer: object = None

    def documents(self, part):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "failed with TypeError"),
        ((["a", 1], [0], [1, 2]), "failed with TypeError: .*expected str instance"),
        ((["a\nb"], [0], [1]), r"returned the line 'a\\nb'; expected lines without line feeds"),
        ((["a", "b"], [1], [1, 2]), r"returned the starts \[1\]; expected ascending integers from 0 to at most 2"),
        ((["a", "b"], [0, 3], [1, 2]), r"returned the starts \[0, 3\]"),
        ((["a", "b"], [], [1, 2]), r"returned the starts \[\]"),
        ((["a", "b"], [0], [1]), r"returned int64 \[1\] as numbers of 2 lines"),
        ((["a", "b"], [0.5], [1, 2]), r"returned float64 \[1\] as starts"),
    ],
)
def test_documents_of_a_broken_format_are_refused(tmp_path, plugins, answer, message):
    plugins("corpus_format", "broken", type("BrokenHere", (Broken,), {"answer": answer}))
    (tmp_path / "a.txt").write_text(PAGES, encoding="utf-8")
    with pytest.raises(PluginError, match=rf"corpus_format 'broken' of others 1\.0: {message}.*a\.txt:1"):
        read(CorpusLayout(("a.txt",), tmp_path, PluginSpec("broken", {})))


def test_other_answers_of_a_broken_format_are_refused(tmp_path, plugins):
    (tmp_path / "a.txt").write_text(PAGES, encoding="utf-8")
    wrong = {
        "returned 10000000 as the last border; expected a whole number from 0 to": {"last_border": lambda self, data, end: 10**7},
        "returned 'text' as a block": {"blocks": lambda self, path: ["text"]},
        "has the smallest_part 'word'; expected one of": {"smallest_part": "word"},
        "returned parts that do not make up the text": {"split": lambda self, data: [data[:5]], "identity": lambda self, data: data},
        "failed with TypeError": {"split": lambda self, data: [data], "identity": lambda self, data: "text"},
    }
    for number, (message, body) in enumerate(wrong.items()):
        plugins("corpus_format", f"broken-{number}", type("BrokenHere", (Pages,), body))
        layout = CorpusLayout(("a.txt",), tmp_path, PluginSpec(f"broken-{number}", {}), drop_duplicates="split" in body)
        with pytest.raises(PluginError, match=message):
            source = CorpusReader(expand_files(layout), layout)
            source.limit = 1000
            list(source.chunks())
