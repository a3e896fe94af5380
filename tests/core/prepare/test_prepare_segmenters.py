"""From a segmenter's words to the word starts of a store, and the words that are kept for the next build."""

import json
from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prepare_parts import SMALL, Cuts, Lossy, hashes, recipe_in
from row_sources import batch_source, examples_of

from wholeword.core.config.preparation import prepare_job
from wholeword.core.data.align import mark_words, walk
from wholeword.core.data.store import TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.data.word_cache import WordCache
from wholeword.core.errors import PluginError, UserError
from wholeword.core.file_kinds import ends_lines_in_carriage_returns, kind_of
from wholeword.core.registry.registry import registry
from wholeword.core.training.prepare import prepare
from wholeword.core.training.store_lines import store_lines
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.plugins.masking.whole_word import WholeWord


class Broken:
    """A segmenter that cannot do one character."""

    version = "1"

    def segment(self, sentences):
        for sentence in sentences:
            yield None if "鸥" in sentence else list(sentence)


def test_a_segmenter_that_breaks_its_contract_is_named_with_its_place(tmp_path, plugins):
    plugins("segmenter", "broken", Broken)
    (tmp_path / "a.txt").write_text("今天下雨。\n\n海鸥来了。", encoding="utf-8")
    with pytest.raises(PluginError, match=r"segmenter 'broken' of others 1\.0 gave None for a sentence.*from '今天下雨。' at .*a\.txt:1"):
        prepare(prepare_job(recipe_in(tmp_path, "segmenter=broken")))


TEXTS = st.text(
    st.sampled_from("使用语言模型。，“”aB12 é²½か가\u0301\u200b\ufffd\x00\t\u2028\r\u3000[]#") | st.characters(codec="utf-8"), max_size=60
)


@pytest.fixture
def odd_segmenters(plugins):
    plugins("segmenter", "cuts", Cuts)
    plugins("segmenter", "lossy", Lossy)


@pytest.mark.usefixtures("odd_segmenters")
@settings(max_examples=200, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=10), segmenter=st.sampled_from(["jieba", "cuts", "lossy"]))
def test_hostile_text_gives_its_pieces_and_no_more(tmp_path_factory, texts, segmenter):
    """Whatever the text and the segmenter: the pieces are those of the tokenizer, and every `##` piece is within a word."""
    folder = tmp_path_factory.mktemp("hostile")
    text = "\n\n".join(texts)
    assume(kind_of(text.encode()) is None and not ends_lines_in_carriage_returns(text.encode()))  # refused: test_text_files.py
    (folder / "a.txt").write_bytes(text.encode())
    sentences = [line.strip() for line in text.split("\n")]
    tokenizer = WordPieceTokenizer(Vocabulary.read(SMALL / "vocab.txt"), True, definition="transformers")
    expected = [tokenizer.encode(sentence)[0].tolist() for sentence in sentences]
    expected = [ids for ids in expected if ids]
    job = prepare_job(recipe_in(folder, f"segmenter={segmenter}"))
    if not expected:
        with pytest.raises(UserError, match="no text"):
            prepare(job)
        return
    store = TokenStore(prepare(job))
    ids, word_starts = store.gather([0], [store.num_tokens])
    assert ids.tolist() == [id for sentence in expected for id in sentence]
    assert store.shards[0].sentence_ends.tolist() == [sum(map(len, expected[: number + 1])) for number in range(len(expected))]
    assert not (word_starts & store.vocabulary.is_continuation[ids]).any()
    assert all(word_starts[[0, *store.shards[0].sentence_ends[:-1]]])


def test_presegmented_text_is_stored_without_its_separators(tmp_path):
    (tmp_path / "a.txt").write_text("使用 语言 模型 来 预测 。\n今天 下雨 了", encoding="utf-8")
    store = TokenStore(prepare(prepare_job(recipe_in(tmp_path, "segmenter=presegmented", "tokenizer={train: 64, min_frequency: 1}"))))
    ids, word_starts = store.gather([0], [store.num_tokens])
    assert "".join(store.vocabulary.pieces[id] for id in ids) == "使用语言模型来预测。今天下雨了"
    assert word_starts.astype(int).tolist() == [1, 0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1]
    assert store.manifest["counts"]["num_fallbacks"] == 0


