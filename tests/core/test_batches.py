"""A batch is a pure function of the step: the same rows and masks however it is made, and every row is whole."""

import threading
from itertools import islice, pairwise

import numpy as np
import pytest
from row_sources import batch_source, split

from wholeword.core.contracts import Masked
from wholeword.core.data.batches import evaluation_batches, load_examples
from wholeword.core.data.examples import KINDS
from wholeword.core.data.rows import EXAMPLE_BITS
from wholeword.core.data.selection import select_documents
from wholeword.core.data.store import write_store
from wholeword.core.errors import PluginError, UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.plugins.masking.whole_word import WholeWord
from wholeword.plugins.masking.wordpiece import WordPiece

TEXT = [
    ["使用 语言 模型 来 预测 下 一个 词 。", "模型 先 读 完 整个 句子 ，", "再 决定 哪些 词语 值得 留意 。"],
    ["图书馆 的 新 系统 将 于 下个月 上线 。"],
    [
        "他 说 今年 的 鱼 比 去年 少 了 许多 ，",
        "可是 价格 涨 了 将近 三成 。",
        "老板 以前 是 一名 程序员 。",
        "“ 真的 吗 ？ ” 她 笑 着 问 。",
    ],
    ["高速公路 沿线 的 服务区 已经 恢复 营业 。", "没有 人 回答 ……"],
]
FEATURES = {
    "input_ids": "int32 L",
    "input_mask": "int32 L",
    "segment_ids": "int32 L",
    "masked_lm_positions": "int32 P",
    "masked_lm_ids": "int32 P",
    "masked_lm_weights": "float32 P",
    "masked_lm_word_lengths": "int32 P",
    "next_sentence_labels": "int32",
    "sample_ids": "uint64",
}


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """Real sentences, one piece a character."""
    characters = sorted({character for document in TEXT for sentence in document for character in sentence} - {" "})
    vocabulary = Vocabulary([*SPECIAL_PIECES, *characters])

    def tokens(sentence):
        words = sentence.split()
        ids = [vocabulary.ids[character] for word in words for character in word]
        return ids, [number == 0 for word in words for number in range(len(word))]

    documents = [[tokens(sentence) for sentence in document] for document in TEXT]
    return write_store(tmp_path_factory.mktemp("sentences") / "store", vocabulary, documents, tokens_per_shard=60)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A store in which every token has an id of its own, so that a row says where it comes from; three shards."""
    generator = np.random.default_rng(1)
    vocabulary = Vocabulary([*SPECIAL_PIECES, *(f"token {number}" for number in range(24_000))])
    first = len(SPECIAL_PIECES)

    def documents():
        nonlocal first
        while first < 20_000:
            document = []
            for size in generator.integers(3, 40, generator.integers(1, 12)):
                document.append((np.arange(first, first + size), generator.random(size) < 0.6))
                first += size
            yield document

    return write_store(tmp_path_factory.mktemp("numbered") / "store", vocabulary, documents(), tokens_per_shard=8000)


def source(store, **changes):
    arguments = {
        **{"kind": "nsp-pairs", "short_seq_rate": 0.1, "strategy": WholeWord(), "seed": 11, "max_seq_length": 64},
        **{"max_predictions": 10, "batch_size": 16, "dynamic": False, "dupe_factor": 5},
    }
    return batch_source(store, **(arguments | changes))


def unmasked(batch):
    """The ids before masking."""
    ids = batch["input_ids"].copy()
    rows, slots = np.nonzero(batch["masked_lm_weights"])
    ids[rows, batch["masked_lm_positions"][rows, slots]] = batch["masked_lm_ids"][rows, slots]
    return ids


def equal(left, right):
    return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)


def joined(batches):
    batches = list(batches)
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


def test_batch_of_real_sentences(sentences):
    vocabulary = sentences.vocabulary
    made = source(sentences, kind="doc-sentences", short_seq_rate=0.0, batch_size=6, max_seq_length=32)
    assert made.num_examples == 6 and not made.has_next_sentence
    batch = made.batch(0)
    texts = ["".join(vocabulary.pieces[number] for number in row if number != vocabulary.pad_id) for row in unmasked(batch)]
    assert sorted(texts) == sorted(
        [
            "[CLS]使用语言模型来预测下一个词。模型先读完整个句子，[SEP]",
            "[CLS]再决定哪些词语值得留意。[SEP]",
            "[CLS]图书馆的新系统将于下个月上线。[SEP]",
            "[CLS]他说今年的鱼比去年少了许多，可是价格涨了将近三成。[SEP]",
            "[CLS]老板以前是一名程序员。“真的吗？”她笑着问。[SEP]",
            "[CLS]高速公路沿线的服务区已经恢复营业。没有人回答……[SEP]",
        ]
    )
    words = {word for document in TEXT for sentence in document for word in sentence.split()}
    for row in range(6):
        chosen = [vocabulary.pieces[number] for number in batch["masked_lm_ids"][row] if number]
        lengths = [int(length) for length in batch["masked_lm_word_lengths"][row] if length]
        while chosen:  # what is chosen is a row of whole words
            assert "".join(chosen[: lengths[0]]) in words and set(lengths[: lengths[0]]) == {lengths[0]}
            chosen, lengths = chosen[lengths[0] :], lengths[lengths[0] :]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("strategy", [WholeWord(), WordPiece()], ids=["whole-word", "wordpiece"])
def test_features(numbered, name, strategy):
    made = source(numbered, kind=name, strategy=strategy, short_seq_rate=0.2)
    assert made.has_next_sentence == name.endswith("pairs")
    vocabulary = numbered.vocabulary
    is_start = np.zeros(len(vocabulary), bool)
    for shard in numbered.shards:
        ids, word_starts = numbered.gather(np.array([shard.token_offset]), np.array([shard.num_tokens]))
        is_start[ids] = word_starts
    for step in range(4):
        batch = made.batch(step)
        for feature, kind in FEATURES.items():
            dtype, *size = kind.split()
            assert batch[feature].dtype == dtype and batch[feature].shape == (16, *({"L": 64, "P": 10}[letter] for letter in size))
        assert batch.keys() == FEATURES.keys()
        before = unmasked(batch)
        for row in range(16):
            size = batch["input_mask"][row].sum()
            ends = np.flatnonzero(before[row] == vocabulary.sep_id)
            assert before[row][0] == vocabulary.cls_id and len(ends) == 1 + made.has_next_sentence and ends[-1] == size - 1
            assert (before[row][size:] == vocabulary.pad_id).all() and (before[row][:size] != vocabulary.pad_id).all()
            assert batch["segment_ids"][row].tolist() == [0] * (ends[0] + 1) + [1] * (size - ends[0] - 1) + [0] * (64 - size)
            segments = [before[row][1 : ends[0]]] + ([before[row][ends[0] + 1 : ends[1]]] if made.has_next_sentence else [])
            words = []
            for segment, begin in zip(segments, (1, ends[0] + 1), strict=False):
                assert (np.diff(segment) == 1).all()  # a span of the store
                borders = [0, *(np.flatnonzero(is_start[segment[1:]]) + 1), len(segment)]  # a cut word counts from the cut
                words += [list(range(begin + a, begin + b)) for a, b in pairwise(borders)]
            word_of = {place: word for word in words for place in word}
            num_chosen = int(batch["masked_lm_weights"][row].sum())
            places = batch["masked_lm_positions"][row][:num_chosen].tolist()
            assert num_chosen >= 1 and places == sorted(set(places)) and set(places) <= set(word_of)
            assert batch["masked_lm_word_lengths"][row][:num_chosen].tolist() == [len(word_of[place]) for place in places]
            if isinstance(strategy, WholeWord):
                assert all(set(word_of[place]) <= set(places) for place in places)
            for feature in ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights", "masked_lm_word_lengths"):
                assert not batch[feature][row][num_chosen:].any()


@pytest.mark.parametrize("name", ["nsp-pairs", "full-sentences"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_rows_do_not_depend_on_batch_size(numbered, name, dynamic):
    """1, 7 and 256 rows a batch; the last reaches over several passes."""
    wide = source(numbered, kind=name, dynamic=dynamic, batch_size=256)
    rows = {key: array[:70] for key, array in joined(wide.batch(step) for step in range(2)).items()}
    assert wide.num_examples < 512
    for size in (1, 7):
        made = source(numbered, kind=name, dynamic=dynamic, batch_size=size)
        assert equal(joined(made.batch(step) for step in range(70 // size)), rows)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_prefetched_batches_are_those_of_their_steps(numbered, workers):
    made = source(numbered, dynamic=True)
    assert all(
        equal(batch, source(numbered, dynamic=True).batch(step))
        for step, batch in zip(range(3, 20), made.batches(3, 20, workers=workers), strict=True)
    )
    assert list(made.batches(5, 5, workers=workers)) == []


def rows_of_passes(made, num_passes):
    """Per pass {sample id: what was made of it}, row by row."""
    passes, structure = [], None
    for batch in made.batches(0, 10**6):
        for row, sample in enumerate(batch["sample_ids"].tolist()):
            if sample >> EXAMPLE_BITS != structure or sample in passes[-1]:
                if len(passes) == num_passes:
                    return passes
                passes.append({})
                structure = sample >> EXAMPLE_BITS
            features = ("input_ids", "masked_lm_positions", "masked_lm_ids")
            passes[-1][sample] = tuple(batch[feature][row].tobytes() for feature in features)


@pytest.mark.parametrize("name, kinds_of_pass", [("nsp-pairs", 3), ("full-sentences", 1)])
def test_static_masks_repeat_after_dupe_factor_passes_and_dynamic_ones_do_not(numbered, name, kinds_of_pass):
    long = {"short_seq_rate": 0.0}
    static, dynamic = (
        rows_of_passes(source(numbered, kind=name, dupe_factor=3, dynamic=dynamic, batch_size=64, max_seq_length=128, **long), 7)
        for dynamic in (False, True)
    )
    for number in range(6):
        assert static[number].keys() == dynamic[number].keys()  # the same rows; every pass has its examples once
        assert {sample >> EXAMPLE_BITS for sample in static[number]} == {number % kinds_of_pass}
        assert sorted(sample & ((1 << EXAMPLE_BITS) - 1) for sample in static[number]) == list(range(len(static[number])))
    for number in range(3):
        assert static[number] == static[number + 3]
        assert list(static[number]) != list(static[number + 3])  # in another order
        changed = sum(dynamic[number][sample] != dynamic[number + 3][sample] for sample in dynamic[number])
        assert changed > 0.99 * len(dynamic[number])
    assert static[0] == dynamic[0] and static[1] == dynamic[1]
    if kinds_of_pass == 1:
        assert sum(static[0][sample] != static[1][sample] for sample in static[0]) > 0.99 * len(static[0])


def test_seeds_differ(numbered):
    assert not equal(source(numbered).batch(0), source(numbered, seed=12).batch(0))


def test_cache_changes_nothing(numbered, tmp_path):
    for _ in range(2):
        made = source(numbered, cache=tmp_path / "examples", batch_size=300)
        assert all(equal(made.batch(step), source(numbered, batch_size=300).batch(step)) for step in range(4))
    assert len(list((tmp_path / "examples").iterdir())) > 1


def running_loaders():
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


class Failing(WholeWord):
    def mask(self, *arguments, epoch, **context):
        if epoch == 2:
            raise ValueError("缺了一个词")
        return super().mask(*arguments, epoch=epoch, **context)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_failure_arrives_where_it_belongs(sentences, workers):
    made = source(sentences, strategy=Failing(), kind="doc-sentences", short_seq_rate=0.0, batch_size=made_rows(sentences))
    batches = made.batches(0, 10, workers=workers)
    assert len(list(islice(batches, 2))) == 2
    with pytest.raises(ValueError, match="缺了一个词"):
        next(batches)
    assert not running_loaders()


def made_rows(store):
    return source(store, kind="doc-sentences", short_seq_rate=0.0).num_examples


@pytest.mark.parametrize("workers", [1, 3])
def test_closing_early_stops_the_threads(numbered, workers):
    batches = source(numbered).batches(0, 10**9, workers=workers)
    next(batches)
    assert 1 <= len(running_loaders()) <= workers
    batches.close()
    assert not running_loaders()


class Inspecting(WholeWord):
    def mask(self, ids, word_starts, candidates, sample_ids, **context):
        first = candidates.copy()
        first[:, 1:] &= ~candidates[:, :-1]
        assert word_starts[first].all() and not word_starts[~candidates].any()
        return super().mask(ids, word_starts, candidates, sample_ids, **context)


@pytest.mark.parametrize("name", KINDS)
def test_every_segment_begins_with_a_word(numbered, name):
    source(numbered, kind=name, strategy=Inspecting(), batch_size=100, max_seq_length=32).batch(0)


class Careless:
    def __init__(self, chosen):
        self.chosen = chosen

    def mask(self, ids, word_starts, candidates, sample_ids, **context):
        return Masked(ids, self.chosen(candidates))


def test_a_strategy_that_chooses_what_it_must_not_is_named(numbered):
    with pytest.raises(PluginError, match=r"masking strategy test_batches:Careless: chose \d\d pieces of row \d+; expected at most .*, 10"):
        source(numbered, strategy=Careless(lambda candidates: candidates)).batch(0)
    with pytest.raises(PluginError, match=r"masking strategy test_batches:Careless: chose \[CLS\], \[SEP\] or padding"):
        source(numbered, strategy=Careless(lambda candidates: np.arange(64) + 0 * candidates < 1)).batch(0)


def test_no_examples_is_an_error_that_says_why(sentences):
    with pytest.raises(UserError, match=r"no held-out examples of kind nsp-pairs in 4 documents of 10 sentences with .*held_out_rate 0.0"):
        source(sentences, documents="held_out")
    with pytest.raises(UserError, match=r"no train examples .*held_out_rate 1.0"):
        source(sentences, held_out_rate=1.0)


def evaluation(store, **changes):
    arguments = {
        **{"kind": "nsp-pairs", "strategy": WholeWord(), "seed": 11, "max_seq_length": 64, "max_predictions": 10},
        **{"batch_size": 8, "num_batches": 3, "held_out_rate": 0.3, "documents": "held_out"},
    }
    spec, rest = split(arguments | changes)
    examples = load_examples(store, spec, epoch=0, cache=None)
    return evaluation_batches(store, examples, seed=spec.seed, max_seq_length=spec.max_seq_length, **rest)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("strategy", [WholeWord(), WordPiece()], ids=["whole-word", "wordpiece"])
def test_evaluation_is_always_the_same_and_unseen(numbered, name, strategy):
    batches = evaluation(numbered, kind=name, strategy=strategy)
    assert len(batches) == 3 and all(equal(*pair) for pair in zip(batches, evaluation(numbered, kind=name, strategy=strategy), strict=True))
    assert all(len(batch["sample_ids"]) == 8 and batch["masked_lm_weights"].any(axis=1).all() for batch in batches)
    assert len(set(joined(batches)["sample_ids"].tolist())) == 24
    ends = np.concatenate([shard.token_offset + shard.sentence_ends[shard.document_ends - 1] for shard in numbered.shards])
    documents = {}
    for which, rows in (
        ("held_out", joined(batches)),
        ("train", joined(source(numbered, held_out_rate=0.3).batch(step) for step in range(9))),
    ):
        tokens = unmasked(rows)
        tokens = tokens[tokens >= len(SPECIAL_PIECES)] - len(SPECIAL_PIECES)
        documents[which] = set(np.searchsorted(ends, tokens, side="right").tolist())
        assert documents[which] <= set(select_documents(numbered, which, 11, 0.3).tolist())


def test_evaluation_takes_what_there_is(numbered):
    whole = evaluation(numbered, num_batches=10**6)
    assert 0 <= sum(len(batch["sample_ids"]) for batch in whole) - 8 * len(whole) < 8
    few = evaluation(numbered, batch_size=10**6)
    assert len(few) == 1 and 8 * len(whole) <= len(few[0]["sample_ids"]) < 8 * len(whole) + 8
    taken, available = joined(whole), few[0]
    row_of = {sample: row for row, sample in enumerate(available["sample_ids"].tolist())}
    assert np.array_equal(taken["input_ids"], available["input_ids"][[row_of[sample] for sample in taken["sample_ids"].tolist()]])
