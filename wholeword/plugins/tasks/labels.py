"""Labels that are one class in two spellings, and a part of train that is held back as dev."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wholeword.core.contracts.tasks import Example, SpanExample, TaggedExample, TextExample
from wholeword.core.errors import UserError
from wholeword.core.text_files import quoted

SEPARATORS = re.compile(r"[|,;，；、/ ]")


def expect_different(counts: Mapping[str, int], path: Path | None) -> None:
    """Refuse labels that differ in case, width or as `1` and `1.0` do, and those that are several others, as `a|b` beside `a` and `b`.

    Args:
        counts: how often each label occurs.
    """
    spellings: dict[str, str] = {}
    for label in sorted(counts):
        other = spellings.setdefault(_meaning(label), label)
        if other != label:
            places = f"{quoted(other)} ({counts[other]:,} examples) and {quoted(label)} ({counts[label]:,} examples)"
            raise UserError(f"{path}: labels {places} look like one class; write them alike, or list both under task.labels")
        parts = SEPARATORS.split(label)
        if len(parts) > 1 and all(part.strip() in counts for part in parts):
            raise UserError(
                f"{path}: label {quoted(label)} ({counts[label]:,} examples) looks like several; one label for a text is supported"
            )


def _meaning(label: str) -> str:
    visible = "".join(character for character in label if unicodedata.category(character) != "Cf")
    plain = unicodedata.normalize("NFKC", visible).casefold().strip()
    try:
        number = float(plain)
    except ValueError:
        return plain
    return str(int(number)) if number.is_integer() else str(number)


def without_hidden(examples: Sequence[TextExample], known: Collection[str]) -> list[TextExample] | None:
    """The examples without labels if all labels are -1, which libraries write for hidden ones; else None."""
    hidden = {example.label for example in examples} in ({"-1"}, {"-1.0"})
    return [example._replace(label=None) for example in examples] if hidden and not {"-1", "-1.0"} & set(known) else None


class HeldBack(NamedTuple):
    """Train in two parts."""

    train: list[Any]
    dev: list[Any]
    description: str


def held_back(examples: Sequence[Example], rate: float, where: str) -> HeldBack:
    """Hold back about a share of the examples, chosen by their text alone: neither the order of the file nor the machine matters.

    Examples with the same text, and questions about the same context, stay together.

    Raises: UserError if a part would be empty.
    """
    keys = [_key(example) for example in examples]
    most = round(len(examples) * rate)
    chosen: set[str] = set()
    count = 0
    sizes: dict[str, int] = {}
    for key in keys:
        sizes[key] = sizes.get(key, 0) + 1
    for key in sorted(sizes):
        if count >= most:
            break
        chosen.add(key)
        count += sizes[key]
    dev = [example for key, example in zip(keys, examples, strict=True) if key in chosen]
    train = [example for key, example in zip(keys, examples, strict=True) if key not in chosen]
    if not dev or not train:
        raise UserError(
            f"{where}: task.dev_rate {rate} of {len(examples):,} examples leaves {len(train):,} for train and {len(dev):,} for dev"
        )
    return HeldBack(train, dev, f"{where}: {len(dev):,} of {len(examples):,} examples are held back as dev (dev_rate {rate:g})")


def _key(example: Example) -> str:
    text: Any = (
        example.context if isinstance(example, SpanExample) else example[1:2] if isinstance(example, TaggedExample) else example[1:3]
    )
    return hashlib.sha256(json.dumps(text).encode()).hexdigest()
