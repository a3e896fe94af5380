"""Sentences with a tag for each character or word: one on each line, an empty line between sentences."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wholeword.core.contracts.tasks import TaggedExample
from wholeword.core.errors import UserError
from wholeword.plugins.tasks.files import Dataset, File, FileTask, Text, lines, own_data

ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

# assumed: the seeds give no values for tagging
DEFAULTS: Mapping[str, Any] = {"learning_rate": 3e-5, "batch_size": 64, "epochs": 3, "max_seq_length": 256, "warmup_rate": 0.1}

MSRA = Dataset(
    "MSRA NER",
    "https://github.com/OYE93/Chinese-NLP-Corpus/tree/master/NER/MSRA",
    "SIGHAN bakeoff 2006, for research",
    {  # 46,364 and 4,365 sentences in the bakeoff; 45,000 and 3,442 in the files that the seeds name
        "train": File(("msra_train_bio.txt", "msra_train_bio", "train.txt"), (45_000, 46_364)),
        "dev": File(("msra_dev_bio.txt", "dev.txt")),
        "test": File(("msra_test_bio.txt", "msra_test_bio", "test.txt"), (3_442, 4_365)),
    },
    ENTITIES,
    DEFAULTS,
)
PEOPLES_DAILY = Dataset(
    "People's Daily NER",
    "https://github.com/ymcui/Chinese-BERT-wwm/tree/master/data/peopledaily (or OYE93/Chinese-NLP-Corpus)",
    "not stated",
    {
        "train": File(("example.train", "train.txt"), (20_864,)),
        "dev": File(("example.dev", "dev.txt"), (2_318,)),
        "test": File(("example.test", "test.txt"), (4_636,)),
    },
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


def tagging(*, data: Path, labels: list[str] | None = None) -> FileTask:
    """Your own sentences: train, dev and test as .txt, .conll, .bio or .tsv, a character or word and its tag on each line."""
    return FileTask(own_data("tagging", OWN, DEFAULTS), data, head="tagging", read=read_columns, labels=labels or ())


def read_columns(text: Text) -> list[TaggedExample]:
    """Read columns separated by tabs or else blanks: the unit is the first, its tag the last. A line without a unit tags a blank."""
    examples: list[TaggedExample] = []
    units: list[str] = []
    tags: list[str] = []
    for number, line in enumerate((*lines(text), ""), 1):
        if not line.strip():
            if units:
                examples.append(TaggedExample(str(len(examples)), tuple(units), tuple(tags)))
                units, tags = [], []
        elif not line.startswith("-DOCSTART-"):
            unit, *_, tag = line.split("\t") if "\t" in line else _columns(line)
            if not tag or tag.isspace():
                raise UserError(f"{text.path}:{number}: {line!r}; expected a character or word and its tag")
            units.append(unit or " ")
            tags.append(tag.strip())
    return examples


def _columns(line: str) -> list[str]:
    cells = line.rstrip(" ").split(" ")
    return cells if len(cells) > 1 else [cells[0], ""]
