"""The READMEs are true: their recipe loads, their plugin keeps its contract, their pictures are what the commands print."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wholeword.core.config import load_recipe
from wholeword.core.testing import check_segmenter

ROOT = Path(__file__).parents[2]
READMES = ["README.md", "README.zh.md"]


def blocks(readme, language):
    text = (ROOT / readme).read_text(encoding="utf-8")
    return [content for found, content in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M) if found == language]


def test_both_languages_show_the_same_code():
    def code(readme, language):
        return [[line.split("#")[0].rstrip() for line in block.splitlines()] for block in blocks(readme, language)]

    for language in ("sh", "yaml", "python", "toml", ""):
        assert code(READMES[0], language) == code(READMES[1], language)
    headings = [len(re.findall(r"^#+ ", (ROOT / readme).read_text(encoding="utf-8"), re.M)) for readme in READMES]
    assert headings[0] == headings[1]


@pytest.mark.parametrize("readme", READMES)
def test_the_recipe_loads(readme, tmp_path):
    block = blocks(readme, "yaml")[0]
    path = tmp_path / "mine.yaml"
    path.write_text(block, encoding="utf-8")
    recipe = load_recipe(str(path))
    assert recipe.masking.name == "whole-word" and recipe.phases[0].max_predictions == 77


@pytest.mark.parametrize("readme", READMES)
def test_the_plugin_works(readme):
    [source] = [block for block in blocks(readme, "python") if "hookimpl" in block]
    names = {}
    exec(source, names)
    check_segmenter(names["TwoByTwo"]())
    assert len(source.splitlines()) <= 30


@pytest.mark.parametrize("readme", READMES)
def test_the_picture_is_what_the_command_prints(readme):
    [command] = [block.strip() for block in blocks(readme, "sh") if block.startswith("wholeword mask")]
    _, text, rest = re.fullmatch(r'wholeword (mask) "(.*)" (.*)', command).groups()
    program = [sys.executable, "-m", "wholeword", "mask", text, *rest.split()]
    printed = subprocess.run(program, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    assert "\n".join(line.rstrip() for line in printed.splitlines()) + "\n" in blocks(readme, "")


@pytest.mark.parametrize("readme", READMES)
def test_every_command_exists(readme):
    from wholeword.cli import app

    for block in blocks(readme, "sh"):
        for command in re.findall(r"wholeword ([a-z-]+)", block):
            assert command in app.list_commands(None)


def recorded(name):
    """The values in benchmarks/results/NAME*.json."""
    files = sorted((ROOT / "benchmarks" / "results").glob(f"{name}*.json"))
    assert files, f"nothing is recorded for {name}"
    return [metric["value"] for file in files for metric in json.loads(file.read_text(encoding="utf-8"))["metrics"]]


def is_recorded(quoted, values):
    """Whether a number, as it is written, is one of the values rounded."""
    digits = len(quoted.partition(".")[2])
    return any(float(quoted) == round(value, digits) for value in values)


def unrecorded(text, values):
    return [number for number in re.findall(r"(?<![\w.])\d+\.\d+", text) if not is_recorded(number, values)]


@pytest.mark.parametrize("readme", READMES)
def test_measured_figures_are_on_record(readme):
    text = (ROOT / readme).read_text(encoding="utf-8")
    [shown] = [block for block in blocks(readme, "") if "held out" in block]
    held_out = "".join(line for line in shown.splitlines() if line.startswith("held out"))
    assert len(re.findall(r"\d+\.\d+", held_out)) == 10 and not unrecorded(held_out, recorded("quickstart"))
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    quoting = [paragraph for paragraph in prose.split("\n\n") if "benchmarks/" in paragraph]
    assert len(quoting) >= 2
    for paragraph in quoting:
        values = [value for name in re.findall(r"benchmarks/(\w+)\.py", paragraph) for value in recorded(name)]
        assert not unrecorded(paragraph, values)
    elsewhere = "\n\n".join(paragraph for paragraph in prose.split("\n\n") if paragraph not in quoting)
    assert not re.findall(r"\d+(?:\.\d+)?(?: times as| ?x\b| ?倍)", elsewhere), "a speed without the benchmark that measured it"


def test_results_say_where_they_come_from():
    for file in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        assert {"claim", "metrics", "peer", "command", "machine", "date", "commit"} <= content.keys(), file.name
        assert content["metrics"] and all(metric.keys() == {"name", "value", "unit"} for metric in content["metrics"])
        script = re.search(r"python (benchmarks/\w+\.py)", content["command"])
        assert script is None or (ROOT / script[1]).is_file(), file.name
