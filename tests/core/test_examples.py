"""Examples are Google's, RoBERTa's and ALBERT's, cut from the store without loss, and each document's are its own."""

import random
from itertools import count, pairwise
from math import sqrt

import numpy as np
import pytest
from row_sources import examples_of

from wholeword.core.data.draws import Stream, below, draws, row_keys, uniform
from wholeword.core.data.examples import KINDS
from wholeword.core.data.selection import held_out, select_documents
from wholeword.core.data.store import write_store
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *"使用语言模型来预测下一个词的。"])


def make_store(path, sizes, tokens_per_shard=1 << 22):
    """A store of documents of sentences of the given sizes, in tokens."""
    documents = [[(np.full(size, 5), np.ones(size, bool)) for size in document] for document in sizes]
    return write_store(path, VOCABULARY, documents, tokens_per_shard=tokens_per_shard)


def random_sizes(num_documents, seed, *, sentences=12, mean=20):
    generator = np.random.default_rng(seed)
    return [generator.geometric(1 / mean, generator.integers(1, sentences + 1)).tolist() for _ in range(num_documents)]


def build(store, name="nsp-pairs", **changes):
    arguments = {"max_seq_length": 64, "short_seq_rate": 0.1, "seed": 3, "epoch": 0, "documents": "all", "held_out_rate": 0.0}
    return examples_of(store, kind=name, **(arguments | changes))


def spans(examples):
    """[(begin, end) of A, (begin, end) of B] of each example."""
    return [
        [(int(start), int(start + length)) for start, length in zip(*row, strict=True)]
        for row in zip(examples.starts, examples.lengths, strict=True)
    ]


class OurDraws:
    """The choices of a document as `build_examples` draws them."""

    def __init__(self, seed, epoch):
        self.seed, self.epoch = seed, epoch

    def document(self, document):
        self.key = row_keys(self.seed, self.epoch, document)

    def chunk(self, sentence):
        self.chunk_key = draws(self.key, sentence, Stream.CHUNK)
        self.flips = {stream: self.coin(stream) for stream in (Stream.FRONT_A, Stream.FRONT_B)}

    def is_short(self, rate):
        return uniform(draws(self.key, 0, Stream.SHORT)) < rate

    def target(self, n):
        return int(below(draws(self.key, 0, Stream.TARGET), n))

    def pick(self, stream, n):
        return int(below(draws(self.chunk_key, 0, stream), n))

    def other_document(self, document, num_documents):
        number = self.pick(Stream.DOCUMENT, num_documents - 1)
        return number + (number >= document)

    def coin(self, stream):
        for flip in count(step=64):
            bits = int(draws(self.chunk_key, flip, stream))
            for bit in range(64):
                yield bits >> bit & 1

    def front(self, stream):
        return next(self.flips[stream])


class GooglesDraws:
    """The same from one `random.Random`, as google-research/bert draws them."""

    def __init__(self, seed):
        self.generator = random.Random(seed)

    def document(self, document):
        pass

    def chunk(self, sentence):
        pass

    def is_short(self, rate):
        return self.generator.random() < rate

    def target(self, n):
        return self.generator.randint(0, n - 1)

    def pick(self, stream, n):
        return self.generator.randint(0, n - 1)

    def other_document(self, document, num_documents):
        for _ in range(10):
            other = self.generator.randint(0, num_documents - 1)
            if other != document:
                break
        return other

    def front(self, stream):
        return self.generator.random() < 0.5


def google_pairs(sizes, chooser, *, max_seq_length, short_seq_rate):
    """`create_instances_from_document` of google-research/bert over lists of token numbers: ([A, B], label) of each instance."""
    tokens = iter(range(sum(map(sum, sizes))))
    documents = [[[next(tokens) for _ in range(size)] for size in document] for document in sizes]
    instances = []
    for document_index, document in enumerate(documents):
        chooser.document(document_index)
        max_num_tokens = max_seq_length - 3
        target = max_num_tokens
        if chooser.is_short(short_seq_rate):
            target = 2 + chooser.target(max_num_tokens - 1)
        chunk, length, i = [], 0, 0
        while i < len(document):
            chunk.append(document[i])
            length += len(document[i])
            if i == len(document) - 1 or length >= target:
                chooser.chunk(i - len(chunk) + 1)
                a_end = 1
                if len(chunk) >= 2:
                    a_end = 1 + chooser.pick(Stream.A_END, len(chunk) - 1)
                a = [token for sentence in chunk[:a_end] for token in sentence]
                b = []
                is_random = len(chunk) == 1 or chooser.pick(Stream.LABEL, 2) == 1
                if is_random:
                    other = documents[chooser.other_document(document_index, len(documents))]
                    for sentence in other[chooser.pick(Stream.SENTENCE, len(other)) :]:
                        b += sentence
                        if len(b) >= target - len(a):
                            break
                    i -= len(chunk) - a_end
                else:
                    b = [token for sentence in chunk[a_end:] for token in sentence]
                while len(a) + len(b) > max_num_tokens:
                    longer, stream = (a, Stream.FRONT_A) if len(a) > len(b) else (b, Stream.FRONT_B)
                    if chooser.front(stream):
                        del longer[0]
                    else:
                        longer.pop()
                instances.append(([(a[0], a[-1] + 1), (b[0], b[-1] + 1)], int(is_random)))
                chunk, length = [], 0
            i += 1
    return instances


