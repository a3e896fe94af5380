"""A comparison of segmenters as a page."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from wholeword.reports.lines import count, masking_name, sample_name
from wholeword.reports.page import bars, both, columns, note, page, percent, section, table, text, tiles
from wholeword.reports.pages import columns_of, largest, mask_rows, masks_by_length
from wholeword.reports.preview import MARKS, drawn

NUM_SPANS = 30  # of each pair


def compare_page(figures: Mapping[str, Any]) -> str:
    sample, segmenters, pairs = figures["text"], figures["segmenters"], figures["pairs"]
    names = [escape(of["name"]) for of in segmenters]
    parts = [
        tiles(
            [
                (count(sample["num_sentences"]), both("sentences", "句子")),
                (count(sample["num_characters"]), both("characters", "字符")),
                (count(figures["num_pieces"]), both("pieces", "词片")),
            ]
        ),
        _agreement(pairs),
        _words(segmenters, names),
        _masks(figures, names),
        _spans(pairs),
        _sentences(figures["sentences"], figures["masking"]),
    ]
    return page("Segmenters compared", "分词器比较", [" | ".join(names), escape(sample_name(sample))], "".join(parts))


def _agreement(pairs: Sequence[Mapping[str, Any]]) -> str:
    head = ("", "F1", both("precision", "精确率"), both("recall", "召回率"), both("words in common", "相同的词"), both("sentences", "句子"))
    rows = [
        (
            name_of(pair),
            *(percent(pair[key]) for key in ("f1", "precision", "recall")),
            f"{percent(pair['words_of_a_rate'])} | {percent(pair['words_of_b_rate'])}",
            percent(pair["sentences_that_differ_rate"]),
        )
        for pair in pairs
    ]
    return section(
        "Agreement",
        "一致程度",
        note(
            "Counted on borders between words, the first of two taken for the truth. Words in common: of the first one's words, and of the "
            "second one's. Sentences: those that differ somewhere.",
            "按词与词之间的边界统计，以前者为准。“相同的词”分别为占前者和占后者词数的比例。“句子”为存在不同切分的句子。",
        ),
        table(head, rows, "tnnnnn"),
    )


def _words(segmenters: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    top = max(largest(of["words"], "word_rate") for of in segmenters)
    charts = [bars([(row["pieces"], (row["word_rate"],)) for row in of["words"]], top=top) for of in segmenters]
    return section(
        "Words",
        "词",
        columns_of(
            names,
            [
                (both("Words", "词数"), [f"{of['num_words']:,}" for of in segmenters]),
                (both("Mean pieces of a word", "每词平均词片数"), [f"{of['mean_pieces']:.3f}" for of in segmenters]),
                (both("Fallbacks", "回退"), [f"{of['num_fallbacks']:,}" for of in segmenters]),
            ],
        ),
        f"<h3>{both('Share of the words, by their pieces', '占词数的比例，按词片数')}</h3>",
        columns(zip(names, charts, strict=True)),
    )


def _masks(figures: Mapping[str, Any], names: Sequence[str]) -> str:
    masking = figures["masking"]
    masks = [of["masks"] for of in figures["segmenters"]]
    length = masking["max_seq_length"]
    head = ("", both("places that both mask", "两者都遮盖的位置"), both("words masked only in part", "只被遮盖一部分的词"))
    pairs = [(name_of(pair), pair["masks"]) for pair in figures["pairs"]]
    rows = [
        (name, percent(of["overlap_rate"]), f"{percent(of['words_of_a_partly_rate'])} | {percent(of['words_of_b_partly_rate'])}")
        for name, of in pairs
    ]
    return section(
        "Masks",
        "遮盖",
        note(
            f"<code>{escape(masking_name(masking))}</code> in rows of {length}, with equal seeds.",
            f"行长 {length}，随机种子相同。",
        ),
        columns_of(names, mask_rows(masks)),
        masks_by_length(names, masks, masking["rate"]),
        f"<h3>{both('The words of one under the masks of the other', '一个分词器的词在另一个的遮盖之下')}</h3>",
        note(
            "Places that both mask, of all that either does. And of one's longer words that the other's masks touch, those of which a part "
            "stays visible: words of the first, and of the second.",
            "两者都遮盖的位置占遮盖总数的比例。以及一方的多片词被另一方的遮盖触及时，仍有一部分可见的比例：分别为前者的词和后者的词。",
        ),
        table(head, rows, "tnn"),
    )


def _spans(pairs: Sequence[Mapping[str, Any]]) -> str:
    blocks = []
    for pair in pairs:
        rows = [(text(a), text(b), f"{times:,}") for a, b, times in pair["spans"][:NUM_SPANS]]
        head = (escape(pair["a"]), escape(pair["b"]), both("times", "次数"))
        half = len(rows) if len(pairs) > 1 else -(-len(rows) // 2)
        parts = [part for part in (rows[:half], rows[half:]) if part]
        total = both(f"{pair['num_spans']:,} places", "处")
        blocks.append(f"<h3>{name_of(pair)}</h3>{total}" + columns(("", table(head, part, "ttn")) for part in parts))
    return section(
        "Cut differently",
        "切分不同之处",
        note(
            "The text between two borders that both have, where they disagree inside; most frequent first.",
            "两个共同边界之间切分不同的文本，按频次排列。",
        ),
        columns(("", block) for block in blocks) if len(blocks) > 1 else "".join(blocks),
    )


def _sentences(sentences: Sequence[Sequence[dict[str, Any]]], masking: Mapping[str, Any]) -> str:
    blocks = []
    for rows in sentences:
        lines = "".join(f"<dt>{escape(row['segmenter'])}</dt><dd>{drawn(row)}</dd>" for row in rows)
        blocks.append(f'<article><dl class="rows">{lines}</dl></article>\n')
    return section(
        "Sentences",
        "例句",
        note(
            f"Some on which they differ, each as a row of its own, masked by <code>{escape(masking['strategy'])}</code> with equal seeds.",
            "部分切分不同的句子，每句单独成行，随机种子相同。",
        ),
        MARKS,
        "".join(blocks),
    )


def name_of(pair: Mapping[str, Any]) -> str:
    return f"{escape(pair['a'])} | {escape(pair['b'])}"
