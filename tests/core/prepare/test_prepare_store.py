"""Token stores: what is in them, when they are used again, and when they are refused."""

import hashlib
import json
import os
import shutil

import pytest
from prepare_parts import SMALL, hashes, recipe_in, write_corpus

from wholeword.core.config.preparation import prepare_job
from wholeword.core.data.align import pieces_of
from wholeword.core.data.store import TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.registry.registry import registry
from wholeword.core.training.prepare import prepare
from wholeword.core.vocabulary import Vocabulary


def test_the_store_holds_the_pieces_and_words_of_every_sentence(built):
    store = TokenStore(built / "run/store")
    tokenizer, segmenter = WordPieceTokenizer(store.vocabulary, True), registry.create("segmenter", "jieba")
    lines = [text.split("\n") for text in "\n\n".join((built / f"{n}.txt").read_text(encoding="utf-8") for n in (0, 1)).split("\n\n")]
    documents = [[line for line in document if line] for document in lines if any(document)]
    assert store.num_documents == len(documents) and store.num_sentences == sum(map(len, documents)) and len(store.shards) == 3
    for number in range(0, len(documents), 97):
        borders = store.sentence_tokens(*store.document_sentences(number))
        words = segmenter.segment(documents[number])
        for sentence, line, first, end in zip(documents[number], words, borders[:-1], borders[1:], strict=True):
            ids, word_starts = store.gather([first], [end - first])
            aligned = pieces_of(sentence, line, tokenizer)
            assert ids.tolist() == aligned.ids.tolist() and word_starts.tolist() == aligned.word_starts.tolist()


def test_the_manifest_says_what_the_store_was_made_of(built):
    manifest = TokenStore(built / "run/store").manifest
    text = [(built / f"{number}.txt").read_bytes() for number in (0, 1)]
    assert manifest["corpus"] == [
        {"name": f"{number}.txt", "bytes": len(text[number]), "sha256": hashlib.sha256(text[number]).hexdigest()} for number in (0, 1)
    ]
    assert manifest["segmenter"]["name"] == "jieba" and manifest["segmenter"]["version"].startswith("rjieba ")
    assert manifest["segmenter"]["settings"] == {"hmm": True, "user_dictionary": None}
    assert manifest["vocabulary_sha256"] == Vocabulary.read(SMALL / "vocab.txt").sha256
    counts = manifest["counts"]
    assert counts["num_tokens"] > counts["num_words"] > counts["num_sentences"] > counts["num_documents"] > 0 < counts["num_unknown"]
    assert counts["num_characters"] == sum(len(line.strip()) for part in text for line in part.decode().split("\n"))
    assert counts["num_fallbacks"] == counts["num_replaced"] == counts["num_duplicates"] == counts["num_cut"] == 0
    assert str(built) not in json.dumps(manifest)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_bytes_do_not_depend_on_the_number_of_workers(built, tmp_path, workers):
    seen = []
    store = prepare(
        prepare_job(recipe_in(built, f"prepare_workers={workers}", f"output={tmp_path}")), progress=lambda *progress: seen.append(progress)
    )
    assert hashes(store) == hashes(built / "run/store")
    total = sum((built / f"{number}.txt").stat().st_size for number in (0, 1))
    assert seen[-1] == (total, total, TokenStore(store).num_tokens)
    assert seen == sorted(seen)


def test_a_finished_store_is_used_again(built):
    before = {path: path.stat().st_mtime_ns for path in (built / "run/store").iterdir()}
    assert prepare(prepare_job(recipe_in(built, "prepare_workers=2", "seed=9"))) == built / "run/store"
    assert {path: path.stat().st_mtime_ns for path in (built / "run/store").iterdir()} == before