@pytest.mark.parametrize("max_seq_length, short_seq_rate", [(5, 0.0), (16, 0.3), (64, 0.1), (64, 1.0), (128, 0.0), (512, 0.3)])
def test_pairs_are_those_of_googles_loop(tmp_path, max_seq_length, short_seq_rate):
    """With our draws in its hands, google-research/bert's loop, sentence by sentence and token by token, makes the same examples."""
    for seed, mean in ((0, 20), (1, 3), (2, 90)):
        sizes = random_sizes(30, seed, mean=mean)
        store = make_store(tmp_path / f"{seed}", sizes, tokens_per_shard=200)
        assert len(store.shards) > 1
        for epoch in range(2):
            arguments = {"max_seq_length": max_seq_length, "short_seq_rate": short_seq_rate}
            examples = build(store, seed=seed, epoch=epoch, **arguments)
            expected = google_pairs(sizes, OurDraws(seed, epoch), **arguments)
            assert spans(examples) == [pair for pair, _ in expected]
            assert examples.labels.tolist() == [label for _, label in expected]


def test_pairs_are_distributed_as_googles(tmp_path):
    sizes = random_sizes(1500, 5)
    ours = build(make_store(tmp_path / "store", sizes), max_seq_length=128)
    googles = google_pairs(sizes, GooglesDraws(12345), max_seq_length=128, short_seq_rate=0.1)

    def figures(pairs, labels):
        lengths = np.array([[end - begin for begin, end in pair] for pair in pairs], float)
        return {"label": np.array(labels, float), "A": lengths[:, 0], "B": lengths[:, 1], "sum": lengths.sum(axis=1)}

    us, google = figures(spans(ours), ours.labels), figures(*zip(*googles, strict=True))
    for name in us:
        error = sqrt(us[name].var() / len(us[name]) + google[name].var() / len(google[name]))
        assert abs(us[name].mean() - google[name].mean()) < 3 * error, name
    assert abs(len(ours) / len(googles) - 1) < 0.02


def document_of(sizes, token):
    return int(np.searchsorted(np.cumsum([sum(document) for document in sizes]), token, side="right"))


def test_random_segment_is_never_of_the_same_document(tmp_path):
    for num_documents in (2, 3, 200):
        sizes = random_sizes(num_documents, num_documents)
        examples = build(make_store(tmp_path / f"{num_documents}", sizes))
        for ((a, _), (b, _)), label in zip(spans(examples), examples.labels, strict=True):
            assert (document_of(sizes, a) != document_of(sizes, b)) == label
        assert examples.labels.any() and not examples.labels.all()


def test_a_single_document_has_both_kinds_of_pairs_as_with_google(tmp_path):
    """There is no other document for B to come from; without this rule every label would be 0, and NSP teach nothing."""
    sizes = [[20, 30, 25, 70, 10, 12, 13] * 20]
    examples = build(make_store(tmp_path / "one", sizes), short_seq_rate=0.0)
    assert 0.3 < examples.labels.mean() < 0.7
    assert all(document_of(sizes, b[1] - 1) == 0 for _, b in spans(examples))
    assert all(a[1] <= b[0] for (a, b), label in zip(spans(examples), examples.labels, strict=True) if label == 0)
    assert not all(a[1] <= b[0] for (a, b), label in zip(spans(examples), examples.labels, strict=True) if label == 1)
    assert not len(build(make_store(tmp_path / "sentence", [[20]])))


