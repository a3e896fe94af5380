"""The pages of `wholeword mask --html` and `wholeword report --html`, from the templates in `templates/`.

A page is one file without scripts, fonts or anything loaded from elsewhere; it follows the reader's light or dark mode and fits a phone.
jinja2 escapes every value. Import this module only to write a page: nothing else needs jinja2.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from wholeword.reports.compare import CompareReport
from wholeword.reports.lengths import WordLength
from wholeword.reports.lines import count, masking_name, median, percent, sample_name, segmenter_name
from wholeword.reports.masks import MaskCounts, WordLengthMasks
from wholeword.reports.preview import Preview
from wholeword.reports.store import StoreReport, Unknown

NUM_UNKNOWN = 20  # [UNK] texts
NUM_SPANS = 30  # of each pair of segmenters

T = TypeVar("T")
Bars = list[tuple[str, list[float]]]  # a label, and the shares of one bar or two


def preview_page(previews: Sequence[Preview]) -> str:
    """Masked sentences."""
    return _render("preview.html", title="Whole word masking", chinese_title="全词掩码", subtitles=[], previews=previews)


def store_page(report: StoreReport) -> str:
    """A report on a store."""
    case = "lower-cased" if report.store.lowercase else "cased"
    subtitles = [report.store.path, f"{segmenter_name(report.store.segmenter)}, {case}"]
    return _render("store.html", title="Corpus report", chinese_title="语料报告", subtitles=subtitles, report=report)


def compare_page(report: CompareReport) -> str:
    """A comparison of segmenters."""
    comparison = report.comparison
    return _render(
        "compare.html",
        title="Segmenters compared",
        chinese_title="分词器比较",
        subtitles=[" | ".join(segmenter.name for segmenter in comparison.segmenters), sample_name(report.text)],
        text_info=report.text,
        comparison=comparison,
        num_spans=NUM_SPANS,
    )


def _render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("wholeword.reports"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do"],
    )
    filters = (count, css_percent, halves, masked_bars, masking_name, masks_top, median, percent, unknown_bars, word_bars, words_top)
    environment.filters |= {function.__name__: function for function in filters}
    return environment.get_template(template).render(values)


def css_percent(share: float) -> str:
    """A share as a length in CSS."""
    return f"{100 * share:.2f}%"


def halves(values: Sequence[T]) -> list[Sequence[T]]:
    """The first half, which has one more of an odd number, and the rest."""
    middle = -(-len(values) // 2)
    return [values[:middle], values[middle:]]


def word_bars(words: Iterable[WordLength], *, with_pieces: bool = False) -> Bars:
    """The words of each length as a share of all words, and on request their pieces as a share of all pieces."""
    return [(row.pieces, [row.word_rate or 0.0, *([row.piece_rate or 0.0] if with_pieces else [])]) for row in words]


def words_top(charts: Iterable[Bars]) -> float:
    """The longest bar of some charts; 1 if all are empty."""
    return max((value for bars in charts for _, values in bars for value in values), default=0) or 1.0


def masked_bars(by_word_length: Iterable[WordLengthMasks]) -> Bars:
    """The share of the pieces that is masked, for each length that words have."""
    return [(row.pieces, [row.masked_rate or 0.0]) for row in by_word_length if row.num_pieces]


def masks_top(masks: Iterable[MaskCounts], rate: float) -> float:
    """The end of the bars in charts of masks, a little above the longest bar and the rate."""
    return 1.05 * max(rate, *(words_top([masked_bars(counts.by_word_length)]) for counts in masks))


def unknown_bars(unknown: Unknown) -> Bars:
    """The most frequent texts that became [UNK], as shares of all [UNK]."""
    return [(text, [times / max(unknown.num_unknown, 1)]) for text, times in unknown.texts[:NUM_UNKNOWN]]
