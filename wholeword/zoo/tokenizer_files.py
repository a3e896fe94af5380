"""The tokenizer in a folder: `vocab.txt` and `tokenizer_config.json`, or `tokenizer.json`, the only file that transformers 5 writes.

Whether text is lower-cased is honoured, and so are added tokens, which continue the vocabulary. Any other setting that would tokenize text
differently from BERT is named.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wholeword.core.errors import UserError
from wholeword.core.formats.json_file import read_json
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

MOST_VOCABULARY_BYTES = 1 << 28
TEXTS = {"true": True, "false": False, "1": True, "0": False}  # booleans that were written as text
SPECIAL_TOKENS = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL_PIECES, strict=True))
PADDING_STEP = 8  # tables are padded to a multiple of 8, or of a larger power of 2
MOST_PADDING = 127
CAPITAL = re.compile("[A-Z]")
SHOWN = 5


@dataclass(frozen=True)
class TokenizerFiles:
    """The contents of a tokenizer's files."""

    vocabulary: Vocabulary
    lowercase: bool | None  # None if no file states it
    path: Path  # the file that contains the vocabulary
    notes: tuple[str, ...]  # what is done about settings and tokens that BERT does not have

    def padded(self, vocab_size: int, config_path: Path) -> "TokenizerFiles":
        """With a piece for each row of the model, if its table was padded to a multiple of 8.

        Raises: UserError if the vocabulary and the model differ in size for another reason.
        """
        count = len(self.vocabulary)
        if count == vocab_size:
            return self
        problem = f"{self.path} has {count} entries but {config_path.name} says vocab_size {vocab_size}"
        if count > vocab_size:
            raise UserError(f"{problem}; expected the vocabulary that the model was trained with")
        extra = vocab_size - count
        if extra > MOST_PADDING or vocab_size % PADDING_STEP:
            raise UserError(
                f"{problem}; padding to a multiple of {PADDING_STEP} does not explain the {extra} rows without a piece: "
                "list their pieces in added_tokens.json, or use the vocabulary that the model was trained with"
            )
        pieces = list(self.vocabulary.pieces)
        names = (name for number in range(len(pieces) + vocab_size) if (name := f"[unused{number}]") not in self.vocabulary.ids)
        pieces += [next(names) for _ in range(extra)]
        first = pieces[count]
        note = f"the last {extra} of {vocab_size} rows have no piece in {self.path.name}: taken for padding, and kept as {first} ..."
        return TokenizerFiles(Vocabulary(pieces, source=str(self.path)), self.lowercase, self.path, (*self.notes, note))


