"""Google's own code, unmodified, makes the same rows from the same text: `compat: google` from the characters of a file on."""

import json
import random
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from wholeword.core.data.chunks import CorpusReader
from wholeword.core.data.corpus import CorpusLayout, expand_files
from wholeword.core.data.documents import read_passages
from wholeword.core.data.google import Symbols, create_instances
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.vocabulary import Vocabulary

HOSTILE = Path(__file__).parents[1] / "data" / "google_hostile"
SETTINGS = {"max_seq_length": 64, "dupe_factor": 2, "short_seq_prob": 0.1, "masked_lm_prob": 0.15, "max_predictions_per_seq": 10}
SEED = 12345

LETTERS = (
    "使用语言模型aAbBé12 ，。.-'ΑΣσİßΆカ\u3099ガ한한한\u0301\u0316\u0334\u302e\u200b\u200d\ufeff\u00ad\u00a0\u2028\x85\x1c\r\t\x00\ufffd"
)
RARE = "\ue000\uf8ff\U000f0001\U0002b81f\U0002b820\U0002b91f\U0002ceaf\U00030000\U0002f800\u2e43\u061d\u0378\U0001f600\u037e\u1fef\u2260"


CODES = [*range(0xD800), *range(0xE000, 0x110000)]


@pytest.fixture(scope="module")
def google() -> Any:
    """`create_pretraining_data` and `tokenization` of the package bert-tensorflow."""
    from absl import flags
    from bert import create_pretraining_data

    flags.FLAGS(["test"], known_only=True)
    return create_pretraining_data


@pytest.fixture(scope="module", autouse=True)
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """This environment has wholeword's code, but not its entry point, which names the corpus formats."""
    site = tmp_path_factory.mktemp("site")
    info = site / "wholeword-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wholeword\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[wholeword]\nbuiltin = wholeword.plugins\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        yield


def tokenizer_of(google: Any, vocabulary: Path, lowercase: bool) -> Any:
    return google.tokenization.FullTokenizer(str(vocabulary), do_lower_case=lowercase)


def googles_rows(google: Any, files: list[Path], vocabulary: Path, lowercase: bool = True, **changes: Any) -> list[dict[str, Any]]:
    """What its `create_training_instances` makes of some files."""
    tokenizer = tokenizer_of(google, vocabulary, lowercase)
    rows = google.create_training_instances(list(map(str, files)), tokenizer, rng=random.Random(SEED), **(SETTINGS | changes))
    names = ("tokens", "segment_ids", "is_random_next", "masked_lm_positions", "masked_lm_labels")
    return [{name: getattr(row, name) for name in names} for row in rows]


def our_rows(files: list[Path], vocabulary: Vocabulary, lowercase: bool = True, **changes: Any) -> list[dict[str, Any]]:
    """The same by our reader, tokenizer and draws."""
    settings = SETTINGS | changes
    layout = CorpusLayout(tuple(map(str, files)))
    tokenizer = WordPieceTokenizer(vocabulary, lowercase)
    documents = []
    for chunk in CorpusReader(expand_files(layout), layout).chunks():
        for passage in read_passages(chunk, layout, chunk.counts, google=True):
            for first, end in pairwise([*passage.document_starts.tolist(), len(passage.sentences)]):
                encoded = tokenizer.encode_batch(passage.sentences[first:end])
                tokens = [(vocabulary.pieces[id], False) for id in encoded.ids.tolist()]
                sentences = [tokens[begin:stop] for begin, stop in pairwise(encoded.sentence_pieces.tolist()) if stop > begin]
                documents += [sentences] if sentences else []
    made = create_instances(
        documents,
        symbols=Symbols("[CLS]", "[SEP]", "[MASK]", vocabulary.pieces),
        seed=SEED,
        rate=settings["masked_lm_prob"],
        max_predictions=settings["max_predictions_per_seq"],
        short_seq_rate=settings["short_seq_prob"],
        whole_words=False,
        **{key: settings[key] for key in ("max_seq_length", "dupe_factor")},
    )
    return [
        {
            "tokens": row.row.tokens,
            "segment_ids": row.segment_ids,
            "is_random_next": row.is_random_next,
            "masked_lm_positions": row.row.positions,
            "masked_lm_labels": row.row.labels,
        }
        for row in made
    ]


def hostile_line(generator: random.Random) -> str:
    """Words of every sort, long and short; some lines are white space."""
    kind = generator.random()
    if kind < 0.15:
        return "".join(generator.choice(" \t\u3000\u00a0\u2003\x1c\r\u2028\x85\u200b") for _ in range(generator.randint(0, 3)))
    if kind < 0.25:
        return generator.choice(["a", "ab", "é", "e\u0301", "の", "\ue000"]) * generator.randint(95, 210)
    characters = generator.choices(LETTERS + RARE if generator.random() < 0.5 else LETTERS, k=generator.randint(1, 80))
    return "".join(character if generator.random() < 0.97 else chr(generator.choice(CODES)) for character in characters).replace("\n", "")


def test_the_rows_of_the_core_tests_are_googles(google: Any) -> None:
    rows = googles_rows(google, [HOSTILE / "text.txt"], HOSTILE / "vocab.txt")
    assert rows == [json.loads(line) for line in (HOSTILE / "instances.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.mark.parametrize("lowercase", [True, False])
def test_rows_of_hostile_text_are_googles(google: Any, tmp_path: Path, lowercase: bool) -> None:
    vocabulary = Vocabulary.read(HOSTILE / "vocab.txt")
    generator, differing, made = random.Random(7), 0, 0
    for number in range(40):
        files = [tmp_path / f"{number}-{part}.txt" for part in range(2)]
        for file in files:
            lines = [hostile_line(generator) for _ in range(generator.randint(1, 60))]
            file.write_bytes("\n".join([*lines, "", ""]).encode())
        changes = {"max_seq_length": generator.choice([16, 64, 128]), "short_seq_prob": generator.choice([0.0, 0.5])}
        expected = googles_rows(google, files, HOSTILE / "vocab.txt", lowercase, **changes)
        rows = our_rows(files, vocabulary, lowercase, **changes)
        assert len(rows) == len(expected)
        made += len(rows)
        differing += sum(row != other for row, other in zip(rows, expected, strict=True))
    assert made > 2000 and not differing


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_character_has_googles_pieces(google: Any, lowercase: bool) -> None:
    vocabulary = Vocabulary.read(HOSTILE / "vocab.txt")
    theirs, ours = tokenizer_of(google, HOSTILE / "vocab.txt", lowercase), WordPieceTokenizer(vocabulary, lowercase)
    assigned = [code for code in CODES if unicodedata.category(chr(code)) not in ("Cn", "Co")]
    for first in range(0, len(assigned), 1000):
        sentences = [f"的{chr(code)}a{chr(code)}\u0301b" for code in assigned[first : first + 1000]]
        encoded = ours.encode_batch(sentences)
        expected = [theirs.convert_tokens_to_ids(theirs.tokenize(sentence)) for sentence in sentences]
        assert [encoded.ids[begin:end].tolist() for begin, end in pairwise(encoded.sentence_pieces.tolist())] == expected


def test_lines_of_any_length_stay_whole(google: Any, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("使用语言模型，ab " * 12_000 + "\n一个词\n\n下一个词\n", encoding="utf-8")
    settings = {"dupe_factor": 1, "max_seq_length": 512}
    expected = googles_rows(google, [tmp_path / "text.txt"], HOSTILE / "vocab.txt", **settings)
    assert our_rows([tmp_path / "text.txt"], Vocabulary.read(HOSTILE / "vocab.txt"), **settings) == expected
