"""What masking strategies do to sentences: `wholeword mask`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.contracts import MaskingStrategy, Segmenter
from wholeword.core.data.align import pieces_of, segment
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.text_files import valid
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

# Beginnings and endings that split common English words as a WordPiece vocabulary would; chosen by hand, for display only.
ENGLISH = """
the and for with from that this you are not all new one two use can will model language word data deep learning machine train test code
python google bert masked masking mask whole pre pro con com per sub inter under over out up down in on at un re de dis be
##s ##es ##ed ##ing ##er ##or ##ly ##ness ##ment ##tion ##sion ##able ##ible ##ility ##bility ##ity ##al ##ial ##ous ##ive ##ful
##less ##ba ##ti ##ni ##ci ##si ##ri ##li ##ta ##la ##ra ##na ##ma ##ca ##pe ##te ##re ##ter ##ther ##ence ##ance ##ant ##ent ##ist
##ism ##ize ##word ##piece ##form ##net ##book ##work ##line ##gram
""".split()

BLOCKS = (  # first and last code point: ASCII, Latin-1, general and CJK punctuation, kana, full-width forms, ideographs, a to z
    *((0x21, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0xA1, 0xBF), (0x2010, 0x2027), (0x3001, 0x301F)),
    *((0x3041, 0x3096), (0x30A1, 0x30FE), (0xFF01, 0xFF65), (0x4E00, 0x9FA5), (0x61, 0x7A)),
)


def display_vocabulary() -> Vocabulary:
    """A vocabulary for looking at masks without a model.

    It has every character of the basic CJK block, ASCII, punctuation, full-width forms, kana, letters and digits inside words, and some
    English pieces. A trained vocabulary splits Latin words better.
    """
    characters = [chr(code) for first, last in BLOCKS for code in range(first, last + 1)]
    inside = [f"##{character}" for character in "abcdefghijklmnopqrstuvwxyz0123456789"]
    return Vocabulary(list(dict.fromkeys([*SPECIAL_PIECES, *characters, *inside, *ENGLISH])))


@dataclass(frozen=True)
class MaskedSentence:
    """A sentence as a row of its own, masked by one strategy."""

    strategy: str
    pieces: list[str]  # with [CLS] and [SEP]
    groups: list[list[int]]  # words, as indices into `pieces`; [CLS] and [SEP] belong to none
    masked_positions: list[int]
    labels: list[str]  # the original pieces at these positions
    output_pieces: list[str]

    def words(self) -> list[list["ShownPiece"]]:
        """The output, word by word."""
        masked = set(self.masked_positions)
        return [[_shown_piece(self.pieces[place], self.output_pieces[place], place in masked) for place in group] for group in self.groups]


class ShownPiece(NamedTuple):
    """A piece of a masked sentence, to be drawn."""

    text: str
    kind: str  # piece, mask, kept or random
    label: str  # the piece to predict; "" for the kind `piece`


def _shown_piece(before: str, after: str, masked: bool) -> ShownPiece:
    if not masked:
        return ShownPiece(after, "piece", "")
    return ShownPiece(after, "mask" if after == "[MASK]" else "kept" if after == before else "random", before)


@dataclass(frozen=True)
class Preview:
    """A sentence, masked by one strategy or several."""

    text: str
    words: list[str]
    masked: list[MaskedSentence]  # one for each strategy
    fallbacks: int  # spans where the segmenter's words do not match the text

    def plain(self) -> list[dict[str, Any]]:
        """What `wholeword mask --json` prints: an object for each strategy."""
        return [{"text": self.text, "words": self.words, **asdict(masked), "fallbacks": self.fallbacks} for masked in self.masked]


def preview(
    sentences: Sequence[str],
    segmenter: Segmenter,
    strategies: Mapping[str, MaskingStrategy],
    tokenizer: WordPieceTokenizer,
    *,
    seed: int,
) -> list[Preview]:
    """Mask each sentence by each strategy."""
    previews = []
    for number, (sentence, words) in enumerate(zip(*segment(segmenter, [valid(sentence) for sentence in sentences]), strict=True)):
        aligned = pieces_of(sentence, words, tokenizer)
        masked = mask_sentence(aligned.ids, aligned.word_starts, strategies, tokenizer.vocabulary, number=number, seed=seed)
        previews.append(Preview(sentence, words, masked, aligned.fallbacks))
    return previews


def mask_sentence(
    ids: np.ndarray,
    word_starts: np.ndarray,
    strategies: Mapping[str, MaskingStrategy],
    vocabulary: Vocabulary,
    *,
    number: int,
    seed: int,
) -> list[MaskedSentence]:
    """Mask one sentence as a row of its own, once for each strategy.

    Args:
        ids: integers [num_pieces].
        word_starts: bool [num_pieces].
        number: the row's sample id, which its masks depend on.
    """
    row = np.array([[vocabulary.cls_id, *ids, vocabulary.sep_id]], np.int32)
    starts = np.array([[True, *word_starts, True]])
    candidates = np.ones_like(starts)
    candidates[0, [0, -1]] = False
    begins = [position for position in range(1, row.shape[1] - 1) if starts[0, position] or position == 1]
    groups = [list(range(first, end)) for first, end in zip(begins, [*begins[1:], row.shape[1] - 1], strict=True)]
    pieces = [vocabulary.pieces[piece] for piece in row[0]]
    sentences = []
    for name, strategy in strategies.items():
        masked = strategy.mask(
            row,
            starts,
            candidates,
            np.array([number], np.uint64),
            seed=seed,
            epoch=0,
            max_predictions=row.shape[1],
            vocabulary=vocabulary,
        )
        positions = np.flatnonzero(masked.chosen[0]).tolist()
        sentences.append(
            MaskedSentence(
                strategy=name,
                pieces=pieces,
                groups=groups,
                masked_positions=positions,
                labels=[pieces[position] for position in positions],
                output_pieces=[vocabulary.pieces[piece] for piece in masked.input_ids[0]],
            )
        )
    return sentences
