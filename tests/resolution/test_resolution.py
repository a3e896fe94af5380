"""Every extra can be installed by itself with the versions of constraints.txt, as the README says: pip finds versions that fit together."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTRAS = sorted(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])


def pip_resolves(*requirements: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", *requirements]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module", autouse=True)
def index() -> None:
    if pip_resolves("--no-deps", "click").returncode:
        pytest.skip("no package index can be reached")


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_resolves_with_the_constraints(extra: str) -> None:
    result = pip_resolves("-c", "constraints.txt", f".[{extra}]")
    assert result.returncode == 0, result.stderr[-3000:]


def test_a_conflict_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("huggingface_hub==2.4.0\n", encoding="utf-8")
    assert "conflict" in pip_resolves("-c", str(tmp_path / "constraints.txt"), "huggingface_hub<2").stderr
