"""A corpus of several shards, recipes over it, and segmenters, for the tests of prepare."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

from wholeword.core.config import load_recipe

SMALL = Path(__file__).parents[2] / "data" / "google_small"


DOCUMENTS = json.loads((SMALL / "documents.json").read_text(encoding="utf-8"))["documents"]


LATIN = ["使用BERT和probability，2027年3月1日。", "ＡＢＣ、é、한국어、か、🇨🇳。", "New York 的deep learning"]


RECIPE = """
version: 1
name: test
corpus: {{files: ["*.txt"], shard_mb: 1}}
tokenizer: {{vocab: {vocabulary}}}
model: {{size: tiny}}
phases: [{{max_seq_length: 32, batch_size: 2, steps: 1, peak_lr: 1e-4}}]
output: {folder}/run
"""


def write_corpus(folder: Path, megabytes: float = 2.3, files: int = 2) -> None:
    """Real sentences in random order, so that shards differ."""
    generator = random.Random(6)
    sentences = [*(sentence for document in DOCUMENTS for sentence in document), *LATIN]
    for number in range(files):
        lines, size = [], 0
        while size < megabytes * 2**20 / files:
            document = [*generator.choices(sentences, k=generator.randint(1, 9)), ""]
            size += sum(len(line.encode()) + 1 for line in document)
            lines += document
        (folder / f"{number}.txt").write_text("\n".join(lines), encoding="utf-8")


def recipe_in(folder: Path, *overrides: str, vocabulary: Path = SMALL / "vocab.txt"):
    (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder, vocabulary=vocabulary), encoding="utf-8")
    return load_recipe(folder / "recipe.yaml", list(overrides))


def hashes(store: Path) -> dict[str, str]:
    return {path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(store.rglob("*"))}


BUILD = """
import sys
from wholeword.core.config import load_recipe
from wholeword.core.config.preparation import prepare_job
from wholeword.core.training.prepare import prepare
if __name__ == "__main__":
    recipe = load_recipe(sys.argv[1], sys.argv[2:])
    print(prepare(prepare_job(recipe), progress=lambda done, total, tokens: print(done, flush=True)))
"""


def start(folder: Path, script: Path, *overrides: str, source: str = BUILD) -> subprocess.Popen:
    script.write_text(source)
    arguments = [sys.executable, str(script), str(folder / "recipe.yaml"), *overrides]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


class Lossy:
    """Loses every seventh character and doubles the words before it."""

    def segment(self, sentences):
        return [[word for place, word in enumerate(sentence) if place % 7] * (1 + len(sentence) % 2) for sentence in sentences]


class Cuts:
    """Words of one to four characters that depend on the text alone."""

    def segment(self, sentences):
        words = []
        for sentence in sentences:
            generator = random.Random(sentence)
            words.append([])
            while sentence:
                size = generator.randint(1, 4)
                words[-1].append(sentence[:size])
                sentence = sentence[size:]
        return words
