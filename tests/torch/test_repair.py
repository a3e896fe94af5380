"""A trained model loses its MLM head, is found to have lost it, and gets one again over an encoder that stays as it was."""

import itertools
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from toys import pytorch_trainer, toy_batch, toy_config

from wholeword.cli import main
from wholeword.core.bert.heads import PARTS, inspect, inspect_model
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.training.export import export
from wholeword.core.training.run import train
from wholeword.zoo.folder import Folder

CLASSIC = """
天地玄黄 宇宙洪荒 日月盈昃 辰宿列张 寒来暑往 秋收冬藏 闰余成岁 律吕调阳 云腾致雨 露结为霜 金生丽水 玉出昆冈
剑号巨阙 珠称夜光 果珍李柰 菜重芥姜 海咸河淡 鳞潜羽翔 龙师火帝 鸟官人皇 始制文字 乃服衣裳 推位让国 有虞陶唐
""".split()  # the Thousand Character Classic, in which no character comes twice
RECIPE = """
version: 1
name: classic
corpus: {files: [corpus.txt], format: sentences}
segmenter: characters
tokenizer: {train: 128, min_frequency: 1}
examples: nsp-pairs
masking: {name: wordpiece, dynamic: true}
model: {hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 32, initializer_range: 0.125,
        hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0}
optimizer: {name: adamw, beta_2: 0.98}
backend: {name: pytorch, precision: fp32, threads: 1}
phases:
  - {max_seq_length: 32, batch_size: 32, steps: 400, peak_lr: 4.0e-3, warmup_steps: 30}
evaluation: {held_out_rate: 0.1, batches: 4}
checkpoint: {every: 100}
log: {every: 50}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("classic")
    generator = random.Random(0)
    documents = ["\n".join("".join(generator.choices(CLASSIC, k=3)) for _ in range(6)) for _ in range(400)]
    (folder / "corpus.txt").write_text("\n\n".join(documents), encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return train(resolve(load_recipe(folder / "recipe.yaml", overrides=[f"output={folder / 'run'}"])), observer=Silent())


def accuracy(run: Path) -> float:
    figures = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return figures["wordpiece"]["mlm_accuracy"]


def damage(source: Path, target: Path) -> Path:
    """A copy of a model whose MLM head is as before any training."""
    model = Folder().read(str(source))
    names = [name for name in model.weights if name.startswith("cls/predictions/")]
    export(model._replace(weights=model.weights | initial_weights(model.config, 99, names)), "pytorch-bin", target)
    return target


def test_a_repaired_head_is_nearly_as_good_and_the_encoder_is_the_same(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = accuracy(trained)
    assert before > 0.8  # chance is 1 in 96
    broken = damage(trained, tmp_path / "broken")
    recipe, output = str(trained.parent / "recipe.yaml"), tmp_path / "repaired"
    # what it can do without a repair: one step of a rate that moves nothing
    none = ["phases.0.steps=1", "phases.0.warmup_steps=0", "phases.0.peak_lr=1e-9", f"model.init={broken}", f"output={tmp_path / 'none'}"]
    vocabulary = f"tokenizer={{vocab: {broken / 'vocab.txt'}}}"
    model = [f"model={{init: {broken}, freeze: encoder}}", vocabulary, "examples=full-sentences"]
    assert accuracy(train(resolve(load_recipe(recipe, overrides=[*model, *none])), observer=Silent())) < 0.2 * before

    settings = ["examples=full-sentences", "phases.0.steps=200", "phases.0.peak_lr=1e-2"]
    main(["repair-head", str(broken), recipe, "-o", str(output), *itertools.chain(*(("--set", setting) for setting in settings))])
    printed = capsys.readouterr().out
    assert "before: MLM head untouched: " in printed and "after: MLM head trained: " in printed
    assert accuracy(output) >= 0.9 * before

    damaged, repaired = Folder().read(str(broken)), Folder().read(str(output / "export" / "pytorch-bin"))
    for name, array in damaged.weights.items():
        assert np.array_equal(array, repaired.weights[name]) == (not name.startswith("cls/predictions/")), name
    assert repaired.next_sentence  # the NSP head was good, and the pooler below it is the same
    assert Folder().read(str(output)).next_sentence


def test_files_are_enough(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = damage(trained, tmp_path / "broken")
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained.parent / "corpus.txt", "mine.txt")
    small = ["phases.0.steps=3", "phases.0.max_seq_length=32", "phases.0.warmup_steps=1", "evaluation={}", "segmenter=characters"]
    main(["repair-head", "broken", "--corpus", "*.txt", "-o", "out", *itertools.chain(*(("--set", setting) for setting in small))])
    assert inspect_model(Folder().read("out/export/pytorch-bin")).mlm.state == "trained"
    assert Folder().read(str(broken)).vocabulary.sha256 == Folder().read("out").vocabulary.sha256


def test_it_says_what_it_needs(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["repair-head", str(trained), "-o", str(tmp_path / "out")])
    assert "expected a RECIPE or --corpus to train on" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_heads_are_untouched_before_and_trained_after_fifty_steps() -> None:
    config = toy_config()
    trainer = pytorch_trainer(config)
    assert [finding.state for finding in inspect(trainer.weights(), config)] == ["untouched"] * 3
    trainer.train_steps([toy_batch(seed) for seed in range(50)], learning_rates=[1e-3] * 50, seeds=range(50))
    assert [finding.state for finding in inspect(trainer.weights(), config)] == ["trained"] * 3
    trainer = pytorch_trainer(config, next_sentence=False)
    trainer.train_steps([toy_batch(seed) for seed in range(50)], learning_rates=[1e-3] * 50, seeds=range(50))
    assert [finding.state for finding in inspect(trainer.weights(), config)] == ["trained", "untouched", "untouched"]


def test_heads_of_transformers_are_untouched_or_missing(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForPreTraining, BertModel

    config = toy_config(hidden_size=256, initializer_range=0.02)
    for kind, states in ((BertForPreTraining, ["untouched"] * 3), (BertModel, ["missing", "missing", "untouched"])):
        folder = tmp_path / kind.__name__
        kind(BertConfig(**config.to_dict())).save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(chr, range(0x4E00, 0x4E37))]))
        heads = inspect_model(Folder().read(str(folder)))
        assert [finding.state for finding in heads] == states
        assert "without a cut" in heads.pooler.why


def test_what_is_frozen_stays_has_no_gradient_and_no_dropout() -> None:
    """The head learns as it does beside a frozen encoder anywhere: gradients are those of the whole model without dropout."""
    config, batch = toy_config(), toy_batch(3)
    names = [PARTS["MLM head"].kernel, *PARTS["MLM head"].vectors]
    whole = pytorch_trainer(toy_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), clip_norm=1e9)
    whole.train_steps([batch], learning_rates=[0.0], seeds=[0])
    part = pytorch_trainer(config, trainable=names, clip_norm=1e9)
    before = part.weights()
    part.train_steps([batch], learning_rates=[0.0], seeds=[0])
    for name, parameter in part.parameters.items():
        assert (parameter.grad is not None) == (name in names), name
        if name in names:
            np.testing.assert_allclose(parameter.grad, whole.parameters[name].grad, rtol=0, atol=1e-6, err_msg=name)
    assert {slot.rpartition("/")[0] for slot in part.optimizer_state()} == set(names)
    part.train_steps([batch] * 3, learning_rates=[0.1] * 3, seeds=[1, 2, 3])
    after = part.weights()
    assert all(np.array_equal(before[name], after[name]) == (name not in names) for name in before)
