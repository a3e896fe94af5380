"""Reports of stores, runs, recipes and text; what cannot be reported is said in one line."""

import gzip
import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
from report_parts import DATA, TEXT, printed

from wholeword.core.data.corpus import CorpusFile
from wholeword.core.data.corpus_format import CheckedFormat
from wholeword.core.registry.spec import PluginSpec
from wholeword.reports.sample import SAMPLE_BYTES, sample_lines


def test_the_small_corpus_through_jieba(recipe, capsys):
    """Numbers that were checked by eye once; explain any change. To write them anew: wholeword report RECIPE --json."""
    printed(capsys, "prepare", recipe)
    report = json.loads(printed(capsys, "report", recipe, "--json"))
    sentences = report.pop("sentences")
    del report["store"]["path"], report["store"]["segmenter"]["version"], report["store"]["fingerprint"]
    assert report == json.loads((DATA / "report_small.json").read_text(encoding="utf-8"))
    assert len(sentences) == 20
    known = {re.sub(r"\s", "", sentence).lower() for sentence in TEXT}
    assert sum(re.sub(r"\s", "", row["text"]) in known for row in sentences) > 10  # the others have an [UNK]


def test_a_store_a_run_and_a_recipe_are_the_same_corpus(recipe, tmp_path, capsys):
    printed(capsys, "prepare", recipe)
    by_recipe = json.loads(printed(capsys, "report", recipe, "--json"))
    by_store = json.loads(printed(capsys, "report", tmp_path / "run" / "store", "--json"))
    assert [rows["max_seq_length"] for rows in by_recipe["masking"]["lengths"]] == [32, 64]
    assert [rows["max_seq_length"] for rows in by_store["masking"]["lengths"]] == [128, 512]
    assert (by_recipe["masking"]["examples"], by_recipe["masking"]["rate"]) == ("nsp-pairs", 0.2)
    assert (by_store["masking"]["examples"], by_store["masking"]["rate"]) == ("full-sentences", 0.15)
    for name in ("counts", "lengths", "words", "unknown", "fallbacks", "duplicates"):
        assert by_recipe[name] == by_store[name]

    from wholeword.core.config import load_recipe

    (tmp_path / "run" / "recipe.json").write_text(json.dumps(load_recipe(recipe).resolved()), encoding="utf-8")
    (tmp_path / "run").rename(tmp_path / "moved")
    by_run = json.loads(printed(capsys, "report", tmp_path / "moved", "--json"))
    assert by_run["masking"] == by_recipe["masking"] and by_run["store"]["path"] == str(tmp_path / "moved" / "store")
    other = ["--strategy", "wordpiece", "--rate", "0.3", "--max-seq-length", "16"]
    masking = json.loads(printed(capsys, "report", tmp_path / "moved", "--json", *other))["masking"]
    assert (masking["strategy"], masking["rate"]) == ("wordpiece", 0.3)
    assert [(rows["max_seq_length"], rows["max_predictions"]) for rows in masking["lengths"]] == [(16, 5)]
    lines = printed(capsys, "report", tmp_path / "moved")
    assert "masked of words of 5+" in lines and "whole-word, rate 0.2, nsp-pairs" in lines


def test_what_cannot_be_reported_is_explained_in_one_line(recipe, tmp_path, capsys):
    def message(*arguments):
        return printed(capsys, "report", *arguments)

    assert re.fullmatch(r"2: \S+store: not there yet; build it with: wholeword prepare \S+small\.yaml", message(recipe))
    assert re.fullmatch(r"2: \S+: neither a token store .*", message(tmp_path))
    assert re.fullmatch(r"2: notes\.txt: .*--compare.*", message("notes.txt"))
    assert re.fullmatch(r"2: notes\.txt: no such file.*", message("notes.txt", "--compare", "jieba,characters"))
    printed(capsys, "prepare", recipe)
    store = tmp_path / "run" / "store"
    assert re.fullmatch(r"2: .*a token store has pieces and no text.*", message(store, "--compare", "jieba,characters"))
    assert re.fullmatch(r"2: --compare jieba: expected two.*", message(recipe, "--compare", "jieba"))
    assert re.fullmatch(r"2: characters=x: .*", message(recipe, "--compare", "jieba,characters=x"))
    assert re.fullmatch(r"2: unknown segmenter 'jeiba'; did you mean 'jieba'\?.*", message(recipe, "--compare", "jieba,jeiba"))
    assert re.fullmatch(r"2: unknown masking 'whole'.*", message(store, "--strategy", "whole"))
    shard = store / "shard-00000.bin"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert re.fullmatch(r"3: \S+shard-00000\.bin: .*", message(store))


@pytest.mark.skipif(find_spec("ltp_extension") is not None, reason="ltp_extension is installed, and LTP could be made")
def test_a_segmenter_without_its_library_names_it(recipe, capsys):
    expected = "4: segmenter 'ltp' needs 'ltp_extension': pip install \"wholeword[ltp]\""
    assert printed(capsys, "report", recipe, "--compare", "jieba,ltp") == expected


def test_a_sample_is_whole_lines_from_all_over(tmp_path):
    lines = [f"第{number}句。".encode() for number in range(200_000)]
    half = len(lines) // 2
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines[:half]) + b"\n")
    (tmp_path / "b.txt").write_bytes(b"\n".join(lines[half:]))
    files = [CorpusFile(name, tmp_path / name, (tmp_path / name).stat().st_size) for name in ("a.txt", "b.txt")]
    spans, sampled = sample_lines(files, CheckedFormat(PluginSpec("sentences", {})))
    assert sampled and (spans, sampled) == sample_lines(files, CheckedFormat(PluginSpec("sentences", {})))
    found = [line for span in spans for line in span.data.splitlines()]
    assert set(found) <= set(lines) and len(found) == len(set(found))
    assert 0.99 * SAMPLE_BYTES < sum(len(span.data) for span in spans) <= SAMPLE_BYTES
    numbers = [int(re.search(rb"\d+", line)[0]) for line in found]
    assert numbers == sorted(numbers) and numbers[0] == 0
    assert max(np.diff([*numbers, len(lines)])) < len(lines) / 12


def test_a_small_corpus_is_its_own_sample(tmp_path):
    text = ("\n".join(TEXT) + "\n").encode()
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "c.txt").write_bytes(text.strip())
    files = [CorpusFile(path.name, path, path.stat().st_size) for path in sorted(tmp_path.iterdir())]
    spans, sampled = sample_lines(files, CheckedFormat(PluginSpec("sentences", {})))
    assert [span.data for span in spans] == [text, text, text.strip()] and not sampled


def test_a_line_without_end_gives_a_part(tmp_path):
    (tmp_path / "a.txt").write_text("没有换行" * 300_000, encoding="utf-8")
    files = [CorpusFile("a.txt", tmp_path / "a.txt", (tmp_path / "a.txt").stat().st_size)]
    spans, sampled = sample_lines(files, CheckedFormat(PluginSpec("sentences", {})))
    assert sampled and sum(len(span.data) for span in spans) == SAMPLE_BYTES
    assert sample_lines(files, CheckedFormat(PluginSpec("jsonl", {}))) == ([], True)
