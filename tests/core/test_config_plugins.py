"""Settings of plugins in a recipe, and plugins that are not installed or lack a library."""

import pytest

PLUGIN = """
from pathlib import Path
from typing import Literal

class Words:
    def __init__(self, *, model: str, batch_size: int = 8, mode: Literal["fast", "exact"] = "fast", cut_rate: float = 0.5,
                 dictionary: Path | None = None, pair: tuple[int, int] = (1, 2), own: object = object()):
        raise AssertionError("a recipe is checked without making the plugin")
"""


@pytest.fixture
def with_plugins(tmp_path, monkeypatch, plugins):
    (tmp_path / "words_plugin.py").write_text(PLUGIN)
    (tmp_path / "needy_plugin.py").write_text("import a_library_that_is_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins("segmenter", "words", "words_plugin:Words", distribution="words-dist")
    plugins("segmenter", "needy", "needy_plugin:Needs", distribution="needy-dist", extra="all")


def test_the_signature_of_a_plugin_is_its_schema(load, with_plugins):
    recipe = load({4: "segmenter: {name: words, model: big, dictionary: d.txt, pair: [3, 4], own: 5}"})
    assert recipe.segmenter.settings == {
        "model": "big",
        "dictionary": "d.txt",
        "pair": [3, 4],
        "own": 5,
        "batch_size": 8,
        "mode": "fast",
        "cut_rate": 0.5,
    }
    problems = load.problems({4: "segmenter: {name: words, batch_size: '8', mode: fats, cut_rate: 50, dictionary: 3, pair: [1], modle: x}"})
    assert [problem.split(": ", 1)[1] for problem in problems] == [
        "segmenter.batch_size: '8' is text; expected a whole number; did you mean 8?",
        "segmenter.mode: 'fats'; expected one of fast, exact; did you mean fast?",
        "segmenter.cut_rate: 50 is not a share; expected a number of at least 0 and at most 1; did you mean 0.5?",
        "segmenter.dictionary: 3; expected text or null",
        "segmenter.pair: a list; expected a list",
        "segmenter.modle: unknown setting; did you mean 'model'?",
    ]
    assert load.problems({4: "segmenter: words"}) == ["recipe.yaml:4:12: segmenter.model: missing; words needs it"]


def test_a_missing_library_is_a_problem_with_its_cure(load, with_plugins):
    (problem,) = load.problems({4: "segmenter: needy"})
    assert (
        problem == "recipe.yaml:4:12: segmenter.name: segmenter 'needy' of needy-dist needs 'a_library_that_is_not_installed': "
        'pip install "needy-dist[all]"'
    )
