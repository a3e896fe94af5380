"""The splits that published tables have, in their order."""

from collections.abc import Collection
from typing import NamedTuple


class SplitTitle(NamedTuple):
    """What tables and pictures call a split."""

    english: str
    chinese: str


SPLITS = {
    "dev": SplitTitle("Development", "开发集"),
    "test": SplitTitle("Test", "测试集"),
    "challenge": SplitTitle("Challenge", "挑战集"),
}


def split_title(split: str) -> str:
    """The English title of a split; of an unknown one, its name."""
    return SPLITS[split].english if split in SPLITS else split


def ordered_splits(splits: Collection[str]) -> list[str]:
    """The splits of published tables first, in their order; then the others as given."""
    return [split for split in SPLITS if split in splits] + [split for split in splits if split not in SPLITS]
