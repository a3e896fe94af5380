"""Fixtures of this folder."""

import sys

import pytest
from small_recipe import RECIPE

from wholeword.core.config import Recipe, load_recipe
from wholeword.core.errors import RecipeError


@pytest.fixture
def load(tmp_path):
    """Load RECIPE with some lines replaced (by number, from 1), or another text."""

    def loaded(lines: dict[int, str] | None = None, *overrides: str, text: str = RECIPE) -> Recipe:
        content = text.splitlines()
        for number, line in (lines or {}).items():
            content[number - 1] = line
        path = tmp_path / "recipe.yaml"
        path.write_text("\n".join(content), encoding="utf-8")
        return load_recipe(path, overrides)

    def problems(*args, **kwargs) -> list[str]:
        try:
            loaded(*args, **kwargs)
        except RecipeError as error:
            return [problem.replace(f"{tmp_path}/", "") for problem in error.problems]
        return []

    loaded.problems = problems
    return loaded


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that Python imports from; its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.endswith("_plugin"):
            del sys.modules[name]
