"""Plugins of other distributions, as they are found on a disk: each test installs real ones into a folder of its own."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import wholeword
from wholeword.core.config import load_recipe
from wholeword.core.config.locations import read_model
from wholeword.core.config.sources import source_location
from wholeword.core.errors import PluginError, UserError
from wholeword.core.files import to_json
from wholeword.core.registry.plugins import Broken, Entry, discover
from wholeword.core.registry.registry import Registry
from wholeword.core.testing import tiny_model
from wholeword.core.training.export import export
from wholeword.zoo.find import read

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
    "kernel": (
        "from wholeword import hookimpl\n@hookimpl\ndef register_optimizer_kernels(register): register('adamw', 'a:b')",
        "register_optimizer_kernels: name 'adamw'; expected optimizer.framework, such as 'adamw.jax'",
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
    with pytest.raises(PluginError) as raised:  # neither hook would have offered a schedule
        registry.find("schedule", "sooner")
    assert "tomorrow" not in str(raised.value)


def test_a_recipe_that_uses_a_plugin_with_unknown_hooks_gets_one_warning(site):
    install(site, "tomorrow", TOMORROW.format(module="tomorrow_plugin"))
    recipe = site / "small.yaml"
    recipe.write_text(SMALL + "segmenter: later\n", encoding="utf-8")
    (site / "text.txt").write_text("图书馆的新系统。\n", encoding="utf-8")
    [warning] = run(site, "check", recipe).stderr.splitlines()
    assert warning.startswith("warning: ") and "segmenter.name: plugin tomorrow 1.2: unknown hook" in warning
    assert "'register_telescopes'" in warning and "'register_segmenter'" in warning
    assert not run(site, "check", recipe, "--set", "segmenter=jieba").stderr


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
        "needy": "mine.yaml:11:10: export.0: needy needs the setting 'level', but only its name is given; expected {name: needy,",
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
        "with-extra": "segmenter 'with-extra' of third-party needs 'a_library_nobody_has': pip install \"third-party[fast]\"",
        "without": "segmenter 'without' of third-party needs 'a_library_nobody_has': pip install a_library_nobody_has",
        "late": "segmenter 'late' of third-party needs 'a_library_nobody_has': pip install \"third-party[fast]\"",
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


VERIFIED = """
from wholeword import hookimpl

@hookimpl
def register_exporters(register):
    for name in ("plain", "careful", "strict", "helpless", "mute", "nothing", "raises", "pytorch-bin"):
        register(name, f"tools_plugin:{name.title().replace('-', '')}")

class Plain:
    def export(self, model, folder): (folder / "size.txt").write_text(str(len(model.weights)))

class PytorchBin(Plain): pass

class Careful(Plain):
    def verify(self, model, folder): yield f"{(folder / 'size.txt').read_text()} tensors counted"

class Strict(Plain):
    def verify(self, model, folder):
        from wholeword.core.errors import IntegrityError
        raise IntegrityError(f"{folder}: not the model")

class Helpless(Plain):
    def verify(self, model, folder): import a_library_nobody_has

class Mute(Plain):
    def verify(self, model, folder): return None

class Nothing:
    def export(self, model, folder): pass

class Raises:
    def export(self, model, folder): folder / 1
"""


def test_exporters_of_others_verify_their_files_or_say_that_they_cannot(site):
    install(site, "tools", VERIFIED)
    export(tiny_model(), "tf-checkpoint", site / "model")
    for name, code, answer in (
        ("careful", 0, "careful: 46 tensors counted"),
        ("plain", 4, "plain: written, but not verified: tools 1.2 offers no verification for it"),
        ("tools:pytorch-bin", 4, "tools:pytorch-bin: written, but not verified: tools 1.2 offers no verification for it"),
        ("strict", 3, "not the model"),
        ("helpless", 4, "exporter 'helpless' of tools needs 'a_library_nobody_has': pip install a_library_nobody_has"),
        ("mute", 4, "exporter 'mute' of tools 1.2 failed: TypeError: 'NoneType' object is not iterable"),
    ):
        result = run(site, "export", "model", "--to", name, "-o", name, "--verify", code=code)
        assert answer in (result.stderr or result.stdout) and (site / name / "size.txt").exists() and "Traceback" not in result.stderr
        assert run(site, "export", "model", "--to", name, "-o", f"{name}-again").stdout == f"{name}: {name}-again\n"
    for name, answer in (("nothing", "wrote no file"), ("raises", "failed: TypeError: unsupported operand")):
        result = run(site, "export", "model", "--to", name, "-o", name, code=4)
        assert f"exporter '{name}' of tools 1.2" in result.stderr and answer in result.stderr and not (site / name).exists()


COMMANDS = """
from wholeword import hookimpl

