"""The command line on narrow terminals, in other locales, in shells that complete, and while it waits."""

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from wholeword.cli import main
from wholeword.commands import next_commands
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Plain, doing
from wholeword.core.training.prepare import prepare
from wholeword.planning.units import duration

TEXT = "使用语言模型来预测下一个词。"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wholeword", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=os.environ | variables)


def test_short_options() -> None:
    assert run("-h").stdout == run("--help").stdout
    assert run("train", "-h").stdout.startswith("Usage: wholeword train")
    assert run("-V").stdout == run("--version").stdout == "wholeword, version 0.1.0\n"


@pytest.mark.parametrize("arguments", [["-h"], ["train", "-h"], ["recipes", "ls"], ["zoo", "ls"]])
def test_lines_fit_sixty_columns(arguments: list[str]) -> None:
    result = run(*arguments, COLUMNS="60")
    assert result.returncode == 0 and max(map(len, result.stdout.splitlines())) <= 60
    assert "-h" in arguments or result.stdout.split() == run(*arguments, COLUMNS="200").stdout.split()


def test_a_pipe_gets_one_line_a_recipe() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    program = [sys.executable, "-m", "wholeword", "recipes", "ls"]
    lines = subprocess.run(program, capture_output=True, text=True, env=environment, check=True).stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines) and len(lines) > 20


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""},  # tox sets the last one
    ],
)
def test_text_is_read_as_utf_8_and_printed_with_escapes_where_the_locale_lacks_it(locale: dict[str, str]) -> None:
    plain, other = run("mask", TEXT), run("mask", TEXT, **locale)
    assert other.returncode == 0 and "Traceback" not in other.stderr
    assert other.stdout.encode("ascii").decode("unicode_escape") == plain.stdout
    assert json.loads(run("mask", TEXT, "--json", **locale).stdout) == json.loads(run("mask", TEXT, "--json").stdout)


def test_the_c_locale_that_python_makes_utf_8_prints_chinese() -> None:
    assert run("mask", TEXT, LC_ALL="C").stdout == run("mask", TEXT).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("wholeword tra", {"train"}),
        ("wholeword train quick", {"quickstart"}),
        ("wholeword recipes cp table-", {"table-chnsenticorp"}),
        ("wholeword zoo get rbt", {"rbt3", "rbt4", "rbt6", "rbtl3"}),
        ("wholeword fill x --model macbert-", {"macbert-base", "macbert-large"}),
    ],
)
def test_shells_complete_commands_recipes_and_models(words: str, expected: set[str]) -> None:
    completed = run(COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1), _WHOLEWORD_COMPLETE="bash_complete").stdout
    assert {line.removeprefix("plain,") for line in completed.splitlines() if line.startswith("plain,")} == expected


def test_what_takes_long_is_announced_and_what_does_not_is_silent() -> None:
    with redirect_stderr(io.StringIO()) as errors:
        with doing("computing", seconds=0.05):
            end = time.monotonic() + 20
            while not errors.getvalue() and time.monotonic() < end:
                pass
        assert errors.getvalue() == "computing ...\n"
        with doing("nothing", seconds=3600):
            pass
    assert errors.getvalue() == "computing ...\n"


def test_a_stage_is_announced_at_its_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    console = Plain(seconds=3600)
    for done in (0, 1, 2):
        console.progress("train", done, 2, f"step {done}/2")
    assert capsys.readouterr().out == "train 0 %, step 0/2\ntrain 100 %, step 2/2\n"


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0.002, "7 seconds"), (0.2, "12 minutes"), (1.6, "1.6 hours"), (47, "47 hours"), (124.8, "5.2 days"), (1e6, "41,667 days")],
)
def test_times_are_in_the_unit_that_suits_them(hours: float, text: str) -> None:
    assert duration(hours) == text


RECIPE = """\
version: 1
name: books
corpus: {files: [text.txt]}
segmenter: characters
tokenizer: {train: 100}
examples: full-sentences
masking: {name: whole-word}
model: {num_hidden_layers: 1, hidden_size: 8, num_attention_heads: 2}
optimizer: adamw
backend: pytorch
phases: [{max_seq_length: 16, batch_size: 2, steps: 1, peak_lr: 1.0e-3}]
evaluation: {held_out_rate: 0}
export: []
"""


def test_the_next_commands_are_about_the_users_own_text_and_quote_blanks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("这本书的内容很有意思。\n" * 40, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    job = resolve(load_recipe("recipe.yaml", ["output=my runs/books"]))
    prepare(job.prepare)
    (job.output / "export" / "pytorch-bin").mkdir(parents=True)
    lines = next_commands(job)
    assert lines[2] == "  wholeword fill '这本书[MASK]内容很有意思。' --model 'my runs/books'"
    assert lines[3] == "  wholeword report 'my runs/books' --html report.html"
    assert "my runs/books/export/pytorch-bin" in lines[4] and "这本书[MASK]" in lines[4]
    assert not any("房间" in line or "recipes cp" in line for line in lines)
    assert any("recipes cp" in line for line in next_commands(job, shipped=True))


def test_advice_is_for_recipes_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(["check", "roberta-wwm-ext"])
    assert "advice: " not in "".join(capsys.readouterr())
    main(["check", "roberta-wwm-ext", "--set", "phases.0.warmup_steps=0"])
    assert "advice: phases.0.warmup_steps: no warm-up" in capsys.readouterr().out


def test_warnings_go_to_standard_error(capsys):
    Plain().warn("tracker 'mlflow' failed")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "warning: tracker 'mlflow' failed\n")
