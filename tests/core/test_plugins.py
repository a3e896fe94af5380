"""Plugins of other distributions, as they are found on a disk: each test installs real ones into a folder of its own."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import wholeword
from wholeword.core.config import load_recipe
from wholeword.core.errors import PluginError
from wholeword.core.files import to_json
from wholeword.core.registry.plugins import Broken, Entry, discover
from wholeword.core.registry.registry import Registry

GOOD = """
from wholeword import hookimpl

@hookimpl
def register_segmenters(register):
    register("{name}", "{module}:Segmenter")

class Segmenter:
    def __init__(self, *, size: int = 2): self.size = size
    def segment(self, sentences): return [[s[i:i + self.size] for i in range(0, len(s), self.size)] for s in sentences]
"""

# what is wrong with a plugin -> its module, and a word of the reason that must be shown
BROKEN = {
    "no_library": ("import a_library_nobody_has", "No module named 'a_library_nobody_has'"),
    "exits": ("raise SystemExit('no licence key')", "SystemExit: no licence key"),
    "syntax": ("def broken(:", "SyntaxError"),
    "misspelt": ("from wholeword import hookimpl\n@hookimpl\ndef register_segmenter(register): pass", "did you mean 'register_segmenters'"),
    "argument": ("from wholeword import hookimpl\n@hookimpl\ndef register_segmenters(registry): pass", "registry"),
    "raises": ("from wholeword import hookimpl\n@hookimpl\ndef register_masking(register): 1 / 0", "ZeroDivisionError"),
    "target": ("from wholeword import hookimpl\n@hookimpl\ndef register_masking(register): register('x', print)", "'module:object'"),
    "bad_name": ("from wholeword import hookimpl\n@hookimpl\ndef register_masking(register): register('two words', 'a:b')", "'two words'"),
    "twice": (
        "from wholeword import hookimpl\n@hookimpl\ndef register_tasks(register): register('x', 'a:b'); register('x', 'a:c')",
        "registered twice",
    ),
    "nothing": ("answer = 42", "implements no hook"),
}


def environment(site):
    """Of a process that finds this checkout, and what is installed in `site`."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(Path(wholeword.__file__).parents[1])])}


def run(site, *arguments, code=0):
    """The command line where the plugins in `site` are installed."""
    command = [sys.executable, "-m", "wholeword", *map(str, arguments)]
    result = subprocess.run(command, cwd=site, capture_output=True, text=True, env=environment(site))
    assert result.returncode == code, result.stderr
    return result


def install(folder, distribution, source, *, module=None):
    """Write a distribution with one module and one entry point, as pip leaves it."""
    module = module or distribution.replace("-", "_") + "_plugin"
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    info = folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[wholeword]\nmain = {module}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that Python imports from; its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.endswith("_plugin"):
            del sys.modules[name]


def test_builtins_come_through_the_same_entry_point_group():
    assert ("builtin", "wholeword.plugins") in [(point.name, point.value) for point in entry_points(group="wholeword")]
    entries, broken, ignored = discover()
    assert {entry.distribution for entry in entries} >= {"wholeword"} and not broken and not ignored
    assert {"jieba", "ltp", "presegmented", "characters"} <= {entry.name for entry in entries if entry.kind == "segmenter"}


def test_a_third_party_plugin_is_found_and_used_by_its_name(site):
    install(site, "good-plugin", GOOD.format(name="pairs", module="good_plugin_plugin"))
    registry = Registry()
    assert registry.find("segmenter", "pairs") == Entry("segmenter", "pairs", "good_plugin_plugin:Segmenter", "good-plugin", "1.2")
    assert registry.create("segmenter", "pairs", size=3).segment(["图书馆的新系统"]) == [["图书馆", "的新系", "统"]]
    assert list(registry.parameters("segmenter", "pairs")) == ["size"]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_listed_with_its_reason_and_stops_nothing(site, kind):
    source, reason = BROKEN[kind]
    install(site, f"aaa-{kind.replace('_', '-')}", source)
    install(site, "zzz-good", GOOD.format(name="pairs", module="zzz_good_plugin"))
    registry = Registry()
    [plugin] = registry.broken
    assert (plugin.distribution, plugin.version) == (f"aaa-{kind.replace('_', '-')}", "1.2")
    assert reason in plugin.reason and "\n" not in plugin.reason
    assert {"pairs", "jieba"} <= set(registry.names("segmenter"))


