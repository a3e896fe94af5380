"""Pages in two languages say the same: equal code, equal headings; and their commands and settings exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from wholeword.cli import app
from wholeword.core.registry.registry import registry

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path.name.removesuffix(".zh.md") for path in DOCS.glob("*.zh.md"))


def text_of(page, language):
    return (DOCS / f"{page}{language}.md").read_text(encoding="utf-8")


def blocks(text):
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M)


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_show_the_same_code(page):
    english, chinese = text_of(page, ""), text_of(page, ".zh")
    shown = [
        [(kind, [line.split("#")[0].rstrip() for line in code.splitlines()]) for kind, code in blocks(text)] for text in (english, chinese)
    ]
    assert shown[0] == shown[1] and shown[0]
    assert [len(re.findall(r"^#+ ", text, re.M)) for text in (english, chinese)] == [len(re.findall(r"^#+ ", english, re.M))] * 2


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_settings_exist(page):
    code = "".join(code for kind, code in blocks(text_of(page, "")) if kind == "sh")
    for command in re.findall(r"wholeword (\w+)", re.sub(r"#.*|URL\S+ wholeword|cd wholeword", "", code)):
        assert command in app.list_commands(None), command
    backend = registry.parameters("backend", "tensorflow")
    for setting in re.findall(r"backend\.(\w+)", code):
        assert setting in {*backend, "name"}, setting


def test_the_tpu_page_shows_what_check_prints():
    backend = {
        line.split(":")[0].strip(): line.split(":")[1].split("#")[0].strip()
        for line in dict(blocks(text_of("tpu", "")))["yaml"].splitlines()[1:]
    }
    settings = ", ".join(f"{name}: {value}" for name, value in backend.items())
    program = [sys.executable, "-m", "wholeword", "check", "bert-wwm", "--set", f"backend={{{settings}}}"]
    printed = subprocess.run(program, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    assert [line for line in printed.splitlines() if line.startswith("TPU ")] == dict(blocks(text_of("tpu", "")))[""].splitlines()
