"""Texts and pairs of texts with a label."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from wholeword.core.contracts.tasks import TextExample
from wholeword.core.errors import UserError
from wholeword.core.text_files import csv_rows, json_rows
from wholeword.plugins.tasks.files import Dataset, File, FileTask, Text, lines, own_data

# names of columns and keys in the published files
TEXT = ("text_a", "sentence1", "premise", "text", "sentence", "query1", "s1")
PAIR = ("text_b", "sentence2", "hypo", "hypothesis", "query2", "s2")
LABEL = ("gold_label", "label", "class")
COLUMNS = frozenset((*TEXT, *PAIR, *LABEL, "language", "id"))

# learning rates: the seeds' table of best values; batch size and epochs assumed (recalled from the paper's table, not read again)
DEFAULTS: Mapping[str, Any] = {"learning_rate": 2e-5, "batch_size": 64, "epochs": 3, "max_seq_length": 128, "warmup_rate": 0.1}

CHNSENTICORP = Dataset(
    "ChnSentiCorp",
    "https://github.com/ymcui/Chinese-BERT-wwm/tree/master/data/chnsenticorp",
    "corpus of Tan Songbo, for research",
    {
        "train": File(("train.tsv",), (9_600,), ("0b2653c23e5c79f539472e90cb10522f0ada4b80d3da95572d8b48fda47d5b33",)),
        "dev": File(("dev.tsv",), (1_200,), ("d129e443eac08ce7643013dad496a8edf282be39cac1a4f2ad080818b296b331",)),
        "test": File(("test.tsv",), (1_200,), ("34f9d71eba6096cd8689e18913d28cf9a5f3c18a6c2804cd13304a321738c4bc",)),
    },
    ("0", "1"),
    {**DEFAULTS, "max_seq_length": 256},  # length assumed
)
THUCNEWS = Dataset(
    "THUCNews, 10 classes",
    "https://github.com/gaussic/text-classification-cnn-rnn",
    "THUCNews of THUNLP, for research",
    {
        "train": File(("cnews.train.txt", "train.txt"), (50_000,)),
        "dev": File(("cnews.val.txt", "dev.txt"), (5_000,)),
        "test": File(("cnews.test.txt", "test.txt"), (10_000,)),
    },
    ("体育", "财经", "房产", "家居", "教育", "科技", "时尚", "时政", "游戏", "娱乐"),
    {**DEFAULTS, "max_seq_length": 512},  # length assumed
)
THUCNEWS_TITLE = Dataset(
    "THUCNews titles",
    "https://github.com/649453932/Bert-Chinese-Text-Classification-Pytorch/tree/master/THUCNews/data",
    "THUCNews of THUNLP, for research",
    {
        "train": File(("train.txt",), (180_000,)),
        "dev": File(("dev.txt",), (10_000,), ("6ed73aa2c57ee1560c8f76570d48735c4b1c29ae4983fe3523d56e115813e175",)),
        "test": File(("test.txt",), (10_000,)),
    },
    ("finance", "realty", "stocks", "education", "science", "society", "politics", "sports", "game", "entertainment"),  # its class.txt
    {**DEFAULTS, "max_seq_length": 32},  # assumed
)
XNLI = Dataset(
    "XNLI, Chinese",
    "https://github.com/google-research/bert/blob/master/multilingual.md (XNLI-1.0 and XNLI-MT-1.0)",
    "CC BY-NC 4.0",
    {
        "train": File(("multinli.train.zh.tsv", "XNLI-MT-1.0/multinli/multinli.train.zh.tsv"), (392_702,)),
        "dev": File(("xnli.dev.tsv", "XNLI-1.0/xnli.dev.tsv"), (2_490,)),
        "test": File(("xnli.test.tsv", "XNLI-1.0/xnli.test.tsv"), (5_010,)),
    },
    ("contradiction", "entailment", "neutral"),
    {**DEFAULTS, "learning_rate": 3e-5, "epochs": 2},  # epochs assumed
)
OCNLI = Dataset(
    "OCNLI",
    "https://github.com/CLUEbenchmark/OCNLI",
    "CC BY-NC 2.0",
    {
        "train": File(("train.50k.json", "train.json", "train.10k.json")),
        "dev": File(("dev.json",), (2_950,), ("001ded235d73a18dac68a45a38cd5f9b3f9311fa4246df623e199422c073ddc5",)),
        "test": File(("test.json",), (3_000,)),
    },
    ("contradiction", "entailment", "neutral"),
    {**DEFAULTS, "learning_rate": 3e-5, "epochs": 2},  # as XNLI: the seeds have no OCNLI
)
LCQMC = Dataset(
    "LCQMC",
    "http://icrc.hitsz.edu.cn/info/1037/1146.htm",
    "given on application, for research",
    {
        "train": File(("train.txt", "train.tsv"), (238_766,)),
        "dev": File(("dev.txt", "dev.tsv"), (8_802,), ("d3cd41ed89b8f6196a76ebff2aa03d5ecf42edcd12942aa865d34f7e570af7c2",)),
        "test": File(("test.txt", "test.tsv"), (12_500,)),
    },
    ("0", "1"),
    DEFAULTS,
)
BQ = Dataset(
    "BQ Corpus",
    "http://icrc.hitsz.edu.cn/info/1037/1162.htm",
    "given on application, for research",
    {
        "train": File(("train.csv", "train.tsv", "train.txt"), (100_000,)),
        "dev": File(("dev.csv", "dev.tsv", "dev.txt"), (10_000,), ("2c111beccec92e9bcadfb2b5203895df89847786462d880d5d2bf98ab5169202",)),
        "test": File(("test.csv", "test.tsv", "test.txt"), (10_000,)),
    },
    ("0", "1"),
    {**DEFAULTS, "learning_rate": 3e-5},
)
OWN = {split: tuple(f"{split}.{ending}" for ending in ("tsv", "csv", "jsonl", "json")) for split in ("train", "dev", "test")}


def chnsenticorp(*, data: Path, check: bool = True) -> FileTask:
    """Hotel, laptop and book reviews, good (1) or bad (0)."""
    return FileTask(CHNSENTICORP, data, head="classification", read=partial(read_texts, columns=("label", "text_a")), check=check)


def thucnews(*, data: Path, check: bool = True) -> FileTask:
    """News articles of ten classes."""
    return FileTask(THUCNEWS, data, head="classification", read=partial(read_texts, columns=("label", "text_a")), check=check)


def thucnews_title(*, data: Path, check: bool = True) -> FileTask:
    """News titles of ten classes, numbered in the files."""
    names = {str(number): name for number, name in enumerate(THUCNEWS_TITLE.labels)}
    read = partial(read_texts, columns=("text_a", "label"), rename=names)
    return FileTask(THUCNEWS_TITLE, data, head="classification", read=read, check=check)


def xnli(*, data: Path, check: bool = True) -> FileTask:
    """Whether a premise entails a hypothesis; trained on translated text."""
    read = partial(read_texts, paired=True, rename={"contradictory": "contradiction"}, language="zh")
    return FileTask(XNLI, data, head="classification", read=read, check=check)


def ocnli(*, data: Path, check: bool = True) -> FileTask:
    """Whether a premise entails a hypothesis; written in Chinese."""
    return FileTask(OCNLI, data, head="classification", read=partial(read_texts, paired=True, undecided="-"), check=check)


def lcqmc(*, data: Path, check: bool = True) -> FileTask:
    """Whether two questions ask the same thing."""
    return FileTask(LCQMC, data, head="classification", read=partial(read_texts, columns=("text_a", "text_b", "label")), check=check)


def bq(*, data: Path, check: bool = True) -> FileTask:
    """Whether two questions to a bank ask the same thing."""
    return FileTask(BQ, data, head="classification", read=partial(read_texts, columns=("text_a", "text_b", "label")), check=check)


def classification(*, data: Path, labels: list[str] | None = None) -> FileTask:
    """Your own texts: train, dev and test as .tsv or .csv with a header line (label, text_a) or as .jsonl with such keys."""
    return FileTask(own_data("classification", OWN, DEFAULTS), data, head="classification", read=read_texts, labels=labels or ())


def pairs(*, data: Path, labels: list[str] | None = None) -> FileTask:
    """Your own pairs: train, dev and test as .tsv or .csv with a header line (label, text_a, text_b) or as .jsonl with such keys."""
    read = partial(read_texts, paired=True)
    return FileTask(own_data("pairs", OWN, DEFAULTS), data, head="classification", read=read, labels=labels or ())


def read_texts(
    text: Text,
    *,
    columns: Sequence[str] = (),
    paired: bool | None = None,
    rename: Mapping[str, str] | None = None,
    language: str | None = None,
    undecided: str | None = None,
) -> list[TextExample]:
    """Read a table or JSON lines.

    Args:
        columns: their names, if the file has no header line.
        rename: label in the file -> label of the task.
        language: keep only rows in this language, if the file has a column for it.
        undecided: rows with this label are left out.
    """
    paired = "text_b" in columns if paired is None else paired
    needed = ("text_a", "text_b") if paired else ("text_a",)
    examples, left_out = [], 0
    for number, row in _json_rows(text) if text.path.suffix in (".json", ".jsonl") else _table_rows(text, columns):
        if language and row.get("language", language) != language:
            continue
        first, second, label = (next((row[name] for name in names if name in row), None) for names in (TEXT, PAIR, LABEL))
        missing = [name for name, value in zip(needed, (first, second), strict=False) if not isinstance(value, str)]
        if missing:
            raise UserError(f"{text.path}:{number}: no {' and no '.join(missing)}; expected {', '.join(('label', *needed))}")
        if undecided is not None and label == undecided:
            left_out += 1
            continue
        name = None if label is None else str(label).strip()
        assert isinstance(first, str)
        examples.append(TextExample(str(number), first, second if paired else None, (rename or {}).get(name, name) if name else None))
    if left_out:
        text.notes.append(f"{left_out} examples without a decided label are left out")
    return examples


def _json_rows(text: Text) -> Iterator[tuple[int, dict[str, Any]]]:
    yield from json_rows(text, expected="one object a line, with text_a and label")


def _table_rows(text: Text, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows as dicts; a first line with known names is the header, and overrides `columns`."""
    if text.path.suffix == ".csv":
        numbered: Iterator[tuple[int, list[str]]] = csv_rows(text)
    else:  # as Google's processors read: a tab always separates, a quotation mark has no special meaning
        numbered = ((number, line.split("\t")) for number, line in enumerate(lines(text), 1))
    names = list(columns)
    for number, cells in numbered:
        if number == 1 and COLUMNS.intersection(cells):
            names = cells
        elif cells and any(cells):
            if not names:
                raise UserError(f"{text.path}:{number}: no header line; expected one with label and text_a (and text_b of pairs)")
            if len(cells) != len(names):
                raise UserError(f"{text.path}:{number}: {len(cells)} columns; expected {len(names)}: {', '.join(names)}")
            yield number, dict(zip(names, cells, strict=True))