@hookimpl
def register_commands(register):
    register("count", "acme_code:count", help="Count the characters of files.")
    register("train", "acme_code:count")
    register("raises", "acme_code:raises")
    register("odd", "acme_code:odd")
    register("gone", "a_library_nobody_has:x", extra="all")
"""

CODE = """
import click

@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True))
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def count(ctx, files, as_json):
    'Count the characters of files.'
    assert ctx.command is count and ctx.parent.info_name == "wholeword"
    click.echo({"files": len(files)} if as_json else len(files))

@click.group()
def raises():
    'Fail.'

@raises.command()
@click.argument("how")
def now(how):
    'Fail.'
    from wholeword.core.errors import UserError
    raise {"user": UserError("nothing to count"), "own": KeyError("x"), "exit": SystemExit(7)}[how]

odd = print
"""


def test_a_plugin_adds_commands(site):
    before = run(site, "--help").stdout
    install(site, "acme", COMMANDS)
    install(site, "broken", "1 / 0")
    (site / "acme_code.py").write_text(CODE, encoding="utf-8")
    listing = run(site, "--help").stdout
    added = [line.split()[0] for line in listing.splitlines() if line not in before.splitlines()]
    assert added == ["acme:train", "count", "gone", "odd", "raises"]
    assert re.search(r"  count +Count the characters of files\.", listing) and re.search(r"  raises +\(of acme\)", listing)
    assert run(site, "count", "--json", "acme_code.py").stdout == "{'files': 1}\n" and run(site, "acme:train").stdout == "0\n"
    assert "Usage: wholeword count [OPTIONS] [FILES]..." in run(site, "count", "--help").stdout
    for arguments, code, answer in (
        (["count", "none.txt"], 2, "'none.txt' does not exist"),
        (["train", "--help"], 0, ""),
        (["raises", "now", "user"], 2, "nothing to count\n"),
        (["raises", "now", "own"], 4, "command 'raises' of acme 1.2 failed: KeyError: 'x'\n"),
        (["raises", "now", "exit"], 7, ""),
        (["odd"], 4, "command 'odd' of acme 1.2: acme_code:odd is builtin_function_or_method; expected what click.command makes"),
        (["gone"], 4, "command 'gone' of acme 1.2 failed: ModuleNotFoundError"),
        (["coumt"], 2, "No such command 'coumt'; did you mean 'count'?"),
    ):
        result = run(site, *arguments, code=code)
        assert answer in result.stderr and "Traceback" not in result.stderr
    assert "train [OPTIONS] RECIPE" in run(site, "train", "--help").stdout


def test_help_imports_neither_commands_nor_anything_heavy(site):
    install(site, "acme", COMMANDS)
    (site / "acme_code.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    program = "import sys\nfrom wholeword.cli import main\ntry:\n    main(['--help'])\nfinally:\n    print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(site))
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "acme_plugin" in loaded and not loaded & {"acme_code", "numpy", "pydantic", "rich", "yaml", "tokenizers"}
    (site / "acme-1.2.dist-info" / "entry_points.txt").unlink()
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(site))
    assert not set(result.stdout.splitlines()[-1].split()) & {"pluggy", "importlib.metadata"}


RETURNS = """
import numpy as np
from wholeword import hookimpl

@hookimpl
def register_masking(register):
    for name in ("tuple", "ints", "special", "crash", "needy"):
        register(name, f"returns_plugin:{name.title()}")

