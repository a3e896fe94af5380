"""Batches: the seven features of google-research/bert's `create_pretraining_data.py`, as NumPy arrays of static shape.

`BatchSource.batch(step)` is a pure function of the source's arguments and the step. Row r of step s is sample s * batch_size + r of an
endless sequence of epochs, each of which shuffles the examples by its own permutation. Epoch e has the examples of epoch e mod
dupe_factor (if epochs differ in their examples at all) and the masks of epoch e, or of epoch e mod dupe_factor when masking is static.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from wholeword.core.contracts import MaskingStrategy
from wholeword.core.data.draws import permutation
from wholeword.core.data.examples import PAIRS, Examples, ExamplesSpec, build_examples
from wholeword.core.data.rows import Batch, make_batch
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import UserError
from wholeword.core.memory import keep_freed_memory

EVALUATION_EPOCH = 2**32  # beyond any training, so that evaluation has its own masks
SHUFFLE_BLOCK = 1 << 12  # rows


class BatchSource:
    """The batches of one phase.

    Args:
        examples: which examples to build; those of an epoch are built when it is reached.
        dynamic: new masks in every epoch; otherwise they repeat after `dupe_factor` epochs.
        fallback: where words are not those of the text, "span" masks that span piece by piece, and "sample" the whole row.
        word_lengths: whether batches have `masked_lm_word_lengths`, which training does not need.
        cache: a folder for the examples, see `build_examples`.
    Raises: UserError if there is not a single example.

    A batch holds, with B rows, L = max_seq_length and P = max_predictions:
        input_ids, input_mask, segment_ids: int32 [B, L].
        masked_lm_positions (ascending), masked_lm_ids: int32 [B, P]; masked_lm_weights: float32 [B, P]. Unused slots are 0 in all three.
        next_sentence_labels: int32 [B].
        masked_lm_word_lengths (with `word_lengths`): int32 [B, P], pieces of the word that the prediction is part of.
        sample_ids: uint64 [B].
    """

    def __init__(
        self,
        store: TokenStore,
        examples: ExamplesSpec,
        *,
        strategy: MaskingStrategy,
        max_predictions: int,
        batch_size: int,
        dynamic: bool,
        dupe_factor: int,
        fallback: str = "span",
        word_lengths: bool = True,
        cache: Path | None = None,
    ):
        self.seed, self.batch_size, self.dynamic, self.dupe_factor = examples.seed, batch_size, dynamic, dupe_factor
        self.has_next_sentence = examples.kind in PAIRS
        self._build = partial(load_examples, store, examples, cache=cache)
        self._make = partial(
            make_batch,
            store,
            strategy=strategy,
            seed=examples.seed,
            max_seq_length=examples.max_seq_length,
            max_predictions=max_predictions,
            fallback=fallback,
            word_lengths=word_lengths,
        )
        keep_freed_memory()
        self._lock = threading.Lock()
        self._examples: list[Examples] = []
        self._blocks: dict[tuple[int, int], np.ndarray] = {}
        self.num_examples = len(self._examples_of(0))
        self.num_structures = dupe_factor if self._examples_of(0).random else 1

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        parts, position, end = [], step * self.batch_size, (step + 1) * self.batch_size
        while position < end:
            epoch, begin = self._epoch_at(position)
            structure = epoch % self.num_structures
            examples = self._examples_of(structure)
            places = np.arange(position, min(end, begin + len(examples))) - begin
            numbers = self._shuffled(epoch, places, len(examples))
            masks = epoch if self.dynamic else epoch % self.dupe_factor
            parts.append(self._make(examples, numbers, structure=structure, epoch=masks))
            position += len(places)
        return parts[0] if len(parts) == 1 else {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def num_rows(self, passes: int) -> int:
        """How many rows the first `passes` epochs have in total."""
        sizes = [len(self._examples_of(structure)) for structure in range(min(passes, self.num_structures))]
        rounds, rest = divmod(passes, len(sizes))
        return rounds * sum(sizes) + sum(sizes[:rest])

    def batches(self, first_step: int, end_step: int, *, workers: int = 1) -> Generator[Batch, None, None]:
        """The batches of some steps, see `prefetch`."""
        return prefetch(self.batch, range(first_step, end_step), workers=workers)

    def _shuffled(self, epoch: int, places: np.ndarray, num_examples: int) -> np.ndarray:
        """The numbers of the examples at consecutive positions of an epoch. Shuffled in blocks, of which the latest are cached."""
        parts = []
        for block in range(places[0] // SHUFFLE_BLOCK, places[-1] // SHUFFLE_BLOCK + 1):
            begin = block * SHUFFLE_BLOCK
            numbers = self._blocks.get((epoch, block))
            if numbers is None:
                inside = np.arange(begin, min(begin + SHUFFLE_BLOCK, num_examples))
                numbers = permutation(self.seed, epoch, inside, num_examples)
                self._blocks = {**dict(list(self._blocks.items())[-3:]), (epoch, block): numbers}
            parts.append(numbers[max(places[0] - begin, 0) : places[-1] + 1 - begin])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _examples_of(self, structure: int) -> Examples:
        with self._lock:
            while len(self._examples) <= structure:
                self._examples.append(self._build(epoch=len(self._examples)))
            return self._examples[structure]

    def _epoch_at(self, position: int) -> tuple[int, int]:
        """The epoch of a position in the endless sequence, and where that epoch begins."""
        begin = 0
        for structure in range(self.num_structures):
            size = len(self._examples_of(structure))
            if position < begin + size:
                return structure, begin
            begin += size
        rounds, rest = divmod(position, begin)
        structure, start = self._epoch_at(rest)
        return rounds * self.num_structures + structure, rounds * begin + start


def prefetch(make: Callable[[int], Batch], steps: range, *, workers: int) -> Generator[Batch, None, None]:
    """The batches of some steps in order, made ahead of time by threads: one in each thread, and one waiting."""
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        pending: deque[Future[Batch]] = deque()
        try:
            for step in steps:
                pending.append(pool.submit(make, step))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def evaluation_batches(
    store: TokenStore,
    examples: Examples,
    *,
    strategy: MaskingStrategy,
    seed: int,
    max_seq_length: int,
    max_predictions: int,
    batch_size: int,
    num_batches: int,
) -> list[Batch]:
    """At most `num_batches` batches of some examples, in a fixed random order with fixed masks: every call returns the same.

    All have one shape. Rows that do not fill a batch are left out, so no row needs to be distinguished from padding; if there are fewer
    than `batch_size` rows in all, there is one batch of that many rows.
    """
    batch_size = min(batch_size, len(examples))
    num_batches = min(num_batches, len(examples) // batch_size)
    numbers = permutation(seed, EVALUATION_EPOCH, np.arange(num_batches * batch_size), len(examples))
    make = partial(
        make_batch, store, examples, strategy=strategy, seed=seed, max_seq_length=max_seq_length, max_predictions=max_predictions
    )
    return [make(rows, structure=0, epoch=EVALUATION_EPOCH) for rows in numbers.reshape(num_batches, batch_size)]


def load_examples(store: TokenStore, spec: ExamplesSpec, *, epoch: int, cache: Path | None) -> Examples:
    """`build_examples`, cached in a folder of its own. Raises: UserError if there are no examples."""
    path = cache and cache / f"{spec.kind}-{spec.max_seq_length}-{spec.documents}-{epoch}"
    examples = build_examples(store, spec, epoch=epoch, path=path)
    if not len(examples):
        raise no_examples(store, name=spec.kind, documents=spec.documents, held_out_rate=spec.held_out_rate)
    return examples


def no_examples(store: TokenStore, *, name: str, documents: str, held_out_rate: float) -> UserError:
    """The error for a corpus that is too small."""
    corpus = f"{store.num_documents:,} documents of {store.num_sentences:,} sentences"
    share = "" if documents == "all" else f" with evaluation.held_out_rate {held_out_rate}"
    return UserError(f"no {documents.replace('_', '-')} examples of kind {name} in {corpus}{share}; the corpus is too small for that")
