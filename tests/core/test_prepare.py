import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.config import load_recipe
from wholeword.core.config.preparation import prepare_job
from wholeword.core.data import shards
from wholeword.core.data.align import mark_words, pieces_of, walk
from wholeword.core.data.batches import BatchSource
from wholeword.core.data.examples import build_examples
from wholeword.core.data.store import TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.data.word_cache import WordCache
from wholeword.core.errors import DiskError, IntegrityError, PluginError, UserError
from wholeword.core.registry.registry import registry
from wholeword.core.training.prepare import prepare
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.plugins.masking.whole_word import WholeWord

SMALL = Path(__file__).parents[1] / "data" / "google_small"
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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a corpus and its store, built by one process."""
    folder = tmp_path_factory.mktemp("built")
    write_corpus(folder)
    prepare(prepare_job(recipe_in(folder, "prepare_workers=1")))
    return folder


def test_the_store_holds_the_pieces_and_words_of_every_sentence(built):
    store = TokenStore(built / "run/store")
    tokenizer, segmenter = WordPieceTokenizer(store.vocabulary, True), registry.create("segmenter", "jieba")
    lines = [text.split("\n") for text in "\n\n".join((built / f"{n}.txt").read_text(encoding="utf-8") for n in (0, 1)).split("\n\n")]
    documents = [[line for line in document if line] for document in lines if any(document)]
    assert store.num_documents == len(documents) and store.num_sentences == sum(map(len, documents)) and len(store.shards) == 3
    for number in range(0, len(documents), 97):
        borders = store.sentence_tokens(*store.document_sentences(number))
        words = segmenter.segment(documents[number])
        for sentence, line, first, end in zip(documents[number], words, borders[:-1], borders[1:], strict=True):
            ids, word_starts = store.gather([first], [end - first])
            aligned = pieces_of(sentence, line, tokenizer)
            assert ids.tolist() == aligned.ids.tolist() and word_starts.tolist() == aligned.word_starts.tolist()


def test_the_manifest_says_what_the_store_was_made_of(built):
    manifest = TokenStore(built / "run/store").manifest
    text = [(built / f"{number}.txt").read_bytes() for number in (0, 1)]
    assert manifest["corpus"] == [
        {"name": f"{number}.txt", "bytes": len(text[number]), "sha256": hashlib.sha256(text[number]).hexdigest()} for number in (0, 1)
    ]
    assert manifest["segmenter"]["name"] == "jieba" and manifest["segmenter"]["version"].startswith("rjieba ")
    assert manifest["segmenter"]["settings"] == {"hmm": True, "user_dictionary": None}
    assert manifest["vocabulary_sha256"] == Vocabulary.read(SMALL / "vocab.txt").sha256
    counts = manifest["counts"]
    assert counts["num_tokens"] > counts["num_words"] > counts["num_sentences"] > counts["num_documents"] > 0 < counts["num_unknown"]
    assert counts["num_characters"] == sum(len(line.strip()) for part in text for line in part.decode().split("\n"))
    assert counts["num_fallbacks"] == counts["num_replaced"] == counts["num_duplicates"] == counts["num_cut"] == 0
    assert str(built) not in json.dumps(manifest)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_bytes_do_not_depend_on_the_number_of_workers(built, tmp_path, workers):
    seen = []
    store = prepare(
        prepare_job(recipe_in(built, f"prepare_workers={workers}", f"output={tmp_path}")), progress=lambda *progress: seen.append(progress)
    )
    assert hashes(store) == hashes(built / "run/store")
    total = sum((built / f"{number}.txt").stat().st_size for number in (0, 1))
    assert seen[-1] == (total, total, TokenStore(store).num_tokens)
    assert seen == sorted(seen)


def test_a_finished_store_is_used_again(built):
    before = {path: path.stat().st_mtime_ns for path in (built / "run/store").iterdir()}
    assert prepare(prepare_job(recipe_in(built, "prepare_workers=2", "seed=9"))) == built / "run/store"
    assert {path: path.stat().st_mtime_ns for path in (built / "run/store").iterdir()} == before


def test_a_finished_store_does_without_its_corpus(built, tmp_path):
    shutil.copytree(built / "run", tmp_path / "run")
    assert prepare(prepare_job(recipe_in(tmp_path))) == tmp_path / "run/store"
    with pytest.raises(UserError, match=r"segmenter\.name was 'jieba', is 'characters'"):
        prepare(prepare_job(recipe_in(tmp_path, "segmenter=characters")))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("segmenter=characters", r"segmenter\.name was 'jieba', is 'characters'"),
        ("segmenter={name: jieba, hmm: false}", r"segmenter\.settings\.hmm was True, is False"),
        ("tokenizer.lowercase=false", r"tokenizer\.lowercase was True, is False"),
        ("corpus.shard_mb=2", r"corpus\.shard_mb was 1, is 2"),
        ("corpus.files=[0.txt]", r"1\.txt is not there any more"),
        ("corpus.files=[1.txt, 0.txt]", "another order"),
    ],
)
def test_a_store_of_another_recipe_is_refused_and_kept(built, override, message):
    before = hashes(built / "run/store")
    with pytest.raises(UserError, match=message):
        prepare(prepare_job(recipe_in(built, override)))
    assert hashes(built / "run/store") == before


def test_a_mistake_that_nothing_was_built_with_is_forgotten(tmp_path):
    write_corpus(tmp_path, 0.1)
    (tmp_path / "words.dict").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"words\.dict"):
        prepare(prepare_job(recipe_in(tmp_path, "segmenter={name: jieba, user_dictionary: words.dict}")))
    assert (tmp_path / "run" / "store.partial").exists()
    assert prepare(prepare_job(recipe_in(tmp_path))) == tmp_path / "run" / "store"


def test_a_changed_corpus_is_told(tmp_path):
    write_corpus(tmp_path, 0.1)
    prepare(prepare_job(recipe_in(tmp_path)))
    with open(tmp_path / "1.txt", "ab") as file:
        file.write(b"\n")
    with pytest.raises(UserError, match=r"1\.txt had [\d,]+ bytes, has [\d,]+ bytes; set 'store' to another folder"):
        prepare(prepare_job(recipe_in(tmp_path)))


def test_a_folder_that_is_no_store_is_left_alone(tmp_path):
    write_corpus(tmp_path, 0.1)
    (tmp_path / "run" / "store").mkdir(parents=True)
    (tmp_path / "run" / "store" / "mine").write_text("x")
    with pytest.raises(IntegrityError, match=r"manifest\.json: missing"):
        prepare(prepare_job(recipe_in(tmp_path)))
    os.rename(tmp_path / "run" / "store", tmp_path / "run" / "store.partial")
    with pytest.raises(UserError, match="holds something else"):
        prepare(prepare_job(recipe_in(tmp_path)))
    assert (tmp_path / "run" / "store.partial" / "mine").read_text() == "x"


BUILD = """
import sys
from wholeword.core.config import load_recipe
from wholeword.core.config.preparation import prepare_job
from wholeword.core.training.prepare import prepare
if __name__ == "__main__":
    recipe = load_recipe(sys.argv[1], sys.argv[2:])
    print(prepare(prepare_job(recipe), progress=lambda done, total, tokens: print(done, flush=True)))
