"""The pages of `wholeword mask --html` and `wholeword report --html`, from the templates in `templates/`.

A page is one file without scripts, fonts or anything loaded from elsewhere; it follows the reader's light or dark mode and fits a phone.
jinja2 escapes every value. Import this module only to write a page: nothing else needs jinja2.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from wholeword.reports.lines import count, masking_name, median, percent, sample_name, segmenter_name
from wholeword.reports.preview import shown_words

NUM_UNKNOWN = 20  # [UNK] texts
NUM_SPANS = 30  # of each pair of segmenters

T = TypeVar("T")
Bars = list[tuple[str, Sequence[float]]]  # a label, and the shares of one bar or two


def preview_page(previews: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Sentences as `preview` masks them."""
    return _render("preview.html", title="Whole word masking", chinese_title="全词遮盖", subtitles=[], previews=previews)


def store_page(report: Mapping[str, Any]) -> str:
    """A report on a store."""
    store = report["store"]
    case = "lower-cased" if store["lowercase"] else "cased"
    subtitles = [store["path"], f"{segmenter_name(store['segmenter'])}, {case}"]
    return _render("store.html", title="Corpus report", chinese_title="语料报告", subtitles=subtitles, report=report)


def compare_page(report: Mapping[str, Any]) -> str:
    """A comparison of segmenters."""
    subtitles = [" | ".join(segmenter["name"] for segmenter in report["segmenters"]), sample_name(report["text"])]
    return _render(
        "compare.html",
        title="Segmenters compared",
        chinese_title="分词器比较",
        subtitles=subtitles,
        report=report,
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
    filters = (count, css_percent, halves, masked_bars, masking_name, masks_top, median, percent, shown_words, unknown_bars)
    environment.filters |= {function.__name__: function for function in (*filters, word_bars, words_top)}
    return environment.get_template(template).render(values)


def css_percent(share: float) -> str:
    """A share as a length in CSS."""
    return f"{100 * share:.2f}%"


def halves(values: Sequence[T]) -> list[Sequence[T]]:
    """The first half, which has one more of an odd number, and the rest."""
    middle = -(-len(values) // 2)
    return [values[:middle], values[middle:]]


def word_bars(words: Iterable[Mapping[str, Any]], *keys: str) -> Bars:
    """The words of each length, as shares of all words and all pieces unless `keys` name others."""
    return [(row["pieces"], [row[key] for key in keys or ("word_rate", "piece_rate")]) for row in words]


def words_top(words: Iterable[Sequence[Mapping[str, Any]]], *keys: str) -> float:
    """The longest bar of some charts; 1 if all are empty."""
    return max((row[key] for rows in words for row in rows for key in keys), default=0) or 1.0


def masked_bars(by_word_length: Iterable[Mapping[str, Any]]) -> Bars:
    """The share of the pieces that is masked, for each length that words have."""
    return [(row["pieces"], [row["masked_rate"]]) for row in by_word_length if row["num_pieces"]]


def masks_top(masks: Iterable[Mapping[str, Any]], rate: float) -> float:
    """The end of the bars in charts of masks, a little above the longest bar and the rate."""
    return 1.05 * max([rate, *(value for counted in masks for _, [value] in masked_bars(counted["by_word_length"]))])


def unknown_bars(unknown: Mapping[str, Any]) -> Bars:
    """The most frequent texts that became [UNK], as shares of all [UNK]."""
    return [(text, [times / max(unknown["num_unknown"], 1)]) for text, times in unknown["texts"][:NUM_UNKNOWN]]
