"""The project's files agree with each other: versions, supported Pythons, test environments, links."""

import configparser
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import wholeword

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CI = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini", encoding="utf-8")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").glob("*/README.md"))]


def test_ci_runs_every_environment_of_tox():
    run = {environment for job in CI["jobs"].values() for environment in job["strategy"]["matrix"]["environment"]}
    environments = {name.removeprefix("testenv:") for name in TOX.sections() if name.startswith("testenv:")}
    assert run == {re.sub(r"^py\d+-", "", name) for name in environments}  # py312-core is core, which CI runs on every Python


def test_ci_runs_core_on_every_python_that_is_claimed():
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    [matrix] = [job["strategy"]["matrix"] for job in CI["jobs"].values() if "core" in job["strategy"]["matrix"]["environment"]]
    assert matrix["python"] == claimed and PROJECT["requires-python"] == f">={claimed[0]}"


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == wholeword.__version__
    assert citation["license"] == PROJECT["license"] and citation["repository-code"] == PROJECT["urls"]["Source"]
    assert [reference["doi"] for reference in citation["references"]] == ["10.1109/TASLP.2021.3124365"]
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)[1] == wholeword.__version__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


CHINESE = [path for suffix in ("md", "py", "html", "template") for path in ROOT.glob(f"wholeword/**/*.{suffix}")]


@pytest.mark.parametrize("word, glossary", [("遮盖", "掩码"), ("遮蔽", "掩码"), ("精调", "微调"), ("词片库", "词元库")])
def test_chinese_has_one_word_a_thing(word, glossary):
    """The word of the glossary in CONTRIBUTING.md, and no other."""
    assert glossary in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert not [path.name for path in [*PAGES, *CHINESE] if word in path.read_text(encoding="utf-8")]