"""


INTERRUPTED = """
import os, signal, sys
from wholeword.core.config import load_recipe
from wholeword.core.config.preparation import prepare_job
from wholeword.core.training.prepare import prepare

def interrupt(done, total, tokens):  # as a terminal does: this process and its workers, in the middle of the work, once
    if done and not seen:
        seen.append(done)
        os.killpg(0, signal.SIGINT)

seen = []
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
    prepare(prepare_job(load_recipe(sys.argv[1], sys.argv[2:])), progress=interrupt)
"""


def start(folder: Path, script: Path, *overrides: str, source: str = BUILD) -> subprocess.Popen:
    script.write_text(source)
    arguments = [sys.executable, str(script), str(folder / "recipe.yaml"), *overrides]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_a_killed_build_goes_on_to_the_same_bytes(built, tmp_path):
    """Killed at ten random moments, of the build by one process or by two, and with damage to what was finished in between."""
    generator = random.Random(8)
    expected = hashes(built / "run/store")
    kills = 0
    while kills < 10:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        while not (tmp_path / "run/store").exists() and kills < 10:
            with start(built, tmp_path / "build.py", f"output={tmp_path}/run", f"prepare_workers={generator.choice([1, 1, 2])}") as process:
                for _ in range(generator.randrange(1, 60)):
                    if not process.stdout.readline():
                        break
                for _ in range(generator.randrange(50_000)):
                    pass
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            finished = sorted((tmp_path / "run/store.partial/store").glob("shard-*"))
            if finished and generator.random() < 0.3:
                os.truncate(generator.choice(finished), 1000)
        assert hashes(prepare(prepare_job(recipe_in(built, f"output={tmp_path}/run", "prepare_workers=1")))) == expected
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["store"]


def test_finished_shards_are_not_built_again(built, tmp_path):
    def stop(done, total, tokens):
        if done > 1.5 * 2**20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(prepare_job(recipe_in(built, f"output={tmp_path}", "prepare_workers=1")), progress=stop)
    first = tmp_path / "store.partial/store/shard-00000.bin"
    before = first.stat().st_mtime_ns
    with pytest.raises(UserError, match=r"store\.partial: .*shard_mb was 1, is 2"):
        prepare(prepare_job(recipe_in(built, f"output={tmp_path}", "corpus.shard_mb=2")))
    assert prepare(prepare_job(recipe_in(built, f"output={tmp_path}", "prepare_workers=1"))) == tmp_path / "store"
    assert (tmp_path / "store" / first.name).stat().st_mtime_ns == before


def test_a_shard_whose_text_has_changed_is_built_again(tmp_path):
    write_corpus(tmp_path, 1.2)
    half = (f"output={tmp_path}/run", "prepare_workers=1")
    with pytest.raises(ZeroDivisionError):
        prepare(prepare_job(recipe_in(tmp_path, *half)), progress=lambda done, total, tokens: done > 2**20 and 1 // 0)
    assert list((tmp_path / "run/store.partial/receipts").iterdir())
    text = (tmp_path / "0.txt").read_text(encoding="utf-8")
    (tmp_path / "0.txt").write_text(text[:5000][::-1] + text[5000:], encoding="utf-8")  # as long as before
    resumed = hashes(prepare(prepare_job(recipe_in(tmp_path, *half))))
    assert resumed == hashes(prepare(prepare_job(recipe_in(tmp_path, f"output={tmp_path}/anew"))))


def test_an_interrupted_build_by_processes_ends_quietly_and_goes_on(built, tmp_path):
    with start(built, tmp_path / "build.py", f"output={tmp_path}/run", "prepare_workers=2", source=INTERRUPTED) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and errors.count("Traceback") == 1  # its own KeyboardInterrupt, none of a worker
    assert hashes(prepare(prepare_job(recipe_in(built, f"output={tmp_path}/run")))) == hashes(built / "run/store")


def test_two_builds_of_one_store_do_not_mix(built, tmp_path):
    def second(done, total, tokens):
        with pytest.raises(UserError, match="another process is building this store"):
            prepare(prepare_job(recipe_in(built, f"output={tmp_path}")))
        seen.append(done)

    seen: list[int] = []
    prepare(prepare_job(recipe_in(built, f"output={tmp_path}", "prepare_workers=1")), progress=second)
    assert seen and hashes(tmp_path / "store") == hashes(built / "run/store")


def test_a_vocabulary_trained_from_the_corpus_is_part_of_the_build(tmp_path):
    write_corpus(tmp_path, 0.3)
    trained = ("tokenizer={train: 900}", f"output={tmp_path}/trained")

    def stop(done, total, tokens):
        if tokens:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(prepare_job(recipe_in(tmp_path, *trained)), progress=stop)
    vocabulary = (tmp_path / "trained/store.partial/store/vocab.txt").read_bytes()
    store = TokenStore(prepare(prepare_job(recipe_in(tmp_path, *trained))))
    assert store.vocabulary.to_bytes() == vocabulary and store.vocabulary.ids["[PAD]"] == 0
    assert store.manifest["counts"]["num_unknown"] == 0
    assert prepare(prepare_job(recipe_in(tmp_path, *trained))) == tmp_path / "trained/store"


def test_a_corpus_that_changes_under_a_trained_vocabulary_is_told(tmp_path):
    write_corpus(tmp_path, 0.3)
    trained = ("tokenizer={train: 900}", f"output={tmp_path}/trained")
    with pytest.raises(ZeroDivisionError):
        prepare(prepare_job(recipe_in(tmp_path, *trained)), progress=lambda done, total, tokens: tokens and 1 // 0)
    text = (tmp_path / "1.txt").read_bytes()
    (tmp_path / "1.txt").write_bytes(text[len(text) // 2 :] + text[: len(text) // 2])
    with pytest.raises(UserError, match="changed since the vocabulary was trained"):
        prepare(prepare_job(recipe_in(tmp_path, *trained)))


def test_a_corpus_without_a_piece_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("\n \n\u200b\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"no text in a\.txt"):
        prepare(prepare_job(recipe_in(tmp_path)))


def test_an_error_of_a_worker_reaches_the_user(built, tmp_path):
    for number in range(2):
        shutil.copy(built / f"{number}.txt", tmp_path)
    with open(tmp_path / "1.txt", "ab") as file:
        file.write(b"\n\xb5\xff")
    with pytest.raises(UserError, match=r"1\.txt:\d+: byte 1 of the line \(0xb5\) is not UTF-8"):
        prepare(prepare_job(recipe_in(tmp_path, "prepare_workers=2")))


def test_presegmented_text_is_stored_without_its_separators(tmp_path):
    (tmp_path / "a.txt").write_text("使用 语言 模型 来 预测 。\n今天 下雨 了", encoding="utf-8")
    store = TokenStore(prepare(prepare_job(recipe_in(tmp_path, "segmenter=presegmented", "tokenizer={train: 64, min_frequency: 1}"))))
    ids, word_starts = store.gather([0], [store.num_tokens])
    assert "".join(store.vocabulary.pieces[id] for id in ids) == "使用语言模型来预测。今天下雨了"
    assert word_starts.astype(int).tolist() == [1, 0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1]
    assert store.manifest["counts"]["num_fallbacks"] == 0


class Broken:
    """A segmenter that cannot do one character."""

    version = "1"

    def segment(self, sentences):
        for sentence in sentences:
            yield None if "鸥" in sentence else list(sentence)


class Deadly:
    def segment(self, sentences):
        os.kill(os.getpid(), signal.SIGKILL)


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


class Registry:
    """Stands where the real one does, with segmenters of this file."""

    def __init__(self, segmenter):
        self.segmenter = segmenter

    def create(self, kind, name, **settings):
        return self.segmenter()

    def find(self, kind, name):
        return registry.find(kind, name)


def test_a_segmenter_that_breaks_its_contract_is_named_with_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "registry", Registry(Broken))
    (tmp_path / "a.txt").write_text("今天下雨。\n\n海鸥来了。", encoding="utf-8")
    with pytest.raises(PluginError, match=r"segmenter 'jieba' gave None for a sentence.*from '今天下雨。' at .*a\.txt:1"):
        prepare(prepare_job(recipe_in(tmp_path)))


DEADLY = """
import os
import wholeword

