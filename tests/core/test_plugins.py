"""Plugins of other distributions, as they are found on a disk: each test installs real ones into a folder of its own."""

import json
from importlib.metadata import entry_points

import pytest
from plugin_sites import GOOD, SMALL, TOMORROW, install, run, stand_in, warnings_of

from wholeword.core.errors import PluginError
from wholeword.core.registry.plugins import Broken, Entry, discover
from wholeword.core.registry.registry import Registry

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
    (site / "text.txt").write_text("图书馆的新系统。\n\n今天天气很好。\n", encoding="utf-8")
    stand_in(site, "torch", "transformers")
    [warning] = warnings_of(run(site, "check", recipe))
    assert warning.startswith("warning: ") and "segmenter.name: plugin tomorrow 1.2: unknown hook" in warning
    assert "'register_telescopes'" in warning and "'register_segmenter'" in warning
    assert not warnings_of(run(site, "check", recipe, "--set", "segmenter=jieba"))
    [on_the_command_line] = warnings_of(run(site, "mask", "今天天气", "--segmenter", "later"))
    assert on_the_command_line == "warning: " + warning.split(": ", 3)[3]
    assert not warnings_of(run(site, "mask", "今天天气"))


def test_an_ambiguous_name_is_the_users_input_wherever_it_is_given(site):
    for distribution in ("one", "other"):
        install(site, distribution, GOOD.format(name="pairs", module=f"{distribution}_plugin"))
    recipe = site / "small.yaml"
    recipe.write_text(SMALL + "segmenter: pairs\n", encoding="utf-8")
    answer = "2 plugins offer the segmenter 'pairs'; write 'one:pairs' or 'other:pairs'"
    assert answer in run(site, "check", recipe, code=2).stderr
    assert run(site, "mask", "今天天气", "--segmenter", "pairs", code=2).stderr == f"{answer}\n"


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
