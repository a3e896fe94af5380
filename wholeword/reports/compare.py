"""Several segmenters over one text: where they cut differently, and what that does to masks.

All are compared where masks are made, on pieces: a border is where a word begins that is not the first of its sentence, and inside of a
WordPiece (pro|bability), whose pieces never part, there is none. Between Chinese characters these are the borders between characters.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from wholeword.core.config import Recipe
from wholeword.core.config.settings import create_from, found_settings
from wholeword.core.contracts import Segmenter
from wholeword.core.data.align import align, mark_words, segment
from wholeword.core.data.masking import find_groups
from wholeword.core.data.store import write_store
from wholeword.core.data.tokenizer import Encoded, WordPieceTokenizer
from wholeword.core.errors import PluginError, UserError
from wholeword.core.files import MANIFEST
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import Vocabulary
from wholeword.reports.figures import Histogram, choose_readable, word_figures
from wholeword.reports.masks import LONGEST, MaskedRows, Masking, chosen_inside, count_masks, masked_rows, share
from wholeword.reports.preview import mask_sentence
from wholeword.reports.sample import sample
from wholeword.reports.source import TEXT, masking_of, read_recipe, tokenizer_of

NUM_SPANS = 100  # most frequent ones to keep of a pair
NUM_SENTENCES = 8  # to show


def compare_source(
    location: str, names: Sequence[str], *, strategy: str | None = None, rate: float | None = None, lengths: Sequence[int] = ()
) -> dict[str, Any]:
    """What `wholeword report --compare --json` prints.

    Args:
        location: a recipe, the folder of a run, or a text file with one sentence a line.
        names: segmenters, see `make_segmenters`.
        strategy, rate, lengths: see `masking_of`; only the first length is looked at.
    """
    path = Path(location)
    if (path / MANIFEST).exists():
        raise UserError(f"{location}: a token store has pieces and no text; --compare wants a recipe, a run, or a text file")
    if path.suffix in TEXT and not path.is_file():
        raise UserError(f"{location}: no such file; expected text with one sentence a line")
    recipe = None if path.suffix in TEXT else read_recipe(location)
    tokenizer = tokenizer_of(recipe, path)
    segmenters = make_segmenters(names, recipe)
    sentences, about = sample(recipe, path)
    if recipe and hasattr(registry.load("segmenter", recipe.segmenter.name), "split"):  # then its separators are no text
        if not any(hasattr(segmenter, "split") for segmenter in segmenters.values()):
            sentences = list(segment(make_segmenter(recipe.segmenter.name, recipe), sentences)[0])
    masking = masking_of(recipe, tokenizer, strategy=strategy, rate=rate, lengths=lengths)
    keep_latin = recipe is not None and recipe.alignment.latin_phrases == "keep"
    return {"text": about} | compare(sentences, segmenters, tokenizer, masking, keep_latin=keep_latin)


def make_segmenters(names: Sequence[str], recipe: Recipe | None) -> dict[str, Segmenter]:
    """Segmenters by what the user calls them: `jieba`, as the recipe sets it if it names that one, or `ltp=folder`, which gives the first
    of its settings.

    Raises: UserError unless there are two or more; what `registry.create` raises.
    """
    if len(set(names)) != len(names) or len(names) < 2:
        raise UserError(f"--compare {','.join(names)}: expected two or more different segmenters, such as jieba,characters")
    return {name: make_segmenter(name, recipe) for name in names}


def make_segmenter(spec: str, recipe: Recipe | None) -> Segmenter:
    if recipe and recipe.segmenter.name == spec:
        return registry.create("segmenter", spec, **found_settings("segmenter", recipe.segmenter, recipe.base_folder))
    return create_from("segmenter", spec)


def compare(
    sentences: Sequence[str],
    segmenters: Mapping[str, Segmenter],
    tokenizer: WordPieceTokenizer,
    masking: Masking,
    *,
    keep_latin: bool = False,
) -> dict[str, Any]:
    """What `wholeword report --compare --json` prints, but for where the sentences are from.

    If a segmenter finds the text in the sentence (presegmented), the others get that text.
    Raises: PluginError if a segmenter breaks its contract; UserError if two segmenters find different texts.
    """
    texts, cuts = _cut(sentences, segmenters)
    encoded = tokenizer.encode_batch(texts)
    if not len(encoded.ids):
        raise UserError("--compare: not a single piece in the text; expected Chinese sentences")
    found = {name: mark_words(texts, words) for name, words in cuts.items()}
    starts = {name: align(encoded, words.starts, tokenizer, keep_latin=keep_latin) for name, words in found.items()}
    masking = replace(masking, examples="full-sentences", short_seq_rate=0.0, held_out_rate=0.0, lengths=masking.lengths[:1])
    [(max_seq_length, max_predictions)] = masking.lengths
    masked = {name: _masked(encoded, word_starts, tokenizer, masking) for name, word_starts in starts.items()}
    about = {"strategy": masking.name, "settings": masking.settings, "rate": masking.rate}
    return {
        "num_pieces": len(encoded.ids),
        "masking": about | {"max_seq_length": max_seq_length, "max_predictions": max_predictions},
        "segmenters": [
            {
                "name": name,
                "version": getattr(segmenter, "version", None),
                **_words(starts[name]),
                "num_fallbacks": sum(fallback.spans for fallback in found[name].fallbacks),
                "masks": count_masks(masked[name], rate=masking.rate, max_predictions=max_predictions, vocabulary=tokenizer.vocabulary),
            }
            for name, segmenter in segmenters.items()
        ],
        "pairs": [
            {"a": a, "b": b, **_agreement(encoded, starts[a], starts[b]), "masks": _shared_masks(masked[a], masked[b])}
            for a, b in combinations(segmenters, 2)
        ],
        "sentences": _some_sentences(texts, cuts, encoded, starts, tokenizer.vocabulary, masking),
    }


def _cut(sentences: Sequence[str], segmenters: Mapping[str, Segmenter]) -> tuple[Sequence[str], dict[str, list[list[str]]]]:
    """The texts and every segmenter's words of them; those first that find the text themselves."""
    texts, found = sentences, ""
    cuts = {}
    for name in sorted(segmenters, key=lambda name: not hasattr(segmenters[name], "split")):
        finds = hasattr(segmenters[name], "split")
        try:
            own, cuts[name] = segment(segmenters[name], sentences if finds else texts)
        except PluginError as error:
            raise PluginError(f"segmenter {name!r} {error}") from error
        if finds and found and list(own) != list(texts):
            raise UserError(f"--compare: {found} and {name} find different texts in the same sentences; compare one of them at a time")
        if finds:
            texts, found = own, name
    return texts, {name: cuts[name] for name in segmenters}


