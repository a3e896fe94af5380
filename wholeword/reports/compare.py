"""Several segmenters on one text: where they segment it differently, and what that does to masks.

All are compared where masks are made, on pieces. A border is where a word begins that is not the first of its sentence; inside a Latin word
(pro|bability), whose pieces always stay together, there is none. Between Chinese characters these are the borders between characters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from wholeword.core.config.settings import create_from
from wholeword.core.contracts import Segmenter, SplittingSegmenter, Versioned
from wholeword.core.data.align import align, mark_words, segment
from wholeword.core.data.corpus import CorpusLayout
from wholeword.core.data.store import write_store
from wholeword.core.data.tokenizer import Encoded, WordPieceTokenizer
from wholeword.core.errors import PluginError, UserError
from wholeword.core.files import MANIFEST
from wholeword.core.registry.registry import registry
from wholeword.core.registry.spec import PluginSpec
from wholeword.core.vocabulary import Vocabulary
from wholeword.reports.agreement import Pair, Segmented, compare_pair
from wholeword.reports.lengths import Histogram, WordLength
from wholeword.reports.masks import MaskCounts, MaskedRows, Masking, count_masks, masked_rows
from wholeword.reports.preview import MaskedSentence, mask_sentence
from wholeword.reports.sample import SampleInfo, sample
from wholeword.reports.source import TEXT, masking_of, read_source, tokenizer_of
from wholeword.reports.store import choose_readable

NUM_SENTENCES = 8  # shown


@dataclass(frozen=True)
class MaskingUsed:
    """How the rows of every segmenter are masked."""

    strategy: str
    settings: dict[str, Any]
    rate: float
    max_seq_length: int
    max_predictions: int


@dataclass(frozen=True)
class SegmenterReport:
    """The words of one segmenter, and their masks."""

    name: str
    version: str | None
    num_words: int
    mean_pieces: float
    words: list[WordLength]
    num_fallbacks: int
    masks: MaskCounts


@dataclass(frozen=True)
class SegmentedSentence:
    """A sentence as one segmenter segments it."""

    text: str
    segmenter: str
    words: list[str]
    masked: MaskedSentence

    def plain(self) -> dict[str, Any]:
        """In one level, for JSON."""
        return {"text": self.text, "segmenter": self.segmenter, "words": self.words, **asdict(self.masked)}


@dataclass(frozen=True)
class Comparison:
    """Several segmenters on one text."""

    num_pieces: int
    masking: MaskingUsed
    segmenters: list[SegmenterReport]
    pairs: list[Pair]
    sentences: list[list[SegmentedSentence]]  # some that are segmented differently, one entry for each segmenter


@dataclass(frozen=True)
class CompareReport:
    """A comparison, and the text it is based on."""

    text: SampleInfo
    comparison: Comparison

    def plain(self) -> dict[str, Any]:
        """What `wholeword report --compare --json` prints."""
        sentences = [[sentence.plain() for sentence in rows] for rows in self.comparison.sentences]
        return {"text": asdict(self.text)} | asdict(self.comparison) | {"sentences": sentences}


def compare_source(
    location: str, names: Sequence[str], *, strategy: str | None = None, rate: float | None = None, lengths: Sequence[int] = ()
) -> CompareReport:
    """Compare segmenters on the text of what the user points at.

    Args:
        location: a recipe, the folder of a run, or a text file with one sentence per line.
        names: segmenters, see `make_segmenters`.
        strategy, rate, lengths: see `masking_of`; only the first length is used.
    """
    path = Path(location)
    if (path / MANIFEST).exists():
        raise UserError(f"{location}: a token store has pieces and no text; --compare needs a recipe, a run or a text file")
    if path.suffix in TEXT and not path.is_file():
        raise UserError(f"{location}: no such file; expected text with one sentence per line")
    source = None if path.suffix in TEXT else read_source(location)
    tokenizer = tokenizer_of(source)
    segmenters = make_segmenters(names, source.prepare.segmenter if source else None)
    corpus, cleaning = (source.prepare.corpus, source.prepare.cleaning) if source else (CorpusLayout((str(path),)), ())
    sentences, info = sample(corpus, cleaning)
    if source and isinstance(registry.load("segmenter", source.prepare.segmenter.name), SplittingSegmenter):
        if not any(isinstance(segmenter, SplittingSegmenter) for segmenter in segmenters.values()):
            own = make_segmenter(source.prepare.segmenter.name, source.prepare.segmenter)
            sentences = list(segment(own, sentences)[0])  # without the separators of words, which are not part of the text
    masking = masking_of(source, tokenizer, strategy=strategy, rate=rate, lengths=lengths)
    keep_latin = source is not None and source.prepare.latin_phrases == "keep"
    return CompareReport(info, compare(sentences, segmenters, tokenizer, masking, keep_latin=keep_latin))


def make_segmenters(names: Sequence[str], own: PluginSpec | None) -> dict[str, Segmenter]:
    """Segmenters by name, see `make_segmenter`.

    Raises: UserError unless there are two or more; what `registry.create` raises.
    """
    if len(set(names)) != len(names) or len(names) < 2:
        raise UserError(f"--compare {','.join(names)}: expected two or more different segmenters, such as jieba,characters")
    return {name: make_segmenter(name, own) for name in names}


def make_segmenter(name: str, own: PluginSpec | None) -> Segmenter:
    """The segmenter `jieba`, with the settings of `own` if that is its name, or `ltp=FOLDER`, which sets the first of its settings."""
    segmenter: Segmenter
    segmenter = registry.create("segmenter", name, **own.settings) if own and own.name == name else create_from("segmenter", name)
    return segmenter


def compare(
    sentences: Sequence[str],
    segmenters: Mapping[str, Segmenter],
    tokenizer: WordPieceTokenizer,
    masking: Masking,
    *,
    keep_latin: bool = False,
) -> Comparison:
    """Compare segmenters on some sentences.

    If one of them extracts the text from the sentences (presegmented), the others get that text.
    Raises: PluginError if a segmenter breaks its contract; UserError if two segmenters extract different texts.
    """
    texts, words = _segment(sentences, segmenters)
    encoded = tokenizer.encode_batch(texts)
    if not len(encoded.ids):
        raise UserError("--compare: the text has no pieces; expected Chinese sentences")
    marked = {name: mark_words(texts, words[name]) for name in segmenters}
    starts = {name: align(encoded, marked[name].starts, tokenizer, keep_latin=keep_latin) for name in segmenters}
    masking = replace(masking, examples="full-sentences", short_seq_rate=0.0, held_out_rate=0.0, lengths=masking.lengths[:1])
    [(max_seq_length, max_predictions)] = masking.lengths
    segmented = {name: Segmented(name, starts[name], _masked(encoded, starts[name], tokenizer, masking)) for name in segmenters}
    reports = []
    for name, segmenter in segmenters.items():
        histogram = Histogram()
        histogram.add(np.diff(np.append(np.flatnonzero(starts[name]), len(starts[name]))))
        num_words = int(starts[name].sum())
        counts = count_masks(segmented[name].masked, rate=masking.rate, max_predictions=max_predictions, vocabulary=tokenizer.vocabulary)
        reports.append(
            SegmenterReport(
                name=name,
                version=segmenter.version if isinstance(segmenter, Versioned) else None,
                num_words=num_words,
                mean_pieces=round(len(encoded.ids) / num_words, 4),
                words=histogram.word_lengths(),
                num_fallbacks=sum(fallback.spans for fallback in marked[name].fallbacks),
                masks=counts,
            )
        )
    return Comparison(
        num_pieces=len(encoded.ids),
        masking=MaskingUsed(masking.name, masking.settings, masking.rate, max_seq_length, max_predictions),
        segmenters=reports,
        pairs=[compare_pair(encoded, segmented[a], segmented[b]) for a, b in combinations(segmenters, 2)],
        sentences=_some_sentences(texts, words, encoded, starts, tokenizer.vocabulary, masking),
    )


def _segment(sentences: Sequence[str], segmenters: Mapping[str, Segmenter]) -> tuple[Sequence[str], dict[str, list[list[str]]]]:
    """The texts, and every segmenter's words of them. Segmenters that extract the text come first."""
    texts, extracted_by = sentences, ""
    words = {}
    for name, segmenter in sorted(segmenters.items(), key=lambda item: not isinstance(item[1], SplittingSegmenter)):
        splits = isinstance(segmenter, SplittingSegmenter)
        try:
            own_texts, words[name] = segment(segmenter, sentences if splits else texts)
        except PluginError as error:
            raise PluginError(f"segmenter {name!r} {error}") from error
        if splits and extracted_by and list(own_texts) != list(texts):
            raise UserError(
                f"--compare: {extracted_by} and {name} extract different texts from the same sentences; compare one of them at a time"
            )
        if splits:
            texts, extracted_by = own_texts, name
    return texts, words


