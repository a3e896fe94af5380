import os
import random
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.data.store import TokenStore, write_store
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *(chr(0x4E00 + number) for number in range(200))])
SENTENCE = st.lists(st.tuples(st.integers(0, 204), st.booleans()), max_size=20)
DOCUMENTS = st.lists(st.lists(SENTENCE, max_size=5), max_size=12)


def as_arrays(documents):
    return [[([id for id, _ in sentence], [start for _, start in sentence]) for sentence in document] for document in documents]


def some_documents():
    generator = random.Random(2)
    return [[[(generator.randrange(205), generator.random() < 0.6) for _ in range(9)] for _ in range(3)] for _ in range(40)]


@settings(max_examples=100, deadline=None)
@given(documents=DOCUMENTS, tokens_per_shard=st.integers(1, 100), data=st.data())
def test_what_is_written_is_read(tmp_path_factory, documents, tokens_per_shard, data):
    path = tmp_path_factory.mktemp("store") / "store"
    filled = [[sentence for sentence in document if sentence] for document in documents]
    filled = [document for document in filled if document]
    if not filled:
        with pytest.raises(UserError, match="no text"):
            write_store(path, VOCABULARY, as_arrays(documents))
        assert not path.exists()
        return
    store = write_store(path, VOCABULARY, as_arrays(documents), tokens_per_shard=tokens_per_shard)
    assert store.num_documents == len(filled) == sum(shard.num_documents for shard in store.shards)
    assert store.num_sentences == sum(map(len, filled))
    assert store.num_tokens == sum(len(sentence) for document in filled for sentence in document)
    spans = []
    for number, document in enumerate(filled):
        first, end = store.document_sentences(number)
        borders = store.sentence_tokens(first, end)
        assert np.diff(borders).tolist() == [len(sentence) for sentence in document]
        spans += zip(borders[:-1].tolist(), document, strict=True)
    spans = data.draw(st.lists(st.sampled_from(spans), max_size=20))  # in any order, over all shards
    ids, word_starts = store.gather(np.array([start for start, _ in spans], np.int64), np.array([len(sentence) for _, sentence in spans]))
    assert ids.dtype == np.int32 and word_starts.dtype == bool
    assert ids.tolist() == [id for _, sentence in spans for id, _ in sentence]
    assert word_starts.tolist() == [start or place == 0 for _, sentence in spans for place, (_, start) in enumerate(sentence)]


def test_a_token_takes_two_bytes_and_a_bit(tmp_path):
    documents = as_arrays([[[(5, True)] * 1000]])
    store = write_store(tmp_path / "a", VOCABULARY, documents)
    assert (tmp_path / "a" / "shard-00000.bin").stat().st_size == 2000 + 128 + 8 + 8
    assert store.shards[0].ids.dtype == np.uint16
    large = Vocabulary([*VOCABULARY.pieces, *(f"##{number}" for number in range(1 << 16))])
    assert write_store(tmp_path / "b", large, [[([70_000 - 5], [True])]]).gather([0], [1])[0].tolist() == [69_995]


def test_the_store_knows_its_vocabulary(tmp_path):
    write_store(tmp_path / "a", VOCABULARY, as_arrays(some_documents()), lowercase=False)
    store = TokenStore(tmp_path / "a")
    assert store.vocabulary.pieces == VOCABULARY.pieces and store.lowercase is False
    assert store.manifest["fingerprint"] != write_store(tmp_path / "b", VOCABULARY, as_arrays(some_documents())).manifest["fingerprint"]


def test_the_mapped_arrays_cannot_be_written(tmp_path):
    store = write_store(tmp_path / "a", VOCABULARY, as_arrays(some_documents()))
    with pytest.raises(ValueError, match="read-only"):
        store.shards[0].ids[0] = 1


def test_every_damage_is_refused_and_named(tmp_path):
    path = write_store(tmp_path / "a", VOCABULARY, as_arrays(some_documents()), tokens_per_shard=300).path
    generator = random.Random(3)
    for _ in range(200):
        file = generator.choice(sorted(path.iterdir()))
        content = file.read_bytes()
        damaged = bytearray(content)
        damaged[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        for wrong in (bytes(damaged), content[: generator.randrange(len(content))]):
            file.write_bytes(wrong)
            with pytest.raises(IntegrityError, match=file.name):
                TokenStore(path)
        file.write_bytes(content)
    TokenStore(path)
    first, second = sorted(path.glob("*.bin"))[:2]
    os.rename(first, path / "x")
    with pytest.raises(IntegrityError, match=f"{first.name}: missing"):
        TokenStore(path)
    os.rename(second, first)
    os.rename(path / "x", second)
    with pytest.raises(IntegrityError, match=f"{first.name}(.|\n)*{second.name}"):
        TokenStore(path)


def test_another_folder_is_no_store(tmp_path):
    with pytest.raises(IntegrityError, match="missing"):
        TokenStore(tmp_path)
    write_store(tmp_path / "a", VOCABULARY, as_arrays(some_documents()))
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(IntegrityError):
        TokenStore(tmp_path / "a")
