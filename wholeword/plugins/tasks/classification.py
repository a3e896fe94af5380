"""Texts and pairs of texts with a label."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from wholeword.core.contracts.tasks import TextExample
from wholeword.core.errors import UserError
from wholeword.core.text_files import TextFile, csv_rows, json_rows, printable, tsv_rows
from wholeword.plugins.tasks import editions
from wholeword.plugins.tasks.columns import COMMON, LABEL, PAIRS, TEXT, Columns, Settings, choose, is_header, plain
from wholeword.plugins.tasks.files import Dataset, FileTask, Reading, own_data, shown

WRITTEN_LIST = re.compile(r"\[(|.*['\",].*)\]")  # a list as text, as libraries for data frames write it
UNDECIDED = "-"  # the label of OCNLI, CMNLI and SNLI where annotators disagree

# learning rates: the seeds' table of best values; batch size and epochs assumed (recalled from the paper's table, not read again)
DEFAULTS: Mapping[str, Any] = {"learning_rate": 2e-5, "batch_size": 64, "epochs": 3, "max_seq_length": 128, "warmup_rate": 0.1}

CHNSENTICORP = Dataset(
    "ChnSentiCorp",
    "https://github.com/ymcui/Chinese-BERT-wwm/tree/master/data/chnsenticorp",
    "corpus of Tan Songbo, for research",
    editions.CHNSENTICORP,
    ("0", "1"),
    {**DEFAULTS, "max_seq_length": 256},  # length assumed
)
THUCNEWS = Dataset(
    "THUCNews, 10 classes",
    "https://github.com/gaussic/text-classification-cnn-rnn",
    "THUCNews of THUNLP, for research",
    editions.THUCNEWS,
    ("体育", "财经", "房产", "家居", "教育", "科技", "时尚", "时政", "游戏", "娱乐"),
    {**DEFAULTS, "max_seq_length": 512},  # length assumed
)
THUCNEWS_TITLE = Dataset(
    "THUCNews titles",
    "https://github.com/649453932/Bert-Chinese-Text-Classification-Pytorch/tree/master/THUCNews/data",
    "THUCNews of THUNLP, for research",
    editions.THUCNEWS_TITLE,
    ("finance", "realty", "stocks", "education", "science", "society", "politics", "sports", "game", "entertainment"),  # its class.txt
    {**DEFAULTS, "max_seq_length": 32},  # assumed
)
XNLI = Dataset(
    "XNLI, Chinese",
    "https://github.com/google-research/bert/blob/master/multilingual.md (XNLI-1.0 and XNLI-MT-1.0)",
    "CC BY-NC 4.0",
    editions.XNLI,
    ("contradiction", "entailment", "neutral"),
    {**DEFAULTS, "learning_rate": 3e-5, "epochs": 2},  # epochs assumed
)
OCNLI = Dataset(
    "OCNLI",
    "https://github.com/CLUEbenchmark/OCNLI",
    "CC BY-NC 2.0",
    editions.OCNLI,
    ("contradiction", "entailment", "neutral"),
    {**DEFAULTS, "learning_rate": 3e-5, "epochs": 2},  # as XNLI: the seeds have no OCNLI
)
LCQMC = Dataset(
    "LCQMC",
    "http://icrc.hitsz.edu.cn/info/1037/1146.htm",
    "given on application, for research",
    editions.LCQMC,
    ("0", "1"),
    DEFAULTS,
)
BQ = Dataset(
    "BQ Corpus",
    "http://icrc.hitsz.edu.cn/info/1037/1162.htm",
    "given on application, for research",
    editions.BQ,
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
    rename = {"contradictory": "contradiction"}
    read = partial(read_texts, is_paired=True, is_published=True, rename=rename, language="zh")
    return FileTask(XNLI, data, head="classification", read=read, check=check)


def ocnli(*, data: Path, check: bool = True) -> FileTask:
    """Whether a premise entails a hypothesis; written in Chinese."""
    read = partial(read_texts, is_paired=True, is_published=True, undecided=UNDECIDED)
    return FileTask(OCNLI, data, head="classification", read=read, check=check)


def lcqmc(*, data: Path, check: bool = True) -> FileTask:
    """Whether two questions ask the same thing."""
    return FileTask(LCQMC, data, head="classification", read=partial(read_texts, columns=("text_a", "text_b", "label")), check=check)


def bq(*, data: Path, check: bool = True) -> FileTask:
    """Whether two questions to a bank ask the same thing."""
    return FileTask(BQ, data, head="classification", read=partial(read_texts, columns=("text_a", "text_b", "label")), check=check)


def classification(
    *,
    data: Path,
    labels: list[str] | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    dev_rate: float | None = None,
) -> FileTask:
    """Your own texts: train, dev and test as .tsv or .csv with a header line (label, text_a) or as .jsonl with such keys.

    Columns of other names are given as `text_column` and `label_column`. `data` may be one file, of which `dev_rate` holds a part back.
    """
    read = partial(read_texts, settings=Settings(text_column, None, label_column))
    dataset = own_data("classification", OWN, DEFAULTS)
    return FileTask(dataset, data, head="classification", read=read, labels=labels or (), dev_rate=dev_rate)


def pairs(
    *,
    data: Path,
    labels: list[str] | None = None,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
    dev_rate: float | None = None,
) -> FileTask:
    """Your own pairs: train, dev and test as .tsv or .csv with a header line (label, text_a, text_b) or as .jsonl with such keys.

    Settings as of `classification`, and `pair_column`. Pairs with the label `-`, as undecided ones have in CMNLI, are left out unless it
    is among `labels`.
    """
    undecided = None if UNDECIDED in (labels or ()) else UNDECIDED
    read = partial(read_texts, is_paired=True, settings=Settings(text_column, pair_column, label_column), undecided=undecided)
    return FileTask(own_data("pairs", OWN, DEFAULTS), data, head="classification", read=read, labels=labels or (), dev_rate=dev_rate)


def read_texts(
    text: TextFile,
    *,
    columns: Sequence[str] = (),
    settings: Settings = COMMON,
    is_paired: bool | None = None,
    is_published: bool | None = None,
    rename: Mapping[str, str] | None = None,
    language: str | None = None,
    undecided: str | None = None,
) -> Reading:
    """Read a table or JSON lines.

    Args:
        columns: their names, if the file has no header line.
        settings: which columns to read, if their names are not common ones.
        is_paired, is_published: see `choose`; by default what `columns` says.
        rename: label in the file -> label of the task.
        language: keep only rows in this language, if the file has a column for it.
        undecided: rows with this label are left out.
    """
    is_paired = "text_b" in columns if is_paired is None else is_paired
    is_published = bool(columns) if is_published is None else is_published
    rows = list(_rows(text, columns, settings))
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    chosen = choose(names, settings, is_paired=is_paired, is_published=is_published, where=str(text.path))
    header = {*TEXT, *LABEL, *(name for pair in PAIRS for name in pair), *map(plain, filter(None, chosen))}
    examples, left_out, foreign = [], 0, 0
    for number, row in rows:
        if language and row.get("language", language) != language:
            foreign += 1
            continue
        where = f"{text.path}:{number}"
        first, second = _texts(row, chosen, where, is_paired=is_paired, is_published=is_published)
        label = _label(row.get(chosen.label) if chosen.label else None, where)
        if label and {plain(first), plain(label)} <= header:
            raise UserError(f"{where}: the header line again; remove it (was the file joined from several?)")
        if undecided is not None and label == undecided:
            left_out += 1
            continue
        examples.append(TextExample(str(number), first, second, (rename or {}).get(label, label) if label else None))
    if left_out:
        text.notes.append(f"{left_out} examples without a decided label are left out")
    descriptions = [chosen.describe(names, is_paired=is_paired)] if names else []
    if foreign:
        descriptions.append(f"{foreign:,} of {len(rows):,} rows are in other languages than {language!r} and left out")
    return Reading(examples, descriptions)


def _texts(row: Mapping[str, Any], chosen: Columns, where: str, *, is_paired: bool, is_published: bool) -> tuple[str, str | None]:
    needed = (("text_a", "text", chosen.text), ("text_b", "pair", chosen.pair))[: 2 if is_paired else 1]
    missing = [name for name, _, column in needed if column is None or column not in row]
    if missing:
        settings = " and ".join(f"task.{setting}_column" for _, setting, _ in needed)
        has = f"; it has {printable(row)}" + ("" if is_published else f": set {settings}") if row else ""
        expected = ", ".join(("label", *(name for name, _, _ in needed)))
        raise UserError(f"{where}: no {' and no '.join(missing)}; expected {expected}{has}")
    for _, _, column in needed:
        if not isinstance(row[column or ""], str):
            raise UserError(f"{where}: {column} is {shown(row[column or ''])}; expected text")
    return row[chosen.text or ""], row[chosen.pair or ""] if is_paired else None


def _label(value: Any, where: str) -> str | None:
    """A label as text; None where it is missing."""
    if isinstance(value, list | dict) or (isinstance(value, str) and WRITTEN_LIST.fullmatch(value.strip())):
        raise UserError(f"{where}: the label is {shown(value)}; expected one label: several for one text are not supported")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: the label is {value}; expected a label, or null for none")
    return str(value).strip() or None if value is not None else None


def _rows(text: TextFile, columns: Sequence[str], settings: Settings) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if text.path.suffix in (".json", ".jsonl"):
        return json_rows(text, expected="one object a line, with text_a and label")
    return _table_rows(text, columns, settings)


def _table_rows(text: TextFile, columns: Sequence[str], settings: Settings) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows as dicts; a first line with known names is the header, and overrides `columns`."""
    names, is_first = list(columns), True
    for number, cells in csv_rows(text) if text.path.suffix == ".csv" else tsv_rows(text):
        if is_first and is_header(cells, settings, is_published=bool(columns)):
            names = cells
            if len(set(names)) < len(names):
                raise UserError(f"{text.path}:{number}: two columns have one name: {printable(names)}")
        elif cells and any(cells):
            if not names:
                raise UserError(
                    f"{text.path}:{number}: no header line; expected one with label and text_a (and text_b of pairs), or other names "
                    "and task.text_column and task.label_column"
                )
            if len(cells) != len(names):
                raise UserError(f"{text.path}:{number}: {len(cells)} columns; expected {len(names)}: {printable(names)}")
            if cells == names:
                raise UserError(f"{text.path}:{number}: the header line again; remove it (was the file joined from several?)")
            yield number, dict(zip(names, cells, strict=True))
        is_first = is_first and not any(cells)
