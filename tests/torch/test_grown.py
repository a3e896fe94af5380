"""Grown vocabularies and cut models on PyTorch: what the framework computes for old pieces, and how its tokenizers read the new ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertTokenizer

from wholeword import zoo
from wholeword.cli import main
from wholeword.core.bert.config import model_config
from wholeword.core.bert.forward import forward
from wholeword.core.bert.shapes import take_layers, tensor_shapes
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.contracts import ModelFiles
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.training.export import export
from wholeword.core.training.run import train
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.zoo.find import read

PIECES = [*SPECIAL_PIECES, "[unused1]", "[unused2]", *"使用语言模型新冠肺炎的很好，。", "co", "##vid", "de", "##ep"]
NEW = ["“", "”", "covid", "##id", "喆"]
TEXT = "“新冠肺炎”Covid很好，deep的喆语言模型covidid。"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder of a model with random weights."""
    section = {"num_hidden_layers": 4, "hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 32}
    config = model_config(section, vocab_size=len(PIECES))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.2, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    export(ModelFiles(config, weights, Vocabulary(PIECES), True, True), "pytorch-bin", tmp_path / "old")
    (tmp_path / "words.txt").write_text("\n".join(NEW), encoding="utf-8")
    return tmp_path / "old"


@torch.no_grad()
def logits(folder: Path, ids: list[int]) -> np.ndarray:
    model = zoo.load(str(folder), framework="torch", head="nsp")
    return model(input_ids=torch.tensor([ids])).prediction_logits[0].numpy()


@pytest.mark.parametrize("rows", ["mean", "random"])
@pytest.mark.parametrize("reuse", [[], ["--reuse-unused"]], ids=["at the end", "unused first"])
def test_old_logits_stay_and_tokenizers_agree(old: Path, rows: str, reuse: list[str]) -> None:
    new = old.parent / "new"
    main(["grow-vocab", str(old), "--add", str(old.parent / "words.txt"), "--rows", rows, *reuse, "-o", str(new)])
    ids = WordPieceTokenizer(Vocabulary(PIECES), True).encode("新冠肺炎很好，deep的语言模型。")[0].tolist()
    before, after, grown = logits(old, ids), logits(new, ids), read(str(new))
    stays = [number for number, piece in enumerate(PIECES) if grown.vocabulary.pieces[number] == piece]
    assert after.shape[1] == len(PIECES) + len(NEW) - len(PIECES) + len(stays)
    assert np.abs(before[:, stays] - after[:, stays]).max() <= 1e-6
    row = np.array([ids])
    expected = forward(grown.weights, grown.config, {"input_ids": row, "input_mask": np.ones_like(row), "segment_ids": np.zeros_like(row)})
    np.testing.assert_allclose(after, expected["mlm_logits"][0], rtol=0, atol=1e-5)

    ours = WordPieceTokenizer(grown.vocabulary, True, definition="transformers").encode(TEXT)[0].tolist()
    assert set(NEW) <= {grown.vocabulary.pieces[number] for number in ours}
    for tokenizer in (BertTokenizer.from_pretrained(new), AutoTokenizer.from_pretrained(new), zoo.load_tokenizer(str(new), "torch")):
        assert tokenizer(TEXT, add_special_tokens=False)["input_ids"] == ours


RECIPE = """
version: 1
name: grown
corpus: {files: [corpus.txt]}
segmenter: jieba
tokenizer: {vocab: old/vocab.txt, add: words.txt}
examples: full-sentences
model: {init: {from: old, layers: [0, 2]}}
backend: {name: pytorch, precision: fp32, threads: 1}
phases:
  - {max_seq_length: 16, batch_size: 4, steps: 3, peak_lr: 1.0e-3, warmup_steps: 1}
"""


def test_a_recipe_cuts_grows_trains_and_exports(old: Path) -> None:
    (old.parent / "corpus.txt").write_text(f"{TEXT}\n" * 40, encoding="utf-8")
    (old.parent / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    folder = train(resolve(load_recipe(old.parent / "recipe.yaml", [f"output={old.parent / 'run'}"])), observer=Silent())
    exported = folder / "export" / "pytorch-bin"
    model = read(str(exported))
    assert model.vocabulary.pieces == (*PIECES, *NEW) and model.config.num_hidden_layers == 2
    ours = WordPieceTokenizer(model.vocabulary, True, definition="transformers").encode(TEXT)[0].tolist()
    assert BertTokenizer.from_pretrained(exported)(TEXT, add_special_tokens=False)["input_ids"] == ours
    words = "bert/embeddings/word_embeddings"
    moved = np.abs(model.weights[words] - _grown(old).weights[words]).max(1)
    assert (moved[[model.vocabulary.ids[piece] for piece in NEW]] > 0).all()  # the new rows learn


def _grown(old: Path) -> ModelFiles:
    from wholeword.core.bert.growth import grow_model

    return grow_model(take_layers(read(str(old)), [0, 2]), Vocabulary([*PIECES, *NEW]), rows="mean", seed=12345)


def test_a_cut_model_computes_what_its_layers_do(old: Path) -> None:
    """The first two layers of a model give the parent's hidden states up to there."""
    main(["take-layers", str(old), "--layers", "2", "-o", str(old.parent / "cut")])
    ids = torch.tensor([[2, 7, 8, 9, 3]])
    with torch.no_grad():
        parent, child = (zoo.load(str(path), framework="torch")(ids, output_hidden_states=True) for path in (old, old.parent / "cut"))
    assert all(torch.equal(one, other) for one, other in zip(parent.hidden_states[:3], child.hidden_states, strict=True))
