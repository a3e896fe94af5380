"""Rows made as `wholeword.core.data.google` makes them -> batches."""

from collections.abc import Generator, Sequence
from itertools import chain, pairwise

import numpy as np

from wholeword.core.data.batches import no_examples, prefetch
from wholeword.core.data.examples import ExamplesSpec
from wholeword.core.data.google import Sentence, Symbols, create_instances
from wholeword.core.data.rows import Batch
from wholeword.core.data.selection import select_documents
from wholeword.core.data.store import TokenStore


class GoogleSource:
    """The batches of one phase, in the order of Google's files, with the interface and the features of a `BatchSource`.

    All rows of all epochs are made at once and kept in memory: 12 bytes for each of their max_seq_length positions and 16 for each of
    their max_predictions, and about twice that while they are made.

    Args:
        documents: "train", "held_out" or "all".
        rate, whole_words: as of `mask_row`.
    Raises: UserError if there is not a single row.

    Row r of step s is row s * batch_size + r of these; after the last row, the first follows. `sample_ids` are the numbers of the rows.
    """

    has_next_sentence = True

    def __init__(
        self,
        store: TokenStore,
        examples: ExamplesSpec,
        *,
        rate: float,
        whole_words: bool = True,
        max_predictions: int,
        batch_size: int,
        dupe_factor: int,
    ):
        vocabulary = store.vocabulary
        instances = create_instances(
            read_documents(store, select_documents(store, examples.documents, examples.seed, examples.held_out_rate)),
            symbols=Symbols(vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id, range(len(vocabulary))),
            seed=examples.seed,
            max_seq_length=examples.max_seq_length,
            max_predictions=max_predictions,
            short_seq_rate=examples.short_seq_rate,
            dupe_factor=dupe_factor,
            rate=rate,
            whole_words=whole_words,
        )
        if not instances:
            raise no_examples(store, name="nsp-pairs", documents=examples.documents, held_out_rate=examples.held_out_rate)
        self.batch_size, self.dupe_factor, self.num_examples = batch_size, dupe_factor, len(instances)
        rows = [instance.row for instance in instances]
        segment_ids = [instance.segment_ids for instance in instances]
        positions = [row.positions for row in rows]
        self._rows: Batch = {
            "input_ids": padded([row.tokens for row in rows], examples.max_seq_length, vocabulary.pad_id),
            "input_mask": filled(segment_ids, examples.max_seq_length).astype(np.int32),
            "segment_ids": padded(segment_ids, examples.max_seq_length),
            "masked_lm_positions": padded(positions, max_predictions),
            "masked_lm_ids": padded([row.labels for row in rows], max_predictions),
            "masked_lm_weights": filled(positions, max_predictions).astype(np.float32),
            "next_sentence_labels": np.array([instance.is_random_next for instance in instances], np.int32),
            "masked_lm_word_lengths": padded([row.word_lengths for row in rows], max_predictions),
            "sample_ids": np.arange(len(rows), dtype=np.uint64),
        }

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        rows = (step * self.batch_size + np.arange(self.batch_size)) % self.num_examples
        return {name: values[rows] for name, values in self._rows.items()}

    def num_rows(self, passes: int) -> int:
        """How many rows `passes` epochs have; exact for multiples of `dupe_factor`, since all epochs are shuffled together."""
        return self.num_examples * passes // self.dupe_factor

    def batches(self, first_step: int, end_step: int, *, workers: int = 1) -> Generator[Batch, None, None]:
        """The batches of some steps, see `prefetch`."""
        return prefetch(self.batch, range(first_step, end_step), workers=workers)


def read_documents(store: TokenStore, documents: np.ndarray) -> Sequence[Sequence[Sentence[int]]]:
    """Some documents of a store, by their numbers: integers [documents]."""
    known: dict[tuple[int, bool], tuple[int, bool]] = {}  # equal tokens share an object: about 9 bytes per token instead of 100
    read = []
    for document in documents.tolist():
        borders = store.sentence_tokens(*store.document_sentences(document))
        ids, word_starts = store.gather(borders[:1], borders[-1:] - borders[:1])
        tokens = [known.setdefault(token, token) for token in zip(ids.tolist(), (~word_starts).tolist(), strict=True)]
        read.append([tokens[begin:end] for begin, end in pairwise((borders - borders[0]).tolist())])
    return read


def filled(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    """bool [rows, width], True where a row has an entry."""
    return np.arange(width) < np.fromiter(map(len, rows), np.int64, len(rows))[:, None]


def padded(rows: Sequence[Sequence[int]], width: int, padding: int = 0) -> np.ndarray:
    """int32 [rows, width]."""
    table = np.full((len(rows), width), padding, np.int32)
    table[filled(rows, width)] = np.fromiter(chain.from_iterable(rows), np.int32)
    return table
