"""Pieces are added where the tokenizer can give them, and what was there stays what it was."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wholeword.cli import main
from wholeword.core.bert.config import model_config
from wholeword.core.bert.forward import forward
from wholeword.core.bert.growth import ROW_KINDS, grow_model, grow_vocabulary, read_pieces
from wholeword.core.bert.shapes import initial_weights, tensor_shapes
from wholeword.core.config import load_recipe
from wholeword.core.config.preparation import prepare_job
from wholeword.core.contracts import ModelFiles
from wholeword.core.data.store import TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import RecipeError, UserError
from wholeword.core.training.export import export
from wholeword.core.training.prepare import prepare
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.zoo.find import read

PIECES = [*SPECIAL_PIECES, "[unused1]", "[unused2]", *"使用语言模型新冠肺炎的很好，。", "co", "##vid", "##v", "##id", "a", "##b", "deep"]
OLD = Vocabulary(PIECES)
NEW = ["“", "”", "…", "covid", "##vide", "喆", "covid19"]


def model(vocabulary: Vocabulary = OLD) -> ModelFiles:
    section = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 24}
    config = model_config(section, vocab_size=len(vocabulary))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.2, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    return ModelFiles(config, weights, vocabulary, True, True)


def row(vocabulary: Vocabulary, text: str) -> dict[str, np.ndarray]:
    ids = WordPieceTokenizer(vocabulary, True, definition="transformers").encode(text)[0]
    ids = np.array([[vocabulary.cls_id, *ids, vocabulary.sep_id]], np.int32)
    return {"input_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)}


@pytest.mark.parametrize("reuse_unused", [False, True])
@pytest.mark.parametrize("rows", ROW_KINDS)
def test_logits_of_old_pieces_are_what_they_were(rows: str, reuse_unused: bool) -> None:
    before = model()
    grown = grow_vocabulary(OLD, NEW, lowercase=True, reuse_unused=reuse_unused)
    after = grow_model(before, grown, rows=rows, seed=1)
    assert len(grown) == len(OLD) + len(NEW) - 2 * reuse_unused and after.config == replace(before.config, vocab_size=len(grown))
    assert {name: array.shape for name, array in after.weights.items()} == tensor_shapes(after.config)
    stays = [number for number, piece in enumerate(OLD.pieces) if grown.pieces[number] == piece]
    assert len(stays) == len(OLD) - 2 * reuse_unused
    features = row(OLD, "新冠肺炎很好，deep的语言模型。")
    one, other = (forward(files.weights, files.config, features) for files in (before, after))
    assert np.array_equal(one["hidden_states"], other["hidden_states"])
    assert np.abs(one["mlm_logits"][..., stays] - other["mlm_logits"][..., stays]).max() <= 1e-6
    assert np.array_equal(one["nsp_logits"], other["nsp_logits"])


def test_new_rows_are_the_mean_of_what_the_text_was() -> None:
    """`covid` was `co ##vid`; a quote was [UNK], so that text with quotes is read as before."""
    before = model()
    grown = grow_vocabulary(OLD, NEW, lowercase=True)
    after = grow_model(before, grown, rows="mean", seed=1)
    for name in ("bert/embeddings/word_embeddings", "cls/predictions/output_bias"):
        old, new = before.weights[name], after.weights[name]
        was = {"covid": ["co", "##vid"], "covid19": ["[UNK]"], "“": ["[UNK]"], "喆": ["[UNK]"], "##vide": ["[UNK]"]}
        for piece, pieces in was.items():
            np.testing.assert_allclose(new[grown.ids[piece]], old[[OLD.ids[p] for p in pieces]].mean(0), rtol=0, atol=1e-7, err_msg=piece)
    quoted = "“新冠”很好…"
    one, other = forward(before.weights, before.config, row(OLD, quoted)), forward(after.weights, after.config, row(grown, quoted))
    assert np.abs(one["hidden_states"] - other["hidden_states"]).max() <= 1e-6


def test_random_rows_are_first_values_and_no_bias() -> None:
    before = model()
    grown = grow_vocabulary(OLD, NEW, lowercase=True, reuse_unused=True)
    after = grow_model(before, grown, rows="random", seed=1)
    fresh = initial_weights(after.config, 1)
    for piece in NEW:
        number = grown.ids[piece]
        for name in ("bert/embeddings/word_embeddings", "cls/predictions/output_bias"):
            assert np.array_equal(after.weights[name][number], fresh[name][number]), (piece, name)


@pytest.mark.parametrize(
    "piece, said",
    [
        ("机器学习", "each of which is its own piece"),
        ("新covid", "each of which is its own piece"),
        ("##汉", "each of which is its own piece"),
        ("Covid", "is read as 'covid': add that"),
        ("café", "is read as 'cafe': add that"),
        ("deep learning", "contains a space"),
        ("t-bet", "is split into t | - | bet"),
        ("……", "is split into … | …"),
        ("##…", "continues nothing"),
        ("\u200b", "is removed from text"),
        ("x" * 101, "has more than 100 characters"),
        ("[MASK]x", "is split into [ | mask | ] | x"),
        ("", "contains a space"),
    ],
)
def test_what_the_tokenizer_never_gives_is_refused(piece: str, said: str) -> None:
    with pytest.raises(UserError, match="1 of 1 pieces to add would never be used: ") as error:
        grow_vocabulary(OLD, [piece], lowercase=True)
    assert said in str(error.value)


def test_a_cased_vocabulary_takes_capitals() -> None:
    grown = grow_vocabulary(OLD, ["Covid", "café"], lowercase=False)
    tokenizer = WordPieceTokenizer(grown, False, definition="transformers")
    assert [grown.pieces[number] for number in tokenizer.encode("Covid café")[0]] == ["Covid", "café"]


@given(st.text(max_size=6), st.booleans())
def test_what_is_not_refused_is_given(text: str, lowercase: bool) -> None:
    try:
        grown = grow_vocabulary(OLD, [text], lowercase=lowercase)
    except UserError:
        return
    if text.startswith("##") and len(text) > 2:
        whole = Vocabulary([*grown.pieces, *(["q"] if "q" not in grown.ids else [])])
        found = WordPieceTokenizer(whole, lowercase, definition="transformers").encode(f"q{text[2:]}")[0].tolist()
        assert found == [whole.ids["q"], whole.ids[text]]
    else:
        assert WordPieceTokenizer(grown, lowercase, definition="transformers").encode(text)[0].tolist() == [grown.ids[text]]


def test_pieces_come_once_and_those_that_are_there_change_nothing(tmp_path: Path) -> None:
    assert grow_vocabulary(OLD, ["的", "deep"], lowercase=True).sha256 == OLD.sha256
    assert grow_vocabulary(OLD, ["“", "的", "“"], lowercase=True).pieces == (*OLD.pieces, "“")
    path = tmp_path / "words.txt"
    path.write_text("\ufeff“\r\n\n covid \n", encoding="utf-8")
    assert read_pieces(path) == ["“", "covid"]
    with pytest.raises(UserError, match=r"words2\.txt: no such file; expected pieces to add"):
        read_pieces(tmp_path / "words2.txt")


def test_only_the_models_own_vocabulary_grows() -> None:
    with pytest.raises(UserError, match="'使' has another id; add pieces to the model's own"):
        grow_model(model(), Vocabulary([*PIECES[:7], "x", *PIECES[7:]]), rows="mean", seed=0)


# --- in a recipe

RECIPE = """
version: 1
name: grown
corpus: {files: [corpus.txt]}
segmenter: characters
tokenizer: {vocab: vocab.txt, add: words.txt}
model: {size: tiny}
phases:
  - {max_seq_length: 16, batch_size: 2, steps: 1, peak_lr: 1e-4}
