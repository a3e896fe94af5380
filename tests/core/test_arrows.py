"""Which room may import which: imports inside functions and under TYPE_CHECKING count too (see rooms.py for how rooms are counted)."""

import subprocess
import sys
from pathlib import Path

import pytest
from rooms import arrows, circles, files, imports, room_of_file

import wholeword

ROOT = Path(wholeword.__file__).parent
GROUND = {"devices", "errors", "files", "console", "memory", "moved", "threads", "vocabulary", "ragged", "file_kinds", "text_files"}
CORE = GROUND | {"contracts", "registry", "formats", "data", "bert", "config", "training"}
APPLICATIONS = {"plugins", "exporters", "zoo", "finetuning", "planning", "reports"}


def core(*names):
    return {f"core.{name}" for name in names}


# room -> rooms it may import, from the ground up: a row names only rooms of rows above it
ARROWS = {
    "core.errors": set(),
    "core.console": set(),
    "core.devices": core("errors"),
    "core.memory": set(),
    "core.threads": set(),
    "core.moved": set(),
    "core.ragged": set(),
    "core.files": core("errors"),
    "core.file_kinds": set(),
    "core.text_files": core("file_kinds", "errors"),
    "core.vocabulary": core("text_files", "errors"),
    "core.contracts": core("vocabulary", "ragged"),
    "core.registry": core("contracts", "errors"),
    "core.formats": core("contracts", "files", "errors"),
    "core.data": core("contracts", "registry", "vocabulary", "files", "text_files", "file_kinds", "memory", "ragged", "errors"),
    "core.bert": core("contracts", "data", "formats", "vocabulary", "text_files", "errors"),
    "core.config": core("contracts", "registry", "formats", "data", "bert", "vocabulary", "files", "errors"),
    "core.training": core(*CORE - {"training"}),
    "core.testing": core(*CORE),
    "plugins": core(*CORE),
    "exporters": core(*CORE),
    "zoo": core(*CORE),
    "finetuning": core(*CORE),
    "planning": core(*CORE, "testing"),  # `wholeword doctor` runs the cheap checks
    "reports": core(*CORE),
    "commands": core(*CORE) | APPLICATIONS,
    "cli": core(*CORE) | APPLICATIONS | {"commands"},
    "wholeword": {"core.registry", "core.moved", "zoo"},  # `wholeword.hookimpl` and `wholeword.zoo`; `__main__` belongs to cli
}

FRAMEWORKS = {"torch", "transformers", "tensorflow", "keras", "keras_hub", "paddle", "paddlenlp", "paddlehub"}
FRAMEWORK_FOLDERS = {"pytorch": {"torch", "transformers"}, "tensorflow": {"tensorflow", "keras", "keras_hub"}}


def test_arrows_between_rooms():
    forbidden = [item for (room, target), found in arrows(ROOT).items() for item in found if target not in ARROWS.get(room, ())]
    assert not forbidden, [f"{item.path}:{item.line} imports {item.module}" for item in forbidden]


def test_every_file_is_in_a_room_of_the_table():
    rooms = {room_of_file(path.relative_to(ROOT).as_posix()) for path in files(ROOT)}
    assert rooms == set(ARROWS)


def test_no_circle_among_rooms():
    """Neither in the table, which may allow more than there is, nor in the source."""
    allowed = {(room, target) for room, targets in ARROWS.items() for target in targets}
    assert circles(allowed) == []
    assert circles(set(arrows(ROOT))) == []


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("a", "b"), ("b", "c"), ("a", "c")], []),
        ([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")], [["a", "b", "c"]]),
        ([("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c")], [["a", "b"], ["c", "d"]]),
    ],
)
def test_circles_are_found(pairs, expected):
    assert circles(set(pairs)) == expected


HIDDEN = """
from typing import TYPE_CHECKING

from wholeword.core import errors

if TYPE_CHECKING:
    from wholeword.core.config import load_recipe

def use():
    from wholeword import zoo
    import wholeword.reports.page as page
    return import_module("wholeword.finetuning.rows"), import_module(f"wholeword.plugins.optimizers.{page}")
"""


def test_hidden_imports_are_arrows(tmp_path):
    root = tmp_path / "wholeword"
    for name in ("core/files.py", "core/errors.py", "core/config/__init__.py", "zoo/__init__.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(HIDDEN if name == "core/files.py" else "1")
    targets = {target for room, target in arrows(root) if room == "core.files"}
    assert targets == {"core.errors", "core.config", "zoo", "reports", "finetuning", "plugins"}


FILES = files(ROOT)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_frameworks_are_guests(path):
    parts = path.relative_to(ROOT).parts
    allowed = set()
    if parts[0] == "plugins":
        allowed = FRAMEWORK_FOLDERS.get(parts[1], set()) | (FRAMEWORK_FOLDERS.get(path.stem, set()) if parts[1] == "optimizers" else set())
    for item in imports(ROOT, path):
        framework = item.module.split(".")[0]
        if framework in FRAMEWORKS and framework not in allowed and not item.typing_only:
            assert parts[0] in ("exporters", "zoo") and not item.at_top, f"{item.path}:{item.line} imports {item.module}"


@pytest.mark.parametrize("arguments", (["--help"], ["plugins"], ["plugins", "--json"]))
def test_help_and_plugins_import_nothing_heavy(arguments):
    program = "import sys\nfrom wholeword.cli import main\ntry:\n    main()\nfinally:\n    print('\\n' + ' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in result.stdout.splitlines()[-1].split()}
    assert "pluggy" in loaded or arguments == ["--help"]
    assert not loaded & (
        FRAMEWORKS | {"numpy", "pydantic", "rich", "tokenizers", "safetensors", "huggingface_hub", "jieba", "rjieba", "yaml", "jinja2"}
    )
