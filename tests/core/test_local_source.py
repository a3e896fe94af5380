"""A plugin that changed under the same version is not taken for the old one, unless it is a release, whose version says what it is."""

import json
import shutil
import subprocess
import sys

import pytest
from plugin_sites import GOOD, SMALL, environment, install, run

TEXT = "今天天气不错\n我们去公园散步\n\n下一个文档也有两个句子\n它们都不长\n"
STRATEGY = """
from wholeword import hookimpl
from wholeword.plugins.masking.whole_word import WholeWord

@hookimpl
def register_masking(register):
    register("mine", "{module}:Mine")

class Mine(WholeWord):
    pass
"""

PRINT_SOURCE = """
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
print(resolve(load_recipe("recipe.yaml")).rows.settings["masking"]["source"])
"""


@pytest.fixture(params=["editable", "released"])
def site(tmp_path, request):
    """A folder with a segmenter plugin, a corpus and a recipe."""
    install(tmp_path, "cutter", GOOD.format(name="cut", module="cutter_plugin"))
    if request.param == "editable":
        origin = {"dir_info": {"editable": True}, "url": "file:///somewhere/cutter"}
        (tmp_path / "cutter-1.2.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(SMALL.replace("model:", "segmenter: cut\nprepare_workers: 1\nmodel:"), encoding="utf-8")
    return tmp_path, request.param == "editable"


def manifest(site):
    return json.loads((site / "small" / "store" / "manifest.json").read_text(encoding="utf-8"))


def test_a_changed_segmenter_is_noticed_where_its_version_does_not_tell(site):
    site, editable = site
    run(site, "prepare", "recipe.yaml")
    before = manifest(site)
    assert ("source" in before["inputs"]["segmenter"]) == editable
    run(site, "prepare", "recipe.yaml")  # nothing changed, and nothing is refused
    changed = GOOD.format(name="cut", module="cutter_plugin").replace("self.size = size", "self.size = size + 1")
    (site / "cutter_plugin.py").write_text(changed, encoding="utf-8")
    result = run(site, "prepare", "recipe.yaml", code=2 if editable else 0)
    if editable:
        assert "made from other inputs: segmenter.source was '" in result.stderr
        assert len(result.stderr.strip().split("\n")) == 1
    shutil.rmtree(site / "small")
    run(site, "prepare", "recipe.yaml")  # from the cache of words, if that is the same segmenter
    after = manifest(site)
    assert (before["segmenter"]["version"] != after["segmenter"]["version"]) == editable
    assert before["segmenter"]["version"].startswith("1.2")


def test_a_changed_masking_strategy_is_part_of_what_a_run_is_made_from(tmp_path):
    install(tmp_path, "masker", STRATEGY.format(module="masker_plugin"))
    (tmp_path / "masker-1.2.dist-info" / "direct_url.json").write_text(json.dumps({"url": "file:///somewhere", "dir_info": {}}))
    (tmp_path / "recipe.yaml").write_text(SMALL.replace("model:", "masking: mine\nmodel:"), encoding="utf-8")

    def source():
        arguments = [sys.executable, "-c", PRINT_SOURCE]
        return subprocess.run(arguments, cwd=tmp_path, env=environment(tmp_path), capture_output=True, check=True).stdout

    first = source()
    assert len(first.strip()) == 12 and source() == first
    with open(tmp_path / "masker_plugin.py", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert source() != first


def test_the_source_is_that_of_the_whole_package(tmp_path):
    """Modules and data beside the one that the plugin names count, compiled files do not."""
    install(tmp_path, "cutter", GOOD.format(name="cut", module="cutting.plugin"), module="cutter_plugin")
    package = tmp_path / "cutting"
    package.mkdir()
    (tmp_path / "cutter_plugin.py").rename(package / "plugin.py")
    (package / "__init__.py").write_text("")
    info = tmp_path / "cutter-1.2.dist-info"
    (info / "entry_points.txt").write_text("[wholeword]\nmain = cutting.plugin\n")
    (info / "direct_url.json").write_text(json.dumps({"dir_info": {}, "url": "file:///somewhere/cutter"}))
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(SMALL.replace("model:", "segmenter: cut\nprepare_workers: 1\nmodel:"), encoding="utf-8")
    run(tmp_path, "prepare", "recipe.yaml")
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "other.pyc").write_bytes(b"\0")
    run(tmp_path, "prepare", "recipe.yaml")
    (package / "words.txt").write_text("公园\n", encoding="utf-8")
    assert "segmenter.source" in run(tmp_path, "prepare", "recipe.yaml", code=2).stderr