@wholeword.hookimpl
def register_segmenters(register):
    register("deadly", "deadly:Deadly")

class Deadly:
    def segment(self, sentences):
        os.kill(os.getpid(), 9)
"""


def test_a_worker_that_dies_is_told(built, tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY)
    metadata = tmp_path / "deadly-1.0.dist-info"  # as an installed package, so that workers find it too
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[wholeword]\ndeadly = deadly\n")
    (tmp_path / "build.py").write_text(BUILD)
    overrides = ["segmenter=deadly", f"output={tmp_path}/run", "prepare_workers=2"]
    arguments = [sys.executable, str(tmp_path / "build.py"), str(built / "recipe.yaml"), *overrides]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))}
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment)
    assert "WholewordError: one of 2 worker processes died" in result.stderr


TEXTS = st.text(
    st.sampled_from("使用语言模型。，“”aB12 é²½か가\u0301\u200b\ufffd\x00\t\u2028\r\u3000[]#") | st.characters(codec="utf-8"), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=10), segmenter=st.sampled_from(["jieba", Cuts, Lossy]))
def test_hostile_text_gives_its_pieces_and_no_more(tmp_path_factory, texts, segmenter):
    """Whatever the text and the segmenter: the pieces are those of the tokenizer, and every `##` piece is within a word."""
    folder = tmp_path_factory.mktemp("hostile")
    text = "\n\n".join(texts)
    (folder / "a.txt").write_bytes(text.encode())
    sentences = [line.strip() for line in text.split("\n")]
    tokenizer = WordPieceTokenizer(Vocabulary.read(SMALL / "vocab.txt"), True)
    expected = [tokenizer.encode(sentence)[0].tolist() for sentence in sentences]
    expected = [ids for ids in expected if ids]
    with pytest.MonkeyPatch.context() as patch:
        if segmenter != "jieba":
            patch.setattr(shards, "registry", Registry(segmenter))
        if not expected:
            with pytest.raises(UserError, match="no text"):
                prepare(prepare_job(recipe_in(folder)))
            return
        store = TokenStore(prepare(prepare_job(recipe_in(folder))))
    ids, word_starts = store.gather([0], [store.num_tokens])
    assert ids.tolist() == [id for sentence in expected for id in sentence]
    assert store.shards[0].sentence_ends.tolist() == [sum(map(len, expected[: number + 1])) for number in range(len(expected))]
    assert not (word_starts & store.vocabulary.is_continuation[ids]).any()
    assert all(word_starts[[0, *store.shards[0].sentence_ends[:-1]]])


MEMORY = """
import re, sys
from wholeword.core.config import load_recipe
from wholeword.core.data import compressed
from wholeword.core.config.preparation import prepare_job
from wholeword.core.training.prepare import prepare
compressed.BLOCK = 1 << 16
prepare(prepare_job(load_recipe(sys.argv[1], ["prepare_workers=1", "segmenter=characters"])))
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])  # ru_maxrss would count the parent before exec, too
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    peaks = []
    for megabytes in (2, 20):
        folder = tmp_path / str(megabytes)
        folder.mkdir()
        write_corpus(folder, megabytes)
        recipe_in(folder)
        result = subprocess.run([sys.executable, "-c", MEMORY, str(folder / "recipe.yaml")], capture_output=True, text=True, check=True)
        peaks.append(int(result.stdout))
    assert peaks[1] < 1.1 * peaks[0]


