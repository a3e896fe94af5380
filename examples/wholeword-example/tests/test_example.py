"""Run where the plugin is installed as any other package (tox -e plugin)."""

import json
import subprocess
from pathlib import Path

from wholeword_example.masking import ContentWords
from wholeword_example.segmenter import LongestMatch

from wholeword.core.registry.registry import registry
from wholeword.core.testing import check_masking, check_segmenter

FOLDER = Path(__file__).parents[1]


def wholeword(*arguments, cwd):
    return subprocess.run(["wholeword", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_the_contracts_are_kept():
    check_segmenter(LongestMatch(words=["语言", "模型", "图书馆"]))
    check_masking(ContentWords())


def test_both_are_found_under_their_names():
    assert registry.find("segmenter", "longest-match").distribution == "wholeword-example"
    assert registry.load("masking", "content-words") is ContentWords
    assert not registry.broken


def test_words_of_the_list_are_masked_whole(tmp_path):
    [line] = wholeword("mask", "图书馆的新系统", "--strategy", "content-words", "--json", cwd=tmp_path).splitlines()
    row = json.loads(line)
    assert row["masked_positions"] and all(
        set(group) <= set(row["masked_positions"]) or not set(group) & set(row["masked_positions"]) for group in row["groups"]
    )


def test_a_recipe_uses_them_by_name(tmp_path):
    output = wholeword("train", FOLDER / "recipe.yaml", "--set", f"output={tmp_path / 'run'}", cwd=tmp_path)
    assert "pytorch-bin" in output
    manifest = json.loads((tmp_path / "run" / "store" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["segmenter"]["name"] == "longest-match" and manifest["segmenter"]["distribution"] == "wholeword-example"
    config = json.loads((tmp_path / "run" / "export" / "pytorch-bin" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["BertForPreTraining"] and config["hidden_size"] == 32


def test_a_wrong_setting_is_explained_at_its_place(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((FOLDER / "recipe.yaml").read_text(encoding="utf-8").replace("words:", "word:"), encoding="utf-8")
    result = subprocess.run(["wholeword", "check", str(recipe)], capture_output=True, text=True)
    assert result.returncode == 2 and "recipe.yaml:5:" in result.stderr and "did you mean 'words'" in result.stderr