def assets_folder(folder: Path) -> Path:
    """The folder itself, or the assets of the PaddleHub module that it is or contains."""
    assets = [path.parent for pattern in ("assets/vocab.txt", "*/assets/vocab.txt") for path in folder.glob(pattern)]
    return assets[0] if len(assets) == 1 and not (folder / "config.json").exists() else folder


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Read a tokenizer. Raises: UserError if the folder has no vocabulary, or not one for BERT, or a setting is not what it must be."""
    settings_path, path = folder / "tokenizer_config.json", folder / "vocab.txt"
    settings, fast = _object(settings_path), _object(folder / "tokenizer.json")
    lowercase = _boolean(settings, "do_lower_case", settings_path)
    normalizer = fast.get("normalizer") if isinstance(fast.get("normalizer"), dict) else {}
    assert isinstance(normalizer, dict)
    if lowercase is None:
        lowercase = _boolean(normalizer, "lowercase", folder / "tokenizer.json")
    if path.exists() or not (folder / "tokenizer.json").exists():
        if path.exists() and path.stat().st_size > MOST_VOCABULARY_BYTES:
            raise UserError(
                f"{path}: {path.stat().st_size:,} bytes; too large for a vocabulary; at most {MOST_VOCABULARY_BYTES:,} are accepted"
            )
        vocabulary = Vocabulary.read(path)
    else:
        path = folder / "tokenizer.json"
        vocabulary = Vocabulary(_pieces(fast, path), source=str(path))
    vocabulary, notes = _with_added(vocabulary, settings, fast, folder)
    differing = [*_differing(settings, lowercase, settings_path.name), *_differing_normalizer(normalizer, lowercase)]
    return TokenizerFiles(vocabulary, lowercase, path, (*notes, *differing))


def _boolean(settings: Mapping[str, Any], key: str, path: Path) -> bool | None:
    """A setting that is true, false, missing, or one of these as text. Raises: UserError."""
    value = settings.get(key)
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if not isinstance(value, str | int) or text not in TEXTS:
        raise UserError(f"{path}: {key} is {value!r}, expected true or false")
    return TEXTS[text]


def _added(settings: Mapping[str, Any], fast: Mapping[str, Any], folder: Path) -> tuple[dict[Any, Any], Path]:
    """Added tokens with their ids, from the first of the files that may list them, and that file."""
    added: dict[Any, Any] = _object(path := folder / "added_tokens.json")
    if added:
        return added, path
    if isinstance(entries := settings.get("added_tokens_decoder"), dict):  # of transformers since 4.34; its keys are the ids, as text
        ids = {key: int(key) if key.isdecimal() else key for key in entries}
        added = {entry.get("content"): ids[key] for key, entry in entries.items() if isinstance(entry, dict)}
        return added, folder / "tokenizer_config.json"
    tokens = fast.get("added_tokens")
    listed = [token for token in tokens if isinstance(token, dict)] if isinstance(tokens, list) else []
    return {token.get("content"): token.get("id") for token in listed}, folder / "tokenizer.json"


def _with_added(vocabulary: Vocabulary, settings: Mapping[str, Any], fast: Mapping[str, Any], folder: Path) -> tuple[Vocabulary, list[str]]:
    """The vocabulary continued by the added tokens, and a note that says so.

    Raises: UserError if an id is that of another piece, or if ids are left out.
    """
    added, path = _added(settings, fast, folder)
    ids: dict[int, str] = {}
    for piece, number in added.items():
        if type(piece) is not str or not piece or type(number) is not int or number < 0:
            raise UserError(f"{path}: {piece!r} has the id {number!r}; expected a whole number for every added token")
        if number < len(vocabulary):
            if vocabulary.pieces[number] != piece:
                raise UserError(f"{path}: {piece!r} has the id {number}, which is that of {vocabulary.pieces[number]!r} in the vocabulary")
        elif ids.setdefault(number, piece) != piece:
            raise UserError(f"{path}: {piece!r} and {ids[number]!r} have the same id {number}")
    if not ids:
        return vocabulary, []
    first = len(vocabulary)
    if sorted(ids) != list(range(first, first + len(ids))):
        raise UserError(f"{path}: ids from {min(ids)} to {max(ids)}; expected {len(ids)} ids that continue the vocabulary, from {first}")
    pieces = [ids[number] for number in range(first, first + len(ids))]
    listed = ", ".join(map(repr, pieces[:SHOWN])) + (f" and {len(pieces) - SHOWN} more" if len(pieces) > SHOWN else "")
    note = f"{path.name} adds {len(pieces)} pieces to the vocabulary: {listed}; text is split as by BERT before pieces are looked up"
    return Vocabulary([*vocabulary.pieces, *pieces], source=str(path)), [note]


def _differing(settings: Mapping[str, Any], lowercase: bool | None, name: str) -> Iterator[str]:
    """The settings of a tokenizer_config.json that would tokenize differently, one line each."""
    lowercase = lowercase is not False
    expected: dict[str, tuple[Any, ...]] = {
        "strip_accents": (None, lowercase),
        "tokenize_chinese_chars": (None, True),
        "do_basic_tokenize": (None, True),
        "never_split": (None, []),
        **{key: (None, piece) for key, piece in SPECIAL_TOKENS.items()},
    }
    for key, values in expected.items():
        value = settings.get(key)
        if isinstance(value, dict) and key in SPECIAL_TOKENS:  # an AddedToken
            value = value.get("content")
        if isinstance(value, str) and key not in SPECIAL_TOKENS:
            value = TEXTS.get(value.lower(), value)
        if value not in values:
            yield f"{name} says {key} {value!r}, which is not honoured: text is tokenized with {values[-1]!r}"
    kind = settings.get("tokenizer_class")
    if isinstance(kind, str) and kind.removesuffix("Fast") not in ("BertTokenizer", "TokenizersBackend", "PreTrainedTokenizer"):
        yield f"{name} says tokenizer_class {kind!r}, which is not honoured: text is tokenized as by BertTokenizer"


def _differing_normalizer(normalizer: Mapping[str, Any], lowercase: bool | None) -> Iterator[str]:
    """The settings of the normalizer of a tokenizer.json that differ, one line each."""
    expected: dict[str, tuple[Any, ...]] = {
        "strip_accents": (None, lowercase is not False),
        "handle_chinese_chars": (None, True),
        "clean_text": (None, True),
    }
    for key, values in expected.items():
        if normalizer.get(key) not in values:
            yield f"tokenizer.json says {key} {normalizer[key]!r}, which is not honoured: text is tokenized with {values[-1]!r}"


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


def capitals(vocabulary: Vocabulary) -> int:
    """How many pieces contain a capital A to Z, which lower-cased text never does; special pieces, in brackets, are not counted."""
    return sum(bool(CAPITAL.search(piece)) for piece in vocabulary.pieces if not piece.startswith("["))


def _object(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
