"""Checksums are remembered for files that nobody touched, and for no others."""

import json
import os
from pathlib import Path

import pytest
from huggingface_hub import constants

from wholeword.core.errors import IntegrityError
from wholeword.core.files import check_manifest, sha256_of, write_manifest
from wholeword.zoo import checksums
from wholeword.zoo.checksums import SMALLEST_BYTES, Checksums


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files need not settle."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(checksums, "SETTLED_SECONDS", -1000.0)
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(os.urandom(SMALLEST_BYTES))
    return path


def known(path: Path) -> str:
    """As a process would find it, which ends."""
    asked = Checksums()
    sha256 = asked.sha256(path)
    asked.save()
    return sha256


def pretend(home: Path, path: Path, sha256: str) -> None:
    """What is remembered is another number: it shows whether the file is read."""
    memory = home / "wholeword" / "checksums.json"
    content = json.loads(memory.read_text())
    content["files"][str(path)]["sha256"] = sha256
    memory.write_text(json.dumps(content))


def test_a_file_is_read_once(home: Path, file: Path) -> None:
    assert known(file) == sha256_of(file)
    pretend(home, file, "remembered")
    assert known(file) == "remembered"


def test_a_file_that_was_changed_is_read_again_whatever_its_time_says(home: Path, file: Path) -> None:
    known(file)
    pretend(home, file, "remembered")
    status, content = file.stat(), bytearray(file.read_bytes())
    content[7] ^= 1
    with open(file, "r+b") as target:
        target.write(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (status.st_mtime_ns, status.st_ino)
    assert known(file) == sha256_of(file)


def test_another_file_in_its_place_is_read(home: Path, file: Path, tmp_path: Path) -> None:
    known(file)
    pretend(home, file, "remembered")
    (tmp_path / "other").write_bytes(bytes(SMALLEST_BYTES))
    (tmp_path / "other").rename(file)
    assert known(file) == sha256_of(file)


def test_what_was_written_just_now_and_what_is_small_is_not_remembered(home: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = file.with_name("small")
    small.write_bytes(bytes(SMALLEST_BYTES - 1))
    assert known(small) == sha256_of(small) and not home.exists()
    monkeypatch.setattr(checksums, "SETTLED_SECONDS", 2.0)
    assert known(file) == sha256_of(file) and not home.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": []}', '{"files": {"PATH": 7}}', '{"files": {"PATH": {"sha256": 7}}}'])
def test_a_damaged_memory_is_none(home: Path, file: Path, content: str) -> None:
    memory = home / "wholeword" / "checksums.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(content.replace("PATH", str(file)))
    assert known(file) == sha256_of(file)
    pretend(home, file, "remembered")
    assert known(file) == "remembered"


def test_files_that_are_gone_are_forgotten_and_a_home_that_cannot_be_written_is_no_fault(home: Path, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(bytes(SMALLEST_BYTES))
    known(other)
    other.unlink()
    known(file)
    memory = home / "wholeword" / "checksums.json"
    assert json.loads(memory.read_text())["files"].keys() == {str(file)}
    for path in (memory, home / "wholeword" / ".checksums.json"):
        path.unlink()
    (home / "wholeword").rmdir()
    (home / "wholeword").touch()
    assert known(file) == sha256_of(file)


def test_a_manifest_is_held_with_it(home: Path, file: Path) -> None:
    folder = file.parent / "model"
    folder.mkdir()
    file.rename(folder / file.name)
    write_manifest(folder, {})
    asked = Checksums()
    check_manifest(folder, sha256=asked.sha256)
    asked.save()
    pretend(home, folder / file.name, "remembered")
    with pytest.raises(IntegrityError, match="changed since it was written"):
        check_manifest(folder, sha256=Checksums().sha256)
    check_manifest(folder)
