"""Add pieces to a vocabulary, and rows to the model that uses it: `tokenizer.add`, `wholeword grow-vocab`.

A piece is only useful if the tokenizer can produce it: a word of Latin letters, digits or kana, a `##` continuation of one, a punctuation
mark such as “, or one Chinese character. A Chinese word of several characters is never a piece, since BERT makes every Chinese character a
piece of its own. Old pieces keep their ids and rows, so their logits do not change.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import ModelFiles
from wholeword.core.data.tokenizer import MAX_WORD, WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.text_files import BLANKS, lines, read_text
from wholeword.core.vocabulary import SPECIAL_PIECES, UNUSED, Vocabulary, is_chinese

Rows = Literal["mean", "random"]
ROW_KINDS = get_args(Rows)
GROWING = ("bert/embeddings/word_embeddings", "cls/predictions/output_bias")  # tensors with a row or a value per piece
SHOWN = 5  # refused pieces that a message lists


def read_pieces(path: Path) -> list[str]:
    """The pieces of a file, one per line; empty lines are skipped.

    Raises: UserError.
    """
    text = read_text(path, expected="pieces to add, one per line")
    return [piece for line in lines(text) if (piece := line.strip(BLANKS))]


def grow_vocabulary(vocabulary: Vocabulary, pieces: Iterable[str], *, lowercase: bool, reuse_unused: bool = False) -> Vocabulary:
    """The vocabulary with more pieces; duplicates and pieces that it already has are skipped.

    Args:
        reuse_unused: replace [unused1], [unused2] ... first, which keeps the size.
    Raises: UserError naming the pieces that the tokenizer can never produce, and why.
    """
    tokenizer = WordPieceTokenizer(vocabulary, lowercase, definition="transformers")
    new = [piece for piece in dict.fromkeys(pieces) if piece not in vocabulary.ids]
    refused = [f"{piece!r} {reason}" for piece in new if (reason := _why_never(piece, tokenizer))]
    if refused:
        more = f" (and {len(refused) - SHOWN} more)" if len(refused) > SHOWN else ""
        raise UserError(f"{len(refused)} of {len(new)} pieces to add would never be used: {'; '.join(refused[:SHOWN])}{more}")
    grown = list(vocabulary.pieces)
    slots = [number for number, piece in enumerate(grown) if UNUSED.fullmatch(piece)] if reuse_unused else []
    for slot, piece in zip(slots, new, strict=False):
        grown[slot] = piece
    return Vocabulary([*grown, *new[len(slots) :]], source="the grown vocabulary")


def _why_never(piece: str, tokenizer: WordPieceTokenizer) -> str | None:
    """Why the tokenizer can never produce a piece; None if it can."""
    normalizer, pre_tokenizer = tokenizer.reference.normalizer, tokenizer.reference.pre_tokenizer
    continues = piece.startswith("##") and len(piece) > 2
    text = piece[2:] if continues else piece
    if piece in SPECIAL_PIECES:
        return "is a special piece"
    if not text or text.split() != [text]:
        return "contains a space, where text is split: add its words"
    if any(map(is_chinese, text)) and (continues or len(text) > 1):
        return (
            "holds Chinese characters, each of which is its own piece, so that whole word masking joins them by the segmenter's words: "
            "put it into the dictionary of the segmenter"
        )
    read = normalizer.normalize_str(text).strip()
    words = [word for word, _ in pre_tokenizer.pre_tokenize_str(read)]
    if len(words) > 1:
        return f"is split into {' | '.join(words)}"
    if read != text:
        return f"is read as {read!r}: add that" if words else "is removed from text"
    if continues and len(pre_tokenizer.pre_tokenize_str(f"a{text}")) > 1:
        return "continues nothing: a punctuation mark is its own piece"
    if len(text) > MAX_WORD:
        return f"has more than {MAX_WORD} characters, and such a word is [UNK]"
    return None


def grow_model(model: ModelFiles, vocabulary: Vocabulary, *, rows: Rows, seed: int) -> ModelFiles:
    """The model with an embedding and an MLM bias for each piece of a grown vocabulary.

    Args:
        rows: "mean": a new row is the mean of the rows that the text had so far ([UNK] if it was unknown), which keeps its meaning;
            "random": initial values as in a new model, and bias 0.
        seed: for "random".
    Raises: UserError if the vocabulary is not an extension of the model's own.
    """
    old = model.vocabulary
    kept = [piece == before for piece, before in zip(vocabulary.pieces, old.pieces, strict=False)]
    moved = [before for keeps, before in zip(kept, old.pieces, strict=False) if not keeps and not UNUSED.fullmatch(before)]
    if moved or len(vocabulary) < len(old):
        problem = f"{moved[0]!r} has another id" if moved else f"{len(vocabulary)} pieces are fewer than {len(old)}"
        raise UserError(f"the vocabulary does not extend that of the model: {problem}; add pieces to the model's own")
    new = [number for number in range(len(vocabulary)) if number >= len(old) or not kept[number]]
    config = replace(model.config, vocab_size=len(vocabulary))
    fresh = initial_weights(config, seed, GROWING)
    tokenizer = WordPieceTokenizer(old, model.lowercase, definition="transformers")
    weights = dict(model.weights)
    for name in GROWING:
        values, before = fresh[name], model.weights[name]
        values[: len(old)] = before
        for number in new:
            if rows == "mean":
                values[number] = before[_pieces_before(vocabulary.pieces[number], tokenizer)].mean(0, dtype=np.float64)
            elif number < len(old):  # was [unused...]; rows beyond the old size have initial values already
                values[number] = initial_weights(config, seed, [name])[name][number]
        weights[name] = values
    provenance = replace(model.provenance, added_pieces={"count": len(new), "rows": rows})
    return model._replace(config=config, weights=weights, vocabulary=vocabulary, provenance=provenance)


def _pieces_before(piece: str, tokenizer: WordPieceTokenizer) -> list[int]:
    """The ids of the text of a new piece in the old vocabulary."""
    if not piece.startswith("##") or len(piece) == 2:
        ids: list[int] = tokenizer.encode(piece)[0].tolist()
        return ids
    return list(_longest_first(piece, tokenizer.vocabulary.ids)) or [tokenizer.vocabulary.unk_id]


def _longest_first(piece: str, ids: Mapping[str, int]) -> Iterator[int]:
    """WordPiece over the text behind a `##`; nothing if it fails."""
    ids_so_far, rest = [], piece[2:]
    while rest:
        length = next((n for n in range(len(rest), 0, -1) if f"##{rest[:n]}" in ids), 0)
        if not length:
            return
        ids_so_far.append(ids[f"##{rest[:length]}"])
        rest = rest[length:]
    yield from ids_so_far