def _masked(encoded: Encoded, word_starts: np.ndarray, tokenizer: WordPieceTokenizer, masking: Masking) -> list[MaskedRows]:
    """The text as a store of one document, masked."""
    spans = pairwise(encoded.sentence_pieces.tolist())
    document = [(encoded.ids[first:end], word_starts[first:end]) for first, end in spans]
    with TemporaryDirectory() as folder:
        store = write_store(Path(folder, "store"), tokenizer.vocabulary, [document], lowercase=tokenizer.lowercase)
        return list(masked_rows(store, masking, *masking.lengths[0]))


def _some_sentences(
    texts: Sequence[str],
    words: Mapping[str, Sequence[list[str]]],
    encoded: Encoded,
    starts: Mapping[str, np.ndarray],
    vocabulary: Vocabulary,
    masking: Masking,
) -> list[list[SegmentedSentence]]:
    """Sentences that are segmented differently."""
    first, *others = starts.values()
    differs = np.logical_or.reduce([first != other for other in others])
    borders = encoded.sentence_pieces
    changes = np.cumsum(np.append(0, differs))
    places = np.flatnonzero(changes[borders[1:]] > changes[borders[:-1]])
    shown = places[choose_readable(np.diff(borders)[places], NUM_SENTENCES)] if len(places) else places
    sentences = []
    for number in shown.tolist():
        part = slice(borders[number], borders[number + 1])
        rows = []
        for name, word_starts in starts.items():
            strategies = {masking.name: masking.strategy}
            [masked] = mask_sentence(encoded.ids[part], word_starts[part], strategies, vocabulary, number=number, seed=masking.seed)
            rows.append(SegmentedSentence(texts[number], name, words[name][number], masked))
        sentences.append(rows)
    return sentences
