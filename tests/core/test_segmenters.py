import json
import os
import random
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import jieba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.config import load_recipe
from wholeword.core.config.preparation import prepare_job
from wholeword.core.data.align import pieces_of
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import NetworkError, PluginError, UserError
from wholeword.core.files import read_manifest
from wholeword.core.registry.registry import registry
from wholeword.core.testing import SENTENCES, check_segmenter
from wholeword.core.training.prepare import prepare
from wholeword.core.vocabulary import Vocabulary
from wholeword.plugins.segmenters.jieba_ties import TIES

jieba.setLogLevel(60)
SMALL = Path(__file__).parents[1] / "data" / "google_small"
DOCUMENTS = json.loads((SMALL / "documents.json").read_text(encoding="utf-8"))["documents"]
TEXT = [sentence for document in DOCUMENTS for sentence in document]
HOSTILE = [
    *("", " ", "  ", "\u3000", "\t", "\u00a0", "\u200b", "\0", " 使用语言模型", "\u3000\u3000使用 语言  模型\t来\u00a0预测 "),
    *("行尾的回车\r", "\u2028分行符\x85", "\u200b开头\x00控制\x01字符\x7f", "增长了3.14%", "他说: 3.14 ", "价格是2019", "２０１９年１２月"),
    "一" + "a" * 300 + "一",
    *("New York 和 deep learning", "龘龖㐂", "\ufffd坏\ufffd字", "[UNK]", "[CLS]你好[SEP]", "\u0301开头组合a\u0301b", "İstanbul ﬁne café"),
]


def real_lines() -> list[str]:
    raw = Path(os.environ["WHOLEWORD_DATA"], "raw")
    return [line for path in sorted(raw.glob("*/[!S]*.txt")) for line in path.read_text(encoding="utf-8").split("\n")[::60]]


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
    lines = real_lines()
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


@pytest.fixture(scope="module")
def ltps_own(legacy_model):
    """LTP's words of one text."""
    from ltp_extension.perceptron import CWSModel

    return CWSModel.load(str(legacy_model / "cws_model.bin")).predict


def test_ltp_keeps_its_contract(legacy_model):
    segmenter = registry.create("segmenter", "ltp", model=str(legacy_model))
    check_segmenter(segmenter)
    check_segmenter(segmenter, [*HOSTILE, "图书馆的新系统，" * 3000])
    assert segmenter.segment(TEXT[:3]) == [jieba.lcut(sentence) for sentence in TEXT[:3]]  # it has learned them


def test_words_are_ltps_and_the_blanks_it_drops_are_given_back(legacy_model, ltps_own):
    texts = [*TEXT, *SENTENCES, *HOSTILE, "，".join(TEXT), *(real_lines() if "WHOLEWORD_DATA" in os.environ else [])]
    for text, words in zip(texts, registry.create("segmenter", "ltp", model=str(legacy_model)).segment(texts), strict=True):
        dropped = text[: len(text) - len(text.lstrip())]
        assert words == [*([dropped] if dropped else []), *ltps_own(text)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.sampled_from([*"aT12.-% /，。\r\n\t　é㐀𠮷か한😀\u200b\0我们的中国人民银行上线"]), max_size=24), max_size=4))
def test_ltps_words_join_to_any_text(legacy_model, texts):
    words = registry.create("segmenter", "ltp", model=str(legacy_model)).segment(texts)
    assert ["".join(line) for line in words] == texts and all(word for line in words for word in line)


def test_words_of_ltp_that_lack_blanks_come_out_at_the_same_pieces(legacy_model, ltps_own):
    tokenizer = WordPieceTokenizer(Vocabulary.read(SMALL / "vocab.txt"), True)
    texts = [*TEXT, *SENTENCES, *HOSTILE]
    for text, words in zip(texts, registry.create("segmenter", "ltp", model=str(legacy_model)).segment(texts), strict=True):
        joined = pieces_of(text, words, tokenizer)
        for others in (ltps_own(text), [word.strip() for word in words]):
            walked = pieces_of(text, others, tokenizer)
            assert walked.word_starts.tolist() == joined.word_starts.tolist() and walked.fallbacks == joined.fallbacks == 0


