"""Reports say what is in a store and what masks do to it: counted by eye, by plain Python, and over the batches that training sees."""

import gzip
import json
import random
import re
import statistics
from collections import Counter
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from wholeword.cli import main
from wholeword.core.contracts import Masked
from wholeword.core.data.batches import BatchSource
from wholeword.core.data.corpus import CorpusFile
from wholeword.core.data.store import write_store
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.files import write_manifest
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.reports import figures as figures_module
from wholeword.reports import masks as masks_module
from wholeword.reports.compare import compare
from wholeword.reports.figures import hash_documents, store_figures, text_of
from wholeword.reports.html import compare_page, preview_page, store_page
from wholeword.reports.lines import compare_lines, store_lines
from wholeword.reports.masks import Masking
from wholeword.reports.preview import display_vocabulary, preview
from wholeword.reports.sample import SAMPLE_BYTES, sample_lines

DATA = Path(__file__).parents[1] / "data"
SMALL = DATA / "google_small"
DOCUMENTS = json.loads((SMALL / "documents.json").read_text(encoding="utf-8"))["documents"]
TEXT = [sentence for document in DOCUMENTS for sentence in document]
HAN = [chr(0x4E00 + number) for number in range(300)]
VOCABULARY = Vocabulary([*SPECIAL_PIECES, *HAN, *(f"##{letter}" for letter in "abcdefg")])
RECIPE = """
version: 1
name: small
corpus: {{files: [corpus.txt]}}
tokenizer: {{vocab: {vocabulary}}}
examples: nsp-pairs
masking: {{name: {masking}, rate: 0.2, dynamic: true}}
model: {{size: tiny}}
phases:
  - {{max_seq_length: 32, batch_size: 4, steps: 1, peak_lr: 1.0e-4}}
  - {{max_seq_length: 64, batch_size: 4, steps: 1, peak_lr: 1.0e-4}}
output: {folder}/run
"""


def whole_word(**settings):
    rate = settings.get("rate", 0.15)
    lengths = settings.pop("lengths", [(32, 5)])
    about = {key: settings.pop(key) for key in ("examples", "held_out_rate") if key in settings}
    return Masking(registry.create("masking", "whole-word", **settings), "whole-word", {}, rate, lengths, **about)


def random_documents(seed, count=60):
    """Documents of sentences of (id, whether a word begins), some of them repeated."""
    generator = random.Random(seed)
    documents = []
    for _ in range(count):
        if documents and generator.random() < 0.2:
            documents.append(generator.choice(documents))
            continue
        lengths = [generator.randint(1, 40) for _ in range(generator.randint(1, 5))]
        documents.append([[(generator.randrange(5, len(VOCABULARY)), generator.random() < 0.5) for _ in range(size)] for size in lengths])
    return documents


def as_arrays(documents):
    return [[tuple(zip(*sentence, strict=True)) for sentence in document] for document in documents]


def words_of(documents):
    """Lengths of all words, in plain Python."""
    for document in documents:
        for sentence in document:
            starts = [place for place, (_, start) in enumerate(sentence) if start or place == 0]
            yield from (end - start for start, end in zip(starts, [*starts[1:], len(sentence)], strict=True))


@pytest.fixture
def recipe(tmp_path):
    """A recipe over the small corpus, as a path."""
    (tmp_path / "corpus.txt").write_text("\n\n".join("\n".join(document) for document in DOCUMENTS), encoding="utf-8")
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.format(vocabulary=SMALL / "vocab.txt", folder=tmp_path, masking="whole-word"), encoding="utf-8")
    return path


def printed(capsys, *arguments):
    """What a command prints; its exit code is in it if it is not 0."""
    capsys.readouterr()
    try:
        main(list(map(str, arguments)))
    except SystemExit as stop:
        if stop.code:
            return f"{stop.code}: {capsys.readouterr().err.strip()}"
    return capsys.readouterr().out


# --- a store in figures


