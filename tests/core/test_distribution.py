"""Over a million tokens of each kind of real text, the fast path is what google-research/bert's functions are: masks and rows.

Masks are compared on the same rows, so that Google's words across [SEP] (see `google`) do not come in; rows without their masks.
"""

import json
import os
import random
from itertools import pairwise
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from row_sources import batch_source

from wholeword.core.contracts import Masked
from wholeword.core.data.align import align, find_words
from wholeword.core.data.examples import ExamplesSpec
from wholeword.core.data.google import Symbols, mask_row
from wholeword.core.data.google_source import GoogleSource
from wholeword.core.data.groups import find_groups
from wholeword.core.data.sentences import split_sentences
from wholeword.core.data.store import write_store
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.vocabulary import Vocabulary
from wholeword.plugins.masking.whole_word import WholeWord
from wholeword.plugins.segmenters.jieba import Jieba

DATA = os.environ.get("WHOLEWORD_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="WHOLEWORD_DATA is unset: no real text")
KINDS = ("reviews", "manuals", "contexts")
LENGTHS = [(128, 20), (512, 77)]
NUM_TOKENS = 1_000_000


def paragraphs(kind):
    """Documents as lists of paragraphs."""
    if kind == "reviews":
        rows = Path(DATA, "chnsenticorp/train.tsv").read_text(encoding="utf-8").split("\n")[1:]
        return [[row.partition("\t")[2]] for row in rows]
    if kind == "manuals":
        texts = [path.read_text(encoding="utf-8") for path in sorted(Path(DATA, "raw/debian").glob("*-*.txt"))]
        return [document.split("\n") for text in texts for document in text.split("\n\n")]
    files = [json.loads(Path(DATA, f"cmrc2018/cmrc2018_{name}.json").read_text(encoding="utf-8")) for name in ("dev", "trial")]
    return [[paragraph["context"]] for file in files for article in file["data"] for paragraph in article["paragraphs"]]


@pytest.fixture(scope="module", params=KINDS)
def store(request, tmp_path_factory):
    tokenizer, segmenter = WordPieceTokenizer(Vocabulary.read(Path(DATA, "vocab/vocab.txt")), True), Jieba()

    def documents():
        for document in paragraphs(request.param):
            sentences = [sentence for line in document for sentence in split_sentences(line.replace("\n", " "))]
            encoded, (_, words) = tokenizer.encode_batch(sentences), find_words(segmenter, sentences)
            starts = align(encoded, words.starts, tokenizer)
            borders = encoded.sentence_pieces.tolist()
            yield [(encoded.ids[a:b], starts[a:b]) for a, b in pairwise(borders)]

    return write_store(tmp_path_factory.mktemp(request.param) / "store", tokenizer.vocabulary, documents())


class Seeing:
    """Keeps the rows and masks nothing."""

    def __init__(self):
        self.rows = []

    def mask(self, ids, word_starts, candidates, sample_ids, **_):
        self.rows.append((ids, word_starts, candidates, sample_ids))
        return Masked(ids, np.zeros(ids.shape, bool))


def fast(store, length, most, strategy, short_seq_rate=0.1):
    arguments = {"kind": "nsp-pairs", "short_seq_rate": short_seq_rate, "seed": 7, "max_seq_length": length, "max_predictions": most}
    return batch_source(store, **arguments, strategy=strategy, batch_size=256, dynamic=True, dupe_factor=8)


@pytest.mark.parametrize(("length", "most"), LENGTHS)
def test_words_of_every_length_are_masked_as_often_as_by_google(store, length, most):
    seeing, passes = Seeing(), 4
    source, tokens, step = fast(store, length, most, seeing), 0, 0
    while tokens < NUM_TOKENS:
        tokens += int(source.batch(step)["input_mask"].sum())
        step += 1
    rows = tuple(np.concatenate(arrays) for arrays in zip(*seeing.rows, strict=True))
    rows = (*rows[:3], np.arange(len(rows[0]), dtype=np.uint64))  # several passes may hold the same sample
    ids, word_starts, candidates, _ = rows
    groups = find_groups(word_starts, candidates)
    lengths = np.minimum(groups.lengths, 5)
    words = np.bincount(lengths, minlength=6)
    ours = np.zeros(6)
    for number in range(passes):
        masked = WholeWord().mask(*rows, seed=3, epoch=number, max_predictions=most, vocabulary=store.vocabulary)
        ours += np.bincount(lengths[masked.chosen.reshape(-1)[groups.starts]], minlength=6)

    symbols = Symbols(store.vocabulary.cls_id, store.vocabulary.sep_id, store.vocabulary.mask_id, range(len(store.vocabulary)))
    generator, googles = random.Random(12345), np.zeros(6)
    sizes = (ids != store.vocabulary.pad_id).sum(axis=1)
    continues = candidates & ~word_starts
    for row, size in enumerate(sizes.tolist()):
        made = mask_row(
            ids[row, :size].tolist(), continues[row, :size].tolist(), symbols=symbols, rate=0.15, max_predictions=most, generator=generator
        )
        pieces = np.bincount(np.minimum(made.word_lengths, 5), minlength=6) if made.word_lengths else np.zeros(6)
        googles[:5] += pieces[:5] / np.maximum(np.arange(5), 1)
        googles[5] += sum(1 / length for length in made.word_lengths if length >= 5)
    for size in range(1, 6):
        expected, found = googles[size] / words[size], ours[size] / words[size] / passes
        error = sqrt(expected * (1 - expected) / words[size] * (1 + 1 / passes))
        print(f"{length}: words of {size}: {found:.4f}, Google's {expected:.4f}, standard error {error:.4f}")
        assert abs(found - expected) < 3 * error, f"words of {size}: ours {found:.4f}, Google's {expected:.4f}, error {error:.4f}"


@pytest.mark.parametrize(("length", "most"), LENGTHS)
def test_rows_are_as_long_and_as_random_as_googles(store, length, most):
    """NSP labels, tokens of A and of B by mean and by quarters, and how many rows are full, which truncation sees to."""

    def figures(source, num_rows):
        batches = [source.batch(step) for step in range(-(-num_rows // source.batch_size))]
        rows = {key: np.concatenate([batch[key] for batch in batches])[:num_rows] for key in batches[0]}
        tokens = rows["input_mask"].sum(axis=1)
        b = rows["segment_ids"].sum(axis=1) - 1
        a = tokens - b - 3
        random_b = rows["next_sentence_labels"]
        columns = {"random B": random_b, "tokens": tokens, "full": tokens == length, "A": a, "B": b}
        columns |= {"A if B is random": a * random_b, "B if random": b * random_b}
        for name, values in (("A", a), ("B", b)):
            columns |= {f"{name} below {quarter * (length - 3) // 4}": values < quarter * (length - 3) // 4 for quarter in (1, 2, 3)}
        return {name: values.astype(float) for name, values in columns.items()}

    # subtle: a handbook is a document of a thousand rows, and the coin that makes all of them short is thrown once
    short_seq_rate = 0.1 if store.num_tokens < 600 * store.num_documents else 0.0
    made = fast(store, length, most, WholeWord(), short_seq_rate)
    passes = max(1, round(NUM_TOKENS / store.num_tokens))
    examples = ExamplesSpec("nsp-pairs", max_seq_length=length, seed=7, short_seq_rate=short_seq_rate)
    google = GoogleSource(store, examples, rate=0.15, max_predictions=most, batch_size=256, dupe_factor=passes)
    ours, googles = figures(made, made.num_rows(passes)), figures(google, google.num_examples)
    for name in ours:
        left, right = ours[name], googles[name]
        error = sqrt(spread(left) + spread(right))
        print(f"{length}: {name}: {left.mean():.4f}, Google's {right.mean():.4f}, standard error {error:.4f}")
        assert abs(left.mean() - right.mean()) < 3 * error, f"{name}: ours {left.mean():.4f}, Google's {right.mean():.4f}, {error:.4f}"


def spread(values):
    """Variance of the mean of values in random order, doubled for what rows of one document have in common."""
    return 2 * values.var() / len(values)