def test_a_full_disk_is_told_and_leaves_nothing_half(tmp_path):
    write_corpus(tmp_path, 1.2)
    recipe = recipe_in(tmp_path, "prepare_workers=1")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (100, 700, 1_500, 100_000):  # the first file that does not fit is another one each time
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            with pytest.raises(DiskError, match=r"store\.partial.*needs [\d,]+ bytes, [\d,]+ bytes are free"):
                prepare(prepare_job(recipe))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not (tmp_path / "run/store").exists()
    TokenStore(prepare(prepare_job(recipe)))


def test_a_file_that_a_setting_names_is_the_recipes_and_decides(tmp_path):
    (tmp_path / "a.txt").write_text("今天在码头边上船出海。", encoding="utf-8")
    (tmp_path / "words.txt").write_text("码头边上 99999\n", encoding="utf-8")
    override = "segmenter={name: jieba, user_dictionary: words.txt}"
    store = TokenStore(prepare(prepare_job(recipe_in(tmp_path, override, "tokenizer={train: 64, min_frequency: 1}"))))
    starts = store.gather([0], [store.num_tokens])[1]
    assert not starts[4:7].any()  # 码头边上 is one word
    assert str(tmp_path) not in json.dumps(store.manifest)
    (tmp_path / "words.txt").write_text("上船 9\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"segmenter\.settings\.user_dictionary\.sha256 was"):
        prepare(prepare_job(recipe_in(tmp_path, override, "tokenizer={train: 64, min_frequency: 1}")))


# --- words are kept, fallbacks and [UNK] are told


class Counting:
    """jieba, with a note of every call."""

    version = "1"
    calls: ClassVar[list[int]] = []

    def __init__(self, **settings):
        self.jieba = registry.create("segmenter", "jieba", **settings)

    def segment(self, sentences):
        self.calls.append(len(sentences))
        return self.jieba.segment(sentences)


def test_text_that_was_segmented_before_is_not_segmented_again(built, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "registry", Registry(Counting))
    monkeypatch.setattr(Counting, "calls", [])
    one = ["prepare_workers=1", f"cache={tmp_path / 'cache'}"]
    first = prepare(prepare_job(recipe_in(built, *one, f"output={tmp_path / 'a'}")))
    assert sum(Counting.calls) >= TokenStore(first).num_sentences
    calls = len(Counting.calls)
    again = prepare(prepare_job(recipe_in(built, *one, f"output={tmp_path / 'b'}")))
    assert len(Counting.calls) == calls and hashes(again) == hashes(first)
    other = prepare(
        prepare_job(recipe_in(built, *one, f"output={tmp_path / 'c'}", "tokenizer.lowercase=false"))
    )  # another recipe, the same words
    assert len(Counting.calls) == calls and TokenStore(other).num_tokens
    by_file = {path.name: path.read_bytes() for path in (built / "run/store").iterdir() if path.suffix == ".bin"}
    assert by_file == {path.name: path.read_bytes() for path in first.iterdir() if path.suffix == ".bin"}

    damaged = next((tmp_path / "cache").rglob("*.words"))
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    repaired = prepare(prepare_job(recipe_in(built, *one, f"output={tmp_path / 'd'}")))
    assert len(Counting.calls) > calls and hashes(repaired) == hashes(first)
    calls = len(Counting.calls)
    monkeypatch.setattr(Counting, "version", "2")  # another version, other words
    prepare(prepare_job(recipe_in(built, *one, f"output={tmp_path / 'e'}")))
    assert len(Counting.calls) > calls
    calls = len(Counting.calls)
    prepare(prepare_job(recipe_in(built, "prepare_workers=1", "cache=null", f"output={tmp_path / 'f'}")))
    assert len(Counting.calls) > calls


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=4), max_size=4), seed=st.integers(0, 100))
def test_kept_words_are_those_that_were_kept(tmp_path_factory, batches, seed):
    folder = tmp_path_factory.mktemp("words")
    segmenter = Lossy() if seed % 2 else Cuts()
    cache, words = WordCache(folder, {"segmenter": "x"}, "text"), []
    for sentences in batches:
        words.append(mark_words(sentences, segmenter.segment(sentences)))
        cache.add(sentences, words[-1])
    cache.save()
    again = WordCache(folder, {"segmenter": "x"}, "text")
    for sentences, kept in zip(batches, words, strict=True):
        found = again.get(sentences)
        assert found.starts.tolist() == kept.starts.tolist() and found.fallbacks == kept.fallbacks
    assert WordCache(folder, {"segmenter": "y"}, "text").get(["x"]) is None
    assert WordCache(folder, {"segmenter": "x"}, "text").get(["another sentence"]) is None