def test_a_file_that_a_setting_names_is_the_recipes_and_decides(tmp_path):
    (tmp_path / "a.txt").write_text("今天在码头边上船出海。", encoding="utf-8")
    (tmp_path / "words.txt").write_text("码头边上 99999\n", encoding="utf-8")
    override = "segmenter={name: jieba, user_dictionary: words.txt}"
    store = TokenStore(prepare(prepare_job(recipe_in(tmp_path, override, "tokenizer={train: 64, min_frequency: 1}"))))
    starts = store.gather([0], [store.num_tokens])[1]
    assert not starts[4:7].any()  # 码头边上 is one word
    assert str(tmp_path) not in json.dumps(store.manifest)
    (tmp_path / "words.txt").write_text("上船 9\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"segmenter\.settings\.user_dictionary\.sha256 was"):
        prepare(prepare_job(recipe_in(tmp_path, override, "tokenizer={train: 64, min_frequency: 1}")))


class Counting:
    """jieba, with a note of every call."""

    version = "1"
    calls: ClassVar[list[int]] = []

    def __init__(self):
        self.jieba = registry.create("segmenter", "jieba")

    def segment(self, sentences):
        self.calls.append(len(sentences))
        return self.jieba.segment(sentences)


def test_text_that_was_segmented_before_is_not_segmented_again(built, tmp_path, monkeypatch, plugins):
    plugins("segmenter", "counting", Counting)
    monkeypatch.setattr(Counting, "calls", [])
    one = ["segmenter=counting", "prepare_workers=1", f"cache={tmp_path / 'cache'}"]
    first = prepare(prepare_job(recipe_in(built, *one, f"output={tmp_path / 'a'}")))
    assert sum(Counting.calls) >= TokenStore(first).num_sentences
    calls = len(Counting.calls)
    again = prepare(prepare_job(recipe_in(built, *one, f"output={tmp_path / 'b'}")))
    assert len(Counting.calls) == calls and hashes(again) == hashes(first)
    other = prepare(
        prepare_job(recipe_in(built, *one, f"output={tmp_path / 'c'}", "tokenizer.lowercase=false"))
    )  # another recipe, the same words
    assert len(Counting.calls) == calls and TokenStore(other).num_tokens
    by_file = {path.name: path.read_bytes() for path in (built / "run/store").iterdir() if path.suffix == ".bin"}
    assert by_file == {path.name: path.read_bytes() for path in first.iterdir() if path.suffix == ".bin"}

    damaged = next((tmp_path / "cache").rglob("*.words"))
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    repaired = prepare(prepare_job(recipe_in(built, *one, f"output={tmp_path / 'd'}")))
    assert len(Counting.calls) > calls and hashes(repaired) == hashes(first)
    calls = len(Counting.calls)
    monkeypatch.setattr(Counting, "version", "2")  # another version, other words
    prepare(prepare_job(recipe_in(built, *one, f"output={tmp_path / 'e'}")))
    assert len(Counting.calls) > calls
    calls = len(Counting.calls)
    prepare(prepare_job(recipe_in(built, "segmenter=counting", "prepare_workers=1", "cache=null", f"output={tmp_path / 'f'}")))
    assert len(Counting.calls) > calls


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=4), max_size=4), seed=st.integers(0, 100))
def test_kept_words_are_those_that_were_kept(tmp_path_factory, batches, seed):
    folder = tmp_path_factory.mktemp("words")
    segmenter = Lossy() if seed % 2 else Cuts()
    cache, words = WordCache(folder, {"segmenter": "x"}, "text"), []
    for sentences in batches:
        words.append(mark_words(sentences, segmenter.segment(sentences)))
        cache.add(sentences, words[-1])
    cache.save()
    again = WordCache(folder, {"segmenter": "x"}, "text")
    for sentences, kept in zip(batches, words, strict=True):
        found = again.get(sentences)
        assert found.starts.tolist() == kept.starts.tolist() and found.fallbacks == kept.fallbacks
    assert WordCache(folder, {"segmenter": "y"}, "text").get(["x"]) is None
    assert WordCache(folder, {"segmenter": "x"}, "text").get(["another sentence"]) is None


def test_fallbacks_and_unknown_texts_are_told(built, tmp_path, plugins):
    plugins("segmenter", "lossy", Lossy)
    store = TokenStore(prepare(prepare_job(recipe_in(built, "segmenter=lossy", "prepare_workers=1", f"output={tmp_path / 'lossy'}"))))
    manifest = store.manifest
    assert 0 < manifest["counts"]["num_fallback_sentences"] <= manifest["counts"]["num_fallbacks"]
    ends = np.concatenate([shard.token_offset + shard.sentence_ends.astype(np.int64) for shard in store.shards])
    first, end = store.fallback_tokens
    assert len(first) == manifest["counts"]["num_fallback_sentences"]
    assert set(end.tolist()) <= set(ends.tolist()) and set(first.tolist()) <= {0, *ends.tolist()} and (first < end).all()
    assert len(manifest["fallback_examples"]) == 20 and all(
        set(example) == {"where", "text", "words"} and example["where"].split(":")[0].endswith(".txt")
        for example in manifest["fallback_examples"]
    )
    for example in manifest["fallback_examples"]:
        assert walk(example["text"], example["words"])[1] > 0
    assert str(built) not in json.dumps(manifest["unknown"])
    assert TokenStore(built / "run/store").fallback_tokens.shape == (2, 0)  # jieba's words are always those of the text