def test_a_store_that_can_be_counted_by_eye(tmp_path):
    #    一二 三 | 四五六 一 || 一二 三 | 四五六 一 || 七 [UNK]
    one = ([5, 6, 7], [1, 0, 1]), ([8, 9, 10, 5], [1, 0, 0, 1])
    store = write_store(tmp_path / "store", VOCABULARY, [one, one, [([11, 1], [1, 1])]])
    figures = store_figures(store, whole_word(lengths=[(32, 5)]))
    assert figures["counts"] == {"num_documents": 3, "num_sentences": 5, "num_tokens": 16, "num_words": 10, "num_characters": None}
    assert figures["lengths"] == {
        "pieces_of_a_document": {"median": 7.0, "mean": 5.333, "most": 7},
        "sentences_of_a_document": {"median": 2.0, "mean": 1.667, "most": 2},
        "pieces_of_a_sentence": {"median": 3.0, "mean": 3.2, "most": 4},
    }
    assert [(row["pieces"], row["num_words"], row["num_pieces"]) for row in figures["words"]] == [
        ("1", 6, 6),
        ("2", 2, 4),
        ("3", 2, 6),
        ("4", 0, 0),
        ("5+", 0, 0),
    ]
    assert [row["word_rate"] for row in figures["words"]] == [0.6, 0.2, 0.2, 0, 0]
    assert [row["piece_rate"] for row in figures["words"]] == [0.375, 0.25, 0.375, 0, 0]
    [masks] = figures["masking"]["lengths"]  # one row of 18 pieces: the budget is round(2.7)
    assert (masks["num_rows"], masks["num_tokens"], masks["num_masked"], masks["filled_rate"]) == (1, 18, 3, 1.0)
    assert figures["unknown"]["num_unknown"] == 1 and figures["unknown"]["unknown_rate"] == 0.0625
    assert figures["duplicates"]["num_duplicates"] == 1 and figures["duplicates"]["duplicate_rate"] == 0.333333
    assert figures["duplicates"]["most_repeated"] == [{"text": "".join([*HAN[:6], HAN[0]]), "num_documents": 2}]
    assert len(figures["sentences"]) == 5 and figures["sentences"][1]["words"] == ["".join(HAN[3:6]), HAN[0]]


