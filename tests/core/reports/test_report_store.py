"""Reports say what is in a store: counted by eye and by plain Python."""

import random
import statistics
from collections import Counter

import numpy as np
import pytest
from report_parts import HAN, VOCABULARY, as_arrays, random_documents, whole_word

from wholeword.core.data.store import write_store
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.reports import duplicates as duplicates_module
from wholeword.reports import lengths as lengths_module
from wholeword.reports.duplicates import hash_documents, text_of
from wholeword.reports.html import store_page
from wholeword.reports.lines import store_lines
from wholeword.reports.store import store_report


def words_of(documents):
    """Lengths of all words, in plain Python."""
    for document in documents:
        for sentence in document:
            starts = [place for place, (_, start) in enumerate(sentence) if start or place == 0]
            yield from (end - start for start, end in zip(starts, [*starts[1:], len(sentence)], strict=True))


def test_a_store_that_can_be_counted_by_eye(tmp_path):
    #    一二 三 | 四五六 一 || 一二 三 | 四五六 一 || 七 [UNK]
    one = ([5, 6, 7], [1, 0, 1]), ([8, 9, 10, 5], [1, 0, 0, 1])
    store = write_store(tmp_path / "store", VOCABULARY, [one, one, [([11, 1], [1, 1])]])
    report = store_report(store, whole_word(lengths=[(32, 5)]))
    plain = report.plain()
    assert plain["counts"] == {"num_documents": 3, "num_sentences": 5, "num_tokens": 16, "num_words": 10, "num_characters": None}
    assert plain["lengths"] == {
        "pieces_of_a_document": {"median": 7.0, "mean": 5.333, "most": 7},
        "sentences_of_a_document": {"median": 2.0, "mean": 1.667, "most": 2},
        "pieces_of_a_sentence": {"median": 3.0, "mean": 3.2, "most": 4},
    }
    assert [(row.pieces, row.num_words, row.num_pieces) for row in report.words] == [
        ("1", 6, 6),
        ("2", 2, 4),
        ("3", 2, 6),
        ("4", 0, 0),
        ("5+", 0, 0),
    ]
    assert [row.word_rate for row in report.words] == [0.6, 0.2, 0.2, 0, 0]
    assert [row.piece_rate for row in report.words] == [0.375, 0.25, 0.375, 0, 0]
    [masks] = plain["masking"]["lengths"]  # one row of 18 pieces: the budget is round(2.7)
    assert (masks["num_rows"], masks["num_tokens"], masks["num_masked"], masks["filled_rate"]) == (1, 18, 3, 1.0)
    assert report.unknown.num_unknown == 1 and report.unknown.unknown_rate == 0.0625
    assert report.duplicates.num_duplicates == 1 and report.duplicates.duplicate_rate == 0.333333
    assert plain["duplicates"]["most_repeated"] == [{"text": "".join([*HAN[:6], HAN[0]]), "num_documents": 2}]
    assert len(report.sentences) == 5 and report.sentences[1].words == ["".join(HAN[3:6]), HAN[0]]


@pytest.mark.parametrize("seed", range(6))
def test_a_random_store_is_counted_as_plain_python_counts_it(tmp_path, monkeypatch, seed):
    for module in (duplicates_module, lengths_module):
        monkeypatch.setattr(module, "BLOCK", 8 << seed)  # words and documents cross blocks
    documents = random_documents(seed)
    store = write_store(tmp_path / "store", VOCABULARY, as_arrays(documents), tokens_per_shard=[50, 700, 10**6][seed % 3])
    report = store_report(store, whole_word())
    lengths = Counter(min(length, 5) for length in words_of(documents))
    pieces = Counter()
    for length in words_of(documents):
        pieces[min(length, 5)] += length
    assert [row.num_words for row in report.words] == [lengths[length] for length in range(1, 6)]
    assert [row.num_pieces for row in report.words] == [pieces[length] for length in range(1, 6)]
    assert report.counts.num_words == lengths.total()
    for name, values in (
        ("pieces_of_a_document", [sum(map(len, document)) for document in documents]),
        ("sentences_of_a_document", [len(document) for document in documents]),
        ("pieces_of_a_sentence", [len(sentence) for document in documents for sentence in document]),
    ):
        expected = (statistics.median(values), pytest.approx(statistics.mean(values), abs=5e-4), max(values))
        assert (report.lengths[name].median, report.lengths[name].mean, report.lengths[name].most) == expected
    times = Counter(tuple(id for sentence in document for id, _ in sentence) for document in documents)
    repeated = sorted((count for count in times.values() if count > 1), reverse=True)
    assert report.duplicates.num_duplicates == len(documents) - len(times)
    shown = report.duplicates.most_repeated
    assert [document.num_documents for document in shown] == repeated[:5]
    for document in shown:
        texts = [text_of(np.array(ids), VOCABULARY) for ids, count in times.items() if count == document.num_documents]
        assert any(text.startswith(document.text.removesuffix(" …")) for text in texts)


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
    rows = store_report(store, whole_word()).sentences
    sizes = [len(row.masked.pieces) - 2 for row in rows]
    assert rows == store_report(store, whole_word()).sentences
    assert len(rows) == 20 and min(sizes) >= 10 and max(sizes) == 50 and len(set(sizes)) > 2
    texts = ["".join(VOCABULARY.pieces[id] for id, _ in sentence) for sentence in document]
    places = [texts.index(row.text) for row in rows]
    assert places == sorted(places) and places[0] < 1500 and places[-1] > 3500


def test_quotes_are_advised_where_they_would_help(tmp_path):
    vocabulary = Vocabulary([*SPECIAL_PIECES, '"', "-", *HAN])  # it has what stands for “ ” and —, but not for … and ‘
    store = write_store(tmp_path / "store", vocabulary, [[([1] * 19 + [10], [1] * 20)]])
    store.manifest["unknown"] = [["”", 8], ["“", 7], ["…", 2], ["‘", 1], ["鑫", 1]]
    quotes = store_report(store, whole_word()).unknown.quotes
    assert (quotes.texts, quotes.num_removed, quotes.removed_rate) == (["”", "“"], 15, 0.789474)
    store.manifest["unknown"] = [["鑫", 19]]
    report = store_report(store, whole_word())
    assert report.unknown.quotes.num_removed == 0
    assert "corpus.cleaning" not in store_page(report) + "".join(store_lines(report))
