"""The numbers of `wholeword check`, against what is known or counted."""

import gzip
import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from wholeword.core.bert.config import model_config
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.data.store import write_store
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.planning.plan import plan

DOCUMENT = ["使用语言模型来预测下一个词的概率。", "今天天气很好，我们去散步吧！", "他买了 3 台 computer，共花 ￥12,000 元。"]


@pytest.fixture
def recipe(tmp_path):
    """The job of a recipe over `corpus/*.txt` beside it, with overrides."""
    (tmp_path / "corpus").mkdir()
    text = """
version: 1
name: planned
corpus: {files: [corpus/*]}
segmenter: characters
tokenizer: {train: 1000}
model: {size: base}
phases:
  - {max_seq_length: 128, batch_size: 2560, steps: 100000, peak_lr: 1e-4}
  - {max_seq_length: 512, batch_size: 384, steps: 100000, peak_lr: 1e-4}
"""

    def loaded(*overrides: str):
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        return resolve(load_recipe(path, [f"output={tmp_path}/run", *overrides]))

    loaded.corpus = tmp_path / "corpus"
    return loaded


def store_of(folder: Path, num_documents: int, vocab_size: int = 21128):
    pieces = [*SPECIAL_PIECES, *(f"[unused{number}]" for number in range(vocab_size - 5))]
    return write_store(folder, Vocabulary(pieces), ([([7] * 50, [True] * 50)] * 2 for _ in range(num_documents)))


def test_bert_wwm_reads_52_billion_token_positions(recipe, tmp_path):
    store_of(tmp_path / "store", 10)
    result = plan(recipe(), tmp_path / "store")
    assert result.token_positions == 2560 * 128 * 100_000 + 384 * 512 * 100_000 == 52_428_800_000
    assert any("52.4 B token positions" in line for line in result.lines())


def test_a_store_is_counted_exactly(recipe, tmp_path):
    store_of(tmp_path / "run" / "store", 10)
    result = plan(recipe("phases=[{max_seq_length: 102, batch_size: 10, steps: 20, peak_lr: 1}]", "examples=full-sentences"))
    assert (result.state, result.num_documents, result.num_sentences, result.num_tokens) == ("exact", 10, 20, 1000)
    assert result.phases[0].epochs == 20.0  # 200 rows of 100 pieces beside [CLS] and [SEP]
    assert result.store_bytes == sum(path.stat().st_size for path in (tmp_path / "run" / "store").iterdir() if path.name != "manifest.json")


def test_sizes_are_those_of_the_released_model(recipe, tmp_path):
    store_of(tmp_path / "store", 1)
    result = plan(recipe(), tmp_path / "store")
    assert result.vocab_size == 21128
    assert result.num_parameters == 102_267_648 + 613_256 + 1_538  # encoder and pooler, MLM head, NSP head: facts of the releases
    assert result.state_bytes == 16 * result.num_parameters
    assert result.export_bytes == 8 * result.num_parameters
    assert result.checkpoint_bytes == 4 * 12 * result.num_parameters  # three are kept, one is being written


def test_a_frozen_encoder_has_weights_alone(recipe, tmp_path):
    store_of(tmp_path / "store", 1)
    (tmp_path / "bert-base-chinese").mkdir()
    base = model_config({"size": "base"}, vocab_size=21128)
    (tmp_path / "bert-base-chinese" / "config.json").write_text(json.dumps(base.to_dict()))
    whole, result = (plan(recipe(*more), tmp_path / "store") for more in ((), ("model={init: bert-base-chinese, freeze: encoder}",)))
    assert result.state_bytes == 4 * result.num_parameters + 12 * (613_256 + 1_538)
    assert result.checkpoint_bytes == 4 * (4 * result.num_parameters + 8 * (613_256 + 1_538))
    assert 0.3 < result.flops / whole.flops < 0.45 and result.row_bytes < whole.row_bytes


def test_flops_are_about_six_a_parameter_and_position(recipe, tmp_path):
    """Most of a step is 6 FLOPs a parameter of the layers; attention and the MLM head, on a seventh of the positions, add a little."""
    store_of(tmp_path / "store", 1)
    first, second = plan(recipe(), tmp_path / "store").phases
    layers = 12 * (4 * 768**2 + 8 * 768**2)
    assert 1 < first.flops / (6 * layers * first.token_positions) < 1.25
    assert 1 < second.flops / (6 * layers * second.token_positions) < 1.35


@pytest.mark.parametrize("form", ["sentences", "text", "jsonl"])
@pytest.mark.parametrize("packed", [False, True])
def test_an_estimate_of_all_there_is_is_near_the_truth(recipe, form, packed):
    if form == "sentences":
        text = ("\n".join(DOCUMENT) + "\n\n") * 1000
    elif form == "text":
        text = ("".join(DOCUMENT) + "\n\n") * 1000
    else:
        text = (json.dumps({"text": "".join(DOCUMENT)}, ensure_ascii=False) + "\n") * 1000
    path = recipe.corpus / ("a.txt.gz" if packed else "a.txt")
    path.write_bytes(gzip.compress(text.encode("utf-8")) if packed else text.encode("utf-8"))
    result = plan(recipe(f"corpus.format={form}"))
    assert result.state == "estimated"
    assert result.num_documents == 1000
    assert result.num_sentences == 3000
    pieces = 17 + 14 + 17  # counted with Google's vocabulary; `computer`, `3` and `12` are one each
    assert result.num_tokens == pytest.approx(1000 * pieces, rel=0.1)


