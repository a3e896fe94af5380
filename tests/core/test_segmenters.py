import json
import os
import random
from pathlib import Path

import jieba
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.errors import NetworkError, UserError
from wholeword.core.registry import registry
from wholeword.core.testing import SENTENCES, check_segmenter

jieba.setLogLevel(60)
DOCUMENTS = json.loads((Path(__file__).parents[1] / "data/google_small/documents.json").read_text(encoding="utf-8"))["documents"]
TEXT = [sentence for document in DOCUMENTS for sentence in document]


@pytest.mark.parametrize("name", ["jieba", "characters", "presegmented"])
def test_segmenters_keep_their_contract(name):
    check_segmenter(registry.create("segmenter", name))


@pytest.mark.parametrize("hmm", [True, False])
def test_words_are_jiebas(hmm):
    ours = registry.create("segmenter", "jieba", hmm=hmm)
    lines = [*TEXT, *SENTENCES, "zh-hant和x.y，a_b，7-6战胜，AT&T，C++，3.14%，Jean-Pierre。", "㐀㐁们𠮷野家，\u9fea", "中文\r\n中文"]
    assert ours.segment(lines) == [jieba.lcut(line, HMM=hmm) for line in lines]


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from([*"abTC12.-_%+#& /，。\r\n\t　é㐀𠮷か한\u9fea我们的中国人民银行上线"]), max_size=24))
def test_words_are_jiebas_for_any_mixture(text):
    assert registry.create("segmenter", "jieba").segment([text]) == [jieba.lcut(text)]


@pytest.mark.skipif("WHOLEWORD_DATA" not in os.environ, reason="WHOLEWORD_DATA is unset: no real text")
def test_words_are_jiebas_in_real_text():
    raw = Path(os.environ["WHOLEWORD_DATA"], "raw")
    lines = [line for path in sorted(raw.glob("*/[!S]*.txt")) for line in path.read_text(encoding="utf-8").split("\n")[::60]]
    assert registry.create("segmenter", "jieba").segment(lines) == [jieba.lcut(line) for line in lines]


def test_a_user_dictionary_adds_words(tmp_path):
    (tmp_path / "words.txt").write_text("哈工大讯飞 5 n\n词的概率\n", encoding="utf-8")
    with_words = registry.create("segmenter", "jieba", user_dictionary=tmp_path / "words.txt")
    plain = registry.create("segmenter", "jieba")
    sentence = "哈工大讯飞实验室预测下一个词的概率。"
    assert with_words.segment([sentence]) == [["哈工大讯飞", "实验室", "预测", "下", "一个", "词的概率", "。"]]
    assert plain.segment(TEXT) == with_words.segment(TEXT)
    assert jieba.lcut("哈工大讯飞")[0] == "哈工大"  # nobody else's jieba has changed
    with pytest.raises(UserError, match=r"nothing\.txt"):
        registry.create("segmenter", "jieba", user_dictionary=tmp_path / "nothing.txt")


@pytest.fixture(scope="module")
def legacy_model(tmp_path_factory):
    """An LTP legacy model, trained on jieba's words."""
    perceptron = pytest.importorskip("ltp_extension.perceptron", reason="ltp_extension is not installed")
    folder = tmp_path_factory.mktemp("ltp")
    generator = random.Random(4)
    lines = [" ".join(jieba.lcut(sentence)) for sentence in TEXT * 5]
    generator.shuffle(lines)
    (folder / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    trainer = perceptron.CWSTrainer()
    trainer.load_train_data(str(folder / "train.txt"))
    trainer.load_eval_data(str(folder / "train.txt"))
    trainer.epoch, trainer.verbose = 2, False
    trainer.train().save(str(folder / "cws_model.bin"))
    (folder / "config.json").write_text(json.dumps({"nerual": False, "tasks": {"cws": "cws_model.bin"}}))
    return folder


def test_ltp_keeps_its_contract(legacy_model):
    segmenter = registry.create("segmenter", "ltp", model=str(legacy_model))
    check_segmenter(segmenter)
    long = "图书馆的新系统，" * 300
    assert "".join(segmenter.segment([long, ""])[0]) == long
    assert segmenter.segment(TEXT[:3]) == [jieba.lcut(sentence) for sentence in TEXT[:3]]  # it has learned them


def test_a_folder_that_is_no_ltp_model_is_told(tmp_path):
    pytest.importorskip("ltp_extension", reason="ltp_extension is not installed")
    with pytest.raises(UserError, match=r"is no LTP model: config\.json"):
        registry.create("segmenter", "ltp", model=str(tmp_path))


def test_an_ltp_model_that_cannot_be_fetched_is_told(monkeypatch):
    pytest.importorskip("ltp_extension", reason="ltp_extension is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NetworkError, match="LTP/none"):
        registry.create("segmenter", "ltp", model="LTP/none")
