"""Planted duplicates are found, and the search finds the same pairs as a comparison of all."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.cli import main
from wholeword.core.data.store import write_store
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.reports.leakage import NGRAM_PIECES, find_overlaps, hashes, known_ngrams, near_pairs, normalised

CHARACTERS = [chr(0x4E00 + number) for number in range(400)]
DATA = os.environ.get("WHOLEWORD_DATA")


def invented(draw, length):
    return "".join(draw.choices(CHARACTERS, k=length))


@pytest.fixture
def planted(tmp_path):
    """300 texts to train on; of 60 to test on, 10 are the same, 10 nearly, one has another label, one appears twice."""
    draw = random.Random(7)
    train = [(number % 2, invented(draw, draw.randint(20, 90))) for number in range(300)]
    test = [(number % 2, invented(draw, draw.randint(20, 90))) for number in range(38)]
    same = [(label, f" {text[:9]}　{text[9:]}\u00a0") for label, text in train[40:50]]
    same[3] = (1 - same[3][0], same[3][1])
    nearly = [(label, text[:15] + "好" + text[15:]) for label, text in train if len(text) > 60][:10]
    test += [*same, *nearly, (0, "ＡＢＣ和１２３，都是全角。"), (0, "abc和123,都是全角。")]
    for split, rows in (("train", train), ("test", test)):
        lines = ["label\ttext_a", *(f"{label}\t{text}" for label, text in rows)]
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return tmp_path


def test_planted_duplicates_are_found(planted):
    task = registry.create("task", "classification", data=planted)
    overlaps = {(overlap.split, overlap.against): overlap for overlap in find_overlaps("classification", task)}
    assert set(overlaps) == {("train", "itself"), ("test", "itself"), ("test", "train")}
    assert overlaps["train", "itself"].same == []
    assert overlaps["test", "itself"].same == [("61", "60")]  # the numbers of lines
    overlap = overlaps["test", "train"]
    assert overlap.same == [(str(40 + number), str(42 + number)) for number in range(10)] and overlap.other_label == 1
    assert [id for id, _, _ in overlap.near] == [str(50 + number) for number in range(10)]
    assert all(0.8 <= share < 1 for _, _, share in overlap.near)
    assert overlap.lines() == ["classification test: 60 texts; in train 10 the same (1 with another label), 10 nearly"]


def test_pairs_may_be_in_either_order_and_contexts_count_once(tmp_path):
    (tmp_path / "train.csv").write_text("text_a,text_b,label\n怎么还款,如何还款,1\n", "utf-8")
    (tmp_path / "dev.csv").write_text("text_a,text_b,label\n如何还款,怎么还款 ,1\n如何还款,怎么,1\n", "utf-8")
    (overlap,) = [o for o in find_overlaps("pairs", registry.create("task", "pairs", data=tmp_path)) if o.against == "train"]
    assert overlap.same == [("2", "2")] and overlap.texts == 2
    small = Path(__file__).parents[1] / "data" / "tasks" / "cmrc2018"
    task = registry.create("task", "cmrc2018", data=small, check=False)
    parts = {(o.split, o.part, o.against): o for o in find_overlaps("cmrc2018", task)}
    assert parts["dev", "questions", "itself"].texts == 3 and parts["dev", "contexts", "itself"].texts == 1
    assert parts["trial", "contexts", "dev"].same == [("T1_Q1", "Q1")]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("甲乙丙", max_size=14), max_size=8),
    st.lists(st.text("甲乙丙", max_size=14), max_size=8),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_near_pairs_are_those_of_a_comparison_of_all(texts, others, near):
    def ngrams(text):
        return {text[place : place + 5] for place in range(max(1, len(text) - 4))}

    expected = {}
    for one, text in enumerate(texts):
        for other, against in enumerate(others):
            a, b = ngrams(text), ngrams(against)
            if len(a & b) / len(a | b) >= near:
                expected[one, other] = len(a & b) / len(a | b)
    assert {(one, other): share for one, other, share in near_pairs(texts, others, near)} == pytest.approx(expected)


def test_width_case_and_blanks_make_no_difference():
    assert normalised("　Ｎew\tＹork １２３％ ") == normalised("new york123%") == "newyork123%"


@pytest.fixture
def store(tmp_path):
    """Ten documents of invented text in a store of several shards, and the texts."""
    draw = random.Random(3)
    tokenizer = WordPieceTokenizer(Vocabulary([*SPECIAL_PIECES, *CHARACTERS]), True)
    texts = [invented(draw, 200) for _ in range(10)]
    documents = [[(tokenizer.encode(text)[0], [True] * 200)] for text in texts]
    (tmp_path / "run").mkdir()
    return write_store(tmp_path / "run" / "store", tokenizer.vocabulary, documents, tokens_per_shard=500), texts


def write_test(folder, rows):
    folder.mkdir()
    (folder / "test.tsv").write_text("\n".join(["text_a", *rows]) + "\n", "utf-8")
    return folder


def test_texts_are_found_in_a_store_whole_or_in_large_part(tmp_path, store):
    store, texts = store
    draw = random.Random(4)
    rows = [
        texts[0][50:90],
        texts[9],
        texts[4][10:110] + invented(draw, 10),
        invented(draw, 60),
        texts[5][:7],
        texts[2][:30] + texts[6][:30],
    ]
    folder = write_test(tmp_path / "task", rows)
    task = registry.create("task", "classification", data=folder, labels=["1"])
    *_, overlap = find_overlaps("classification", task, store)
    assert [id for id, _ in overlap.same] == ["2", "3"] and overlap.too_short == 1
    assert [(id, share) for id, _, share in overlap.near] == [
        ("4", 0.903),
        ("7", 0.868),
    ]  # 93 of 103, 46 of 53


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(5, 8), min_size=1, max_size=40), min_size=1, max_size=5), st.lists(st.integers(5, 8), max_size=30))
def test_ngrams_of_a_store_are_those_of_a_plain_search(tmp_path_factory, documents, text):
    store = write_store(
        tmp_path_factory.mktemp("store") / "store",
        Vocabulary([*SPECIAL_PIECES, *CHARACTERS]),
        [[(ids, [True] * len(ids))] for ids in documents],
    )
    whole = [id for ids in documents for id in ids]
    known = {tuple(whole[place : place + NGRAM_PIECES]) for place in range(len(whole) - NGRAM_PIECES + 1)}
    ids = np.array(text, np.int32)
    ngrams = hashes(ids, NGRAM_PIECES)
    expected = [tuple(text[place : place + NGRAM_PIECES]) in known for place in range(len(ngrams))]
    assert np.isin(ngrams, known_ngrams(store, np.unique(ngrams))).tolist() == expected


def test_the_command_prints_lines_or_json(planted, tmp_path, store, capsys):
    main(["leakage", f"classification={planted}", "--store", str(tmp_path / "run"), "--examples", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert "classification test: 60 texts; in train 10 the same (1 with another label), 10 nearly" in lines
    assert "  40 = 42" in lines and any(line.startswith("  50 ~ ") for line in lines)
    assert f"classification test: 60 texts; in {tmp_path}/run/store 0 whole, 0 nearly" in lines
    main(["leakage", f"classification={planted}", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["split"], row["against"], len(row["same"])) for row in rows] == [
        ("train", "itself", 0),
        ("test", "itself", 1),
        ("test", "train", 10),
    ]


@pytest.mark.skipif(DATA is None, reason="WHOLEWORD_DATA is unset: no real data")
def test_a_quarter_of_chnsenticorp_leaks():
    """By normalised text; counted a second time here with a set."""
    task = registry.create("task", "chnsenticorp", data=Path(DATA, "chnsenticorp"))
    train, dev, test = ({normalised(example.text) for example in task.read(split)} for split in ("train", "dev", "test"))
    overlaps = {(overlap.split, overlap.against): overlap for overlap in find_overlaps("chnsenticorp", task)}
    assert (len(overlaps["dev", "train"].same), len(overlaps["test", "train"].same)) == (340, 333)
    for split, texts in (("dev", dev), ("test", test)):
        ids = {id for id, _ in overlaps[split, "train"].same}
        assert {normalised(example.text) for example in task.read(split) if example.id in ids} == texts & train


def test_the_command_names_what_is_missing(tmp_path, capsys):
    for arguments, message in (
        (["chnsenticorp"], "chnsenticorp: expected chnsenticorp=FOLDER, the folder of its files"),
        ([f"chnsenticorp={tmp_path}"], "no train.tsv in it; expected ChnSentiCorp train (9,600 examples"),
        ([f"lcqmk={tmp_path}"], "unknown task 'lcqmk'; did you mean 'lcqmc'?"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["leakage", *arguments])
        assert stopped.value.code in (2, 4) and message in capsys.readouterr().err