def test_fallbacks_and_unknown_texts_are_told(built, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "registry", Registry(Lossy))
    monkeypatch.setattr(Lossy, "version", "1", raising=False)
    store = TokenStore(prepare(prepare_job(recipe_in(built, "prepare_workers=1", f"output={tmp_path / 'lossy'}"))))
    manifest = store.manifest
    assert 0 < manifest["counts"]["num_fallback_sentences"] <= manifest["counts"]["num_fallbacks"]
    ends = np.concatenate([shard.token_offset + shard.sentence_ends.astype(np.int64) for shard in store.shards])
    first, end = store.fallback_tokens
    assert len(first) == manifest["counts"]["num_fallback_sentences"]
    assert set(end.tolist()) <= set(ends.tolist()) and set(first.tolist()) <= {0, *ends.tolist()} and (first < end).all()
    assert len(manifest["fallback_examples"]) == 20 and all(
        set(example) == {"where", "text", "words"} and example["where"].split(":")[0].endswith(".txt")
        for example in manifest["fallback_examples"]
    )
    for example in manifest["fallback_examples"]:
        assert walk(example["text"], example["words"])[1] > 0
    assert str(built) not in json.dumps(manifest["unknown"])
    assert TokenStore(built / "run/store").fallback_tokens.shape == (2, 0)  # jieba's words are always those of the text


