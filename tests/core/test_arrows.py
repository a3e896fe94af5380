"""Which room may import which: read from the source, so that imports inside functions count too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wholeword

ROOT = Path(wholeword.__file__).parent
FRAMEWORKS = {"torch", "transformers", "tensorflow", "keras", "keras_hub", "paddle", "paddlenlp", "paddlehub"}
FRAMEWORK_FOLDERS = {
    "pytorch": {"torch", "transformers"},
    "tensorflow": {"tensorflow", "keras", "keras_hub"},
    "paddle": {"paddle", "paddlenlp"},
}

# room -> rooms of ours it may import; `exporters.names` stands for that module alone
ARROWS = {
    "core": {"core"},
    "plugins": {"core", "plugins", "exporters.names"},
    "exporters": {"core", "exporters"},
    "zoo": {"core", "zoo", "exporters.names"},
    "commands": {"commands", "core", "zoo"},
    "cli.py": {"commands", "core", "zoo"},
    "__main__.py": {"cli"},
    "__init__.py": {"core", "zoo"},
}


def imports(path):
    """(imported module, whether at the top of the file) for every import that runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for statement in branch.body
        for node in ast.walk(statement)
    }
    inside = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module in ("wholeword", "wholeword.exporters")
                else [node.module]
            )
            yield from ((name, id(node) not in inside) for name in names)


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_arrows_between_rooms(path):
    room = path.relative_to(ROOT).parts[0]
    for module, _ in imports(path):
        if module.startswith("wholeword."):
            target = module.split(".")[1:]
            allowed = ARROWS[room]
            assert target[0] in allowed or ".".join(target[:2]) in allowed, (
                f"{path.relative_to(ROOT)} imports {module}; {room} may import {allowed}"
            )


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_frameworks_are_guests(path):
    parts = path.relative_to(ROOT).parts
    allowed = set()
    if parts[0] == "plugins":
        allowed = FRAMEWORK_FOLDERS.get(parts[1], set()) | (FRAMEWORK_FOLDERS.get(path.stem, set()) if parts[1] == "optimizers" else set())
    for module, at_top in imports(path):
        framework = module.split(".")[0]
        if framework in FRAMEWORKS and framework not in allowed:
            assert parts[0] in ("exporters", "zoo") and not at_top, f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("arguments", (["--help"], ["plugins"], ["plugins", "--json"]))
def test_help_and_plugins_import_nothing_heavy(arguments):
    program = "import sys\nfrom wholeword.cli import main\ntry:\n    main()\nfinally:\n    print('\\n' + ' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in result.stdout.splitlines()[-1].split()}
    assert "pluggy" in loaded or arguments == ["--help"]
    assert not loaded & (
        FRAMEWORKS | {"numpy", "pydantic", "rich", "tokenizers", "safetensors", "huggingface_hub", "jieba", "rjieba", "yaml"}
    )
