"""Sentences with a tag for each character or word: one on each line, an empty line between sentences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wholeword.core.contracts.tasks import TaggedExample
from wholeword.core.errors import UserError
from wholeword.core.text_files import TextFile, lines, quoted
from wholeword.plugins.tasks import editions
from wholeword.plugins.tasks.columns import plain
from wholeword.plugins.tasks.files import Dataset, FileTask, Reading, own_data
from wholeword.plugins.tasks.tags import OUTSIDE_SPELLINGS, is_tag, spelling_of

UNITS = ("char", "character", "token", "word", "text", "text_a", "sentence", "字", "字符", "词", "文本")
TAGS = ("label", "labels", "tag", "tags", "ner", "ner_tag", "ner_tags", "标签", "标注")
HEADERS = frozenset((unit, tag) for unit in UNITS for tag in TAGS)
ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

# assumed: the seeds give no values for tagging
DEFAULTS: Mapping[str, Any] = {"learning_rate": 3e-5, "batch_size": 64, "epochs": 3, "max_seq_length": 256, "warmup_rate": 0.1}

MSRA = Dataset(
    "MSRA NER",
    "https://github.com/OYE93/Chinese-NLP-Corpus/tree/master/NER/MSRA",
    "SIGHAN bakeoff 2006, for research",
    editions.MSRA,
    ENTITIES,
    DEFAULTS,
)
PEOPLES_DAILY = Dataset(
    "People's Daily NER",
    "https://github.com/ymcui/Chinese-BERT-wwm/tree/master/data/peopledaily (or OYE93/Chinese-NLP-Corpus)",
    "not stated",
    editions.PEOPLES_DAILY,
    ENTITIES,
    DEFAULTS,
)
OWN = {split: tuple(f"{split}.{ending}" for ending in ("txt", "conll", "bio", "tsv")) for split in ("train", "dev", "test")}


def msra_ner(*, data: Path, check: bool = True) -> FileTask:
    """Persons, organisations and places in news."""
    return FileTask(MSRA, data, head="tagging", read=read_columns, check=check)


def peoples_daily_ner(*, data: Path, check: bool = True) -> FileTask:
    """Persons, organisations and places in the People's Daily."""
    return FileTask(PEOPLES_DAILY, data, head="tagging", read=read_columns, check=check)


def tagging(*, data: Path, labels: list[str] | None = None, dev_rate: float | None = None) -> FileTask:
    """Your own sentences: train, dev and test as .txt, .conll, .bio or .tsv, a character or word and its tag on each line.

    `data` may be one file, of which `dev_rate` holds a part back.
    """
    spelling = spelling_of(labels or (), lambda tag: "task.labels: ").tags
    tags = [spelling[label] for label in labels or ()]
    return FileTask(own_data("tagging", OWN, DEFAULTS), data, head="tagging", read=read_columns, labels=tags, dev_rate=dev_rate)


def read_columns(text: TextFile) -> Reading:
    """Read columns separated by tabs or else blanks: the unit is the first, its tag the last. A line without a unit tags a blank.

    A file with one column alone has units without tags.
    """
    is_tagged = any(len(line.split()) > 1 for line in lines(text) if not line.startswith("-DOCSTART-"))
    sentences: list[tuple[list[str], list[str]]] = []
    units: list[str] = []
    tags: list[str] = []
    first_lines: dict[str, int] = {}
    width: tuple[int, int] | None = None  # columns, and the first line that has them
    for number, line in enumerate((*lines(text), ""), 1):
        if not line.strip():
            if units:
                sentences.append((units, tags))
                units, tags = [], []
        elif not line.startswith("-DOCSTART-"):
            cells = line.split("\t") if "\t" in line else _columns(line)
            unit, *_, tag = cells
            if (plain(unit), plain(tag)) in HEADERS:
                raise UserError(f"{text.path}:{number}: {quoted(line)} names the columns; remove it: files of tags have no header line")
            if not is_tagged:
                units.append(unit.strip() or " ")
                continue
            if not tag or tag.isspace():
                raise UserError(f"{text.path}:{number}: {quoted(line)}; expected a character or word and its tag")
            if unit:
                width = width or (len(cells), number)
                if len(cells) != width[0]:
                    raise UserError(f"{text.path}:{number}: {len(cells)} columns ({quoted(line)}); line {width[1]} has {width[0]}")
            units.append(unit or " ")
            tags.append(tag.strip())
            first_lines.setdefault(tags[-1], number)
    if not is_tagged:
        examples = [TaggedExample(str(number), tuple(units), None) for number, (units, _) in enumerate(sentences)]
        return Reading(examples, ["one column: units without tags"])
    _expect_units(sentences, str(text.path))
    spelling = spelling_of(first_lines, lambda tag: f"{text.path}:{first_lines[tag]}: ")
    examples = [
        TaggedExample(str(number), tuple(units), tuple(map(spelling.tags.__getitem__, tags)))
        for number, (units, tags) in enumerate(sentences)
    ]
    between = f"; the {width[0] - 2} columns between unit and tag are not read" if width and width[0] > 2 else ""
    return Reading(examples, [spelling.description + between] if first_lines else [])


def _expect_units(sentences: Sequence[tuple[list[str], list[str]]], where: str) -> None:
    """Raises: UserError if the first column holds tags, or the number of each unit in its sentence."""
    units = [unit for sentence, _ in sentences for unit in sentence]
    tag = next((unit for unit in units if is_tag(unit)), None)
    if tag and all(unit in OUTSIDE_SPELLINGS or is_tag(unit) for unit in units):
        raise UserError(f"{where}: the first column holds tags, such as {tag}; expected a character or word first and its tag last")
    for first in (0, 1):
        if len(units) > len(sentences) and all(
            unit == str(number) for sentence, _ in sentences for number, unit in enumerate(sentence, first)
        ):
            raise UserError(f"{where}: the first column counts from {first}; expected a character or word first: take that column out")


def _columns(line: str) -> list[str]:
    cells = line.rstrip(" ").split(" ")
    return cells if len(cells) > 1 else [cells[0], ""]
