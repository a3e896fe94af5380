"""A model of some layers of another: equal tensor by tensor, wherever the other one lies."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wholeword.cli import main
from wholeword.core.bert.config import model_config
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.shapes import initial_weights, renew, take_layers, tensor_shapes
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.config.locations import read_config
from wholeword.core.contracts import ModelFiles
from wholeword.core.data.store import write_store
from wholeword.core.errors import RecipeError, UserError
from wholeword.core.formats.checkpoints import save_checkpoint
from wholeword.core.formats.tensors import write_tensors
from wholeword.core.training.export import export
from wholeword.core.training.start import starting_model
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.planning.plan import plan
from wholeword.zoo.find import read

PIECES = Vocabulary([*SPECIAL_PIECES, *"使用语言模型来预测下一个词的概率"])
SECTION = {"num_hidden_layers": 12, "hidden_size": 8, "num_attention_heads": 2, "max_position_embeddings": 16, "intermediate_size": 12}
CONFIG = model_config(SECTION, vocab_size=len(PIECES))
MINIRBT = [0, 2, 4, 7, 9, 11]  # the layers of MiniRBT's student
SOURCES = ("folder", "tf-checkpoint", "tf-checkpoint prefix", "zip", "run", "checkpoint")


def parent() -> ModelFiles:
    generator = np.random.default_rng(5)
    weights = {name: generator.normal(0, 0.1, shape).astype(np.float32) for name, shape in tensor_shapes(CONFIG).items()}
    return ModelFiles(CONFIG, weights, PIECES, True, True)


def lying(kind: str, folder: Path) -> Path:
    """The parent, in a place of some kind."""
    model = parent()
    if kind == "folder":
        folder.mkdir()
        write_tensors(folder / "model.safetensors", to_framework(model.weights, "transformers"), metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(CONFIG.to_dict() | {"model_type": "bert"}))
        (folder / "vocab.txt").write_bytes(PIECES.to_bytes())
        return folder
    if kind.startswith("tf-checkpoint"):
        export(model, "tf-checkpoint", folder)
        return folder if kind == "tf-checkpoint" else folder / "bert_model.ckpt"
    if kind == "zip":
        export(model, "tf-checkpoint-zip", folder)
        return next(folder.glob("*.zip"))
    state = {"config": CONFIG.to_dict(), "lowercase": True, "next_sentence": True}
    path = folder / "checkpoints" / "step-00000007"
    path.parent.mkdir(parents=True)
    save_checkpoint(path, model.weights, {}, state, files={"vocab.txt": PIECES.to_bytes()})
    return folder if kind == "run" else path


RECIPE = """
version: 1
name: cut
corpus: {{files: [corpus.txt]}}
segmenter: characters
tokenizer: {{vocab: vocab.txt}}
model: {{init: {{from: {source}, layers: {layers}, pooler: {pooler}, heads: {heads}}}}}
phases:
  - {{max_seq_length: 16, batch_size: 2, steps: 1, peak_lr: 1e-5, warmup_steps: 1}}
"""


def starting(tmp_path: Path, kind: str, layers: object, pooler: str = "keep", heads: str = "keep"):
    """What a recipe's run starts with: config, weights, origin; and the recipe."""
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(source=lying(kind, tmp_path / "parent"), layers=layers, pooler=pooler, heads=heads))
    (tmp_path / "vocab.txt").write_bytes(PIECES.to_bytes())
    recipe = load_recipe(tmp_path / "recipe.yaml")
    model = starting_model(resolve(recipe).model, PIECES, seed=recipe.seed)
    return model.config, model.weights, model.origin, recipe


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("layers, taken", [(3, [0, 1, 2]), (MINIRBT, MINIRBT), ([11, 0], [11, 0])], ids=["first", "minirbt", "backwards"])
def test_every_tensor_is_the_parents(tmp_path: Path, kind: str, layers: object, taken: list[int]) -> None:
    config, weights, origin, recipe = starting(tmp_path, kind, layers)
    before = parent().weights
    assert config == replace(CONFIG, num_hidden_layers=len(taken)) and origin["layers"] == taken
    assert {name: array.shape for name, array in weights.items()} == tensor_shapes(config)
    for name, array in weights.items():
        _, found, rest = name.partition("/layer_")
        number, _, tail = rest.partition("/")
        assert np.array_equal(array, before[f"bert/encoder/layer_{taken[int(number)]}/{tail}" if found else name]), name
    if kind != "zip":  # whose configuration `check` does not look into
        write_store(tmp_path / "store", PIECES, [[([5] * 9, [True] * 9)]])
        assert plan(resolve(recipe), tmp_path / "store").num_parameters == sum(array.size for array in weights.values())


