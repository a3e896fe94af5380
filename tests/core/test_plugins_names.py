"""Names of plugins in recipes and locations of models, where other distributions offer the same or others."""

import json

import pytest
from plugin_sites import GOOD, RECIPE, install, run, stand_in, warnings_of

from wholeword.core.config import load_recipe
from wholeword.core.config.locations import read_model
from wholeword.core.config.sources import source_location
from wholeword.core.errors import PluginError, UserError
from wholeword.core.files import to_json
from wholeword.core.registry.registry import Registry
from wholeword.core.testing import tiny_model
from wholeword.core.training.export import export
from wholeword.zoo.find import read

SHADOW = """
from wholeword import hookimpl

@hookimpl
def register_optimizers(register): register("adamw", "shadow_plugin:Nothing")

@hookimpl
def register_zoo_sources(register): register("zoo", "shadow_plugin:Nothing"); register("folder", "shadow_plugin:Nothing")

@hookimpl
def register_cleaners(register): register("quotes", "shadow_plugin:Nothing")

@hookimpl
def register_exporters(register): register("pytorch-bin", "shadow_plugin:Nothing")

@hookimpl
def register_masking(register): register("whole-word", "shadow_plugin:Nothing")

class Nothing:
    def __init__(self, *, nothing: int): raise AssertionError("nobody asked for this")
"""


def test_a_bare_name_is_wholewords_own(site):
    install(site, "shadow", GOOD.format(name="jieba", module="shadow_plugin"))
    registry = Registry()
    assert registry.find("segmenter", "jieba").distribution == "wholeword"
    assert registry.find("segmenter", "shadow:jieba").distribution == "shadow"
    assert registry.find("segmenter", "wholeword:jieba").distribution == "wholeword"
    assert registry.shadowed("segmenter", "jieba") == (
        "segmenter 'jieba' means wholeword's own, although shadow offers it too; write 'shadow:jieba' for that"
    )
    assert [registry.shadowed("segmenter", name) for name in ("shadow:jieba", "wholeword:jieba", "characters")] == [None] * 3
    assert registry.find("segmenter", "Shadow:jieba").distribution == "shadow"  # distributions are spelt as pip takes them


def test_a_name_that_only_others_share_is_an_error_when_it_is_used(site):
    for distribution in ("one", "other"):
        install(site, distribution, GOOD.format(name="pairs", module=f"{distribution}_plugin"))
    registry = Registry()
    assert registry.find("segmenter", "jieba").distribution == "wholeword"
    with pytest.raises(PluginError, match="2 plugins offer the segmenter 'pairs'; write 'one:pairs' or 'other:pairs'"):
        registry.find("segmenter", "pairs")
    assert registry.find("segmenter", "other:pairs").distribution == "other"


def _without_measurements(printed):
    """What `wholeword check` prints, without the speed of this machine, which it measures."""
    return [line for line in printed.splitlines() if "this machine" not in line]


def test_shipped_recipes_mean_wholewords_own_whatever_is_installed(site):
    expected = _without_measurements(run(site, "check", "bert-wwm").stdout)
    install(site, "shadow", SHADOW)
    result = run(site, "check", "bert-wwm")
    assert _without_measurements(result.stdout) == expected and not warnings_of(result)
    result = run(site, "mask", "图书馆的新系统", "--json")
    assert json.loads(result.stdout)["words"] and not warnings_of(result)


def test_a_bare_name_in_a_recipe_warns_once_and_another_is_written_with_its_distribution(site):
    install(site, "shadow", SHADOW)
    recipe = site / "mine.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    (site / "text.txt").write_text("使用语言模型来预测下一个词。\n\n图书馆的新系统。\n\n" * 50, encoding="utf-8")
    stand_in(site, "torch", "transformers")
    result = run(site, "check", recipe)
    warnings = [line.split(": ", 2) for line in warnings_of(result)]
    assert [(level, setting) for level, _, setting in ((w[0], w[1], w[2].split(":")[0]) for w in warnings)] == [
        ("warning", "corpus.cleaning.0.name"),
        ("warning", "optimizer.name"),
        ("warning", "evaluation.maskings.0"),
        ("warning", "export.0"),
    ]
    assert all(line.endswith("write 'shadow:" + line.split("'")[1] + "' for that") for line in warnings_of(result))
    recipe.write_text(RECIPE.replace("[quotes]", "[wholeword:quotes]").replace("{name: adamw}", "wholeword:adamw"), encoding="utf-8")
    result = run(site, "check", recipe, "--set", "export=[wholeword:pytorch-bin]", "--set", "evaluation.maskings=[wholeword:whole-word]")
    assert not warnings_of(result)
    result = run(site, "check", recipe, "--set", "optimizer=shadow:adamw", code=2)
    assert "optimizer.nothing: missing; shadow:adamw needs it" in result.stderr