def test_broken_plugins_are_shown_by_the_command(site):
    install(site, "aaa-broken", "import a_library_nobody_has")
    install(site, "shadow", GOOD.format(name="jieba", module="shadow_plugin"))
    install(site, "tomorrow", TOMORROW.format(module="tomorrow_plugin"))
    plain = run(site, "plugins").stdout
    assert "aaa-broken 1.2" in plain and "a_library_nobody_has" in plain and "write shadow:jieba" in plain
    assert "ignored     tomorrow 1.2" in plain and "did you mean 'register_segmenters'" in plain
    assert "write wholeword:jieba" not in plain
    listed = json.loads(run(site, "plugins", "--json").stdout)
    assert [entry["distribution"] for entry in listed["entries"] if entry["clash"]] == ["wholeword", "shadow"]
    assert listed["broken"][0]["distribution"] == "aaa-broken"
    assert [plugin["distribution"] for plugin in listed["ignored"]] == ["tomorrow"] * 2


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

RECIPE = """
version: 1
name: mine
corpus: {files: [text.txt], cleaning: [quotes]}
tokenizer: {train: 400}
masking: wholeword:whole-word
model: {size: tiny}
optimizer: {name: adamw}
phases: [{max_seq_length: 64, batch_size: 4, steps: 3, peak_lr: 1.0e-3}]
evaluation: {held_out_rate: 0.1, maskings: [whole-word]}
export: [pytorch-bin]
"""


def test_shipped_recipes_mean_wholewords_own_whatever_is_installed(site):
    expected = run(site, "check", "bert-wwm").stdout
    install(site, "shadow", SHADOW)
    result = run(site, "check", "bert-wwm")
    assert result.stdout == expected and not result.stderr
    result = run(site, "mask", "图书馆的新系统", "--json")
    assert json.loads(result.stdout)["words"] and not result.stderr


def test_a_bare_name_in_a_recipe_warns_once_and_another_is_written_with_its_distribution(site):
    install(site, "shadow", SHADOW)
    recipe = site / "mine.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    (site / "text.txt").write_text("使用语言模型来预测下一个词。\n\n图书馆的新系统。\n", encoding="utf-8")
    result = run(site, "check", recipe)
    warnings = [line.split(": ", 2) for line in result.stderr.splitlines()]
    assert [(level, setting) for level, _, setting in ((w[0], w[1], w[2].split(":")[0]) for w in warnings)] == [
        ("warning", "corpus.cleaning.0.name"),
        ("warning", "optimizer.name"),
        ("warning", "evaluation.maskings.0"),
        ("warning", "export.0"),
    ]
    assert all(line.endswith("write 'shadow:" + line.split("'")[1] + "' for that") for line in result.stderr.splitlines())
    recipe.write_text(RECIPE.replace("[quotes]", "[wholeword:quotes]").replace("{name: adamw}", "wholeword:adamw"), encoding="utf-8")
    result = run(site, "check", recipe, "--set", "export=[wholeword:pytorch-bin]", "--set", "evaluation.maskings=[wholeword:whole-word]")
    assert not result.stderr
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


TOMORROW = """
from wholeword import hookimpl

@hookimpl
def register_segmenters(register): register("later", "{module}:Segmenter")

@hookimpl
def register_telescopes(register): raise AssertionError("nobody calls this")

@hookimpl
def register_segmenter(register): raise AssertionError("nobody calls this")

@hookimpl(optionalhook=True)
def register_microscopes(register): raise AssertionError("nobody calls this")

class Segmenter:
    def segment(self, sentences): return [list(sentence) for sentence in sentences]
"""


def test_a_plugin_for_the_next_version_runs_on_this_one(site):
    install(site, "tomorrow", TOMORROW.format(module="tomorrow_plugin"))
    registry = Registry()
    assert not registry.broken
    assert registry.create("segmenter", "later").segment(["鱼"]) == [["鱼"]]
    assert sorted(plugin.reason for plugin in registry.ignored) == [
        "unknown hook 'register_segmenter'; did you mean 'register_segmenters'?; ignored",
        "unknown hook 'register_telescopes'; ignored",
    ]
    with pytest.raises(PluginError, match="plugin tomorrow: unknown hook 'register_segmenter'; did you mean"):
        registry.find("segmenter", "sooner")


