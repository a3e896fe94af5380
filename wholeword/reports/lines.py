"""The figures as lines for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NUM_TEXTS = 12  # [UNK] texts, spans and the like
KINDS = {"mask": "[MASK]", "kept": "kept", "random": "random"}


def store_lines(figures: Mapping[str, Any]) -> list[str]:
    store, masking = figures["store"], figures["masking"]
    unknown, fallbacks, duplicates = figures["unknown"], figures["fallbacks"], figures["duplicates"]
    return [
        f"{store['path']}: {segmenter_name(store['segmenter'])}, {store['vocab_size']:,} pieces in the vocabulary",
        "  " + ", ".join(f"{number:,} {name.removeprefix('num_')}" for name, number in figures["counts"].items() if number is not None),
        *(
            f"  {name.replace('_', ' ')}: median {median(of['median'])}, mean {of['mean']:,.1f}, most {of['most']:,}"
            for name, of in figures["lengths"].items()
        ),
        "",
        *_table(
            ["words of pieces", *(row["pieces"] for row in figures["words"])],
            ["of the words", *(percent(row["word_rate"]) for row in figures["words"])],
            ["of the pieces", *(percent(row["piece_rate"]) for row in figures["words"])],
        ),
        "",
        f"masks: {masking_name(masking)}, {masking['examples']}",
        *_table(*([label, *cells] for label, cells in mask_table(masking["lengths"]))),
        "",
        f"[UNK]: {unknown['num_unknown']:,}, {percent(unknown['unknown_rate'])} of the tokens{_texts(unknown['texts'])}",
        *(
            [f"  corpus.cleaning: [quotes] would remove {percent(unknown['quotes']['removed_rate'])} of them"]
            if unknown["quotes"]["num_removed"]
            else []
        ),
        f"fallbacks to single characters: {count(fallbacks['num_fallbacks'])} in {count(fallbacks['num_sentences'])} sentences",
        *(f"  {example['where']}: {example['text']} -> {'/'.join(example['words'])}" for example in fallbacks["examples"][:NUM_TEXTS]),
        f"repeats of documents: {duplicates['num_duplicates']:,}, {percent(duplicates['duplicate_rate'])} of all in the store; "
        f"dropped when it was prepared: {count(duplicates['num_dropped'])}",
        *(f"  {document['num_documents']:,} x {document['text']}" for document in duplicates["most_repeated"]),
    ]


def mask_table(lengths: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """What masking came to, a label and one cell a row length."""
    by_length = [
        (f"masked of words of {row['pieces']}", [percent(of["by_word_length"][number]["masked_rate"]) for of in lengths])
        for number, row in enumerate(lengths[0]["by_word_length"])
    ]
    return [
        ("max_seq_length", [f"{of['max_seq_length']:,}" for of in lengths]),
        ("rows", [f"{of['num_rows']:,}" for of in lengths]),
        ("rows with the budget filled exactly", [percent(of["filled_rate"]) for of in lengths]),
        ("mean fill of the budget", [percent(of["mean_fill_rate"]) for of in lengths]),
        ("rows without a mask", [f"{of['num_rows_without_mask']:,}" for of in lengths]),
        ("masked", [percent(of["masked_rate"]) for of in lengths]),
        *by_length,
        *((f"of these {name}", [percent(of[f"{kind}_rate"]) for of in lengths]) for kind, name in KINDS.items()),
        ("masked beside one of the same word", [percent(of["beside_rate"]) for of in lengths]),
        ("longer words masked in part", [percent(of["partly_rate"]) for of in lengths]),
    ]


def compare_lines(figures: Mapping[str, Any]) -> list[str]:
    text, masking, segmenters = figures["text"], figures["masking"], figures["segmenters"]
    lines = [
        f"{text['num_sentences']:,} sentences, {text['num_characters']:,} characters: {sample_name(text)}",
        "",
        *_table(
            ["", *(of["name"] for of in segmenters)],
            ["words", *(f"{of['num_words']:,}" for of in segmenters)],
            ["pieces a word", *(f"{of['mean_pieces']:.3f}" for of in segmenters)],
            *(
                [f"words of {row['pieces']}", *(percent(of["words"][number]["word_rate"]) for of in segmenters)]
                for number, row in enumerate(segmenters[0]["words"])
            ),
            ["fallbacks", *(f"{of['num_fallbacks']:,}" for of in segmenters)],
        ),
        "",
        f"masks: {masking_name(masking)}, rows of {masking['max_seq_length']}",
        *_table(
            ["", *(of["name"] for of in segmenters)],
            *(
                [label, *cells]
                for label, cells in mask_table([of["masks"] | {"max_seq_length": masking["max_seq_length"]} for of in segmenters])[5:]
            ),
        ),
    ]
    for pair in figures["pairs"]:
        masks = pair["masks"]
        lines += [
            "",
            f"{pair['a']} | {pair['b']}",
            f"  borders: precision {percent(pair['precision'])}, recall {percent(pair['recall'])}, F1 {percent(pair['f1'])} "
            f"({pair['a']} as the truth)",
            f"  words in common: {percent(pair['words_of_a_rate'])} of {pair['a']}'s, {percent(pair['words_of_b_rate'])} of {pair['b']}'s",
            f"  sentences that differ: {percent(pair['sentences_that_differ_rate'])}",
            f"  masks: {percent(masks['overlap_rate'])} of the places are the same",
            f"  longer words that the other's masks leave partly visible: {percent(masks['words_of_a_partly_rate'])} of {pair['a']}'s, "
            f"{percent(masks['words_of_b_partly_rate'])} of {pair['b']}'s",
            f"  {pair['num_spans']:,} spans cut differently, most often:" if pair["spans"] else "  no span is cut differently",
            *(f"    {times:>7,}  {a} | {b}" for a, b, times in pair["spans"][:NUM_TEXTS]),
        ]
    return lines


def _texts(texts: Sequence[Sequence[Any]]) -> str:
    return ": " + " ".join(f"{text} {count:,}" for text, count in texts[:NUM_TEXTS]) if texts else ""


def _table(*rows: Iterable[str]) -> list[str]:
    """Columns under each other; all but the first to the right."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        f"  {row[0]:<{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)) for row in cells
    ]


def segmenter_name(segmenter: Mapping[str, Any] | None) -> str:
    """`jieba (rjieba 0.2.2)`."""
    return f"{segmenter['name']} ({segmenter['version']})" if segmenter else "words of unknown origin"


def masking_name(masking: Mapping[str, Any]) -> str:
    """`whole-word, rate 0.15, wordpiece_rate 0.7`."""
    settings = {"rate": masking["rate"]} | masking["settings"]
    return ", ".join([masking["strategy"], *(f"{key} {value}" for key, value in settings.items())])


def sample_name(text: Mapping[str, Any]) -> str:
    files = ", ".join(text["files"][:3]) + (f" and {len(text['files']) - 3} more" if len(text["files"]) > 3 else "")
    return f"a sample of {text['num_bytes']:,} bytes out of {files}" if text["sampled"] else f"all of {files}"


def count(number: int | None) -> str:
    """A count, or that nobody counted."""
    return "not counted" if number is None else f"{number:,}"


def median(value: float) -> str:
    """44, or 44.5."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def percent(share: float | None) -> str:
    """60.5 %; with two decimals below 20 %."""
    if share is None:
        return "–"
    if not share:
        return "0 %"
    if 0 < share < 5e-5:
        return "<0.01 %"
    return f"{100 * share:.{2 if share < 0.2 else 1}f} %"