def test_a_finished_store_does_without_its_corpus(built, tmp_path):
    shutil.copytree(built / "run", tmp_path / "run")
    assert prepare(prepare_job(recipe_in(tmp_path))) == tmp_path / "run/store"
    with pytest.raises(UserError, match=r"segmenter\.name was 'jieba', is 'characters'"):
        prepare(prepare_job(recipe_in(tmp_path, "segmenter=characters")))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("segmenter=characters", r"segmenter\.name was 'jieba', is 'characters'"),
        ("segmenter={name: jieba, hmm: false}", r"segmenter\.settings\.hmm was True, is False"),
        ("tokenizer.lowercase=false", r"tokenizer\.lowercase was True, is False"),
        ("corpus.shard_mb=2", r"corpus\.shard_mb was 1, is 2"),
        ("corpus.files=[0.txt]", r"1\.txt no longer exists"),
        ("corpus.files=[1.txt, 0.txt]", "another order"),
    ],
)
def test_a_store_of_another_recipe_is_refused_and_kept(built, override, message):
    before = hashes(built / "run/store")
    with pytest.raises(UserError, match=message):
        prepare(prepare_job(recipe_in(built, override)))
    assert hashes(built / "run/store") == before


def test_a_mistake_that_nothing_was_built_with_is_forgotten(tmp_path):
    write_corpus(tmp_path, 0.1)
    (tmp_path / "words.dict").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"words\.dict"):
        prepare(prepare_job(recipe_in(tmp_path, "segmenter={name: jieba, user_dictionary: words.dict}")))
    assert (tmp_path / "run" / "store.partial").exists()
    assert prepare(prepare_job(recipe_in(tmp_path))) == tmp_path / "run" / "store"


def test_a_changed_corpus_is_told(tmp_path):
    write_corpus(tmp_path, 0.1)
    prepare(prepare_job(recipe_in(tmp_path)))
    with open(tmp_path / "1.txt", "ab") as file:
        file.write(b"\n")
    with pytest.raises(UserError, match=r"1\.txt had [\d,]+ bytes, has [\d,]+ bytes; set 'store' to another folder"):
        prepare(prepare_job(recipe_in(tmp_path)))


def test_a_folder_that_is_no_store_is_left_alone(tmp_path):
    write_corpus(tmp_path, 0.1)
    (tmp_path / "run" / "store").mkdir(parents=True)
    (tmp_path / "run" / "store" / "mine").write_text("x")
    with pytest.raises(IntegrityError, match=r"manifest\.json: missing"):
        prepare(prepare_job(recipe_in(tmp_path)))
    os.rename(tmp_path / "run" / "store", tmp_path / "run" / "store.partial")
    with pytest.raises(UserError, match="holds other files"):
        prepare(prepare_job(recipe_in(tmp_path)))
    assert (tmp_path / "run" / "store.partial" / "mine").read_text() == "x"


def test_a_vocabulary_trained_from_the_corpus_is_part_of_the_build(tmp_path):
    write_corpus(tmp_path, 0.3)
    trained = ("tokenizer={train: 900}", f"output={tmp_path}/trained")

    def stop(done, total, tokens):
        if tokens:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(prepare_job(recipe_in(tmp_path, *trained)), progress=stop)
    vocabulary = (tmp_path / "trained/store.partial/store/vocab.txt").read_bytes()
    store = TokenStore(prepare(prepare_job(recipe_in(tmp_path, *trained))))
    assert store.vocabulary.to_bytes() == vocabulary and store.vocabulary.ids["[PAD]"] == 0
    assert store.manifest["counts"]["num_unknown"] == 0
    assert prepare(prepare_job(recipe_in(tmp_path, *trained))) == tmp_path / "trained/store"


def test_a_corpus_that_changes_under_a_trained_vocabulary_is_told(tmp_path):
    write_corpus(tmp_path, 0.3)
    trained = ("tokenizer={train: 900}", f"output={tmp_path}/trained")
    with pytest.raises(ZeroDivisionError):
        prepare(prepare_job(recipe_in(tmp_path, *trained)), progress=lambda done, total, tokens: tokens and 1 // 0)
    text = (tmp_path / "1.txt").read_bytes()
    (tmp_path / "1.txt").write_bytes(text[len(text) // 2 :] + text[: len(text) // 2])
    with pytest.raises(UserError, match="changed since the vocabulary was trained"):
        prepare(prepare_job(recipe_in(tmp_path, *trained)))


def test_a_corpus_without_a_piece_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("\n \n\u200b\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"no text in a\.txt"):
        prepare(prepare_job(recipe_in(tmp_path)))
