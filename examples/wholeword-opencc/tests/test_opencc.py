"""Run where the plugin is installed as any other package (tox -e plugin)."""

import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from wholeword_opencc.cleaner import OpenCC

from wholeword.core.registry.registry import registry
from wholeword.core.testing import check_cleaner

FOLDER = Path(__file__).parents[1]


def wholeword(*arguments):
    return subprocess.run(["wholeword", *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("config", ["t2s", "s2t", "tw2sp", "hk2s"])
def test_the_contract_is_kept(config):
    check_cleaner(OpenCC(config=config), idempotent=False)  # what a phrase becomes may be another phrase


def test_it_is_found_under_its_name():
    assert registry.find("cleaner", "opencc").distribution == "wholeword-opencc"
    assert registry.load("cleaner", "opencc") is OpenCC
    assert not registry.broken


@pytest.mark.parametrize(
    ("config", "line", "converted"),
    [
        ("t2s", "她的頭髮還沒有乾，就騎著自行車趕到圖書館去了。", "她的头发还没有干，就骑著自行车赶到图书馆去了。"),
        ("tw2s", "她的頭髮還沒有乾，就騎著自行車趕到圖書館去了。", "她的头发还没有干，就骑着自行车赶到图书馆去了。"),
        ("t2s", "乾隆皇后說：「發展以後，這裡只有一隻鷗。」", "乾隆皇后说：「发展以后，这里只有一只鸥。」"),
        ("tw2sp", "這個軟體用滑鼠操作，ＡＰＰ佔48.5MB。", "这个软件用鼠标操作，ＡＰＰ占48.5MB。"),
        ("s2t", "他理发以后去了皇后大道，干燥的里屋只有一只猫。", "他理髮以後去了皇后大道，乾燥的裏屋只有一隻貓。"),
        ("t2s", "使用语言模型来预测下一个词的probability。", "使用语言模型来预测下一个词的probability。"),
    ],
)
def test_characters_are_converted_by_the_phrase_they_stand_in(config, line, converted):
    assert OpenCC(config=config).clean([line]) == [converted]


def test_a_recipe_uses_it_by_name_and_the_store_says_so(tmp_path):
    recipe = FOLDER / "recipe.yaml"
    result = wholeword("prepare", recipe, "--set", f"output={tmp_path}")
    assert result.returncode == 0, result.stderr
    vocabulary = (tmp_path / "store" / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert {"鸥", "网", "发", '"'} <= set(vocabulary) and not {"鷗", "網", "發", "髮", "“"} & set(vocabulary)
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text(encoding="utf-8"))
    cleaner = manifest["inputs"]["corpus"]["cleaning"][1]
    release, _, source = cleaner["version"].partition(", source ")  # a package installed from a folder is known by its source too
    assert source == "" or re.fullmatch("[0-9a-f]{12}", source)
    assert cleaner | {"version": release} == {
        "name": "opencc",
        "distribution": "wholeword-opencc",
        "version": f"OpenCC {version('OpenCC')}",
        "settings": {"config": "t2s"},
    }
    assert manifest["counts"]["num_cleaned"] == manifest["counts"]["num_sentences"] == 23
    result = wholeword("prepare", recipe, "--set", f"output={tmp_path}", "--set", "corpus.cleaning.1.config=tw2s")
    assert result.returncode == 2 and "corpus.cleaning.1.settings.config was 't2s', is 'tw2s'" in result.stderr


def test_a_wrong_setting_is_explained_at_its_place(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((FOLDER / "recipe.yaml").read_text(encoding="utf-8").replace("t2s", "t2z"), encoding="utf-8")
    result = wholeword("check", recipe)
    assert result.returncode == 2 and "recipe.yaml:6:45: corpus.cleaning.1.config: 't2z'; expected one of t2s, s2t" in result.stderr
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("config:", "konfig:"), encoding="utf-8")
    assert "recipe.yaml:6:37: corpus.cleaning.1.konfig: unknown setting; did you mean 'config'?" in wholeword("check", recipe).stderr
