"""The figures of a store as a page."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from wholeword.reports.lines import count, masking_name, number, segmenter_name
from wholeword.reports.page import bars, both, columns, key, legend, note, page, percent, section, table, text, tiles
from wholeword.reports.preview import MARKS, drawn

NUM_TEXTS = 20  # [UNK] texts

COUNTS = {"documents": "文档", "sentences": "句子", "words": "词", "tokens": "词元", "characters": "字符"}
LENGTHS = {
    "pieces_of_a_document": ("Pieces of a document", "每篇文档的词片"),
    "sentences_of_a_document": ("Sentences of a document", "每篇文档的句子"),
    "pieces_of_a_sentence": ("Pieces of a sentence", "每个句子的词片"),
}

Rows = list[tuple[str, list[str]]]  # of a table: a label, and one cell a column


def store_page(figures: Mapping[str, Any]) -> str:
    store, counts = figures["store"], figures["counts"]
    shown = [(count(counts[f"num_{name}"]), both(name, chinese)) for name, chinese in COUNTS.items() if counts[f"num_{name}"] is not None]
    parts = [
        tiles([*shown, (count(store["vocab_size"]), both("vocabulary", "词表"))]),
        _lengths(figures["lengths"]),
        _words(figures["words"]),
        _masks(figures["masking"]),
        _unknown(figures["unknown"]),
        _fallbacks(figures["fallbacks"]),
        _duplicates(figures["duplicates"]),
        _sentences(figures["sentences"], figures["masking"]),
    ]
    under = [escape(store["path"]), f"{escape(segmenter_name(store['segmenter']))}, {'lower-cased' if store['lowercase'] else 'cased'}"]
    return page("Corpus report", "语料报告", under, "".join(parts))


def _lengths(lengths: Mapping[str, Mapping[str, float]]) -> str:
    head = ("", both("median", "中位数"), both("mean", "平均"), both("most", "最多"))
    rows = [(both(*LENGTHS[name]), number(of["median"]), f"{of['mean']:,.1f}", f"{of['most']:,}") for name, of in lengths.items()]
    return section("Lengths", "长度", table(head, rows, "tnnn"))


def _words(words: Sequence[Mapping[str, Any]]) -> str:
    return section(
        "Words by length",
        "词长",
        note(
            "How many pieces the words have. A budget of masks counts pieces, so the second bar says where masks can fall.",
            "每个词含有的词片数。遮盖的预算以词片计，因此第二条表示遮盖可能落在何处。",
        ),
        legend(("bar", both("share of the words", "占词数")), ("pale", both("share of the pieces", "占词片数"))),
        bars([(row["pieces"], (row["word_rate"], row["piece_rate"])) for row in words], top=largest(words, "word_rate", "piece_rate")),
    )


def _masks(masking: Mapping[str, Any]) -> str:
    lengths = masking["lengths"]
    rows: Rows = [
        (both("Rows looked at", "统计的行数"), [f"{of['num_rows']:,}" for of in lengths]),
        (both("Rows whose budget is filled exactly", "恰好用满预算的行"), [percent(of["filled_rate"]) for of in lengths]),
        (both("Mean share of the budget used", "预算平均使用比例"), [percent(of["mean_fill_rate"]) for of in lengths]),
        (both("Rows without a mask", "没有遮盖的行"), [f"{of['num_rows_without_mask']:,}" for of in lengths]),
        *mask_rows(lengths),
    ]
    return section(
        "Masks",
        "遮盖",
        note(
            f"<code>{escape(masking_name(masking))}</code>, rows of <code>{escape(masking['examples'])}</code>. "
            "The budget of a row is the rate times its pieces, [CLS] and [SEP] counted.",
            "每行的预算为比例乘以该行的词片数（含 [CLS] 和 [SEP]）。",
        ),
        columns_of([both(f"rows of {of['max_seq_length']}", f"行长 {of['max_seq_length']}") for of in lengths], rows),
        masks_by_length(
            [both(f"Rows of {of['max_seq_length']}", f"行长 {of['max_seq_length']}") for of in lengths], lengths, masking["rate"]
        ),
    )


def _unknown(unknown: Mapping[str, Any]) -> str:
    whole, quotes = unknown["num_unknown"], unknown["quotes"]
    rate = percent(unknown["unknown_rate"])
    parts = [tiles([(f"{whole:,}", both("[UNK] in the store", "库中的 [UNK]")), (rate, both("of all tokens", "占全部词元"))])]
    if quotes["num_removed"]:
        marks, removed = " ".join(map(escape, quotes["texts"])), f'<span class="n">{percent(quotes["removed_rate"])}</span>'
        english = f"The vocabulary does not have {marks}. With <code>corpus.cleaning: [quotes]</code> they are written as it has them: "
        chinese = f"词表中没有 {marks}。设置 <code>corpus.cleaning: [quotes]</code> 可将其改写为词表中有的符号："
        parts.append(note(f"{english}{removed} of all [UNK] less.", f"{chinese}[UNK] 减少 {removed}。", "advice"))
    if rows := [(text(words), (times / max(whole, 1),)) for words, times in unknown["texts"][:NUM_TEXTS]]:
        half, top = -(-len(rows) // 2), rows[0][1][0] or 1.0
        parts.append(f"<h3>{both('What they stand for, most frequent first', '所代表的文本，按频次')}</h3>")
        parts.append(columns([("", bars(rows[:half], top=top)), ("", bars(rows[half:], top=top))]))
    return section("Unknown pieces", "未登录词片", *parts)


def _fallbacks(fallbacks: Mapping[str, Any]) -> str:
    head = (both("where", "位置"), both("text", "原文"), both("words of the segmenter", "分词结果"))
    rows = [(escape(example["where"]), text(example["text"]), text(" / ".join(example["words"]))) for example in fallbacks["examples"]]
    return section(
        "Fallbacks",
        "回退",
        note(
            "Places where the segmenter's words are not those of the text. There each character is a word.",
            "分词结果与原文不一致之处，其中每个字符各自成词。",
        ),
        tiles([(count(fallbacks["num_fallbacks"]), both("places", "处")), (count(fallbacks["num_sentences"]), both("sentences", "句子"))]),
        table(head, rows, "ttt") if rows else "",
    )


def _duplicates(duplicates: Mapping[str, Any]) -> str:
    rows = [(f"{of['num_documents']:,}", text(of["text"])) for of in duplicates["most_repeated"]]
    return section(
        "Duplicate documents",
        "重复文档",
        tiles(
            [
                (f"{duplicates['num_duplicates']:,}", both("repeats in the store", "库中重复")),
                (percent(duplicates["duplicate_rate"]), both("of its documents", "占文档数")),
                (count(duplicates["num_dropped"]), both("dropped when prepared", "准备时已去除")),
            ]
        ),
        table((both("times", "次数"), both("document", "文档")), rows, "nt") if rows else "",
    )


def _sentences(rows: Sequence[dict[str, Any]], masking: Mapping[str, Any]) -> str:
    lines = "\n".join(f"<li>{drawn(row)}</li>" for row in rows)
    return section(
        "Sentences",
        "例句",
        note(
            f"From all over the store, each as a row of its own, masked by <code>{escape(masking['strategy'])}</code>. They are put "
            "together from pieces: what the vocabulary does not know or tell apart is lost.",
            "取自整个库，每句单独成行。文本由词片拼成，词表不能表示的内容已丢失。",
        ),
        MARKS,
        f'<ol class="rows">{lines}</ol>',
    )


# --- what pages about masks share


def columns_of(titles: Sequence[str], rows: Rows) -> str:
    """A table with one column of figures a title."""
    return table(("", *titles), [(label, *cells) for label, cells in rows], "t" + "n" * len(titles))


def mask_rows(masks: Sequence[Mapping[str, Any]]) -> Rows:
    """What `count_masks` counted, one column each."""
    kinds = (("mask", "of these [MASK]", "其中 [MASK]"), ("kept", "of these kept", "其中保持"), ("random", "of these random", "其中随机"))
    return [
        (both("Masked, of all pieces", "遮盖占全部词片"), [percent(of["masked_rate"]) for of in masks]),
        *((key(kind) + both(*label), [percent(of[f"{kind}_rate"]) for of in masks]) for kind, *label in kinds),
        (both("Masked next to a masked piece of their word", "同词内相邻词片也被遮盖"), [percent(of["beside_rate"]) for of in masks]),
        (both("Longer words masked only in part", "只被遮盖一部分的多片词"), [percent(of["partly_rate"]) for of in masks]),
    ]


def masks_by_length(titles: Sequence[str], masks: Sequence[Mapping[str, Any]], rate: float) -> str:
    """A chart each: the share of the pieces that is masked, by the length of their word."""
    kept = [[row for row in of["by_word_length"] if row["num_pieces"]] for of in masks]
    top = 1.05 * max(rate, *(largest(rows, "masked_rate") for rows in kept))
    charts = [bars([(row["pieces"], (row["masked_rate"],)) for row in rows], top=top, line=rate) for rows in kept]
    return legend(
        ("bar", both("share masked, by the pieces of the word", "遮盖比例，按词的词片数")),
        ("line", both(f"rate {rate:g}", f"设定 {rate:g}")),
    ) + columns(zip(titles, charts, strict=True))


def largest(rows: Sequence[Mapping[str, Any]], *keys: str) -> float:
    """The longest bar; 1 if all are nothing."""
    return max([row[key] for row in rows for key in keys], default=0) or 1.0