@hookimpl
def register_cleaners(register): register("one", "returns_plugin:One")

@hookimpl
def register_segmenters(register): register("halves", "returns_plugin:Halves")

class Tuple:
    def mask(self, ids, word_starts, candidates, sample_ids, **context): return ids, candidates

class Ints(Tuple):
    def mask(self, ids, word_starts, candidates, sample_ids, **context):
        from wholeword.core.contracts import Masked
        return Masked(ids, candidates.astype(int))

class Special(Tuple):
    def mask(self, ids, word_starts, candidates, sample_ids, **context):
        from wholeword.core.contracts import Masked
        return Masked(ids, ~candidates)

class Crash(Tuple):
    def mask(self, *arguments, **context): return arguments[9]

class Needy(Tuple):
    def __init__(self, *, words: list[str]): pass

class One:
    def clean(self, lines): return "one"

class Halves:
    def segment(self, sentences): return [[sentence] for sentence in sentences[::2]]
"""

SMALL = """
version: 1
name: small
corpus: {files: [text.txt]}
tokenizer: {train: 64, min_frequency: 1}
model: {size: tiny}
phases: [{max_seq_length: 16, batch_size: 2, steps: 1, peak_lr: 1.0e-4}]
output: small
"""


def test_what_plugins_return_is_checked_where_it_comes_in(site):
    install(site, "returns", RETURNS)
    recipe = site / "small.yaml"
    recipe.write_text(SMALL, encoding="utf-8")
    (site / "text.txt").write_text("使用语言模型来预测下一个词。\n图书馆的新系统。\n", encoding="utf-8")
    for name, answer in (
        ("tuple", "of returns 1.2: mask() returned tuple without an array input_ids; expected wholeword.core.contracts.Masked"),
        ("ints", "of returns 1.2: mask() returned chosen as int64"),
        ("special", "of returns 1.2: mask() returned chosen places that are no candidates"),
        ("crash", "of returns 1.2 failed: IndexError"),
    ):
        result = run(site, "mask", "图书馆的新系统。", "--strategy", name, code=4)
        assert result.stderr.startswith(f"masking '{name}' {answer}") and result.stderr.count("\n") == 1, result.stderr
    for setting, answer in (
        ("corpus.cleaning=[one]", "cleaner 'one' of returns 1.2 gave a single string; expected a sequence of lines (for the line"),
        ("segmenter=halves", "segmenter 'halves' of returns 1.2 gave 1 lists of words for 2 sentences; expected one each (among 2"),
    ):
        result = run(site, "prepare", recipe, "--set", setting, "--set", f"output={setting[:7]}", code=4)
        assert result.stderr.startswith(answer) and result.stderr.count("\n") == 1, result.stderr


def test_the_doctor_runs_the_cheap_part_of_the_checks(site):
    install(site, "returns", RETURNS)
    install(site, "tomorrow", TOMORROW.format(module="tomorrow_plugin"))
    states = json.loads(run(site, "doctor", "--json").stdout)["plugins"]
    assert states["segmenter wholeword:jieba"] == states["masking wholeword:whole-word"] == states["segmenter tomorrow:later"] == "ok"
    assert states["segmenter returns:halves"] == ("breaks its contract: 4 sentences gave 2 lists of words; expected one per sentence")
    assert states["masking returns:tuple"].startswith("breaks its contract: mask() returned tuple without input_ids")
    assert states["cleaner returns:one"].startswith("breaks its contract: clean() returned str")
    assert states["masking returns:crash"] == "masking 'crash' of returns 1.2 failed: IndexError: tuple index out of range"
    assert states["masking returns:needy"] == "ok; not checked, because it needs the setting 'words'"
    assert states["ignored tomorrow"].startswith("unknown hook")
    assert not [state for name, state in states.items() if " wholeword:" in name and "breaks its contract" in state]


FAULTY = """
from wholeword import hookimpl

def offer(hook, **targets):
    def function(register):
        for name, target in targets.items():
            register(name, f"{__name__}:{target}")
    function.__name__ = hook
    globals()[hook] = hookimpl(function)