def test_both_spellings_of_a_built_in_are_one_recipe(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(RECIPE.replace("wholeword:whole-word", "whole-word"), encoding="utf-8")
    plain = load_recipe(recipe)
    names = {"[quotes]": "[wholeword:quotes]", "{name: adamw}": "wholeword:adamw", "[pytorch-bin]": "[wholeword:pytorch-bin]"}
    text = RECIPE.replace("maskings: [whole-word]", "maskings: [wholeword:whole-word]")
    for bare, qualified in names.items():
        text = text.replace(bare, qualified)
    recipe.write_text(text, encoding="utf-8")
    assert to_json(load_recipe(recipe).resolved()) == to_json(plain.resolved())


SOURCE = """
from wholeword import hookimpl

@hookimpl
def register_zoo_sources(register):
    for name in ("npz", "broken", "empty", "raises", "bare"):
        register(name, f"shelf_plugin:{name.title()}")

class Bare:
    def read(self, location):
        from wholeword.core.errors import UserError
        from wholeword.core.testing import tiny_model
        if location != "exp1":
            raise UserError(f"{location}: this shelf has no such model; expected exp1")
        return tiny_model()

class Npz(Bare):
    def vocabulary(self, location): return self.read(location).vocabulary
    def config(self, location): return self.read(location).config

class Broken:
    def read(self, location): return {"weights": {}}
    def vocabulary(self, location): return ["[PAD]"]

class Empty:
    def read(self, location):
        from wholeword.core.testing import tiny_model
        return tiny_model()._replace(weights={})

class Raises:
    def read(self, location): return {}[location]
"""


STARTED = """
version: 1
name: started
corpus: {files: [text.txt]}
tokenizer: {vocab: "%s"}
model: {init: "%s"}
phases: [{max_seq_length: 64, batch_size: 4, steps: 3, peak_lr: 1.0e-4}]
"""


def test_a_prefix_reaches_the_zoo_source_of_that_name(site):
    install(site, "shelf", SOURCE)
    described = run(site, "zoo", "info", "npz:exp1").stdout
    assert "num_hidden_layers 2" in described and described.startswith("name              tiny")
    for location in ("npz:exp1", "shelf:npz:exp1", "bare:exp1"):
        output = site / location.replace(":", "-")
        run(site, "export", location, "--to", "tf-checkpoint,wholeword:paddlenlp", "-o", output)
        assert (output / "tf-checkpoint" / "bert_model.ckpt.index").exists() and (output / "paddlenlp" / "model_state.pdparams").exists()
    result = run(site, "zoo", "get", "npz:exp1", code=2)
    assert result.stderr == "npz:exp1: models of the zoo source 'npz' are not files; write one to a folder with `wholeword export`\n"
    recipe = site / "started.yaml"
    (site / "text.txt").write_text("使用语言模型来预测下一个词。\n图书馆的新系统。\n", encoding="utf-8")
    stand_in(site, "torch", "transformers")
    for location in ("npz:exp1", "bare:exp1"):
        recipe.write_text(STARTED % (location, location), encoding="utf-8")
        assert "model: 3,816 parameters" in run(site, "check", recipe).stdout
        run(site, "prepare", recipe, "--set", f"output=run-{location[:3]}")
    assert (site / "run-npz" / "store" / "vocab.txt").read_bytes() == (site / "run-bar" / "store" / "vocab.txt").read_bytes()


def test_what_a_zoo_source_returns_is_checked_where_it_comes_in(site):
    install(site, "shelf", SOURCE)
    for location, code, answer in (
        ("npz:exp2", 2, "exp2: this shelf has no such model; expected exp1"),
        ("broken:exp1", 4, "zoo_source 'broken' of shelf 1.2: read('exp1'): returned dict; expected wholeword.core.contracts.ModelFiles"),
        ("empty:exp1", 4, "zoo_source 'empty' of shelf 1.2: read('exp1'): weights lack bert/embeddings/word_embeddings and"),
        ("raises:exp1", 4, "zoo_source 'raises' of shelf 1.2 failed: KeyError: 'exp1'"),
        (
            "npy:exp1",
            2,
            "npy:exp1: no such path, and no zoo source named 'npy'; expected one of: bare, broken, empty, npz, raises, zoo",
        ),
        ("C:\\models", 2, "C:\\models: neither the name of a model nor a folder"),
        ("hub:no-such-owner", 2, "hub:no-such-owner: not a valid model ID on the hub; expected hub:owner/name"),
    ):
        result = run(site, "export", location, "--to", "tf-checkpoint", "-o", "out", code=code)
        assert result.stderr.startswith(answer) and result.stderr.count("\n") == 1, result.stderr
    recipe = site / "started.yaml"
    for location, problem in (
        ("npz:exp2", "model.init: exp2: this shelf has no such model"),
        ("hub:hfl/rbt3", "model.init: hub:hfl/rbt3: no such path, and no zoo source named 'hub'"),
        ("wholeword:zoo:rbt33", "model.init: rbt33: unknown model; did you mean 'rbt3'?"),
    ):
        recipe.write_text(STARTED % ("wholeword:zoo:rbt3", location), encoding="utf-8")
        assert problem in run(site, "check", recipe, code=2).stderr
    (site / "text.txt").write_text("使用语言模型来预测下一个词。\n", encoding="utf-8")
    recipe.write_text(STARTED.replace("init", "size") % ("broken:exp1", "tiny"), encoding="utf-8")
    assert "vocabulary('exp1') returned list; expected Vocabulary" in run(site, "prepare", recipe, code=4).stderr


def test_a_path_with_a_colon_is_a_path(site, monkeypatch):
    monkeypatch.chdir(site)
    export(tiny_model(), "tf-checkpoint", site / "runs:1")
    assert read("runs:1").vocabulary.pieces == tiny_model().vocabulary.pieces
    assert read_model("runs:1", site).config == tiny_model().config
    assert read_model("folder:runs:1", site).config == tiny_model().config
    assert source_location("runs:1") is None and source_location("package://snownlp/x") is None and source_location(r"C:\models") is None
    assert source_location("wholeword:zoo:rbt3") == source_location("zoo:rbt3") == ("zoo", "rbt3")
    with pytest.raises(UserError, match="no such path, and no zoo source named 'runs'; expected one of: zoo"):
        read_model("runs:2", site)
