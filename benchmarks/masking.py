"""Masking and collation, one core: ours beside google-research/bert's function in pure Python, in one run.

    python benchmarks/masking.py [--rounds 20]

Ours is `BatchSource.batch`: spans of a token store -> [CLS] A [SEP] B [SEP] -> whole word masks -> the seven features, batch 256.
The peer is `create_masked_lm_predictions` alone: it gets its rows as lists, with the words found, and makes no arrays.
The limit is memory bandwidth: 2.1 bytes are read and 12 written for each place of a row, at the speed of a plain copy.
Tokens are places of the batch, padding included. Times are CPU times of this process; rounds of both sides alternate.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

from wholeword.core.data.batches import BatchSource
from wholeword.core.data.masking import find_groups
from wholeword.core.data.store import TokenStore, write_store
from wholeword.core.data.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.plugins.masking.whole_word import WholeWord

WORD_LENGTHS = [0.49, 0.42, 0.066, 0.021, 0.003]  # share of jieba's words with 1, 2, ... pieces, CMRC 2018
BATCH_SIZE = 256
PEER_ROWS = 256


def google(tokens: list[int], words: list[list[int]], generator: random.Random, most: int, mask: int, vocab_size: int) -> tuple[list, list, list]:
    """`create_masked_lm_predictions` of google-research/bert with whole words."""
    generator.shuffle(words)
    output = list(tokens)
    budget = min(most, max(1, int(round(len(tokens) * 0.15))))
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


def cpu_seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def compare(store: TokenStore, length: int, most: int, rounds: int) -> None:
    vocabulary, strategy = store.vocabulary, WholeWord()
    source = BatchSource(
        store,
        examples="nsp-pairs",
        short_seq_rate=0.1,
        strategy=strategy,
        seed=1,
        max_seq_length=length,
        max_predictions=most,
        batch_size=BATCH_SIZE,
        dynamic=True,
        dupe_factor=5,
    )
    batch = source.batch(0)
    # the same rows as plain arrays for the strategy alone, and as lists for the peer
    ids = batch["input_ids"].copy()
    filled = batch["masked_lm_weights"] > 0
    ids[np.nonzero(filled)[0], batch["masked_lm_positions"][filled]] = batch["masked_lm_ids"][filled]
    candidates = (ids >= len(SPECIAL_PIECES)) & (batch["input_mask"] > 0)
    word_starts = np.random.default_rng(0).random(ids.shape) < 0.62
    groups = find_groups(word_starts, candidates)
    rows = [(ids[row, : batch["input_mask"][row].sum()].tolist(), []) for row in range(PEER_ROWS)]  # type: list[tuple[list[int], list[list[int]]]]
    for start, pieces in zip(groups.starts.tolist(), groups.lengths.tolist(), strict=True):
        row, place = divmod(start, length)
        rows[row][1].append(list(range(place, place + pieces)))
    generator = random.Random(1)

    def ours() -> None:
        source.batch(next(steps))

    def strategy_alone() -> None:
        strategy.mask(
            ids, word_starts, candidates, batch["sample_ids"], seed=1, pass_number=next(steps), max_predictions=most, vocabulary=vocabulary
        )

    def peer() -> None:
        for tokens, words in rows:
            google(tokens, words, generator, most, vocabulary.mask_id, len(vocabulary))

    steps = iter(range(10**9))
    source_bytes, target_bytes = np.ones(ids.size * 14, np.uint8), np.empty(ids.size * 14, np.uint8)

    def copy() -> None:
        np.copyto(target_bytes, source_bytes)

    works = {"masking and collation": ours, "masking alone": strategy_alone, "peer": peer, "copying the bytes": copy}
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            seconds = cpu_seconds(work)
            if number:
                times[name].append(seconds)
    for name, seconds in times.items():
        ratio = median(other / own for own, other in zip(seconds, times["peer"], strict=True))
        print(f"{length:4}  {name:22} {ids.size / median(seconds) / 1e6:10.2f} M tokens/s   {ratio:8.1f} x peer")


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
