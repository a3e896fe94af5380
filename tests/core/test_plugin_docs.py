"""The pages of docs/plugins: their Python runs, their YAML is read, and what they say of hooks and contracts is so."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import wholeword.core.contracts
from wholeword.core import testing
from wholeword.core.registry.hookspecs import HOOKS

FOLDER = Path(__file__).parents[2] / "docs" / "plugins"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
UNWRITTEN: set[str] = set()  # pages that are still to come
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (FOLDER / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs_and_ends_with_its_check(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = blocks(page, "python")
    assert f"check_{page}(" in code[-1]
    offers: list[tuple[str, str]] = []
    names: dict[str, Any] = {"__name__": page, "tmp_path": tmp_path}
    for block in code:
        exec(compile(block, f"{page}.md", "exec"), names)
    names[HOOKS[page]](lambda name, target, **_: offers.append((name, target)))
    assert offers and all(target.partition(":")[2] in names for _, target in offers)
    for block in blocks(page, "yaml"):
        assert yaml.safe_load(block) and offers[0][0] in block


def test_the_index_names_every_kind_with_its_hook_contract_and_page() -> None:
    rows = {row[0]: row[1:] for row in re.findall(r"^\| (\w+) \| (.+?) \| (.+?) \| \[(\w+)\.md\]\(\w+\.md\) \|$", INDEX, re.MULTILINE)}
    assert set(rows) == {kind for kind in HOOKS if kind != "optimizer_kernel"}
    for kind, (hooks, contracts, page) in rows.items():
        assert f"`{HOOKS[kind]}`" in hooks and page == kind
        if kind in UNWRITTEN:
            continue
        assert page in PAGES
        assert all(hasattr(wholeword.core.contracts, contract) for contract in re.findall(r"`(\w+)`", contracts))
        assert hasattr(testing, f"check_{kind}")
