"""What the tests of reports share: a vocabulary of single characters, random documents, and a small corpus."""

import json
import random
from pathlib import Path

from wholeword.cli import main
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.reports.masks import Masking

DATA = Path(__file__).parents[2] / "data"
SMALL = DATA / "google_small"
DOCUMENTS = json.loads((SMALL / "documents.json").read_text(encoding="utf-8"))["documents"]
TEXT = [sentence for document in DOCUMENTS for sentence in document]
HAN = [chr(0x4E00 + number) for number in range(300)]
VOCABULARY = Vocabulary([*SPECIAL_PIECES, *HAN, *(f"##{letter}" for letter in "abcdefg")])
HOSTILE = "<script>alert('&amp;')</script>\"><img src=x onerror=1>"


def whole_word(**settings):
    rate = settings.get("rate", 0.15)
    lengths = settings.pop("lengths", [(32, 5)])
    about = {key: settings.pop(key) for key in ("examples", "held_out_rate") if key in settings}
    return Masking(registry.create("masking", "whole-word", **settings), "whole-word", {}, rate, lengths, **about)


def random_documents(seed, count=60):
    """Documents of sentences of (id, whether a word begins), some of them repeated."""
    generator = random.Random(seed)
    documents = []
    for _ in range(count):
        if documents and generator.random() < 0.2:
            documents.append(generator.choice(documents))
            continue
        lengths = [generator.randint(1, 40) for _ in range(generator.randint(1, 5))]
        documents.append([[(generator.randrange(5, len(VOCABULARY)), generator.random() < 0.5) for _ in range(size)] for size in lengths])
    return documents


def as_arrays(documents):
    return [[tuple(zip(*sentence, strict=True)) for sentence in document] for document in documents]


def printed(capsys, *arguments):
    """The output of a command, or its exit code and error."""
    capsys.readouterr()
    try:
        main(list(map(str, arguments)))
    except SystemExit as stop:
        if stop.code:
            return f"{stop.code}: {capsys.readouterr().err.strip()}"
    return capsys.readouterr().out
