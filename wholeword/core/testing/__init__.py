"""Checks for plugin authors: does my segmenter, my cleaner, my masking strategy, my task, keep its contract?

    from wholeword.core.testing import check_segmenter

    def test_my_segmenter():
        check_segmenter(MySegmenter())

Each check raises AssertionError that says what was given, what came back and what was expected. Our own plugins pass through them.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from wholeword.core.contracts import Cleaner, MaskingStrategy, Segmenter, Task

if TYPE_CHECKING:
    import numpy as np

SENTENCES = (
    "使用语言模型来预测下一个词的probability。",
    "他说今年的鱼比去年少了许多，可是价格涨了将近30%。",
    "老板以前是一名程序员，会写Python和C++。",
    "图书馆的新系统将于2027年3月1日上线。",
    "“真的吗？”她笑着问——没有人回答……",
    "ＡＢＣ１２３是全角字符，é是重音，한국어和ひらがな也会出现。",
    "臺灣的繁體中文，𠮷野家的第一個字在擴展區。",
    "😀表情🇨🇳、零宽\u200b空格、\u3000全角空格和\ttab。",
    "New York 和 deep learning 之间有 空格 ",
    " ",
    "。",
    "a",
)
LINES = (*SENTENCES, "", "\0", "<p>版权所有&nbsp;&copy; 2027</p>&#10;", "行尾的回车\r", "\u2028分行符\x85")


def check_segmenter(segmenter: Segmenter, sentences: Sequence[str] = SENTENCES, *, lossless: bool = True) -> None:
    """Check the contract of `interfaces.Segmenter`.

    Args:
        lossless: also demand that words join to the sentence, white space aside; False for segmenters that are known to alter text
            (the framework then falls back to single characters where they do).
    Raises: AssertionError naming the sentence and what was wrong.
    """
    first = _segmented(segmenter, sentences)
    for sentence, words in zip(sentences, first, strict=True):
        if lossless:
            assert "".join("".join(words).split()) == "".join(sentence.split()), (
                f"{sentence!r}: the words {words} do not join to the sentence"
            )
    assert _segmented(segmenter, sentences) == first, "a second call gave other words; a segmenter must be deterministic"
    alone = [_segmented(segmenter, [sentence])[0] for sentence in sentences]
    for sentence, words, single in zip(sentences, first, alone, strict=True):
        assert words == single, f"{sentence!r}: {words} in a batch, {single} alone; words must not depend on the batch"
    assert _segmented(segmenter, []) == [], "an empty batch must give an empty result"


def _segmented(segmenter: Segmenter, sentences: Sequence[str]) -> list[list[str]]:
    result = segmenter.segment(list(sentences))
    assert isinstance(result, Iterable), f"segment() returned {type(result).__name__}; expected an iterable of lists of words"
    words = list(result)
    assert len(words) == len(sentences), f"{len(sentences)} sentences gave {len(words)} lists of words; expected one a sentence"
    for sentence, line in zip(sentences, words, strict=True):
        assert isinstance(line, list) and all(isinstance(word, str) for word in line), (
            f"{sentence!r}: got {line!r}; expected a list of strings"
        )
    return words


def check_cleaner(cleaner: Cleaner, lines: Sequence[str] = LINES, *, idempotent: bool = True) -> None:
    """Check the contract of `interfaces.Cleaner`.

    Args:
        idempotent: also demand that cleaning what is clean changes nothing; False for what undoes one layer of many, such as entities.
    Raises: AssertionError naming the line and what was wrong.
    """
    first = _cleaned(cleaner, lines)
    assert _cleaned(cleaner, lines) == first, "a second call gave other lines; a cleaner must be deterministic"
    alone = [_cleaned(cleaner, [line])[0] for line in lines]
    for line, result, single in zip(lines, first, alone, strict=True):
        assert result == single, f"{line!r}: {result!r} among others, {single!r} alone; what becomes of a line must not depend on others"
    assert _cleaned(cleaner, []) == [], "no lines must give no lines"
    if idempotent:
        for line, once, twice in zip(lines, first, _cleaned(cleaner, first), strict=True):
            assert once == twice, f"{line!r}: {once!r} when cleaned once, {twice!r} when cleaned twice"


def _cleaned(cleaner: Cleaner, lines: Sequence[str]) -> list[str]:
    given = list(lines)
    result = cleaner.clean(given)
    assert given == list(lines), "clean() wrote into its argument"
    assert isinstance(result, Iterable) and not isinstance(result, str), f"clean() returned {type(result).__name__}; expected lines of text"
    cleaned = list(result)
    assert len(cleaned) == len(lines), f"{len(lines)} lines gave {len(cleaned)}; expected one each"
    for line, after in zip(lines, cleaned, strict=True):
        assert isinstance(after, str), f"{line!r}: got {after!r}; expected text"
        assert "\n" not in after, f"{line!r}: got {after!r}; expected no line feed in it"
    return cleaned


def check_masking(strategy: MaskingStrategy, *, rate: float | None = 0.15, whole_words: bool = True) -> None:
    """Check the contract of `interfaces.MaskingStrategy` on random rows.

    Args:
        rate: the share of pieces it should choose, checked within 0.02 over 1,000 rows; None to leave that out.
        whole_words: demand that a word is chosen whole or not at all.
    Raises: AssertionError that says which rule was broken, and in which row.
    """
    import numpy as np

    vocabulary, batch = _random_batch()
    if hasattr(strategy, "bind"):
        from wholeword.core.data.tokenizer import WordPieceTokenizer

        strategy.bind(WordPieceTokenizer(vocabulary, True))
    ids, word_starts, candidates, _ = batch

    def mask(rows: Any = slice(None), **changes: Any) -> tuple["np.ndarray", "np.ndarray"]:
        arguments: dict[str, Any] = {"seed": 7, "pass_number": 0, "max_predictions": 40, "vocabulary": vocabulary} | changes
        given = [array[rows].copy() for array in batch]
        masked = strategy.mask(*given, **arguments)
        for name, before, after in zip(
            ("ids", "word_starts", "candidates", "sample_ids"), (array[rows] for array in batch), given, strict=True
        ):
            assert np.array_equal(before, after), f"mask() wrote into its argument {name}"
        return np.asarray(masked.input_ids), np.asarray(masked.chosen)

    input_ids, chosen = mask()
    assert input_ids.shape == ids.shape, f"input_ids have shape {input_ids.shape}; expected {ids.shape}"
    assert chosen.shape == ids.shape and chosen.dtype == bool, f"chosen is {chosen.dtype} {chosen.shape}; expected bool {ids.shape}"
    outside = np.flatnonzero((chosen & ~candidates).any(axis=1))
    assert not len(outside), f"row {outside[0]}: a place that is no candidate ([CLS], [SEP], padding) was chosen"
    changed = np.flatnonzero(((input_ids != ids) & ~chosen).any(axis=1))
    assert not len(changed), f"row {changed[0]}: a piece that was not chosen was changed"
    assert ((input_ids >= 0) & (input_ids < len(vocabulary))).all(), f"an id is outside the vocabulary of {len(vocabulary)}"
    most = chosen.sum(axis=1).max()
    assert most <= 40, f"row {chosen.sum(axis=1).argmax()}: {most} places chosen; max_predictions is 40"
    empty = np.flatnonzero(~chosen.any(axis=1) & candidates.any(axis=1))
    assert not len(empty), f"row {empty[0]}: nothing chosen though it has candidates"
    if whole_words:
        begins = candidates & (word_starts | ~np.pad(candidates, ((0, 0), (1, 0)))[:, :-1])
        broken = candidates[:, 1:] & ~begins[:, 1:] & (chosen[:, 1:] != chosen[:, :-1])
        rows = np.flatnonzero(broken.any(axis=1))
        assert not len(rows), f"row {rows[0]}: the word around position {broken[rows[0]].argmax() + 1} is chosen in part"
    if rate is not None:
        share = chosen.sum() / (ids != vocabulary.pad_id).sum()
        assert abs(share - rate) < 0.02, f"{share:.3f} of the pieces were chosen; expected about {rate}"
    again = mask()
    assert np.array_equal(again[0], input_ids) and np.array_equal(again[1], chosen), (
        "equal arguments gave different results; no state, no global generator"
    )
    for size in (1, 7):
        for first in range(0, 28, size):
            part = mask(slice(first, first + size))
            assert np.array_equal(part[0], input_ids[first : first + size]), f"rows {first}.. came out differently in a batch of {size}"
    for name, value in (("seed", 8), ("pass_number", 1)):
        assert not np.array_equal(mask(**{name: value})[1], chosen), f"another {name} gave the same choice"


def _random_batch() -> tuple[Any, tuple["np.ndarray", ...]]:
    """1,000 rows of 128: [CLS] A [SEP] B [SEP] and padding, words of one to six pieces."""
    import numpy as np

    from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

    vocabulary = Vocabulary([*SPECIAL_PIECES, *(chr(0x4E00 + number) for number in range(500))])
    generator = np.random.default_rng(20190620)
    rows, length = 1000, 128
    ids = generator.integers(len(SPECIAL_PIECES), len(vocabulary), (rows, length))
    sizes = generator.integers(12, length + 1, rows)
    middle = (sizes * generator.uniform(0.2, 0.8, rows)).astype(int)
    places = np.arange(length)
    ids[:, 0] = vocabulary.cls_id
    ids[np.arange(rows), middle] = vocabulary.sep_id
    ids[np.arange(rows), sizes - 1] = vocabulary.sep_id
    ids[places >= sizes[:, None]] = vocabulary.pad_id
    candidates = ids >= len(SPECIAL_PIECES)
    word_starts = generator.random((rows, length)) < 0.6
    return vocabulary, (ids.astype(np.int32), word_starts, candidates, np.arange(rows, dtype=np.uint64))


def check_task(task: Task, splits: Sequence[str] = ()) -> None:
    """Check the contract of `interfaces.Task` on files that are there.

    Args:
        splits: what to read; by default all whose files are there, of which there must be one.
    Raises: AssertionError that says which rule was broken, and by which example.
    """
    from wholeword.core.contracts.tasks import SpanExample, TaggedExample, TextExample

    kinds = {"classification": TextExample, "span": SpanExample, "tagging": TaggedExample}
    assert task.head in kinds, f"head is {task.head!r}; expected one of {', '.join(kinds)}"
    assert task.metrics, "metrics is empty; expected the figures that tables show"
    missing = {"learning_rate", "batch_size", "epochs", "max_seq_length", "warmup_rate"} - set(task.defaults)
    assert not missing, f"defaults have no {', '.join(sorted(missing))}"
    labels = list(task.labels)
    assert len(set(labels)) == len(labels), f"labels {labels}: one stands twice"
    assert bool(labels) == (task.head != "span"), f"{len(labels)} labels for head {task.head!r}"
    assert splits or task.splits, "no split's file is there"
    for split in splits or task.splits:
        examples = task.read(split)
        assert examples and task.read(split) == examples, f"{split}: a second reading gave other examples, or none"
        ids = [example.id for example in examples]
        assert len(set(ids)) == len(ids) and all(isinstance(id, str) for id in ids), f"{split}: ids must be strings, all different"
        truth: dict[str, Any] = {}
        for example in examples:
            where = f"{split} {example.id}"
            assert isinstance(example, kinds[task.head]), f"{where}: {type(example).__name__} for head {task.head!r}"
            known = _check_example(example, labels, where)
            if known is not None:
                truth[example.id] = known
        if truth:
            _check_score(task, examples, truth, split)


def _check_example(example: Any, labels: Sequence[str], where: str) -> Any:
    """Check one example's labels. Returns: a prediction that is right, None where that is not known."""
    if hasattr(example, "context"):
        for answer in example.answers:
            found = answer.start is None or example.context.startswith(answer.text, answer.start)
            assert found, f"{where}: {answer.text!r} does not stand at {answer.start}"
        return example.answers[0].text if example.answers else None
    if hasattr(example, "units"):
        if example.tags is not None:
            assert len(example.tags) == len(example.units), f"{where}: {len(example.tags)} tags for {len(example.units)} units"
            assert set(example.tags) <= set(labels), f"{where}: tags {set(example.tags) - set(labels)} are none of {labels}"
        return list(example.tags) if example.tags is not None else None
    assert example.label is None or example.label in labels, f"{where}: {example.label!r} is none of {labels}"
    return example.label


def _check_score(task: Task, examples: Sequence[Any], truth: dict[str, Any], split: str) -> None:
    best, worst = task.score(examples, truth), task.score(examples, {})
    for metric in task.metrics:
        assert metric in best and metric in worst, f"{split}: score has no {metric!r}, only {', '.join(best)}"
        if task.head != "tagging" or any(tag != "O" for tags in truth.values() for tag in tags):
            assert abs(best[metric] - 100) < 1e-9, f"{split}: right predictions have {metric} {best[metric]}; expected 100"
        assert worst[metric] == 0, f"{split}: no predictions have {metric} {worst[metric]}; expected 0"