def test_sentence_order_pairs_are_neighbours_of_one_document(tmp_path):
    sizes = random_sizes(400, 8)
    examples = build(make_store(tmp_path / "store", sizes), "sop-pairs", max_seq_length=512, short_seq_rate=0.0)  # nothing is cut at 512
    for (a, b), label in zip(spans(examples), examples.labels, strict=True):
        first, second = (b, a) if label else (a, b)
        assert first[1] == second[0]
        assert document_of(sizes, first[0]) == document_of(sizes, second[1] - 1)
    assert abs(examples.labels.mean() - 0.5) < 3 * 0.5 / sqrt(len(examples))
    covered = examples.lengths.sum() / sum(map(sum, sizes))
    alone = sum(sum(document) for document in sizes if len(document) == 1) / sum(map(sum, sizes))
    assert covered > 1 - alone - 0.05  # all but single sentences
    short = build(make_store(tmp_path / "short", sizes), "sop-pairs", max_seq_length=32, short_seq_rate=0.5)
    assert (short.lengths > 0).all() and (short.lengths.sum(axis=1) <= 29).all()


@pytest.mark.parametrize("name", KINDS)
def test_rows_fit(tmp_path, name):
    store = make_store(tmp_path / "store", random_sizes(300, 1, mean=40), tokens_per_shard=5000)
    for max_seq_length in (5, 32, 128):
        for short_seq_rate in (0.0, 0.5):
            examples = build(store, name, max_seq_length=max_seq_length, short_seq_rate=short_seq_rate)
            room = max_seq_length - (3 if "pairs" in name else 2)
            assert (examples.lengths[:, 0] > 0).all() and (examples.lengths.sum(axis=1) <= room).all()
            assert ((examples.lengths[:, 1] > 0) == ("pairs" in name)).all()
            assert examples.starts.dtype == np.int64 and examples.lengths.dtype == np.int32 and examples.labels.dtype == np.int8
            assert examples.random == ("pairs" in name or short_seq_rate > 0)


@pytest.mark.parametrize("name", ["full-sentences", "doc-sentences"])
@pytest.mark.parametrize("short_seq_rate", [0.0, 0.5])
@pytest.mark.parametrize("max_seq_length", [4, 7, 64, 128, 512])
def test_packing_covers_every_token_once(tmp_path, name, short_seq_rate, max_seq_length):
    sizes = random_sizes(50, 2, mean=35)
    store = make_store(tmp_path / "store", sizes, tokens_per_shard=800)
    examples = build(store, name, max_seq_length=max_seq_length, short_seq_rate=short_seq_rate)
    rows = [row[0] for row in spans(examples)]
    assert rows[0][0] == 0 and rows[-1][1] == store.num_tokens and all(row[1] == following[0] for row, following in pairwise(rows))
    begins = [0, *np.cumsum([size for document in sizes for size in document]).tolist()]
    shard_starts = {shard.token_offset for shard in store.shards} | {store.num_tokens}
    document_starts = set(np.cumsum([0, *map(sum, sizes)]).tolist())
    borders = document_starts if name == "doc-sentences" else shard_starts
    room = max_seq_length - 2
    for (begin, end), (_, following_end) in pairwise(rows):
        assert not any(begin < border < end for border in borders)
        sentence = np.searchsorted(begins, end, side="right") - 1
        if begins[sentence] != end:  # a sentence was cut: only at whole rooms from its beginning
            assert (end - begins[sentence]) % room == 0
        elif short_seq_rate == 0 and end not in borders:  # else the row took all it could
            assert end - begin + min(begins[sentence + 1] - end, room) > room
        assert end - begin <= room and following_end - end > 0


def test_packed_rows_by_eye(tmp_path):
    store = make_store(tmp_path / "store", [[3, 4, 2], [12, 3], [8]])  # room of 8
    assert [row[0] for row in spans(build(store, "doc-sentences", max_seq_length=10, short_seq_rate=0.0))] == [
        *[(0, 7), (7, 9)],  # 3 + 4, 2
        *[(9, 17), (17, 24)],  # the first 8 of 12, the other 4 + 3
        (24, 32),
    ]
    assert [row[0] for row in spans(build(store, "full-sentences", max_seq_length=10, short_seq_rate=0.0))] == [
        *[(0, 7), (7, 9), (9, 17), (17, 24), (24, 32)]
    ]
    assert [row[0] for row in spans(build(store, "full-sentences", max_seq_length=14, short_seq_rate=0.0))] == [(0, 9), (9, 21), (21, 32)]


