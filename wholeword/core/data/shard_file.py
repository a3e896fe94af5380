"""The file of a shard: five arrays, see `wholeword.core.data.store`."""

from typing import Any

import numpy as np

from wholeword.core.vocabulary import Vocabulary

ALIGNMENT = 8  # bytes


def id_dtype(vocabulary: Vocabulary) -> np.dtype[Any]:
    """The smallest type that holds every id."""
    return np.dtype("<u2" if len(vocabulary) <= 1 << 16 else "<u4")


def shard_layout(
    ids: np.dtype[Any], num_tokens: int, num_sentences: int, num_documents: int, num_fallback_sentences: int
) -> tuple[list[tuple[np.dtype[Any], int, int]], int]:
    """The arrays of a shard, each as (dtype, length, place in bytes); and the size of the file."""
    offsets = np.dtype("<u4")
    arrays = []
    end = 0
    sizes = [(ids, num_tokens), (np.dtype("u1"), -(-num_tokens // 8))]
    for dtype, count in [*sizes, (offsets, num_sentences), (offsets, num_documents), (offsets, num_fallback_sentences)]:
        arrays.append((dtype, count, end))
        end += -(-count * dtype.itemsize // ALIGNMENT) * ALIGNMENT
    return arrays, end


def shard_bytes(
    vocabulary: Vocabulary,
    ids: np.ndarray,
    word_starts: np.ndarray,
    sentence_ends: np.ndarray,
    document_ends: np.ndarray,
    fallback_sentences: np.ndarray | tuple[()] = (),
) -> bytearray:
    """The content of a shard's file.

    Args:
        ids: integers [num_tokens].
        word_starts: bool [num_tokens].
        sentence_ends, document_ends, fallback_sentences: ascending integers; see `wholeword.core.data.store`.
    """
    arrays, size = shard_layout(id_dtype(vocabulary), len(ids), len(sentence_ends), len(document_ends), len(fallback_sentences))
    content = bytearray(size)
    parts = (ids, np.packbits(word_starts, bitorder="little"), sentence_ends, document_ends, fallback_sentences)
    for (dtype, count, place), values in zip(arrays, parts, strict=True):
        np.frombuffer(content, dtype, count, place)[:] = values
    return content
