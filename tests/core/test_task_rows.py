"""Rows of tasks against loops written after Google's run_classifier.py and run_squad.py, and the way back from logits to text."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.contracts.tasks import Answer, SpanExample, TaggedExample, TextExample
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.finetuning import rows as module
from wholeword.finetuning.decode import decode
from wholeword.finetuning.rows import make_rows

PIECES = [
    *SPECIAL_PIECES,
    *"新车站在城西有四个台是里最大的使用语言模型，。？“”0129ab",
    *(f"##{c}" for c in "0129abc"),
    "ab",
    "##bc",
    "19",
    "##98",
]
TOKENIZER = WordPieceTokenizer(Vocabulary(PIECES), True)
CLS, SEP = TOKENIZER.vocabulary.cls_id, TOKENIZER.vocabulary.sep_id
TEXT = st.text(st.sampled_from("新车站在城西有四个，。？“0129abcAB éガ\u200b\n𠮷😀"), max_size=40)
DATA = os.environ.get("WHOLEWORD_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="WHOLEWORD_DATA is unset: no real data")


def pieces(text):
    return TOKENIZER.encode(text)[0].tolist()


def split(rows):
    """ids and segments of each row."""
    borders = list(zip(rows.row_pieces[:-1].tolist(), rows.row_pieces[1:].tolist(), strict=True))
    return [(rows.ids[first:last].tolist(), rows.segments[first:last].tolist()) for first, last in borders]


def truncated(a, b, length):
    """_truncate_seq_pair of run_classifier.py, step by step."""
    a, b = list(a), list(b)
    while len(a) + len(b) > length:
        (a if len(a) > len(b) else b).pop()
    return a, b


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(TEXT, st.none() | TEXT), min_size=1, max_size=5), st.integers(4, 40))
def test_texts_and_pairs_are_truncated_as_google_does(texts, length):
    examples = [TextExample(str(number), text, pair, "1") for number, (text, pair) in enumerate(texts)]
    rows = make_rows(examples, TOKENIZER, head="classification", labels=["0", "1"], max_seq_length=length)
    expected = []
    for text, pair in texts:
        if pair is None:
            ids = [CLS, *pieces(text)[: length - 2], SEP]
            expected.append((ids, [0] * len(ids)))
        else:
            a, b = truncated(pieces(text), pieces(pair), length - 3)
            expected.append(([CLS, *a, SEP, *b, SEP], [0] * (len(a) + 2) + [1] * (len(b) + 1)))
    assert split(rows) == expected
    assert rows.targets.tolist() == [1] * len(texts) and rows.examples.tolist() == list(range(len(texts)))


@settings(max_examples=200, deadline=None)
@given(TEXT, TEXT, st.integers(4, 10), st.integers(1, 9), st.integers(1, 8))
def test_windows_of_contexts_are_those_of_run_squad(question, context, extra, stride, max_query_length):
    length = extra + 3 + max_query_length
    rows = make_rows(
        [SpanExample("1", question, context)],
        TOKENIZER,
        head="span",
        max_seq_length=length,
        doc_stride=stride,
        max_query_length=max_query_length,
    )
    query, whole = pieces(question)[:max_query_length], pieces(context)
    room, start, expected = length - len(query) - 3, 0, []
    while True:
        window = whole[start : start + room]
        expected.append(([CLS, *query, SEP, *window, SEP], [0] * (len(query) + 2) + [1] * (len(window) + 1)))
        if start + len(window) == len(whole):
            break
        start += min(len(window), stride)
    assert split(rows) == expected


def one_hot(rows):
    """Logits of a model that knows every answer."""
    logits = np.zeros((len(rows.ids), 2))
    for row, (start, end) in enumerate(rows.targets.tolist()):
        if start:
            logits[rows.row_pieces[row] + [start, end], [0, 1]] = 9
    return logits


@settings(max_examples=300, deadline=None)
@given(TEXT, st.data(), st.integers(8, 30), st.integers(1, 6))
def test_answers_come_back_from_whatever_window_they_are_in(context, data, length, stride):
    offsets = TOKENIZER.encode(context)[1].tolist()
    if not offsets:
        return
    first = data.draw(st.integers(0, len(offsets) - 1))
    last = data.draw(st.integers(first, min(len(offsets) - 1, first + length - 8)))
    start, end = offsets[first][0], offsets[last][1]
    answer = context[start:end]
    if len({tuple(offset) for offset in offsets}) < len(offsets):  # two pieces of one character have one place in the text
        return
    example = SpanExample("1", "在", context, (Answer(answer, start),))
    rows = make_rows([example], TOKENIZER, head="span", max_seq_length=length, doc_stride=stride, max_query_length=4)
    within = length - 4 - (stride - 1)  # shorter answers are whole in some window, at its edges too
    if last - first < within or rows.counts["windowed"] == 0:
        assert rows.counts["answers_not_in_a_window"] == 0
        assert decode([example], rows, one_hot(rows), head="span").answers == {"1": answer}


@needs_data
@pytest.mark.parametrize(("name", "splits"), [("cmrc2018", ["dev", "trial"]), ("drcd", ["dev"])])
def test_answers_of_real_questions_come_back(name, splits):
    """Apart from blanks around them, and from those that begin or end within a piece, such as `4个` in `34个`."""
    tokenizer = WordPieceTokenizer(Vocabulary.read(Path(DATA, "vocab", "vocab.txt")), True)
    task = registry.create("task", name, data=Path(DATA, name))
    for part in splits:
        examples = [example for example in task.read(part) if len(example.answers[0].text) <= 60][::4]
        rows = make_rows(examples, tokenizer, head="span", max_seq_length=384, doc_stride=128)
        assert rows.counts["answers_not_in_a_window"] == 0
        predictions = decode(examples, rows, one_hot(rows), head="span", n_best=1, max_answer_length=60).answers
        wrong = [example.answers[0].text for example in examples if predictions[example.id] != example.answers[0].text.strip()]
        assert len(wrong) <= 1, wrong


def test_a_context_in_three_windows_is_small_enough_to_check_by_eye():
    context = "新车站在城西，有四个站台。"
    example = SpanExample("1", "有几个站台？", context, (Answer("四个", 8),))
    rows = make_rows([example], TOKENIZER, head="span", max_seq_length=12, doc_stride=4, max_query_length=3)
    vocabulary = TOKENIZER.vocabulary.pieces
    text = ["".join(vocabulary[id] for id in ids) for ids, _ in split(rows)]
    assert text == [
        "[CLS]有[UNK]个[SEP]新车站在城西[SEP]",
        "[CLS]有[UNK]个[SEP]城西，有四个[SEP]",
        "[CLS]有[UNK]个[SEP]四个站台。[SEP]",
    ]
    assert rows.targets.tolist() == [[0, 0], [9, 10], [5, 6]]  # at the end of one window, and at the beginning of the next
    logits = np.zeros((len(rows.ids), 2))
    logits[rows.row_pieces[2] + 5, 0] = logits[rows.row_pieces[2] + 6, 1] = 3
    predictions = decode([example], rows, logits, head="span", n_best=3)
    assert predictions.answers == {"1": "四个"}
    assert predictions.nbest["1"][0]["start"] == 8 and predictions.nbest["1"][0]["end"] == 10


@settings(max_examples=100, deadline=None)
@given(TEXT, st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 6))
def test_the_best_spans_are_those_of_a_search_over_all(context, seed, n_best, longest):
    example = SpanExample("1", "有", context)
    rows = make_rows([example], TOKENIZER, head="span", max_seq_length=14, doc_stride=3, max_query_length=4)
    logits = np.random.default_rng(seed).normal(size=(len(rows.ids), 2))
    best, spans = {}, set()
    for row in range(len(rows)):
        inside = [place for place in range(*rows.row_pieces[row : row + 2]) if rows.places[place, 0] >= 0]
        for number, start in enumerate(inside):
            for end in inside[number : number + longest]:
                text, score = context[rows.places[start, 0] : rows.places[end, 1]], logits[start, 0] + logits[end, 1]
                best[text] = max(score, best.get(text, -np.inf))
                spans.add((rows.places[start, 0], rows.places[end, 1]))
    expected = sorted(best.items(), key=lambda item: -item[1])[:n_best]
    predictions = decode([example], rows, logits, head="span", n_best=n_best, max_answer_length=longest)
    assert predictions.answers["1"] == (expected[0][0] if expected else "")
    if len(spans) == len(best):
        assert [entry["text"] for entry in predictions.nbest["1"]] == [text for text, _ in expected]
    probabilities = [entry["probability"] for entry in predictions.nbest["1"]]
    assert probabilities == sorted(probabilities, reverse=True) and (not best or sum(probabilities) == pytest.approx(1))
    assert all(context[entry["start"] : entry["end"]] == entry["text"] for entry in predictions.nbest["1"])


UNIT = st.text(st.sampled_from("新车0129abAé \t\u3000\u200b\n\x00😀𠮷\ue000"), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(UNIT, max_size=30), min_size=1, max_size=4), st.integers(6, 20), st.none() | st.integers(1, 8), st.data())
def test_every_unit_gets_its_tag_back(sentences, length, stride, data):
    labels = ["O", "B-LOC", "I-LOC"]
    examples = [
        TaggedExample(str(number), tuple(units), tuple(data.draw(st.sampled_from(labels)) for _ in units))
        for number, units in enumerate(sentences)
    ]
    rows = make_rows(examples, TOKENIZER, head="tagging", labels=labels, max_seq_length=length, doc_stride=stride)
    assert rows.lengths.max() <= length
    logits = np.zeros((len(rows.ids), len(labels)))
    known = np.flatnonzero(rows.targets >= 0)
    logits[known, rows.targets[known]] = 5
    predictions = decode(examples, rows, logits, head="tagging", labels=labels)
    assert predictions.answers == {example.id: list(example.tags) for example in examples}
    assert all(len(predictions.nbest[example.id]) == len(example.units) for example in examples)


def test_tags_are_at_the_first_pieces_and_blanks_are_unknown():
    example = TaggedExample("1", ("abab", " ", "新"), ("B-LOC", "O", "O"))
    rows = make_rows([example], TOKENIZER, head="tagging", labels=["O", "B-LOC"], max_seq_length=16)
    vocabulary = TOKENIZER.vocabulary
    assert [vocabulary.pieces[id] for id in rows.ids] == ["[CLS]", "ab", "##a", "##b", "[UNK]", "新", "[SEP]"]
    assert rows.targets.tolist() == [-1, 1, -1, -1, 0, 0, -1]
    assert rows.places.tolist() == [-1, 0, -1, -1, 1, 2, -1]


def test_a_tag_is_taken_from_the_window_with_most_context():
    example = TaggedExample("1", tuple("新车站在城西"), None)
    rows = make_rows([example], TOKENIZER, head="tagging", labels=["O", "B-LOC"], max_seq_length=6, doc_stride=2)
    assert [len(ids) for ids, _ in split(rows)] == [6, 6]  # 新车站在 and 站在城西
    logits = np.zeros((len(rows.ids), 2))
    logits[1:5, 1] = 1  # the first window says B-LOC, the second O
    logits[7:11, 0] = 1
    predictions = decode([example], rows, logits, head="tagging", labels=["O", "B-LOC"]).answers["1"]
    assert predictions == [
        "B-LOC",
        "B-LOC",
        "B-LOC",
        "O",
        "O",
        "O",
    ]  # 站 has a right neighbour in the first, 在 a left one in the second


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), st.integers(1, 50))
def test_windows_of_short_texts_are_the_texts(texts, stride):
    examples = [TextExample(str(number), text) for number, text in enumerate(texts)]
    direct, windows = (make_rows(examples, TOKENIZER, head="classification", max_seq_length=64, doc_stride=s) for s in (None, stride))
    assert split(direct) == split(windows) and windows.counts["windowed"] == 0 and direct.counts["truncated"] == 0


def test_the_probabilities_of_a_long_text_are_the_mean_over_its_windows():
    examples = [TextExample("长", "新车站在城西有四个站台", None, "好"), TextExample("短", "新", None, "差")]
    rows = make_rows(examples, TOKENIZER, head="classification", labels=["差", "好"], max_seq_length=8, doc_stride=5)
    assert rows.examples.tolist() == [0, 0, 1] and rows.targets.tolist() == [1, 1, 0]
    logits = np.log([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    predictions = decode(examples, rows, logits, head="classification", labels=["差", "好"])
    assert predictions.answers == {"长": "差", "短": "好"}
    assert [entry["label"] for entry in predictions.nbest["短"]] == ["好", "差"]
    assert [entry["probability"] for entry in predictions.nbest["长"]] == pytest.approx([0.55, 0.45])


@pytest.mark.parametrize("head", ["classification", "span", "tagging"])
def test_batches_are_padded_rows_and_logits_find_their_way_back(head):
    examples = {
        "classification": [TextExample(str(n), "新车站" * n, "在城西" if n % 2 else None, "0") for n in range(6)],
        "span": [SpanExample(str(n), "有四个？", "新车站在城西" * n, (Answer("新车", 0),)) for n in range(1, 6)],
        "tagging": [TaggedExample(str(n), tuple("新车站" * n), ("0",) * 3 * n) for n in range(6)],
    }[head]
    rows = make_rows(examples, TOKENIZER, head=head, labels=["0"], max_seq_length=20, max_query_length=4)
    numbers = [4, 0, 3]
    batch = rows.batch(numbers, pad_id=TOKENIZER.vocabulary.pad_id)
    assert batch["input_ids"].shape == (3, rows.lengths[numbers].max())
    for row, number in enumerate(numbers):
        length = rows.lengths[number]
        own = slice(*rows.row_pieces[number : number + 2])
        assert batch["input_ids"][row, :length].tolist() == rows.ids[own].tolist()
        assert not batch["input_ids"][row, length:].any() and batch["input_mask"][row].sum() == length
        assert batch["segment_ids"][row, :length].tolist() == rows.segments[own].tolist()
        if head == "tagging":
            assert batch["targets"][row, :length].tolist() == rows.targets[own].tolist()
            assert (batch["targets"][row, length:] == -1).all()
        else:
            assert np.array_equal(batch["targets"][row], rows.targets[number])
    flat = np.full(len(rows.ids), -1)
    flat[rows.pieces_of(numbers)] = batch["input_ids"][batch["input_mask"].astype(bool)]
    assert np.array_equal(np.flatnonzero(flat >= 0), np.sort(rows.pieces_of(numbers)))
    assert np.array_equal(flat[flat >= 0], rows.ids[flat >= 0])
    assert rows.batch([1], length=20)["input_ids"].shape == (1, 20)


@pytest.mark.parametrize("head", ["classification", "span", "tagging"])
def test_rows_do_not_depend_on_how_many_examples_are_made_at_once(head, monkeypatch):
    examples = {
        "classification": [TextExample(str(n), "新车站" * n, "在城西", "0") for n in range(9)],
        "span": [SpanExample(str(n), "有四个？", "新车站在城西" * n, (Answer("新车", 0),)) for n in range(1, 9)],
        "tagging": [TaggedExample(str(n), tuple("新车站" * n), ("0",) * 3 * n) for n in range(9)],
    }[head]
    settings = {"head": head, "labels": ["0"], "max_seq_length": 20, "doc_stride": 3, "max_query_length": 4}
    whole = make_rows(examples, TOKENIZER, **settings)
    monkeypatch.setattr(module, "CHUNK", 10)
    parts = make_rows(examples, TOKENIZER, **settings)
    for name in ("ids", "segments", "row_pieces", "examples", "targets", "places"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name
    assert whole.counts == parts.counts


def test_examples_that_cannot_be_rows_are_refused():
    with pytest.raises(UserError, match="max_seq_length 66, doc_stride None: expected at least 68 and 1 for span"):
        make_rows([], TOKENIZER, head="span", max_seq_length=66)
    with pytest.raises(UserError, match="example 7: 'x'; expected one of the labels a, b"):
        make_rows([TextExample("7", "新", None, "x")], TOKENIZER, head="classification", labels=["a", "b"], max_seq_length=8)
    assert len(make_rows([], TOKENIZER, head="classification", max_seq_length=8)) == 0


@needs_data
def test_chnsenticorp_becomes_rows():
    tokenizer = WordPieceTokenizer(Vocabulary.read(Path(DATA, "vocab", "vocab.txt")), True)
    task = registry.create("task", "chnsenticorp", data=Path(DATA, "chnsenticorp"))
    examples = task.read("train")
    rows = make_rows(examples, tokenizer, head=task.head, labels=task.labels, max_seq_length=256)
    assert len(rows) == 9_600 and rows.counts["truncated"] == 430
