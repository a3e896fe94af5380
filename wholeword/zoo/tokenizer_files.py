"""The tokenizer in a folder: `vocab.txt` and `tokenizer_config.json`, or `tokenizer.json`, the only file that transformers 5 writes."""

from pathlib import Path
from typing import Any, NamedTuple

from wholeword.core.errors import UserError
from wholeword.core.vocabulary import Vocabulary
from wholeword.zoo.formats import read_json

MOST_VOCABULARY_BYTES = 1 << 28


class TokenizerFiles(NamedTuple):
    """The contents of a tokenizer's files."""

    vocabulary: Vocabulary
    lowercase: bool | None  # None if no file states it
    path: Path  # the file that contains the vocabulary


def assets_folder(folder: Path) -> Path:
    """The folder itself, or the assets of the PaddleHub module that it is or contains."""
    assets = [path.parent for pattern in ("assets/vocab.txt", "*/assets/vocab.txt") for path in folder.glob(pattern)]
    return assets[0] if len(assets) == 1 and not (folder / "config.json").exists() else folder


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Read a tokenizer. Raises: UserError if the folder has no vocabulary, or not one for BERT."""
    lowercase = _object(folder / "tokenizer_config.json").get("do_lower_case")
    path = folder / "vocab.txt"
    if path.exists() or not (folder / "tokenizer.json").exists():
        if path.exists() and path.stat().st_size > MOST_VOCABULARY_BYTES:
            raise UserError(
                f"{path}: {path.stat().st_size:,} bytes; too large for a vocabulary; at most {MOST_VOCABULARY_BYTES:,} are accepted"
            )
        return TokenizerFiles(Vocabulary.read(path), lowercase, path)
    path = folder / "tokenizer.json"
    content = _object(path)
    if lowercase is None and isinstance(content.get("normalizer"), dict):
        lowercase = content["normalizer"].get("lowercase")
    return TokenizerFiles(Vocabulary(_pieces(content, path), source=str(path)), lowercase, path)


def _pieces(content: dict[str, Any], path: Path) -> list[str]:
    """The pieces in the order of their ids, including added tokens."""
    model = content.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict) or model.get("continuing_subword_prefix") != "##":
        raise UserError(f"{path}: not a WordPiece model with the prefix ##; expected the tokenizer of a BERT model, or a vocab.txt")
    try:
        ids = dict(model["vocab"]) | {token["content"]: token["id"] for token in content.get("added_tokens") or []}
    except (TypeError, KeyError):
        raise UserError(f"{path}: an entry of added_tokens lacks content or id") from None
    pieces = {number: piece for piece, number in ids.items() if type(number) is int}
    if len(pieces) != len(ids) or any(number not in pieces for number in range(len(pieces))):
        raise UserError(f"{path}: ids must be the numbers from 0 to {len(ids) - 1}, one for each piece")
    return [pieces[number] for number in range(len(pieces))]


def _object(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