EXPORTER = """
from pathlib import Path
from wholeword import hookimpl

@hookimpl
def register_exporters(register): register("card", "cards_plugin:Card"); register("needy", "cards_plugin:Needy")

class Card:
    def __init__(self, *, level: int = 2, notes: Path | None = None): self.level, self.notes = level, notes
    def export(self, model, folder):
        (folder / "card.txt").write_text(f"level {self.level} {self.notes.read_text() if self.notes else ''}")

class Needy:
    def __init__(self, *, level: int): pass
    def export(self, model, folder): pass
"""


def test_exporters_take_settings_from_a_recipe(site):
    install(site, "cards", EXPORTER)
    recipe = site / "mine.yaml"
    (site / "notes.txt").write_text("as promised")
    recipe.write_text(RECIPE.replace("[pytorch-bin]", "[pytorch-bin, {name: card, level: 3, notes: notes.txt}, cards:card]"))
    program = f"""
from wholeword.core.config import load_recipe
print(load_recipe({str(recipe)!r}).resolved()["export"])
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment(site)).stdout
    assert printed.strip() == ("['pytorch-bin', {'name': 'card', 'level': 3, 'notes': 'notes.txt'}, 'cards:card']")
    for text, problem in {
        "{name: card, level: high}": "mine.yaml:11:30: export.0.level: 'high' is text; expected a whole number",
        "{name: card, levl: 3}": "mine.yaml:11:23: export.0.levl: unknown setting; did you mean 'level'?",
        "needy": "mine.yaml:11:10: export.0: needy needs the setting 'level', and is only named here; expected {name: needy, level: ...}",
        "{name: needy}": "mine.yaml:11:10: export.0.level: missing; needy needs it",
    }.items():
        recipe.write_text(RECIPE.replace("[pytorch-bin]", f"[{text}]"))
        assert problem in run(site, "check", recipe, code=2).stderr


def test_a_wrong_name_gets_the_nearest_one_and_the_list():
    with pytest.raises(
        PluginError, match=r"unknown segmenter 'jeiba'; did you mean 'jieba'\? expected one of: characters, jieba, ltp, presegmented"
    ):
        Registry().find("segmenter", "jeiba")


def test_a_missing_library_gets_the_pip_line(site):
    (site / "needs_plugin.py").write_text("import a_library_nobody_has")
    (site / "late_plugin.py").write_text("class Late:\n    def __init__(self):\n        import a_library_nobody_has")
    entries = [
        Entry("segmenter", "with-extra", "needs_plugin:X", "third-party", "1.0", "fast"),
        Entry("segmenter", "without", "needs_plugin:X", "third-party", "1.0"),
        Entry("segmenter", "late", "late_plugin:Late", "third-party", "1.0", "fast"),
        Entry("segmenter", "gone", "no_such_module_of_ours:X", "third-party", "1.0", "fast"),
        Entry("segmenter", "renamed", "late_plugin:Lat", "third-party", "1.0"),
    ]
    registry = Registry((entries, []))
    for name, answer in {
        "with-extra": "needs 'a_library_nobody_has': pip install \"third-party[fast]\"",
        "without": "needs 'a_library_nobody_has': pip install a_library_nobody_has",
        "late": "needs 'a_library_nobody_has': pip install \"third-party[fast]\"",
        "gone": "third-party 1.0 failed: ModuleNotFoundError",
        "renamed": "third-party 1.0 failed: AttributeError",
    }.items():
        with pytest.raises(PluginError) as raised:
            registry.create("segmenter", name)
        assert answer in str(raised.value) and "\n" not in str(raised.value)


def test_settings_must_be_keyword_only(site):
    (site / "positional_plugin.py").write_text("class P:\n    def __init__(self, size: int): pass")
    registry = Registry(([Entry("segmenter", "p", "positional_plugin:P", "d", "1")], []))
    with pytest.raises(PluginError, match="size of positional_plugin:P must be keyword-only"):
        registry.parameters("segmenter", "p")


def test_an_unknown_name_mentions_plugins_that_could_not_be_loaded():
    registry = Registry(([], [Broken("main = x", "wholeword-ner", "0.3", "ImportError: no torch")]))
    with pytest.raises(PluginError, match="broken plugin wholeword-ner: ImportError: no torch"):
        registry.find("masking", "entities")
