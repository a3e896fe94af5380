"""What a masking strategy does to a sentence, for eyes and programs (`wholeword mask`)."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from wholeword.core.data.align import pieces_of, segment
from wholeword.core.data.tokenizer import WordPieceTokenizer, valid
from wholeword.core.data.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.core.interfaces import MaskingStrategy, Segmenter

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
    vocabulary = tokenizer.vocabulary
    result = []
    for number, (sentence, words) in enumerate(zip(*segment(segmenter, [valid(sentence) for sentence in sentences]), strict=True)):
        aligned = pieces_of(sentence, words, tokenizer)
        ids = np.array([[vocabulary.cls_id, *aligned.ids, vocabulary.sep_id]], np.int32)
        starts = np.array([[True, *aligned.word_starts, True]])
        candidates = np.ones_like(starts)
        candidates[0, [0, -1]] = False
        begins = [position for position in range(1, ids.shape[1] - 1) if starts[0, position] or position == 1]
        groups = [list(range(first, end)) for first, end in zip(begins, [*begins[1:], ids.shape[1] - 1], strict=True)]
        rows = []
        for name, strategy in strategies.items():
            masked = strategy.mask(
                ids,
                starts,
                candidates,
                np.array([number], np.uint64),
                seed=seed,
                pass_number=0,
                max_predictions=ids.shape[1],
                vocabulary=vocabulary,
            )
            positions = np.flatnonzero(masked.chosen[0]).tolist()
            pieces = [vocabulary.pieces[piece] for piece in ids[0]]
            rows.append(
                {
                    "text": sentence,
                    "strategy": name,
                    "words": words,
                    "pieces": pieces,
                    "groups": groups,
                    "masked_positions": positions,
                    "labels": [pieces[position] for position in positions],
                    "output_pieces": [vocabulary.pieces[piece] for piece in masked.input_ids[0]],
                    "fallbacks": aligned.fallbacks,
                }
            )
        result.append(rows)
    return result


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


STYLE = """
:root{color-scheme:light dark}
body{font:17px/1.9 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
h2{font-size:1rem;margin:1.6rem 0 .2rem}dt{font-size:.85rem;opacity:.7;margin-top:.4rem}dd{margin:0}
.w{border-bottom:2px solid #8886;margin-right:.45em;white-space:nowrap}
.mask{background:#c0392b;color:#fff;border-radius:3px;padding:0 .2em}
.kept{background:#1e8449;color:#fff;border-radius:3px;padding:0 .2em}
.random{background:#b9770e;color:#fff;border-radius:3px;padding:0 .2em}
"""

PAGE = """<!doctype html>
<html lang="zh"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>wholeword mask</title><style>{style}</style>
<h1>Whole word masking 全词遮盖</h1>
<p><span class="mask">[MASK]</span> masked 遮盖 <span class="kept">kept</span> 保持原样 <span class="random">random</span> 随机替换</p>
{blocks}</html>
"""


def to_html(previews: Sequence[Sequence[dict[str, Any]]]) -> str:
    """One self-contained page, light or dark as the reader's system; nothing is loaded from elsewhere."""
    blocks = []
    for rows in previews:
        blocks.append(f"<h2>{html.escape(rows[0]['text'])}</h2><dl>")
        for row in rows:
            words = "".join(f'<span class="w">{html.escape(word)}</span>' for word in row["words"])
            line = "".join(
                '</span><span class="w">' if kind == "word" else f'<span class="{kind}">{html.escape(text)}</span>'
                for text, kind in marked(row)
            )
            blocks.append(f'<dt>words 词</dt><dd>{words}</dd><dt>{html.escape(row["strategy"])}</dt><dd><span class="w">{line}</span></dd>')
        blocks.append("</dl>")
    return PAGE.format(style=STYLE, blocks="".join(blocks))