def test_a_store_whose_words_are_not_those_of_its_text_raises_a_warning(built, tmp_path, plugins):
    plugins("segmenter", "lossy", Lossy)
    store = TokenStore(prepare(prepare_job(recipe_in(built, "segmenter=lossy", "prepare_workers=1", f"output={tmp_path / 'lossy'}"))))
    counts = store.manifest["counts"]
    number = f"{counts['num_fallback_sentences']:,} of {counts['num_sentences']:,} sentences"
    line, warning = store_lines(store)
    assert f"words differ from the text in {counts['num_fallback_sentences']:,} sentences" in line and "% [UNK]" in line
    assert warning.startswith(f"warning: in {number} the segmenter's words are not those of the text (") and ".txt:" in warning
    (line,) = store_lines(TokenStore(built / "run/store"))
    assert line.endswith("words differ from the text in 0 sentences")


def test_a_store_of_unknown_pieces_raises_a_warning(tmp_path):
    (tmp_path / "a.txt").write_text("ǝǝ ɐɐ 好\n", encoding="utf-8")
    line, warning = store_lines(TokenStore(prepare(prepare_job(recipe_in(tmp_path, "prepare_workers=1")))))
    assert "66.67% [UNK]" in line and warning.startswith("warning: 67% of the pieces are [UNK] (")


def test_unknown_texts_are_counted(tmp_path):
    (tmp_path / "a.txt").write_text("他说：“好。”\n“好”😀\n" + "ǝ" * 120 + "\n", encoding="utf-8")
    manifest = TokenStore(prepare(prepare_job(recipe_in(tmp_path, "prepare_workers=1")))).manifest
    vocabulary = Vocabulary.read(SMALL / "vocab.txt")
    expected = Counter()
    tokenizer = WordPieceTokenizer(vocabulary, True)
    for line in (tmp_path / "a.txt").read_text(encoding="utf-8").split("\n"):
        ids, offsets = tokenizer.encode(line)
        expected.update(line[a:b] for id, (a, b) in zip(ids.tolist(), offsets.tolist(), strict=True) if id == vocabulary.unk_id)
    assert manifest["unknown"] == dict(expected)
    assert manifest["unknown"]["ǝ" * 120] == 1 and manifest["counts"]["num_unknown"] == expected.total()


class Phrases:
    version = "1"

    def segment(self, sentences):
        return [["在", "New York", "读书"] for _ in sentences]


def test_latin_phrases_are_split_or_kept(tmp_path, plugins):
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL_PIECES, "new", "york", "在", "读", "书"]), encoding="utf-8")
    (tmp_path / "a.txt").write_text("在New York读书\n", encoding="utf-8")
    plugins("segmenter", "phrases", Phrases)
    starts = {}
    for choice in ("split", "keep"):
        changes = [f"alignment.latin_phrases={choice}", f"output={tmp_path / choice}", "segmenter=phrases", "prepare_workers=1"]
        store = TokenStore(prepare(prepare_job(recipe_in(tmp_path, *changes, vocabulary=vocabulary))))
        starts[choice] = store.gather([0], [5])[1].tolist()
    assert starts == {"split": [True, True, True, True, False], "keep": [True, True, False, True, False]}


class Rarely(Cuts):
    """Loses a character of every ninth sentence or so."""

    version = "1"

    def segment(self, sentences):
        words = super().segment(sentences)
        return [line[1:] if len(sentence) % 9 == 0 else line for sentence, line in zip(sentences, words, strict=True)]


def test_a_row_with_a_fallback_can_be_masked_piece_by_piece(built, tmp_path, plugins):
    plugins("segmenter", "rarely", Rarely)
    store = TokenStore(prepare(prepare_job(recipe_in(built, "segmenter=rarely", "prepare_workers=1", f"output={tmp_path / 'rare'}"))))
    first, end = store.fallback_tokens
    arguments = {"kind": "nsp-pairs", "short_seq_rate": 0.1, "seed": 1, "max_seq_length": 64, "max_predictions": 10, "batch_size": 64}
    arguments |= {"dynamic": True, "dupe_factor": 1}
    rows = {"span": [], "sample": []}

    class Seeing(WholeWord):
        def mask(self, ids, word_starts, candidates, sample_ids, **context):
            rows[self.kind].append((word_starts | ~candidates).all(axis=1))
            return super().mask(ids, word_starts, candidates, sample_ids, **context)

    for kind in rows:
        strategy = Seeing()
        strategy.kind = kind
        source = batch_source(store, strategy=strategy, fallback=kind, **arguments)
        for step in range(6):
            source.batch(step)
    examples = examples_of(
        store, kind="nsp-pairs", max_seq_length=64, short_seq_rate=0.1, seed=1, epoch=0, documents="train", held_out_rate=0.0
    )
    numbers = [int(sample) for step in range(6) for sample in source.batch(step)["sample_ids"]]
    touched = [
        any(
            ((first < start + size) & (end > start)).any()
            for start, size in zip(examples.starts[number].tolist(), examples.lengths[number].tolist(), strict=True)
            if size
        )
        for number in numbers
    ]
    assert 20 < sum(touched) < len(touched) - 20
    single = np.concatenate(rows["sample"])[: len(touched)]
    assert single[touched].all() and not single[~np.array(touched)].any()
    assert not np.concatenate(rows["span"])[: len(touched)].any()