@pytest.mark.parametrize("pooler", ["keep", "new"])
@pytest.mark.parametrize("heads", ["keep", "new"])
def test_pooler_and_heads_are_kept_or_new(tmp_path: Path, pooler: str, heads: str) -> None:
    config, weights, origin, _ = starting(tmp_path, "tf-checkpoint", 3, pooler, heads)
    before, fresh = parent().weights, initial_weights(config, 12345)
    for name, array in weights.items():
        if "/layer_" not in name:
            is_new = (pooler == "new" and name.startswith("bert/pooler/")) or (heads == "new" and name.startswith("cls/"))
            assert np.array_equal(array, (fresh if is_new else before)[name]), name
    assert origin["next_sentence"] == (pooler == heads == "keep")  # a trained NSP head wants its pooler
    assert origin["renewed"] == [part for part, choice in (("pooler", pooler), ("heads", heads)) if choice == "new"]


def test_nothing_is_renewed_by_default() -> None:
    model = parent()
    assert renew(model, [], 1) == model


def test_a_layer_may_be_taken_twice() -> None:
    child = take_layers(parent(), [0, 0, 1, 1])
    names = [name for name in child.weights if "/layer_1/" in name]
    assert names and all(np.array_equal(child.weights[name], parent().weights[name.replace("layer_1", "layer_0")]) for name in names)


@pytest.mark.parametrize(
    "init, said",
    [
        ("{from: x, layers: 0}", "model.init.layers: 0; expected a whole number of at least 1 or a list of a whole number of at least 0"),
        ("{from: x, layers: []}", "model.init.layers: an empty list; expected a whole number"),
        ("{from: x, layers: [-1]}", "model.init.layers.0: -1; expected a whole number of at least 0"),
        ("{from: x, layers: first}", "model.init.layers: 'first' is text; expected a whole number"),
        ("{from: x, pooler: fresh}", "model.init.pooler: 'fresh'; expected one of keep, new"),
        ("{from: random, layers: 3}", "model.init.layers: layers given for a random"),
    ],
)
def test_a_recipe_is_told_what_is_wrong(tmp_path: Path, init: str, said: str) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(source="x", layers=3, pooler="keep", heads="keep"))
    with pytest.raises(RecipeError) as error:
        load_recipe(tmp_path / "recipe.yaml", [f"model={{size: tiny, init: {init}}}"])
    assert any(said in problem for problem in error.value.problems), error.value.problems


def test_a_frozen_encoder_keeps_its_pooler(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(source="x", layers=3, pooler="new", heads="keep"))
    with pytest.raises(RecipeError, match=r"model\.init\.pooler: new, but it would stay random with freeze: encoder"):
        load_recipe(tmp_path / "recipe.yaml", ["model.freeze=encoder"])


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no layer 12; the model has layers 0 to 11"):
        starting(tmp_path, "folder", 13)


def test_the_command_writes_the_smaller_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = lying("zip", tmp_path / "parent")
    arguments = ["--to", "tf-checkpoint", "--heads", "new", "-o", str(tmp_path / "cut")]
    main(["take-layers", str(source), "--layers", "0,2,4,7,9,11", *arguments])
    assert "layers 0, 2, 4, 7, 9, 11 of" in capsys.readouterr().out
    cut, expected = read(str(tmp_path / "cut")), renew(take_layers(parent(), MINIRBT), ["heads"], 12345)
    kept = [name for name in expected.weights if not name.startswith("cls/seq_relationship/")]  # untrained, and left out
    assert cut.config.num_hidden_layers == 6
    assert all(np.array_equal(cut.weights[name], expected.weights[name]) for name in kept)
    with pytest.raises(SystemExit):
        main(["take-layers", str(source), "--layers", "three", "-o", str(tmp_path / "no")])
    assert "--layers: 'three'; expected a number such as 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("0", "--layers: 0; expected a number of layers from 1 to 12"),
        ("-1", "--layers: -1; expected a number of layers from 1 to 12"),
        ("13", "--layers: 13; expected a number of layers from 1 to 12"),
        ("0,0", "--layers: layer 0 appears twice; a recipe can repeat layers"),
        ("0,12", "--layers: no layer 12; the model has layers 0 to 11"),
        ("0,-1", "--layers: no layer -1; the model has layers 0 to 11"),
        ("1,", "--layers: '1,'; expected a number such as 3"),
        ("", "--layers: ''; expected a number such as 3"),
    ],
)
def test_the_command_refuses_layers_that_make_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layers: str, message: str
) -> None:
    source = lying("folder", tmp_path / "parent")
    with pytest.raises(SystemExit) as refusal:
        main(["take-layers", str(source), f"--layers={layers}", "-o", str(tmp_path / "no")])
    assert refusal.value.code == 2 and message in capsys.readouterr().err and not (tmp_path / "no").exists()


def test_a_model_without_layers_is_none() -> None:
    with pytest.raises(UserError, match=r"model\.init\.layers: no layers; expected at least one of layers 0 to 11"):
        take_layers(parent(), [])


@pytest.mark.parametrize("kind", [kind for kind in SOURCES if kind != "zip"])
def test_a_configuration_is_found_wherever_the_model_lies(tmp_path: Path, kind: str) -> None:
    assert read_config(str(lying(kind, tmp_path / "parent")), tmp_path) == CONFIG