def test_unknown_texts_are_counted(tmp_path):
    (tmp_path / "a.txt").write_text("他说：“好。”\n“好”😀\n" + "ǝ" * 120 + "\n", encoding="utf-8")
    manifest = TokenStore(prepare(prepare_job(recipe_in(tmp_path, "prepare_workers=1")))).manifest
    vocabulary = Vocabulary.read(SMALL / "vocab.txt")
    expected = Counter()
    tokenizer = WordPieceTokenizer(vocabulary, True)
    for line in (tmp_path / "a.txt").read_text(encoding="utf-8").split("\n"):
        ids, offsets = tokenizer.encode(line)
        expected.update(line[a:b] for id, (a, b) in zip(ids.tolist(), offsets.tolist(), strict=True) if id == vocabulary.unk_id)
    assert manifest["unknown"] == dict(expected)
    assert manifest["unknown"]["ǝ" * 120] == 1 and manifest["counts"]["num_unknown"] == expected.total()


def test_latin_phrases_are_split_or_kept(tmp_path):
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL_PIECES, "new", "york", "在", "读", "书"]), encoding="utf-8")
    (tmp_path / "a.txt").write_text("在New York读书\n", encoding="utf-8")
    starts = {}
    for what in ("split", "keep"):
        changes = [f"alignment.latin_phrases={what}", f"output={tmp_path / what}", "prepare_workers=1"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shards, "registry", Registry(Phrases))
            recipe = recipe_in(tmp_path, *changes, vocabulary=vocabulary)
            store = TokenStore(prepare(prepare_job(recipe)))
        starts[what] = store.gather([0], [5])[1].tolist()
    assert starts == {"split": [True, True, True, True, False], "keep": [True, True, False, True, False]}


