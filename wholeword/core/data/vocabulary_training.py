"""Learning a WordPiece vocabulary from text."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.trainers import WordPieceTrainer

from wholeword.core.data.tokenizer import CODE_POINTS, MAX_WORD, WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.text_files import valid
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

MAX_COUNTED_RUNS = 1 << 20  # different runs to count; about 100 MB


def train_vocabulary(sentences: Iterable[str], size: int, lowercase: bool, min_frequency: int = 2) -> Vocabulary:
    """Learn a WordPiece vocabulary: the special pieces, every character that is frequent enough, then merges by frequency.

    Equal text gives an equal vocabulary, in any process and with any number of threads. (`tokenizers` numbers `##` pieces in the order of
    a randomised hash map, and those numbers decide between equally frequent merges; so single characters are numbered here first.)
    It contains no piece that WordPiece could never emit (a `##` before a Chinese character). The text is normalised as in transformers.

    Args:
        size: number of pieces, including the five special ones; the result has fewer if the text does not yield as many.
        min_frequency: how often a piece must occur.
    Raises: UserError if `size` leaves no room for characters, or the text has none.
    """
    words, characters = _count_words(sentences, lowercase)
    if size <= len(SPECIAL_PIECES) or not (words or characters):
        raise UserError(f"tokenizer.train: cannot make {size} pieces from {len(words) + len(characters)} different words")
    for word, count in words.items():
        for piece in _single_pieces(word):
            characters[piece] += count
    frequent = [piece for piece, count in characters.items() if count >= min_frequency]
    alphabet = set(sorted(frequent, key=lambda piece: (-characters[piece], piece))[: size - len(SPECIAL_PIECES)])

    def trainable() -> Iterator[str]:
        for word in sorted(words):
            if alphabet.issuperset(_single_pieces(word)):
                for done in range(0, words[word], 1000):
                    yield " ".join([word] * min(1000, words[word] - done))

    learner = Tokenizer(WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = WhitespaceSplit()
    trainer = WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=[*SPECIAL_PIECES, *sorted(alphabet, key=lambda piece: (piece.startswith("##"), piece))],
        show_progress=False,
    )
    learner.train_from_iterator(trainable(), trainer)
    ids = learner.get_vocab()
    return Vocabulary(sorted(ids, key=ids.__getitem__), source="the trained vocabulary")


def _single_pieces(word: str) -> list[str]:
    return [word[0], *(f"##{character}" for character in word[1:])]


def _count_words(sentences: Iterable[str], lowercase: bool) -> tuple[Counter[str], Counter[str]]:
    """How often each word of the runs, and each character that is a word by itself, occurs (as BERT's normalizer leaves them)."""
    tokenizer = WordPieceTokenizer(Vocabulary(SPECIAL_PIECES), lowercase, definition="transformers")
    normalizer, pre_tokenizer = tokenizer.reference.normalizer, tokenizer.reference.pre_tokenizer
    runs: Counter[str] = Counter()
    codes_seen = np.zeros(CODE_POINTS, np.int64)
    floor = 1
    for batch in _batches(sentences):
        codes, kinds, _, texts = tokenizer.split("\n".join(["", *batch, ""]))
        seen = np.bincount(codes[kinds >= 0])
        codes_seen[: len(seen)] += seen
        runs.update(run for run in texts if len(run) <= MAX_WORD)
        while len(runs) > MAX_COUNTED_RUNS:  # bounded memory: drop the rarest so far
            runs = Counter({run: count for run, count in runs.items() if count > floor})
            floor += 1
    words: Counter[str] = Counter()
    for run, count in runs.items():
        for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(valid(run))):
            words[word] += count
    characters: Counter[str] = Counter()
    for code in np.flatnonzero(codes_seen).tolist():
        characters[normalizer.normalize_str(chr(code)).strip()] += int(codes_seen[code])
    return words, characters


def _batches(sentences: Iterable[str], num_characters: int = 1 << 16) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for sentence in sentences:
        batch.append(sentence)
        size += len(sentence)
        if size >= num_characters:
            yield batch
            batch, size = [], 0
    yield batch
