"""A sentence of a corpus in which a word is masked, to try a model with."""

import itertools

import numpy as np

from wholeword.core.data.store import TokenStore

FALLBACK = "使用语言[MASK][MASK]来预测下一个词。"  # for a corpus without a suitable sentence
NUM_DOCUMENTS = 100  # to look through
LENGTHS = range(6, 31)  # pieces
FIRST = 3  # pieces that come before the masked word


def masked_sentence(store: TokenStore) -> str:
    """The first sentence of Chinese characters alone, with a word of two of them masked, or else a single one."""
    for document in range(min(store.num_documents, NUM_DOCUMENTS)):
        tokens = store.sentence_tokens(*store.document_sentences(document))
        for begin, end in itertools.pairwise(tokens):
            if end - begin in LENGTHS:
                ids, word_starts = store.gather(np.array([begin]), np.array([end - begin]))
                pieces = [store.vocabulary.pieces[number] for number in ids]
                if all(len(piece) == 1 and (piece.isalpha() or piece in "，。、！？") and not piece.isascii() for piece in pieces):
                    return _masked(pieces, word_starts)
    return FALLBACK


def _masked(pieces: list[str], word_starts: np.ndarray) -> str:
    starts = [*np.flatnonzero(word_starts).tolist(), len(pieces)]
    words = [(first, end) for first, end in itertools.pairwise(starts) if first >= FIRST and pieces[first].isalpha()]
    first, end = next((word for word in words if word[1] - word[0] == 2), (FIRST, FIRST + 1))
    return "".join([*pieces[:first], *["[MASK]"] * (end - first), *pieces[end:]])
