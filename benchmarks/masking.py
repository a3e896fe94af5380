"""Masking and collation, one core: ours beside google-research/bert's function in pure Python, in one run.

    python benchmarks/masking.py [--rounds 20]

Ours is `BatchSource.batch`: spans of a token store -> [CLS] text [SEP] -> whole word masks -> the seven features, 256 rows a batch.
The peer is `create_masked_lm_predictions` alone: it gets its rows as lists, with the words found, and makes no arrays.
The limit is memory bandwidth: 2.1 bytes are read and 12 written for each place of a row, at the speed of a plain copy.
Tokens are counted without padding. Times are CPU times of this process; rounds of both sides alternate.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wholeword.core.data.batches import BatchSource
from wholeword.core.data.masking import find_groups
from wholeword.core.data.store import TokenStore, write_store
from wholeword.core.data.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.plugins.masking.whole_word import WholeWord

WORD_LENGTHS = [0.49, 0.42, 0.066, 0.021, 0.003]  # share of jieba's words with 1, 2, ... pieces, CMRC 2018
BATCH_SIZE = 256


def google(
    tokens: list[int], words: list[list[int]], generator: random.Random, most: int, mask: int, vocab_size: int
) -> tuple[list, list, list]:
    """`create_masked_lm_predictions` of google-research/bert with whole words."""
    generator.shuffle(words)
    output = list(tokens)
    budget = min(most, max(1, round(len(tokens) * 0.15)))
    predictions: list[tuple[int, int]] = []
    for word in words:
        if len(predictions) >= budget:
            break
        if len(predictions) + len(word) > budget:
            continue
        for place in word:
            if generator.random() < 0.8:
                piece = mask
            elif generator.random() < 0.5:
                piece = tokens[place]
            else:
                piece = generator.randint(0, vocab_size - 1)
            output[place] = piece
            predictions.append((place, tokens[place]))
    predictions.sort()
    return output, [place for place, _ in predictions], [label for _, label in predictions]


def make_store(folder: Path, num_documents: int = 2000) -> TokenStore:
    """About 800,000 pieces: documents of 2 to 30 sentences of about 25 pieces."""
    generator = np.random.default_rng(0)
    vocabulary = Vocabulary([*SPECIAL_PIECES, *(chr(0x4E00 + number) for number in range(20_000))])

    def sentence() -> tuple[np.ndarray, np.ndarray]:
        words = 1 + generator.choice(len(WORD_LENGTHS), 1 + generator.geometric(1 / 15), p=WORD_LENGTHS)
        starts = np.zeros(words.sum(), bool)
        starts[words.cumsum() - words] = True
        return generator.integers(len(SPECIAL_PIECES), len(vocabulary), len(starts)), starts

    documents = ([sentence() for _ in range(generator.integers(2, 31))] for _ in range(num_documents))
    return write_store(folder, vocabulary, documents)


def cpu_seconds(work: Callable[[int], None], number: int) -> float:
    begin = time.process_time()
    work(number)
    return time.process_time() - begin


def compare(store: TokenStore, length: int, most: int, rounds: int) -> None:
    vocabulary, strategy, generator = store.vocabulary, WholeWord(), random.Random(1)
    source = BatchSource(
        store,
        examples="full-sentences",
        short_seq_rate=0.0,
        strategy=strategy,
        seed=1,
        max_seq_length=length,
        max_predictions=most,
        batch_size=BATCH_SIZE,
        dynamic=True,
        dupe_factor=5,
    )
    batch = source.batch(0)
    num_tokens = int(batch["input_mask"].sum())

    # the rows of one batch as plain arrays for the strategy alone, and as lists for the peer
    ids = batch["input_ids"].copy()
    rows, slots = np.nonzero(batch["masked_lm_weights"])
    ids[rows, batch["masked_lm_positions"][rows, slots]] = batch["masked_lm_ids"][rows, slots]
    candidates = ids >= len(SPECIAL_PIECES)
    word_starts = np.random.default_rng(0).random(ids.shape) < 0.62
    words: list[list[list[int]]] = [[] for _ in ids]
    for start, pieces in zip(*(array.tolist() for array in find_groups(word_starts, candidates)), strict=True):
        words[start // length].append(list(range(start % length, start % length + pieces)))
    tokens = [row[: int(mask.sum())].tolist() for row, mask in zip(ids, batch["input_mask"], strict=True)]
    content, copied = np.ones(ids.size * 14, np.uint8), np.empty(ids.size * 14, np.uint8)

    def ours(number: int) -> None:
        source.batch(number)

    def strategy_alone(number: int) -> None:
        given = ids, word_starts, candidates, batch["sample_ids"]
        strategy.mask(*given, seed=1, pass_number=number, max_predictions=most, vocabulary=vocabulary)

    def peer(number: int) -> None:
        for row, row_words in zip(tokens, words, strict=True):
            google(row, row_words, generator, most, vocabulary.mask_id, len(vocabulary))

    def copy(number: int) -> None:
        np.copyto(copied, content)

    works = {"masking and collation": ours, "masking alone": strategy_alone, "Google's function": peer, "copying the bytes": copy}
    times = np.array([[cpu_seconds(work, number) for work in works.values()] for number in range(rounds + 1)])[1:]
    for column, name in enumerate(works):
        speed, ratio = num_tokens / np.median(times[:, column]) / 1e6, np.median(times[:, 2] / times[:, column])
        print(f"length {length:3}  {name:21} {speed:8.2f} M tokens/s {ratio:8.1f} x Google's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder, "store"))
        for length, most in ((128, 20), (512, 77)):
            compare(store, length, most, rounds)


if __name__ == "__main__":
    main()