@pytest.mark.parametrize("name", ["nsp-pairs", "sop-pairs", "doc-sentences"])
def test_examples_do_not_depend_on_shards(tmp_path, name):
    sizes = random_sizes(150, 3)
    one, many = (make_store(tmp_path / f"{size}", sizes, tokens_per_shard=size) for size in (1 << 22, 500))
    assert len(one.shards) == 1 and len(many.shards) > 10
    assert spans(build(one, name)) == spans(build(many, name))


def test_passes_and_seeds_differ(tmp_path):
    store = make_store(tmp_path / "store", random_sizes(100, 3))
    first = spans(build(store))
    assert first == spans(build(store)) and first != spans(build(store, epoch=1)) and first != spans(build(store, seed=4))
    fixed = {"name": "doc-sentences", "short_seq_rate": 0.0}
    assert spans(build(store, **fixed)) == spans(build(store, **fixed, epoch=1, seed=4))


@pytest.mark.parametrize("name", KINDS)
def test_held_out_documents_are_in_no_training_example(tmp_path, name):
    sizes = random_sizes(400, 4)
    store = make_store(tmp_path / "store", sizes, tokens_per_shard=2000)
    documents = {}
    owners = np.repeat(np.arange(400), [sum(document) for document in sizes])
    for which in ("train", "held_out"):
        members = set(select_documents(store, which, 3, 0.2).tolist())
        examples = build(store, name, documents=which, held_out_rate=0.2)
        documents[which] = {document for row in spans(examples) for begin, end in row for document in owners[begin:end].tolist()}
        assert documents[which] <= members
        if name.endswith("sentences"):
            assert documents[which] == members
    assert not documents["train"] & documents["held_out"]
    everything = set(select_documents(store, "train", 3, 0.2).tolist()) | set(select_documents(store, "held_out", 3, 0.2).tolist())
    assert everything == set(range(400)) == set(select_documents(store, "all", 3, 0.2).tolist())


def test_a_document_is_held_out_for_good():
    """Whether it is depends on its number and the seed alone, and the share is as asked."""
    documents = np.arange(100_000)
    out = held_out(documents, 7, 0.01)
    assert abs(out.mean() - 0.01) < 3 * sqrt(0.01 * 0.99 / len(documents))
    assert np.array_equal(held_out(documents[500:510], 7, 0.01), out[500:510])
    assert (held_out(documents, 7, 0.02) >= out).all() and (held_out(documents, 8, 0.01) != out).any()
    assert not held_out(documents, 7, 0.0).any() and held_out(documents, 7, 1.0).all()


@pytest.mark.parametrize("name", KINDS)
def test_cached_examples_are_the_same_and_used_again(tmp_path, name):
    store = make_store(tmp_path / "store", random_sizes(100, 6), tokens_per_shard=1000)
    cache = tmp_path / "cache" / name
    fresh, written = build(store, name), build(store, name, path=cache)
    before = sorted((file.name, file.stat().st_mtime_ns) for file in cache.iterdir())
    again = build(store, name, path=cache)
    assert before == sorted((file.name, file.stat().st_mtime_ns) for file in cache.iterdir())
    for built in (written, again):
        assert spans(built) == spans(fresh) and built.labels.tolist() == fresh.labels.tolist() and built.random == fresh.random
    assert not again.starts.flags.writeable  # mapped, not read

    shorter = spans(build(store, name, max_seq_length=32))
    assert spans(build(store, name, path=cache, max_seq_length=32)) == shorter
    (cache / "lengths").write_bytes(b"\0" * (cache / "lengths").stat().st_size)
    assert spans(build(store, name, path=cache, max_seq_length=32)) == shorter
    elsewhere = make_store(tmp_path / "elsewhere", random_sizes(100, 7))
    assert spans(build(elsewhere, name, path=cache, max_seq_length=32)) == spans(build(elsewhere, name, max_seq_length=32))


def test_no_examples_can_be_cached(tmp_path):
    store = make_store(tmp_path / "store", [[20]])
    for _ in range(2):
        assert len(build(store, path=tmp_path / "cache")) == 0


def test_what_cannot_be_built_is_said(tmp_path):
    store = make_store(tmp_path / "store", [[20]])
    with pytest.raises(UserError, match=r"examples.name is 'nsp'; expected one of nsp-pairs, sop-pairs"):
        build(store, "nsp")
    with pytest.raises(UserError, match="max_seq_length 4 is too short for nsp-pairs; expected at least 5"):
        build(store, max_seq_length=4)
