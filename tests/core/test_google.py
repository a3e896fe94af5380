"""The compatibility mode gives what google-research/bert gives, row for row; the fast path agrees with it on average."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from row_sources import batch_source, split

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.data.align import pieces_of_batch
from wholeword.core.data.google import Symbols, budget, create_instances, mask_row, take_words, truncate
from wholeword.core.data.google_source import GoogleSource, read_documents
from wholeword.core.data.selection import select_documents
from wholeword.core.data.store import write_store
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.training.sources import JobRows
from wholeword.core.vocabulary import Vocabulary
from wholeword.plugins.masking.whole_word import WholeWord
from wholeword.plugins.masking.wordpiece import WordPiece
from wholeword.plugins.segmenters.jieba import Jieba

SMALL = Path(__file__).parents[1] / "data" / "google_small"
DATA = os.environ.get("WHOLEWORD_DATA")
SETTINGS = {
    "seed": "seed",
    "max_seq_length": "max_seq_length",
    "max_predictions_per_seq": "max_predictions",
    "dupe_factor": "dupe_factor",
    "short_seq_prob": "short_seq_rate",
}
ANSWERS = ("tokens", "segment_ids", "is_random_next", "masked_lm_positions", "masked_lm_labels")


def rows_of(folder, name):
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").split("\n")[:-1]]


def symbols(vocabulary):
    return Symbols("[CLS]", "[SEP]", "[MASK]", vocabulary.pieces)


def continues(tokens):
    return [token.startswith("##") for token in tokens]


@pytest.fixture(scope="module", params=["small", "whole"])
def golden(request):
    """A folder of golden outputs and its vocabulary."""
    if request.param == "small":
        return SMALL, Vocabulary.read(SMALL / "vocab.txt")
    if not DATA:
        pytest.skip("WHOLEWORD_DATA is not set: no golden outputs beside it")
    return Path(DATA, "../fixtures/google"), Vocabulary.read(Path(DATA, "vocab", "vocab.txt"))


def write_documents(folder, vocabulary, path):
    """Text -> jieba -> WordPiece -> words by position -> a token store of several shards."""
    tokenizer = WordPieceTokenizer(vocabulary, lowercase=True)

    def pieces(sentences):
        batch = pieces_of_batch(sentences, Jieba().segment(sentences), tokenizer)
        borders = batch.sentence_pieces[1:-1]
        return list(zip(np.split(batch.ids, borders), np.split(batch.word_starts, borders), strict=True))

    documents = json.loads((folder / "documents.json").read_text(encoding="utf-8"))["documents"]
    store = write_store(path, vocabulary, map(pieces, documents), tokens_per_shard=200)
    assert len(store.shards) > 2
    return store


@pytest.fixture(scope="module")
def store(golden, tmp_path_factory):
    return write_documents(*golden, tmp_path_factory.mktemp("google") / "store")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_documents(SMALL, Vocabulary.read(SMALL / "vocab.txt"), tmp_path_factory.mktemp("google") / "store")


@pytest.fixture(scope="module")
def instances(golden):
    """Google's instances by our settings: [(settings, rows)], both in order."""
    settings: list[tuple] = []
    for row in rows_of(golden[0], "instances.jsonl"):
        arguments = {ours: row[theirs] for theirs, ours in SETTINGS.items()}
        if not settings or settings[-1][0] != arguments:
            settings.append((arguments, []))
        settings[-1][1].append(row)
    assert len(settings) == 3
    return settings


ARGUMENTS = {"seed": 12345, "max_seq_length": 64, "max_predictions": 10, "dupe_factor": 3, "short_seq_rate": 0.1, "batch_size": 7}


def google(store, **changes):
    examples, rest = split(ARGUMENTS | {"kind": "nsp-pairs", "rate": 0.15} | changes)
    return GoogleSource(store, examples, **rest)


def fast(store, **changes):
    return batch_source(store, **(ARGUMENTS | {"kind": "nsp-pairs", "strategy": WholeWord(), "dynamic": False} | changes))


