"""What a masking strategy does to a sentence, for eyes and programs (`wholeword mask`)."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from wholeword.core.contracts import MaskingStrategy, Segmenter
from wholeword.core.data.align import pieces_of, segment
from wholeword.core.data.tokenizer import WordPieceTokenizer, valid
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.reports.page import both, legend, page

# Beginnings and endings that cut common English words as a WordPiece vocabulary does; chosen by hand, for display alone.
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
    """A vocabulary for looking at masks where no model's is given: every character of the basic CJK block, ASCII, punctuation,
    full-width forms, kana, letters and digits inside words, and some English pieces. A trained vocabulary cuts Latin words better.
    """
    characters = [chr(code) for first, last in BLOCKS for code in range(first, last + 1)]
    inside = [f"##{character}" for character in "abcdefghijklmnopqrstuvwxyz0123456789"]
    return Vocabulary(list(dict.fromkeys([*SPECIAL_PIECES, *characters, *inside, *ENGLISH])))


def preview(
    sentences: Sequence[str],
    segmenter: Segmenter,
    strategies: dict[str, MaskingStrategy],
    tokenizer: WordPieceTokenizer,
    *,
    seed: int,
) -> list[list[dict[str, Any]]]:
    """For every sentence and strategy what `wholeword mask --json` prints.

    Returns: per sentence and strategy a dict with `text`, `strategy`, `words`, `pieces` (with [CLS] and [SEP]), `groups` (lists of indices
    into `pieces`, the specials aside), `masked_positions`, `labels` (the original pieces there), `output_pieces`, `fallbacks` (spans where
    the segmenter's words are not those of the text).
    """
    result = []
    for number, (sentence, words) in enumerate(zip(*segment(segmenter, [valid(sentence) for sentence in sentences]), strict=True)):
        aligned = pieces_of(sentence, words, tokenizer)
        rows = mask_sentence(aligned.ids, aligned.word_starts, strategies, tokenizer.vocabulary, number=number, seed=seed)
        result.append([{"text": sentence, "words": words, **row, "fallbacks": aligned.fallbacks} for row in rows])
    return result


def mask_sentence(
    ids: np.ndarray,
    word_starts: np.ndarray,
    strategies: Mapping[str, MaskingStrategy],
    vocabulary: Vocabulary,
    *,
    number: int,
    seed: int,
) -> list[dict[str, Any]]:
    """One sentence as a row of its own, once a strategy: the keys of `preview` that follow from pieces.

    Args:
        ids: integers [num_pieces].
        word_starts: bool [num_pieces].
        number: the row's sample id; another one, other masks.
    """
    row = np.array([[vocabulary.cls_id, *ids, vocabulary.sep_id]], np.int32)
    starts = np.array([[True, *word_starts, True]])
    candidates = np.ones_like(starts)
    candidates[0, [0, -1]] = False
    begins = [position for position in range(1, row.shape[1] - 1) if starts[0, position] or position == 1]
    groups = [list(range(first, end)) for first, end in zip(begins, [*begins[1:], row.shape[1] - 1], strict=True)]
    pieces = [vocabulary.pieces[piece] for piece in row[0]]
    rows = []
    for name, strategy in strategies.items():
        masked = strategy.mask(
            row,
            starts,
            candidates,
            np.array([number], np.uint64),
            seed=seed,
            pass_number=0,
            max_predictions=row.shape[1],
            vocabulary=vocabulary,
        )
        positions = np.flatnonzero(masked.chosen[0]).tolist()
        rows.append(
            {
                "strategy": name,
                "pieces": pieces,
                "groups": groups,
                "masked_positions": positions,
                "labels": [pieces[position] for position in positions],
                "output_pieces": [vocabulary.pieces[piece] for piece in masked.input_ids[0]],
            }
        )
    return rows


def marked(row: dict[str, Any]) -> list[tuple[str, str]]:
    """The output of one preview row as (text, kind): `piece`, `mask`, `kept`, `random`, or `word` for the border between two words."""
    chosen, parts = set(row["masked_positions"]), []
    for group in row["groups"]:
        for position in group:
            before, after = row["pieces"][position], row["output_pieces"][position]
            kind = "piece" if position not in chosen else "mask" if after == "[MASK]" else "kept" if after == before else "random"
            parts.append((after, kind))
        parts.append((" ", "word"))
    return parts[:-1]


def drawn(row: dict[str, Any]) -> str:
    """The output of one preview row as HTML: words underlined, and over each changed piece what stood there."""
    labels, parts = iter(row["labels"]), ['<span class="w">']
    for text, kind in marked(row):
        piece = f"<i>##</i>{escape(text[2:])}" if text.startswith("##") else escape(text)
        if kind == "word":
            parts.append('</span><wbr><span class="w">')
        elif kind == "piece":
            parts.append(piece)
        else:
            before = next(labels)
            over = "" if kind == "kept" else f"<rt>{escape(before)}</rt>"
            parts.append(f'<ruby class="{kind}"><b>{piece}</b>{over}</ruby>')
    return f'<span class="row" lang="zh">{"".join(parts)}</span></span>'


MARKS = legend(
    ('<b class="mask">[MASK]</b> ', both("masked, above it the piece to predict", "遮盖，上方为待预测的词片")),
    ('<b class="kept">词</b> ', both("to predict, kept", "待预测，保持原样")),
    ('<b class="random">字</b> ', both("to predict, replaced at random", "待预测，随机替换")),
)


def to_html(previews: Sequence[Sequence[dict[str, Any]]]) -> str:
    """One self-contained page, see `wholeword.reports.page`."""
    blocks = []
    for rows in previews:
        words = "".join(f'<span class="w">{escape(word)}</span><wbr>' for word in rows[0]["words"])
        lines = [("words 词", f'<span class="row" lang="zh">{words}</span>')] + [(escape(row["strategy"]), drawn(row)) for row in rows]
        body = "".join(f"<dt>{name}</dt><dd>{line}</dd>" for name, line in lines)
        blocks.append(f'<article><h3 lang="zh">{escape(rows[0]["text"])}</h3><dl class="rows">{body}</dl></article>')
    return page("Whole word masking", "全词遮盖", (), MARKS + "".join(blocks))