@pytest.mark.parametrize("seed", range(6))
def test_figures_of_a_random_store_are_those_of_plain_python(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(figures_module, "BLOCK", 8 << seed)  # words and documents cross blocks
    documents = random_documents(seed)
    store = write_store(tmp_path / "store", VOCABULARY, as_arrays(documents), tokens_per_shard=[50, 700, 10**6][seed % 3])
    figures = store_figures(store, whole_word())
    lengths = Counter(min(length, 5) for length in words_of(documents))
    pieces = Counter()
    for length in words_of(documents):
        pieces[min(length, 5)] += length
    assert [row["num_words"] for row in figures["words"]] == [lengths[length] for length in range(1, 6)]
    assert [row["num_pieces"] for row in figures["words"]] == [pieces[length] for length in range(1, 6)]
    assert figures["counts"]["num_words"] == lengths.total()
    for name, values in (
        ("pieces_of_a_document", [sum(map(len, document)) for document in documents]),
        ("sentences_of_a_document", [len(document) for document in documents]),
        ("pieces_of_a_sentence", [len(sentence) for document in documents for sentence in document]),
    ):
        expected = {"median": statistics.median(values), "mean": round(statistics.mean(values), 3), "most": max(values)}
        assert figures["lengths"][name] == expected
    times = Counter(tuple(id for sentence in document for id, _ in sentence) for document in documents)
    repeated = sorted((count for count in times.values() if count > 1), reverse=True)
    assert figures["duplicates"]["num_duplicates"] == len(documents) - len(times)
    shown = figures["duplicates"]["most_repeated"]
    assert [document["num_documents"] for document in shown] == repeated[:5]
    for document in shown:
        texts = [text_of(np.array(ids), VOCABULARY) for ids, count in times.items() if count == document["num_documents"]]
        assert any(text.startswith(document["text"].removesuffix(" …")) for text in texts)


def test_documents_of_other_pieces_have_other_hashes():
    generator = random.Random(1)
    documents = [tuple(generator.choices(range(3), k=generator.randint(1, 9))) for _ in range(3000)]
    ids, borders = np.concatenate(documents).astype(np.uint16), np.append(0, np.cumsum(list(map(len, documents))))
    by_hash = {}
    for document, key in zip(documents, hash_documents(ids, borders).tolist(), strict=True):
        assert by_hash.setdefault(key, document) == document
    assert len(by_hash) == len(set(documents))


def test_text_is_put_together_from_pieces():
    vocabulary = Vocabulary([*SPECIAL_PIECES, *"使用的。", "new", "york", "pro", "##ba", "##bility", "30", "%"])
    tokenizer = WordPieceTokenizer(vocabulary, lowercase=True)
    for text in ("使用new york的probability。", "30%", "", "new york 30"):
        assert text_of(tokenizer.encode(text)[0], vocabulary) == text
    assert text_of(tokenizer.encode("鑫。")[0], vocabulary) == "[UNK]。"


def test_sentences_are_from_all_over_and_not_all_short(tmp_path):
    generator = random.Random(5)
    document = [[(generator.randrange(5, 305), True) for _ in range(generator.choice((2, 3, 10, 20, 30, 50, 200)))] for _ in range(5000)]
    store = write_store(tmp_path / "store", VOCABULARY, as_arrays([document]))
    rows = store_figures(store, whole_word())["sentences"]
    sizes = [len(row["pieces"]) - 2 for row in rows]
    assert rows == store_figures(store, whole_word())["sentences"]
    assert len(rows) == 20 and min(sizes) >= 10 and max(sizes) == 50 and len(set(sizes)) > 2
    texts = ["".join(VOCABULARY.pieces[id] for id, _ in sentence) for sentence in document]
    places = [texts.index(row["text"]) for row in rows]
    assert places == sorted(places) and places[0] < 1500 and places[-1] > 3500


def test_quotes_are_advised_where_they_would_help(tmp_path):
    vocabulary = Vocabulary([*SPECIAL_PIECES, '"', "-", *HAN])  # it has what stands for “ ” and —, but not for … and ‘
    store = write_store(tmp_path / "store", vocabulary, [[([1] * 19 + [10], [1] * 20)]])
    store.manifest["unknown"] = [["”", 8], ["“", 7], ["…", 2], ["‘", 1], ["鑫", 1]]
    unknown = store_figures(store, whole_word())["unknown"]
    assert unknown["quotes"] == {"texts": ["”", "“"], "num_removed": 15, "removed_rate": round(15 / 19, 6)}
    store.manifest["unknown"] = [["鑫", 19]]
    figures = store_figures(store, whole_word())
    assert figures["unknown"]["quotes"]["num_removed"] == 0
    assert "corpus.cleaning" not in store_page(figures) + "".join(store_lines(figures))


# --- masks


@pytest.mark.parametrize("examples", ["full-sentences", "nsp-pairs"])
@pytest.mark.parametrize("settings", [{}, {"rate": 0.3}, {"wordpiece_rate": 0.5}, {"budget": "bernoulli"}])
def test_masks_are_counted_as_the_batches_of_training_have_them(tmp_path, monkeypatch, examples, settings):
    monkeypatch.setattr(masks_module, "ROWS_TOKENS", 300)
    monkeypatch.setattr(masks_module, "MAX_TOKENS", 32 * 60)  # not all of them, but the first that training sees
    store = write_store(tmp_path / "store", VOCABULARY, as_arrays(random_documents(8)), tokens_per_shard=500)
    rate = settings.get("rate", 0.15)
    masking = whole_word(**settings, examples=examples, held_out_rate=0.2, lengths=[(32, 5)])
    [counted] = store_figures(store, masking)["masking"]["lengths"]

    def rows(strategy, max_predictions):
        source = BatchSource(
            store,
            examples=examples,
            short_seq_rate=0.0,
            strategy=strategy,
            seed=12345,
            max_seq_length=32,
            max_predictions=max_predictions,
            batch_size=1,
            dynamic=True,
            dupe_factor=1,
            held_out_rate=0.2,
        )
        assert source.num_examples > 60
        return [source.batch(step) for step in range(60)]

    total, by_length, all_pieces = Counter(), Counter(), Counter()
    for batch in rows(masking.strategy, 5):
        filled = batch["masked_lm_weights"][0] > 0
        places, labels = batch["masked_lm_positions"][0][filled], batch["masked_lm_ids"][0][filled]
        output, tokens = batch["input_ids"][0][places], int(batch["input_mask"].sum())
        budget = min(5, max(1, round(tokens * rate)))
        by_length.update(np.minimum(batch["masked_lm_word_lengths"][0][filled], 5).tolist())
        total += Counter(rows=1, tokens=tokens, masked=len(places), filled=int(len(places) == budget), none=int(len(places) == 0))
        total["mask"] += int((output == VOCABULARY.mask_id).sum())
        total["kept"] += int((output == labels).sum())
    for batch in rows(registry.create("masking", "whole-word", rate=1.0), 32):  # chooses every piece
        all_pieces.update(np.minimum(batch["masked_lm_word_lengths"][0], 5).tolist())
    del all_pieces[0]  # unused slots
    assert all_pieces.total() == total["tokens"] - (3 if examples == "nsp-pairs" else 2) * total["rows"]
    names = ("rows", "tokens", "masked", "rows_without_mask")
    assert [counted[f"num_{name}"] for name in names] == [total[key] for key in ("rows", "tokens", "masked", "none")]
    assert counted["masked_rate"] == round(total["masked"] / total["tokens"], 6)
    assert counted["filled_rate"] == round(total["filled"] / total["rows"], 6)
    assert counted["mask_rate"] == round(total["mask"] / total["masked"], 6)
    assert counted["kept_rate"] == round(total["kept"] / total["masked"], 6)
    assert sum(counted[f"{kind}_rate"] for kind in ("mask", "kept", "random")) == pytest.approx(1, abs=2e-6)
    for length, row in enumerate(counted["by_word_length"], 1):
        assert (row["num_pieces"], row["num_masked"]) == (all_pieces[length], by_length[length])
        assert row["masked_rate"] == round(by_length[length] / all_pieces[length], 6)
    if not settings.get("wordpiece_rate"):  # words are masked whole
        assert counted["partly_rate"] == 0
        assert counted["beside_rate"] == round((total["masked"] - by_length[1]) / total["masked"], 6)
    else:
        assert 0.1 < counted["partly_rate"] < 0.9


def test_masks_that_can_be_counted_by_eye():
    #                      [CLS] 一二 三四五 六 七八 [SEP], masked: 一, 四五, 六, 七八
    ids = np.array([[2, 5, 6, 7, 8, 9, 10, 11, 12, 3, 0]])
    word_starts, candidates, chosen = (
        np.array([[mark == "x" for mark in marks]]) for marks in (" x x  xx   ", " xxxxxxxx  ", " x  xxxxx  ")
    )
    output = np.where(chosen, VOCABULARY.mask_id, ids)
    output[0, [5, 6]] = 9, 200  # one is kept, one is random
    rows = masks_module.MaskedRows(ids, word_starts, candidates, Masked(output, chosen))
    counted = masks_module.count_masks([rows, rows], rate=0.5, max_predictions=9, vocabulary=VOCABULARY)
    by_length = counted.pop("by_word_length")
    assert counted == {
        "num_rows": 2,
        "num_tokens": 20,
        "num_masked": 12,
        "num_rows_without_mask": 0,
        "masked_rate": 0.6,
        "filled_rate": 0.0,
        "mean_fill_rate": 1.2,
        "mask_rate": 0.666667,
        "kept_rate": 0.166667,
        "random_rate": 0.166667,
        "beside_rate": 0.666667,  # 四五 and 七八
        "partly_rate": 0.666667,  # 一二 and 三四五, not 七八
    }
    assert [(row["pieces"], row["num_pieces"], row["num_masked"]) for row in by_length[:3]] == [("1", 2, 2), ("2", 8, 6), ("3", 6, 4)]


def test_of_many_shards_some_are_masked_and_rows_stay_whole(tmp_path, monkeypatch):
    documents = random_documents(3, count=200)
    store = write_store(tmp_path / "store", VOCABULARY, as_arrays(documents), tokens_per_shard=200)
    assert len(store.shards) > 16
    monkeypatch.setattr(masks_module, "MAX_SHARDS", 4)
    [few] = store_figures(store, whole_word(examples="nsp-pairs"))["masking"]["lengths"]
    monkeypatch.setattr(masks_module, "MAX_SHARDS", 10**6)
    [all_rows] = store_figures(store, whole_word(examples="nsp-pairs"))["masking"]["lengths"]
    assert 0 < few["num_rows"] < all_rows["num_rows"] / 3
    assert few["partly_rate"] == all_rows["partly_rate"] == 0
    monkeypatch.setattr(masks_module, "MAX_TOKENS", 640)
    [limited] = store_figures(store, whole_word(examples="nsp-pairs"))["masking"]["lengths"]
    assert limited["num_rows"] == 20


# --- what the command is pointed at


def test_the_small_corpus_through_jieba(recipe, capsys):
    """Figures that were looked at once; a change in them is to be explained. To write them anew: wholeword report RECIPE --json."""
    printed(capsys, "prepare", recipe)
    figures = json.loads(printed(capsys, "report", recipe, "--json"))
    sentences = figures.pop("sentences")
    del figures["store"]["path"], figures["store"]["segmenter"]["version"], figures["store"]["fingerprint"]
    assert figures == json.loads((DATA / "report_small.json").read_text(encoding="utf-8"))
    assert len(sentences) == 20
    known = {re.sub(r"\s", "", sentence).lower() for sentence in TEXT}
    assert sum(re.sub(r"\s", "", row["text"]) in known for row in sentences) > 10  # the others have an [UNK]


def test_a_store_a_run_and_a_recipe_are_the_same_corpus(recipe, tmp_path, capsys):
    printed(capsys, "prepare", recipe)
    by_recipe = json.loads(printed(capsys, "report", recipe, "--json"))
    by_store = json.loads(printed(capsys, "report", tmp_path / "run" / "store", "--json"))
    assert [of["max_seq_length"] for of in by_recipe["masking"]["lengths"]] == [32, 64]
    assert [of["max_seq_length"] for of in by_store["masking"]["lengths"]] == [128, 512]
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
    assert [(of["max_seq_length"], of["max_predictions"]) for of in masking["lengths"]] == [(16, 5)]
    lines = printed(capsys, "report", tmp_path / "moved")
    assert "masked of words of 5+" in lines and "whole-word, rate 0.2, nsp-pairs" in lines


def test_what_cannot_be_reported_is_told_in_one_line(recipe, tmp_path, capsys):
    def said(*arguments):
        return printed(capsys, "report", *arguments)

    assert re.fullmatch(r"2: \S+store: not there yet; make it with: wholeword prepare \S+small\.yaml", said(recipe))
    assert re.fullmatch(r"2: \S+: neither a token store .*", said(tmp_path))
    assert re.fullmatch(r"2: notes\.txt: .*--compare.*", said("notes.txt"))
    assert re.fullmatch(r"2: notes\.txt: no such file.*", said("notes.txt", "--compare", "jieba,characters"))
    printed(capsys, "prepare", recipe)
    store = tmp_path / "run" / "store"
    assert re.fullmatch(r"2: .*a token store has pieces and no text.*", said(store, "--compare", "jieba,characters"))
    assert re.fullmatch(r"2: --compare jieba: expected two.*", said(recipe, "--compare", "jieba"))
    assert re.fullmatch(r"2: characters=x: .*", said(recipe, "--compare", "jieba,characters=x"))
    assert re.fullmatch(r"4: unknown segmenter 'jeiba'; did you mean 'jieba'\?.*", said(recipe, "--compare", "jieba,jeiba"))
    assert re.fullmatch(r"4: unknown masking 'whole'.*", said(store, "--strategy", "whole"))
    shard = store / "shard-00000.bin"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert re.fullmatch(r"3: \S+shard-00000\.bin: .*", said(store))


@pytest.mark.skipif(find_spec("ltp_extension") is not None, reason="ltp_extension is installed, and LTP could be made")
def test_a_segmenter_without_its_library_is_told(recipe, capsys):
    expected = "4: segmenter 'ltp' needs 'ltp_extension': pip install \"wholeword[ltp]\""
    assert printed(capsys, "report", recipe, "--compare", "jieba,ltp") == expected


# --- pages


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


HOSTILE = "<script>alert('&amp;')</script>\"><img src=x onerror=1>"


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
    figures = store_figures(type(store)(path), whole_word(lengths=[(16, 2), (32, 5)]))
    text = check_page(store_page(figures))
    assert text.count(HOSTILE) >= 5
    for part in ("Corpus report 语料报告", "<i>store", "<u> (<u>1)", "Longer words masked only in part", "未登录词片", "重复文档"):
        assert part in text
    for masks in figures["masking"]["lengths"]:
        assert f"{100 * masks['masked_rate']:.2f} %" in text


def test_the_page_of_masks_is_whole_and_harmless():
    tokenizer = WordPieceTokenizer(display_vocabulary(), lowercase=True)
    strategies = {name: registry.create("masking", name) for name in ("wordpiece", "whole-word")}
    sentences = [HOSTILE, "使用语言模型来预测下一个词的probability。", "。"]
    previews = preview(sentences, registry.create("segmenter", "jieba"), strategies, tokenizer, seed=1)
    text = check_page(preview_page(previews))
    assert HOSTILE in text and text.count("[MASK]") > 3
    for [row, *_] in previews:  # above what is masked or random stands what it was
        for position, label in zip(row["masked_positions"], row["labels"], strict=True):
            assert row["pieces"][position] == label


def test_pages_are_written(recipe, tmp_path, capsys):
    printed(capsys, "prepare", recipe)
    for arguments in ([], ["--compare", "jieba,characters"]):
        page = tmp_path / "page.html"
        assert printed(capsys, "report", recipe, *arguments, "--html", page).strip() == str(page)
        assert "jieba" in check_page(page.read_text(encoding="utf-8"))
        page.unlink()


# --- segmenters compared


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
    figures = compare(sentences, {"a": a, "b": b}, WordPieceTokenizer(VOCABULARY, lowercase=True), whole_word())
    [pair] = figures["pairs"]
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
    assert pair["precision"] == round(total["both"] / total["b"], 6) and pair["recall"] == round(total["both"] / total["a"], 6)
    assert pair["f1"] == round(2 * total["both"] / (total["a"] + total["b"]), 6)
    assert (pair["words_of_a_rate"], pair["words_of_b_rate"]) == (
        round(total["words"] / total["words_a"], 6),
        round(total["words"] / total["words_b"], 6),
    )
    assert pair["num_sentences_that_differ"] == total["differ"]
    assert pair["num_spans"] == spans.total()
    assert {(x, y): count for x, y, count in pair["spans"]}.items() <= spans.items()
    assert [count for *_, count in pair["spans"]] == sorted(spans.values(), reverse=True)[:100]
    assert [of["num_words"] for of in figures["segmenters"]] == [total["words_a"], total["words_b"]]
    assert all(len({row["text"] for row in rows}) == 1 and a.words(rows[0]["text"]) == rows[0]["words"] for rows in figures["sentences"])
    assert len(figures["sentences"]) == 8


def test_what_a_segmenter_has_to_do_with_masks():
    tokenizer = WordPieceTokenizer(display_vocabulary(), lowercase=True)
    jieba = registry.create("segmenter", "jieba")
    twice = {"jieba": jieba, "again": registry.create("segmenter", "jieba"), "characters": registry.create("segmenter", "characters")}
    figures = compare(TEXT, twice, tokenizer, whole_word(lengths=[(64, 10)]))
    same, *others = figures["pairs"]
    assert same["f1"] == same["words_of_a_rate"] == same["masks"]["overlap_rate"] == 1
    assert same["spans"] == [] and same["num_sentences_that_differ"] == 0
    for pair in others:  # the masks of single characters leave parts of words visible; those of words do not cut characters
        assert pair["recall"] == 1 > pair["precision"] and pair["masks"]["overlap_rate"] < 0.6
        assert pair["masks"]["words_of_a_partly_rate"] > 0.5
        assert ["图书馆", "图/书/馆", 1] in pair["spans"] or ["图书", "图/书", 2] in pair["spans"]
    of_jieba, _, of_characters = figures["segmenters"]
    assert of_jieba["masks"]["beside_rate"] > 0.4 > 0.2 > of_characters["masks"]["beside_rate"]
    assert of_jieba["mean_pieces"] > 1.4 and of_jieba["num_fallbacks"] == 0
    figures["text"] = {"files": [HOSTILE], "sampled": False, "num_bytes": 9, "num_sentences": 36, "num_characters": 800}
    lines = "\n".join(compare_lines(figures))
    assert "jieba | characters" in lines and f"all of {HOSTILE}" in lines
    assert HOSTILE in check_page(compare_page(figures))


def test_a_text_that_was_cut_before_can_be_the_truth(tmp_path, capsys):
    path = tmp_path / "gold.txt"
    path.write_text("北京 大学生 前来 应聘\n研究生 命 起源\n", encoding="utf-8")
    figures = json.loads(printed(capsys, "report", path, "--compare", "jieba,presegmented,characters", "--json"))
    assert [of["name"] for of in figures["segmenters"]] == ["jieba", "presegmented", "characters"]
    assert figures["segmenters"][1]["num_words"] == 7 and figures["segmenters"][1]["num_fallbacks"] == 0
    assert figures["num_pieces"] == 15
    assert all(row["text"] in ("北京大学生前来应聘", "研究生命起源") for rows in figures["sentences"] for row in rows)
    assert ["研究/生命", "研究生/命", 1] in figures["pairs"][0]["spans"]


def test_a_segmenter_is_given_its_first_setting(tmp_path, capsys):
    (tmp_path / "words.txt").write_text("语言模型\n", encoding="utf-8")
    (tmp_path / "text.txt").write_text("使用语言模型来预测。\n" * 3, encoding="utf-8")
    names = f"jieba,jieba={tmp_path / 'words.txt'}"
    [pair] = json.loads(printed(capsys, "report", tmp_path / "text.txt", "--compare", names, "--json"))["pairs"]
    assert pair["spans"] == [["语言/模型", "语言模型", 3]]


def test_a_sample_is_whole_lines_from_all_over(tmp_path):
    lines = [f"第{number}句。".encode() for number in range(200_000)]
    half = len(lines) // 2
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines[:half]) + b"\n")
    (tmp_path / "b.txt").write_bytes(b"\n".join(lines[half:]))
    files = [CorpusFile(name, tmp_path / name, (tmp_path / name).stat().st_size) for name in ("a.txt", "b.txt")]
    spans, sampled = sample_lines(files, parts_of_lines=True)
    assert sampled and (spans, sampled) == sample_lines(files, parts_of_lines=True)
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
    spans, sampled = sample_lines(files, parts_of_lines=True)
    assert [span.data for span in spans] == [text, text, text.strip()] and not sampled


def test_a_line_without_end_gives_a_part(tmp_path):
    (tmp_path / "a.txt").write_text("没有换行" * 300_000, encoding="utf-8")
    files = [CorpusFile("a.txt", tmp_path / "a.txt", (tmp_path / "a.txt").stat().st_size)]
    spans, sampled = sample_lines(files, parts_of_lines=True)
    assert sampled and sum(len(span.data) for span in spans) == SAMPLE_BYTES
    assert sample_lines(files, parts_of_lines=False) == ([], True)