class Phrases:
    version = "1"

    def segment(self, sentences):
        return [["在", "New York", "读书"] for _ in sentences]


def test_a_row_with_a_fallback_can_be_masked_piece_by_piece(built, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "registry", Registry(Rarely))
    store = TokenStore(prepare(prepare_job(recipe_in(built, "prepare_workers=1", f"output={tmp_path / 'rare'}"))))
    first, end = store.fallback_tokens
    arguments = {"examples": "nsp-pairs", "short_seq_rate": 0.1, "seed": 1, "max_seq_length": 64, "max_predictions": 10, "batch_size": 64}
    arguments |= {"dynamic": True, "dupe_factor": 1}
    rows = {"span": [], "sample": []}

    class Seeing(WholeWord):
        def mask(self, ids, word_starts, candidates, sample_ids, **context):
            rows[self.kind].append((word_starts | ~candidates).all(axis=1))
            return super().mask(ids, word_starts, candidates, sample_ids, **context)

    for kind in rows:
        strategy = Seeing()
        strategy.kind = kind
        source = BatchSource(store, strategy=strategy, fallback=kind, **arguments)
        for step in range(6):
            source.batch(step)
    examples = build_examples(
        store, name="nsp-pairs", max_seq_length=64, short_seq_rate=0.1, seed=1, epoch=0, documents="train", held_out_rate=0.0
    )
    numbers = [int(sample) for step in range(6) for sample in source.batch(step)["sample_ids"]]
    touched = [
        any(
            ((first < start + size) & (end > start)).any()
            for start, size in zip(examples.starts[number].tolist(), examples.lengths[number].tolist(), strict=True)
            if size
        )
        for number in numbers
    ]
    assert 20 < sum(touched) < len(touched) - 20
    single = np.concatenate(rows["sample"])[: len(touched)]
    assert single[touched].all() and not single[~np.array(touched)].any()
    assert not np.concatenate(rows["span"])[: len(touched)].any()


class Rarely(Cuts):
    """Loses a character of every ninth sentence or so."""

    version = "1"

    def segment(self, sentences):
        words = super().segment(sentences)
        return [line[1:] if len(sentence) % 9 == 0 else line for sentence, line in zip(sentences, words, strict=True)]