offer("register_backends", torch="Speaks", raises="Raises", three="Three", exits="Exits", dies="Dies")
offer("register_trackers", dies="Dies", hollow="Hollow")
offer("register_optimizers", dies="Dies", hollow="Hollow")
offer("register_corpus_formats", dies="Dies", hollow="Hollow")
offer("register_segmenters", gone="Gone")
offer("register_exporters", gone="Gone")

class Dies:
    def __init__(self): raise ValueError("no\\nlicence")

class Hollow: pass

class Speaks:
    def trainer(self, *arguments, **settings): pass
    def describe(self): return "speaks"

class Raises(Speaks):
    def describe(self): raise ValueError("no device")

class Three(Speaks):
    def describe(self): return 3

class Exits(Speaks):
    def describe(self): raise SystemExit("bye")
"""


def test_the_doctor_names_every_faulty_plugin_and_finishes(site):
    install(site, "faulty", FAULTY)
    install(site, "twin", FAULTY)
    report = json.loads(run(site, "doctor", "--json").stdout)
    backends, states = report["backends"], report["plugins"]
    assert {"pytorch", "tensorflow"} <= set(backends)
    for distribution in ("faulty", "twin"):
        assert backends[f"{distribution}:torch"] == "speaks"
        assert backends[f"{distribution}:raises"] == f"backend 'raises' of {distribution} 1.2 failed: ValueError: no device"
        assert (
            backends[f"{distribution}:three"]
            == f"backend 'three' of {distribution} 1.2 failed: TypeError: describe() returned 3; expected text"
        )
        assert backends[f"{distribution}:exits"] == f"backend 'exits' of {distribution} 1.2 failed: SystemExit: bye"
        assert backends[f"{distribution}:dies"] == f"backend 'dies' of {distribution} 1.2 failed: ValueError: no licence"
        for kind in ("backend", "tracker", "optimizer", "corpus_format"):
            assert states[f"{kind} {distribution}:dies"] == f"{kind} 'dies' of {distribution} 1.2 failed: ValueError: no licence"
        for kind in ("tracker", "optimizer", "corpus_format"):
            assert states[f"{kind} {distribution}:hollow"].startswith("breaks its contract: Hollow has no ")


def test_a_backend_of_one_other_distribution_keeps_its_bare_name(site):
    install(site, "faulty", FAULTY)
    assert json.loads(run(site, "doctor", "--json").stdout)["backends"]["torch"] == "speaks"


def test_the_exit_code_tells_a_wrong_name_from_a_broken_plugin(site):
    install(site, "faulty", FAULTY)
    export(tiny_model(), "tf-checkpoint", site / "model")
    recipe = site / "small.yaml"
    recipe.write_text(SMALL, encoding="utf-8")
    (site / "text.txt").write_text("图书馆的新系统。\n", encoding="utf-8")
    for arguments, answer in (
        (["export", "model", "--to", "pytorch-bn", "-o", "out"], "unknown exporter 'pytorch-bn'; did you mean 'pytorch-bin'?"),
        (["mask", "今天天气", "--segmenter", "jeiba"], "unknown segmenter 'jeiba'; did you mean 'jieba'?"),
        (["report", recipe, "--compare", "jieba,charcters"], "unknown segmenter 'charcters'; did you mean 'characters'?"),
        (["check", recipe, "--set", "segmenter=jeiba"], "unknown segmenter 'jeiba'; did you mean 'jieba'?"),
        (["check", recipe, "--set", "segmenter=gone", "--set", "masking=whole-wrd"], "unknown masking 'whole-wrd'"),
    ):
        assert answer in run(site, *arguments, code=2).stderr
    for arguments in (
        ["mask", "今天天气", "--segmenter", "gone"],
        ["check", recipe, "--set", "segmenter=gone"],
        ["check", recipe, "--set", "segmenter=gone", "--set", "export=[gone]"],
    ):
        errors = run(site, *arguments, code=4).stderr.splitlines()
        assert errors and all("'gone' of faulty 1.2 failed: AttributeError" in line for line in errors)
