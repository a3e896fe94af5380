"""Reports as lines for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wholeword.reports.agreement import Pair
from wholeword.reports.compare import CompareReport, MaskingUsed
from wholeword.reports.masks import MaskCounts
from wholeword.reports.sample import SampleInfo
from wholeword.reports.store import Counts, MaskingReport, StoreReport

NUM_TEXTS = 12  # [UNK] texts, spans and the like
COUNTS = ("documents", "sentences", "tokens", "words", "characters")


def store_lines(report: StoreReport) -> list[str]:
    """A report on a store."""
    store, masking = report.store, report.masking
    unknown, fallbacks, duplicates = report.unknown, report.fallbacks, report.duplicates
    mask_rows = [
        ("max_seq_length", [f"{row.max_seq_length:,}" for row in masking.lengths]),
        *_budget_rows([row.counts for row in masking.lengths]),
        *_mask_rows([row.counts for row in masking.lengths]),
    ]
    return [
        f"{store.path}: {segmenter_name(store.segmenter)}, {store.vocab_size:,} pieces in the vocabulary",
        "  " + ", ".join(f"{number:,} {name}" for name, number in named_counts(report.counts)),
        *(
            f"  {name.replace('_', ' ')}: median {median(lengths.median)}, mean {lengths.mean:,.1f}, most {lengths.most:,}"
            for name, lengths in report.lengths.items()
        ),
        "",
        *_table(
            ["words of pieces", *(row.pieces for row in report.words)],
            ["of the words", *(percent(row.word_rate) for row in report.words)],
            ["of the pieces", *(percent(row.piece_rate) for row in report.words)],
        ),
        "",
        f"masks: {masking_name(masking)}, {masking.examples}",
        *_table(*([label, *cells] for label, cells in mask_rows)),
        "",
        f"[UNK]: {unknown.num_unknown:,}, {percent(unknown.unknown_rate)} of the tokens{_texts(unknown.texts)}",
        *(
            [f"  corpus.cleaning: [quotes] would remove {percent(unknown.quotes.removed_rate)} of them"]
            if unknown.quotes.num_removed
            else []
        ),
        f"fallbacks to single characters: {count(fallbacks.num_fallbacks)} in {count(fallbacks.num_sentences)} sentences",
        *(f"  {example['where']}: {example['text']} -> {'/'.join(example['words'])}" for example in fallbacks.examples[:NUM_TEXTS]),
        f"duplicate documents: {duplicates.num_duplicates:,}, {percent(duplicates.duplicate_rate)} of all in the store; "
        f"dropped when it was prepared: {count(duplicates.num_dropped)}",
        *(f"  {document.num_documents:,} x {document.text}" for document in duplicates.most_repeated),
    ]


def compare_lines(report: CompareReport) -> list[str]:
    """A comparison of segmenters."""
    text, comparison = report.text, report.comparison
    masking, segmenters = comparison.masking, comparison.segmenters
    lines = [
        f"{text.num_sentences:,} sentences, {text.num_characters:,} characters: {sample_name(text)}",
        "",
        *_table(
            ["", *(segmenter.name for segmenter in segmenters)],
            ["words", *(f"{segmenter.num_words:,}" for segmenter in segmenters)],
            ["pieces per word", *(f"{segmenter.mean_pieces:.3f}" for segmenter in segmenters)],
            *(
                [f"words of {rows[0].pieces}", *(percent(row.word_rate) for row in rows)]
                for rows in zip(*(segmenter.words for segmenter in segmenters), strict=True)
            ),
            ["fallbacks", *(f"{segmenter.num_fallbacks:,}" for segmenter in segmenters)],
        ),
        "",
        f"masks: {masking_name(masking)}, rows of {masking.max_seq_length}",
        *_table(
            ["", *(segmenter.name for segmenter in segmenters)],
            *([label, *cells] for label, cells in _mask_rows([segmenter.masks for segmenter in segmenters])),
        ),
    ]
    for pair in comparison.pairs:
        lines += ["", *_pair_lines(pair)]
    return lines


def _pair_lines(pair: Pair) -> list[str]:
    a, b, masks = pair.a, pair.b, pair.masks
    return [
        f"{a} | {b}",
        f"  borders: precision {percent(pair.precision)}, recall {percent(pair.recall)}, F1 {percent(pair.f1)} ({a} as the reference)",
        f"  words in common: {percent(pair.words_of_a_rate)} of {a}'s, {percent(pair.words_of_b_rate)} of {b}'s",
        f"  sentences that differ: {percent(pair.sentences_that_differ_rate)}",
        f"  masks: {percent(masks.overlap_rate)} of the positions are the same",
        f"  longer words that the other's masks leave partly visible: {percent(masks.words_of_a_partly_rate)} of {a}'s, "
        f"{percent(masks.words_of_b_partly_rate)} of {b}'s",
        f"  {pair.num_spans:,} spans segmented differently, most often:" if pair.spans else "  no span is segmented differently",
        *(f"    {span.times:>7,}  {span.a} | {span.b}" for span in pair.spans[:NUM_TEXTS]),
    ]


Rows = list[tuple[str, list[str]]]  # of a table: a label, and one cell for each column


def _budget_rows(masks: Sequence[MaskCounts]) -> Rows:
    return [
        ("rows", [f"{counts.num_rows:,}" for counts in masks]),
        ("rows with the budget filled exactly", [percent(counts.filled_rate) for counts in masks]),
        ("mean fill of the budget", [percent(counts.mean_fill_rate) for counts in masks]),
        ("rows without a mask", [f"{counts.num_rows_without_mask:,}" for counts in masks]),
    ]


def _mask_rows(masks: Sequence[MaskCounts]) -> Rows:
    by_length = zip(*(counts.by_word_length for counts in masks), strict=True)
    return [
        ("masked", [percent(counts.masked_rate) for counts in masks]),
        *((f"masked of words of {rows[0].pieces}", [percent(row.masked_rate) for row in rows]) for rows in by_length),
        ("of these [MASK]", [percent(counts.mask_rate) for counts in masks]),
        ("of these kept", [percent(counts.kept_rate) for counts in masks]),
        ("of these random", [percent(counts.random_rate) for counts in masks]),
        ("masked beside one of the same word", [percent(counts.beside_rate) for counts in masks]),
        ("longer words masked in part", [percent(counts.partly_rate) for counts in masks]),
    ]


def _texts(texts: Sequence[tuple[str, int]]) -> str:
    return ": " + " ".join(f"{text} {count:,}" for text, count in texts[:NUM_TEXTS]) if texts else ""


def _table(*rows: Iterable[str]) -> list[str]:
    """Aligned columns; all but the first to the right."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        f"  {row[0]:<{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)) for row in cells
    ]


# --- values as text, on pages too


def named_counts(counts: Counts) -> list[tuple[str, int]]:
    """The counts that are known, by name."""
    named = [(name, getattr(counts, f"num_{name}")) for name in COUNTS]
    return [(name, number) for name, number in named if number is not None]


def segmenter_name(segmenter: Mapping[str, Any] | None) -> str:
    """`jieba (rjieba 0.2.2)`."""
    return f"{segmenter['name']} ({segmenter['version']})" if segmenter else "words of unknown origin"


def masking_name(masking: MaskingReport | MaskingUsed) -> str:
    """`whole-word, rate 0.15, wordpiece_rate 0.7`."""
    settings = {"rate": masking.rate} | masking.settings
    return ", ".join([masking.strategy, *(f"{key} {value}" for key, value in settings.items())])


def sample_name(text: SampleInfo) -> str:
    """`a sample of 1,048,576 bytes from corpus.txt`."""
    files = ", ".join(text.files[:3]) + (f" and {len(text.files) - 3} more" if len(text.files) > 3 else "")
    return f"a sample of {text.num_bytes:,} bytes from {files}" if text.sampled else f"all of {files}"


def count(number: int | None) -> str:
    """A count, or `not counted`."""
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