def test_two_workers_with_ltp_build_what_one_does(legacy_model, tmp_path):
    generator = random.Random(6)
    documents = ["\n".join([*generator.choices(TEXT, k=9), ""]) for _ in range(3000)]
    (tmp_path / "text.txt").write_text("\n".join(documents), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        f"""
version: 1
name: test
corpus: {{files: ["text.txt"], shard_mb: 1}}
segmenter: {{name: ltp, model: {legacy_model}}}
tokenizer: {{vocab: {SMALL / "vocab.txt"}}}
model: {{size: tiny}}
phases: [{{max_seq_length: 32, batch_size: 2, steps: 1, peak_lr: 1e-4}}]
""",
        encoding="utf-8",
    )
    stores = [
        prepare(prepare_job(load_recipe(tmp_path / "recipe.yaml", [f"prepare_workers={workers}", f"output={tmp_path / str(workers)}"])))
        for workers in (1, 2)
    ]
    one, two = ({path.name: path.read_bytes() for path in store.iterdir()} for store in stores)
    assert one == two
    manifest = read_manifest(stores[0])
    assert len(manifest["shards"]) > 1 and manifest["counts"]["num_fallbacks"] == 0
    assert manifest["segmenter"]["version"] == f"ltp_extension {version('ltp_extension')}"
    assert len(manifest["segmenter"]["settings"]["model"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("config", "damaged", "told"),
    [
        (None, None, "FileNotFoundError: .*config.json"),
        ("{", None, "JSONDecodeError"),
        ("[]", None, "TypeError"),
        ('{"model_type": "bert"}', None, "KeyError: 'nerual'"),
        ('{"nerual": false, "tasks": {"pos": "x"}}', None, "KeyError: 'cws'"),
        ('{"nerual": false, "tasks": {"cws": "cws.bin"}}', None, "FileNotFoundError: .*cws.bin"),
        ('{"nerual": false, "tasks": {"cws": "cws.bin"}}', lambda whole: whole[:1000], "ValueError: cws.bin is damaged"),
        ('{"nerual": false, "tasks": {"cws": "cws.bin"}}', lambda whole: whole[:-1], "ValueError: cws.bin is damaged"),
        (
            '{"nerual": false, "tasks": {"cws": "cws.bin"}}',
            lambda whole: whole[:5000] + bytes(5000) + whole[10000:],
            "ValueError: cws.bin is damaged",
        ),
        ('{"nerual": false, "tasks": {"cws": "cws.bin"}}', lambda whole: b"", "RuntimeError: Failed to read header"),
    ],
)
def test_a_folder_that_is_no_ltp_model_is_told_in_a_line(legacy_model, tmp_path, config, damaged, told):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    if damaged is not None:
        (tmp_path / "cws.bin").write_bytes(damaged((legacy_model / "cws_model.bin").read_bytes()))
    with pytest.raises(UserError, match=f"^segmenter.model: .* is no LTP model: {told}[^\n]*$"):
        registry.create("segmenter", "ltp", model=str(tmp_path))


@pytest.mark.skipif(find_spec("ltp") is not None, reason="ltp is installed")
def test_what_a_neural_ltp_model_needs_is_told(tmp_path):
    pytest.importorskip("ltp_extension", reason="ltp_extension is not installed")
    (tmp_path / "config.json").write_text('{"nerual": true}')
    with pytest.raises(PluginError, match=r"^segmenter 'ltp' needs 'ltp': pip install \"wholeword\[ltp\]\"$"):
        registry.create("segmenter", "ltp", model=str(tmp_path))


@pytest.mark.parametrize("model", ["./none", "/none", "models/of/mine"])
def test_a_folder_that_is_not_there_is_told(model):
    pytest.importorskip("ltp_extension", reason="ltp_extension is not installed")
    with pytest.raises(UserError, match=f"no folder '{model}'; expected a folder with config.json, or a name on the hub"):
        registry.create("segmenter", "ltp", model=model)


def test_the_commit_of_an_ltp_model_on_the_hub_is_part_of_the_version(legacy_model, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--LTP--legacy"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(legacy_model, repository / "snapshots" / commit)
    program = "from wholeword.core.registry.registry import registry; print(registry.create('segmenter', 'ltp'{}).version)"
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    for revision in ("", ", revision='main'", f", revision='{commit}'"):
        result = subprocess.run([sys.executable, "-c", program.format(revision)], env=environment, capture_output=True, text=True)
        assert result.stdout == f"ltp_extension {version('ltp_extension')}, LTP/legacy {commit}\n", result.stderr


def test_an_ltp_model_that_cannot_be_fetched_is_told(monkeypatch):
    pytest.importorskip("ltp_extension", reason="ltp_extension is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NetworkError, match="LTP/none"):
        registry.create("segmenter", "ltp", model="LTP/none")


def test_near_ties_of_jiebas_model_are_told_apart():
    """The pairs are all that its tables leave within 6e-6 between one word and two; in any company they are cut as jieba does."""
    from jieba.finalseg import MIN_FLOAT, emit_P, start_P, trans_P

    tables = [emit_P[state] for state in "BES"]
    characters = sorted(character for character in set.union(*map(set, tables)) if "\u4e00" <= character <= "\u9fd5")
    b, e, s = (np.array([table.get(character, MIN_FLOAT) for character in characters]) for table in tables)
    possible = MIN_FLOAT / 2
    firsts, seconds = np.flatnonzero((b > possible) & (s > possible)), np.flatnonzero((e > possible) & (s > possible))
    seconds = seconds[np.argsort((e - s)[seconds])]
    gains = (e - s)[seconds]  # together minus apart is a sum of the first's b - s, the second's e - s and a number of their neighbours
    pairs = set()
    for before in (start_P, trans_P["E"], trans_P["S"]):
        for after in ("", "B", "S"):
            neighbours = before["B"] + trans_P["B"]["E"] - before["S"] - trans_P["S"]["S"]
            neighbours += trans_P["E"][after] - trans_P["S"][after] if after else 0
            wanted = -(neighbours + (b - s)[firsts])
            for first, low, high in zip(firsts, *(np.searchsorted(gains, wanted + edge) for edge in (-6e-6, 6e-6)), strict=True):
                pairs |= {characters[first] + characters[second] for second in seconds[low:high]}
    assert sorted(TIES) == sorted(pairs) and "常在" in pairs
    generator = random.Random(3)
    company = ["", "。", "较", "我们", "的人", "2000", "T恤", "北京", "了一", "\u9fea", "a-b"]
    lines = [generator.choice(company) + pair + generator.choice(company) for pair in sorted(TIES) for _ in range(6)]
    lines += [left + "常在" + right for left in company for right in company]
    assert registry.create("segmenter", "jieba").segment(lines) == [jieba.lcut(line) for line in lines]
    assert registry.create("segmenter", "jieba").segment(["".join(lines)]) == [jieba.lcut("".join(lines))]