def _words(word_starts: np.ndarray) -> dict[str, Any]:
    words = Histogram()
    words.add(np.diff(np.append(np.flatnonzero(word_starts), len(word_starts))))
    num_words = int(word_starts.sum())
    return {"num_words": num_words, "mean_pieces": round(len(word_starts) / num_words, 4), "words": word_figures(words.up_to(LONGEST))}


def _agreement(encoded: Encoded, a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    """What two segmenters have in common, and where they differ; `a` is taken for the truth in precision and recall.

    Args:
        a, b: bool [num_pieces], where words begin; so does every sentence.
    """
    borders = encoded.sentence_pieces
    num_sentences = int((borders[1:] > borders[:-1]).sum())
    num_a, num_b, common = (int(starts.sum()) - num_sentences for starts in (a, b, a & b))
    changes = np.cumsum(np.append(0, a != b))
    num_different = int((changes[borders[1:]] > changes[borders[:-1]]).sum())
    places, same = _between_common_borders(a, b)
    spans = Counter(
        (_with_borders(encoded, a, first, end), _with_borders(encoded, b, first, end))
        for first, end in zip(places[:-1][~same].tolist(), places[1:][~same].tolist(), strict=True)
    )
    return {
        "num_borders_a": num_a,
        "num_borders_b": num_b,
        "num_borders_common": common,
        "precision": share(common, num_b),
        "recall": share(common, num_a),
        "f1": share(2 * common, num_a + num_b),
        "num_words_common": int(same.sum()),
        "words_of_a_rate": share(same.sum(), a.sum()),
        "words_of_b_rate": share(same.sum(), b.sum()),
        "num_sentences_that_differ": num_different,
        "sentences_that_differ_rate": share(num_different, num_sentences),
        "num_spans": sum(spans.values()),
        "spans": [[*cut, count] for cut, count in sorted(spans.items(), key=lambda item: (-item[1], item[0]))[:NUM_SPANS]],
    }


def _between_common_borders(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where both begin words, and the end: int64 [n + 1]; and of the n stretches between whether they are one word to both: bool [n]."""
    places = np.flatnonzero(np.append(a & b, True))
    either = np.cumsum(np.append(0, a | b))
    return places, either[places[1:]] == either[places[:-1] + 1]


def _with_borders(encoded: Encoded, word_starts: np.ndarray, first: int, end: int) -> str:
    """The text of some pieces with a stroke where words begin."""
    begins = [first, *(first + 1 + np.flatnonzero(word_starts[first + 1 : end])).tolist(), end]
    return "/".join(text_at(encoded, begin, following) for begin, following in pairwise(begins))


def text_at(encoded: Encoded, first: int, end: int) -> str:
    codes = encoded.codes[encoded.starts[first] : encoded.ends[end - 1]]
    return codes.tobytes().decode("utf-32-le")


def _masked(encoded: Encoded, word_starts: np.ndarray, tokenizer: WordPieceTokenizer, masking: Masking) -> list[MaskedRows]:
    """The sample as a store of one document, masked."""
    spans = pairwise(encoded.sentence_pieces.tolist())
    document = [(encoded.ids[first:end], word_starts[first:end]) for first, end in spans]
    with TemporaryDirectory() as folder:
        store = write_store(Path(folder, "store"), tokenizer.vocabulary, [document], lowercase=tokenizer.lowercase)
        return list(masked_rows(store, masking, *masking.lengths[0]))


def _shared_masks(a: Sequence[MaskedRows], b: Sequence[MaskedRows]) -> dict[str, Any]:
    """Two segmenters' masks of the same rows: what both mask, and how whole the words of one are under the masks of the other."""
    total: Counter[str] = Counter()
    for one, other in zip(a, b, strict=True):
        total["both"] += int((one.masked.chosen & other.masked.chosen).sum())
        total["all"] += int(one.masked.chosen.sum() + other.masked.chosen.sum())
        for key, rows, chosen in (("a", one, other.masked.chosen), ("b", other, one.masked.chosen)):
            words = find_groups(rows.word_starts, rows.candidates)
            inside = chosen_inside(words, chosen)
            touched = (words.lengths > 1) & (inside > 0)
            total[f"touched {key}"] += int(touched.sum())
            total[f"partly {key}"] += int((touched & (inside < words.lengths)).sum())
    return {
        "overlap_rate": share(2 * total["both"], total["all"]),
        "words_of_a_partly_rate": share(total["partly a"], total["touched a"]),  # masked as b's words go
        "words_of_b_partly_rate": share(total["partly b"], total["touched b"]),
    }


def _some_sentences(
    texts: Sequence[str],
    cuts: Mapping[str, Sequence[list[str]]],
    encoded: Encoded,
    starts: Mapping[str, np.ndarray],
    vocabulary: Vocabulary,
    masking: Masking,
) -> list[list[dict[str, Any]]]:
    """Sentences that not all cut alike; of each the keys of `wholeword mask --json`, once a segmenter."""
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
            [row] = mask_sentence(encoded.ids[part], word_starts[part], strategies, vocabulary, number=number, seed=masking.seed)
            rows.append({"text": texts[number], "segmenter": name, "words": cuts[name][number], **row})
        sentences.append(rows)
    return sentences