@pytest.mark.parametrize("form", ["sentences", "jsonl"])
def test_byte_order_marks_in_the_middle_change_no_estimate(recipe, form):
    text = ("\n".join(DOCUMENT) + "\n\n" if form == "sentences" else json.dumps({"text": "".join(DOCUMENT)}) + "\n") * 10
    results = []
    for content in (text + text, f"\ufeff{text}\ufeff{text}"):
        (recipe.corpus / "a.txt").write_text(content, encoding="utf-8")
        results.append(plan(recipe(f"corpus.format={form}")))
    assert len({(result.num_documents, result.num_sentences, result.num_tokens) for result in results}) == 1


def test_an_estimate_scales_to_files_that_were_not_read(recipe):
    for number in range(9):
        (recipe.corpus / f"{number}.txt").write_text(("\n".join(DOCUMENT) + "\n\n") * 100, encoding="utf-8")
    result = plan(recipe())
    assert (result.num_documents, result.num_sentences) == (900, 2700)


def test_duplicates_are_dropped_when_the_recipe_says_so(recipe):
    (recipe.corpus / "a.txt").write_text(("\n".join(DOCUMENT) + "\n\n") * 100, encoding="utf-8")
    result = plan(recipe("corpus.drop_duplicates=true"))
    assert result.num_documents == 1
    assert "99 of the 100 documents" in "\n".join(result.lines())


def test_a_missing_corpus_or_vocabulary_is_an_error(recipe):
    with pytest.raises(UserError):
        plan(recipe())
    (recipe.corpus / "a.txt").write_text("文", encoding="utf-8")
    with pytest.raises(UserError, match=r"v\.txt: no such file"):
        plan(recipe("tokenizer={vocab: v.txt}"))


def test_a_missing_model_is_an_error_and_not_a_base_model(recipe):
    (recipe.corpus / "a.txt").write_text("文", encoding="utf-8")
    with pytest.raises(UserError, match="nowhere: no such model"):
        plan(recipe("model={init: nowhere}"))
    notes = plan(recipe("model={init: nowhere}"), is_template=True).notes
    assert notes == ["model.init: nowhere: not there yet; the numbers are those of a base model"]


def test_a_short_run_saves_fewer_checkpoints_than_it_may_keep(recipe, tmp_path):
    store_of(tmp_path / "store", 1)
    short = recipe("phases=[{max_seq_length: 128, batch_size: 1, steps: 1500, peak_lr: 1e-4}]", "checkpoint={every: 1000, keep: 3}")
    result = plan(short, tmp_path / "store")
    assert result.checkpoint_bytes == 2 * 12 * result.num_parameters
    assert plan(recipe("export=[tf-checkpoint]"), tmp_path / "store").export_bytes == 4 * result.num_parameters


def test_one_long_document_is_not_taken_for_many(recipe):
    """The sample ends before the document does."""
    (recipe.corpus / "a.txt").write_text("".join(f"第{number}天我们在酒店的房间里看书。\n" for number in range(250_000)), encoding="utf-8")
    assert plan(recipe()).num_documents == 1


@pytest.mark.parametrize("pieces, rate", [(DOCUMENT[0], 0.0), ("使用语言模型。", 10 / 17), ("", 1.0)])
def test_the_share_of_unknown_pieces_is_estimated(recipe, tmp_path, pieces, rate):
    (recipe.corpus / "a.txt").write_text(DOCUMENT[0] + "\n", encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_PIECES, *dict.fromkeys(pieces)]) + "\n", encoding="utf-8")
    result = plan(recipe("tokenizer={vocab: vocab.txt}"))
    assert result.unknown_rate == pytest.approx(rate) and f"{rate:.2%} of the pieces are [UNK]" in "\n".join(result.lines())
    assert plan(recipe("tokenizer={train: 1000}")).unknown_rate is None


def test_the_shape_is_that_of_the_model_to_start_from(recipe, tmp_path):
    store_of(tmp_path / "store", 1)
    (tmp_path / "parent").mkdir()
    config = {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 21128,
        "max_position_embeddings": 512,
    }
    (tmp_path / "parent" / "config.json").write_text(json.dumps(config))
    three_layers = recipe("model={init: {from: parent, layers: [0, 1, 2]}}")
    assert plan(three_layers, tmp_path / "store").num_parameters == 38_476_800 + 613_256 + 1_538  # RBT3, without a classifier
    assert plan(recipe("model={size: rbt3, init: {from: parent, layers: [0, 1, 2]}}"), tmp_path / "store").num_parameters == 39_091_594


def test_a_plan_is_json(recipe, tmp_path):
    store_of(tmp_path / "store", 1)
    assert json.loads(json.dumps(asdict(plan(recipe(), tmp_path / "store"))))["phases"][0]["steps"] == 100_000


@pytest.mark.skipif("WHOLEWORD_DATA" not in os.environ, reason="needs WHOLEWORD_DATA, the folder of real text and vocabulary")
@pytest.mark.parametrize("name", ["debian/manpages-zh.txt", "debian/libreoffice-help-zh-cn.txt", "linux-command/linux-command.txt"])
def test_estimated_tokens_of_real_text_are_within_a_tenth(recipe, name):
    from wholeword.core.data.tokenizer import WordPieceTokenizer

    data = Path(os.environ["WHOLEWORD_DATA"])
    text = (data / "raw" / name).read_text(encoding="utf-8", errors="replace")[:200_000]
    (recipe.corpus / "a.txt").write_text(text, encoding="utf-8")
    result = plan(recipe(f"tokenizer={{vocab: {data}/vocab/vocab.txt}}", "corpus.format=text"))
    tokenizer = WordPieceTokenizer(Vocabulary.read(data / "vocab" / "vocab.txt"), True)
    counted = sum(len(tokenizer.encode(line)[0]) for line in text.split("\n"))
    assert result.num_tokens == pytest.approx(counted, rel=0.1)