def joined(source, num_rows):
    batches = list(source.batches(0, -(-num_rows // source.batch_size)))
    return {name: np.concatenate([batch[name] for batch in batches])[:num_rows] for name in batches[0]}


# --- equal to Google's outputs


def test_masks_are_googles(golden):
    folder, vocabulary = golden
    rows = rows_of(folder, "masking.jsonl")
    assert len(rows) == (80 if folder == SMALL else 400)
    for row in rows:
        masked = mask_row(
            row["tokens"],
            continues(row["tokens"]),
            symbols=symbols(vocabulary),
            rate=row["masked_lm_prob"],
            max_predictions=row["max_predictions_per_seq"],
            generator=random.Random(row["seed"]),
            whole_words=row["whole_word"],
        )
        assert masked[:3] == (row["output_tokens"], row["masked_lm_positions"], row["masked_lm_labels"])


def test_instances_are_googles(golden, instances):
    folder, vocabulary = golden
    marked = json.loads((folder / "marked_documents.json").read_text(encoding="utf-8"))["marked_documents"]
    documents = [[list(zip(tokens, continues(tokens), strict=True)) for tokens in document] for document in marked]
    for settings, rows in instances:
        made = create_instances(documents, symbols=symbols(vocabulary), rate=0.15, **settings)
        answers = [(one.row.tokens, one.segment_ids, one.is_random_next, one.row.positions, one.row.labels) for one in made]
        assert answers == [tuple(row[answer] for answer in ANSWERS) for row in rows]
    assert sum(len(rows) for _, rows in instances) == (123 if folder == SMALL else 616)


def test_the_store_holds_the_documents(golden, store):
    folder, vocabulary = golden
    expected = json.loads((folder / "marked_documents.json").read_text(encoding="utf-8"))["marked_documents"]

    def marked(id, continued):
        piece = vocabulary.pieces[id]
        return piece if piece.startswith("##") or not continued else f"##{piece}"

    read = read_documents(store, np.arange(store.num_documents))
    assert [[[marked(*token) for token in sentence] for sentence in document] for document in read] == expected


def test_batches_of_text_are_googles_instances(golden, store, instances):
    pieces = golden[1].pieces
    for settings, rows in instances:
        made = google(store, **settings)
        assert made.num_examples == len(rows) and made.has_next_sentence
        batch = joined(made, len(rows))
        for number, row in enumerate(rows):
            length, predictions = len(row["tokens"]), row["masked_lm_positions"]
            padding, unused = [0] * (settings["max_seq_length"] - length), [0] * (settings["max_predictions"] - len(predictions))
            ours = {name: values[number].tolist() for name, values in batch.items()}
            assert ours["input_mask"] == [1] * length + padding
            assert ours["segment_ids"] == row["segment_ids"] + padding
            assert ours["masked_lm_positions"] == predictions + unused
            assert ours["masked_lm_weights"] == [1.0] * len(predictions) + unused
            assert ours["next_sentence_labels"] == row["is_random_next"]
            assert ours["sample_ids"] == number
            # ids have no marks of ours: a marked piece is the piece, a random one is what it is
            assert ours["input_ids"][length:] == padding and ours["masked_lm_ids"][len(predictions) :] == unused
            labels = dict(zip(predictions, row["masked_lm_labels"], strict=True))
            for place, (id, token) in enumerate(zip(ours["input_ids"], row["tokens"], strict=False)):
                kept = labels.get(place, token) == token
                assert pieces[id] == token or (kept and f"##{pieces[id]}" == token)
            for id, label in zip(ours["masked_lm_ids"], row["masked_lm_labels"], strict=False):
                assert label in (pieces[id], f"##{pieces[id]}")


def test_word_lengths_are_those_of_the_marked_words(store, instances):
    for settings, rows in instances:
        lengths = joined(google(store, **settings), len(rows))["masked_lm_word_lengths"]
        for row, ours in zip(rows, lengths.tolist(), strict=True):
            tokens = np.array(row["tokens"])
            tokens[row["masked_lm_positions"]] = row["masked_lm_labels"]
            text = ~np.isin(tokens, ("[CLS]", "[SEP]"))
            words = np.cumsum(text & ~np.char.startswith(tokens, "##"))  # a number for each; across [SEP] they join
            words[~text] = -1
            expected = [np.count_nonzero(words == words[place]) for place in row["masked_lm_positions"]]
            assert ours == expected + [0] * (settings["max_predictions"] - len(expected))


# --- the oddities


def mask(text, *, seed, rate=0.5, most=20, whole_words=True):
    tokens = text.split()
    vocabulary = Symbols("[CLS]", "[SEP]", "[MASK]", ["随", "机"])
    generator = random.Random(seed)
    return mask_row(
        tokens, continues(tokens), symbols=vocabulary, rate=rate, max_predictions=most, generator=generator, whole_words=whole_words
    )


def test_a_word_may_join_a_and_b():
    for seed in range(100):
        masked = mask("[CLS] 下 ##一 ##个 词 的 [SEP] ##概 ##率 很 高 。 [SEP]", seed=seed)
        assert (5 in masked.positions) == (7 in masked.positions) == (8 in masked.positions)
        assert all(length == 3 for place, length in zip(masked.positions, masked.word_lengths, strict=True) if place in (1, 2, 3, 5, 7, 8))


def test_a_row_in_which_no_word_fits_has_no_prediction():
    masked = mask("[CLS] 欢 ##迎 光 ##临 ##本 ##店 [SEP]", seed=1, rate=0.15)
    assert masked.positions == [] and masked.labels == []
    assert len(mask("[CLS] 欢 ##迎 光 ##临 ##本 ##店 [SEP]", seed=1, rate=0.15, whole_words=False).positions) == 1


def test_a_single_document_is_its_own_random_document():
    documents = [[[(letter, False)] for letter in "甲乙丙丁"]]
    vocabulary = Symbols("[CLS]", "[SEP]", "[MASK]", ["随"])
    settings = {"max_seq_length": 8, "max_predictions": 0, "short_seq_rate": 0.0, "dupe_factor": 50, "rate": 0.15}
    made = create_instances(documents, symbols=vocabulary, seed=1, **settings)
    assert {one.is_random_next for one in made} == {True, False}
    assert {token for one in made for token in one.row.tokens} == {"[CLS]", "[SEP]", *"甲乙丙丁"}


def test_truncation_takes_from_the_longer_one():
    for seed in range(50):
        a, b = [(number, False) for number in range(9)], [(number, False) for number in range(4)]
        truncate(a, b, 6, random.Random(seed))
        assert (len(a), len(b)) == (3, 3)
        assert all([token for token, _ in part] == list(range(part[0][0], part[0][0] + 3)) for part in (a, b))


def test_budget_is_at_least_one_and_rounds_halves_to_even():
    assert [budget(size, rate=0.15, max_predictions=20) for size in (3, 30, 50, 70, 128, 512)] == [1, 4, 8, 10, 19, 20]


def test_words_are_taken_while_they_fit():
    assert take_words([[1, 2], [3, 4, 5], [6], [7]], 4) == [1, 2, 6, 7]
    assert take_words([[1, 2, 3], [4, 5]], 1) == []


# --- a source like the other


def test_batches_have_the_features_of_the_fast_path_and_go_round(small):
    made, other = google(small), fast(small)
    rows = joined(made, made.num_examples)
    for step in (0, made.num_examples):
        batch, expected = made.batch(step), other.batch(step)
        assert {name: (values.dtype, values.shape) for name, values in batch.items()} == {
            name: (values.dtype, values.shape) for name, values in expected.items()
        }
        numbers = np.arange(step * 7, (step + 1) * 7) % made.num_examples
        assert batch["sample_ids"].tolist() == numbers.tolist()
        assert all(np.array_equal(values, rows[name][numbers]) for name, values in batch.items())
    for batch, step in zip(made.batches(3, 30, workers=3), range(3, 30), strict=True):
        assert batch["sample_ids"].tolist() == made.batch(step)["sample_ids"].tolist()


def test_passes_are_counted_together(small):
    made = google(small)
    assert (made.num_rows(3), made.num_rows(6)) == (made.num_examples, 2 * made.num_examples)
    assert made.num_rows(1) == made.num_examples // 3


@pytest.mark.parametrize("documents", ["train", "held_out"])
def test_rows_are_text_of_the_documents_that_were_asked_for(small, documents):
    selected = read_documents(small, select_documents(small, documents, ARGUMENTS["seed"], 0.4))
    assert 2 < len(selected) < small.num_documents - 2
    texts = [f" {' '.join(str(id) for sentence in document for id, _ in sentence)} " for document in selected]
    made = google(small, held_out_rate=0.4, documents=documents)
    rows = joined(made, made.num_examples)
    row, slot = np.nonzero(rows["masked_lm_weights"])
    rows["input_ids"][row, rows["masked_lm_positions"][row, slot]] = rows["masked_lm_ids"][row, slot]
    for ids, length in zip(rows["input_ids"].tolist(), rows["input_mask"].sum(axis=1), strict=True):
        ends = [place for place in range(length) if ids[place] == small.vocabulary.sep_id]
        for segment in (ids[1 : ends[0]], ids[ends[0] + 1 : ends[1]]):
            assert any(f" {' '.join(map(str, segment))} " in text for text in texts)


@pytest.mark.parametrize("name", ["whole-word", "wordpiece"])
def test_a_recipe_asks_for_it_by_compat(small, tmp_path, name):
    phase = {"max_seq_length": 64, "max_predictions": 13, "batch_size": 7, "steps": 1, "peak_lr": 1e-4}
    settings = {
        "compat": "google",
        "seed": 5,
        "examples": {"name": "nsp-pairs", "short_seq_rate": 0.3},
        "masking": {"name": name, "rate": 0.2, "dupe_factor": 2},
        "phases": [phase],
        "evaluation": {"held_out_rate": 0.2},
    }
    job = resolve(load_recipe("quickstart", [f"{key}={json.dumps(value)}" for key, value in settings.items()]))
    made = JobRows(job, small, cache=tmp_path).training(0)
    changes = {"seed": 5, "max_predictions": 13, "short_seq_rate": 0.3, "rate": 0.2, "dupe_factor": 2, "held_out_rate": 0.2}
    expected = google(small, whole_words=name == "whole-word", **changes)
    assert made.num_examples == expected.num_examples
    assert all(np.array_equal(values, expected.batch(1)[key]) for key, values in made.batch(1).items())
    assert not isinstance(JobRows(resolve(load_recipe("quickstart")), small, cache=tmp_path).training(0), GoogleSource)


def test_no_documents_is_an_error_that_says_why(small):
    with pytest.raises(UserError, match=r"no train examples of kind nsp-pairs in \d+ documents of \d+ sentences with .*held_out_rate 1.0"):
        google(small, held_out_rate=1.0)


# --- the fast path is the same on average

FIGURES = (
    *("rows", "tokens", "segment of A", "random B", "predictions", "predictions in B", "place of a prediction", "two predictions in a row"),
    *("[MASK]", "kept", "words of one piece", "words of two", "words of three and more"),
)


def figures_of_a_pass(source, vocabulary):
    """FIGURES of the first pass over the documents."""
    rows = joined(source, source.num_examples)
    row, slot = np.nonzero(rows["masked_lm_weights"])
    places, labels, lengths = (rows[f"masked_lm_{name}"][row, slot] for name in ("positions", "ids", "word_lengths"))
    given = rows["input_ids"][row, places]
    num_tokens = rows["input_mask"].sum(axis=1)
    return [
        len(num_tokens),
        num_tokens.mean(),
        (num_tokens - rows["segment_ids"].sum(axis=1)).mean(),
        rows["next_sentence_labels"].mean(),
        len(places) / len(num_tokens),
        rows["segment_ids"][row, places].mean(),
        (places / num_tokens[row]).mean(),
        ((np.diff(places) == 1) & (np.diff(row) == 0)).mean(),
        (given == vocabulary.mask_id).mean(),
        (given == labels).mean(),
        (lengths == 1).mean(),
        (lengths == 2).mean(),
        (lengths > 2).mean(),
    ]


def test_the_fast_path_agrees_on_average(small):
    """300 passes each, every one of its own seed. Single pieces in place of whole words would be noticed."""

    def passes(make, **settings):
        return np.array([figures_of_a_pass(make(small, seed=seed, dupe_factor=1, **settings), small.vocabulary) for seed in range(300)])

    def errors(left, right):
        return (left.mean(axis=0) - right.mean(axis=0)) / np.sqrt((left.var(axis=0) + right.var(axis=0)) / len(left))

    googles = passes(google, batch_size=64)
    ours = dict(zip(FIGURES, errors(googles, passes(fast, batch_size=64)), strict=True))
    assert all(abs(error) < 3.5 for error in ours.values()), ours
    single = dict(zip(FIGURES, errors(googles, passes(fast, batch_size=64, strategy=WordPiece())), strict=True))
    assert single["two predictions in a row"] > 30 and abs(single["predictions"]) < 3.5