"""


@pytest.fixture
def recipe(tmp_path: Path):
    (tmp_path / "corpus.txt").write_text("“新冠肺炎”很好。\n使用covid语言模型。\n", encoding="utf-8")
    (tmp_path / "vocab.txt").write_bytes(OLD.to_bytes())
    (tmp_path / "words.txt").write_text("“\n”\ncovid\n", encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return lambda *overrides: load_recipe(tmp_path / "recipe.yaml", [f"output={tmp_path}/run", *overrides])


def test_the_store_of_a_recipe_has_the_grown_vocabulary(recipe) -> None:
    store = TokenStore(prepare(prepare_job(recipe())))
    assert store.vocabulary.pieces == (*OLD.pieces, "“", "”", "covid")
    assert store.manifest["counts"]["num_unknown"] == 0
    given = recipe("tokenizer.add=[“, ”, covid]")
    assert TokenStore(prepare(prepare_job(given))).vocabulary.sha256 == store.vocabulary.sha256  # the same store: the same pieces
    assert load_recipe_again(given) == given.resolved()


def load_recipe_again(recipe) -> dict:
    import tempfile

    path = Path(tempfile.mkdtemp()) / "again.yaml"
    path.write_text(json.dumps(recipe.resolved()), encoding="utf-8")
    return load_recipe(path).resolved()


@pytest.mark.parametrize(
    "override, said",
    [
        ("tokenizer={train: 100, add: [x]}", "tokenizer.add: pieces cannot be added to a vocabulary to train"),
        ("tokenizer={vocab: vocab.txt, reuse_unused: true}", "tokenizer.reuse_unused: true, but no pieces are added"),
        ("tokenizer={vocab: vocab.txt, add: 3}", "tokenizer.add: 3; expected text or a list of text"),
        ("tokenizer={vocab: vocab.txt, add: []}", "tokenizer.add: an empty list; expected text or a list of text"),
        ("tokenizer={vocab: vocab.txt, add: [3]}", "tokenizer.add: a list; expected text or a list of text"),
        ("model={init: {from: x, new_rows: zero}}", "model.init.new_rows: 'zero'; expected one of mean, random"),
    ],
)
def test_a_recipe_is_told_what_is_wrong(recipe, override: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        recipe(override)
    assert any(said in problem for problem in error.value.problems), error.value.problems


def test_a_chinese_word_is_refused_with_one_line(recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'机器学习' holds Chinese characters, each of which is its own piece"):
        prepare(prepare_job(recipe("tokenizer.add=[机器学习]")))


def test_the_command_writes_a_model_of_the_zoo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(model(), "tf-checkpoint", tmp_path / "old")
    (tmp_path / "words.txt").write_text("“\n”\n的\n", encoding="utf-8")
    arguments = ["--add", str(tmp_path / "words.txt"), "--to", "tf-checkpoint", "-o", str(tmp_path / "new")]
    main(["grow-vocab", str(tmp_path / "old"), *arguments])
    assert f"2 pieces added, 1 already present: {len(OLD)} -> {len(OLD) + 2}" in capsys.readouterr().out
    grown = read(str(tmp_path / "new"))
    assert grown.vocabulary.pieces[-2:] == ("“", "”")
    assert grown.weights["bert/embeddings/word_embeddings"].shape == (len(OLD) + 2, 16)
