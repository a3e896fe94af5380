"""Which documents are for training and which are held out."""

import numpy as np

from wholeword.core.data.draws import Stream, draws, row_keys, uniform
from wholeword.core.data.store import TokenStore


def held_out(documents: np.ndarray, seed: int, rate: float) -> np.ndarray:
    """Which of the documents (global numbers) are not for training: bool of their shape."""
    return uniform(draws(row_keys(seed, 0, documents), 0, Stream.HELD_OUT)) < rate


def select_documents(store: TokenStore, documents: str, seed: int, held_out_rate: float) -> np.ndarray:
    """The global numbers of the documents that are "train", "held_out" or "all", ascending, uint32."""
    parts = [np.zeros(0, np.uint32)]
    for shard in store.shards:
        numbers = np.arange(shard.document_offset, shard.document_offset + shard.num_documents, dtype=np.uint32)
        if documents != "all":
            numbers = numbers[held_out(numbers, seed, held_out_rate) == (documents == "held_out")]
        parts.append(numbers)
    return np.concatenate(parts)
