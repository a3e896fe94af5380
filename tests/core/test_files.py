import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wholeword.core.errors import DiskError, IntegrityError, UserError
from wholeword.core.files import atomic_directory, atomic_write, check_manifest, read_manifest, to_json, write_file, write_manifest

WRITER = """
import sys
from pathlib import Path
from wholeword.core.files import atomic_directory, write_file, write_manifest
for number in range(1000):
    with atomic_directory(Path(sys.argv[1], f"step-{number}")) as folder:
        for part in range(5):
            write_file(folder / f"part-{part}", b"%d" % number * 10_000)
        write_manifest(folder, {"number": number})
    print(number, flush=True)
"""


def make_folder(path: Path) -> Path:
    with atomic_directory(path) as folder:
        write_file(folder / "ids.bin", [np.arange(100, dtype=np.uint16), b"tail"])
        (folder / "more").mkdir()
        write_file(folder / "more" / "vocab.txt", "使用\n语言\n".encode())
        write_manifest(folder, {"step": 7})
    return path


def test_a_folder_says_what_is_in_it(tmp_path):
    manifest = check_manifest(make_folder(tmp_path / "a"))
    assert manifest["step"] == 7
    assert {name: entry["size"] for name, entry in manifest["files"].items()} == {"ids.bin": 204, "more/vocab.txt": 14}
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (make_folder(tmp_path / "b") / "manifest.json").read_bytes()


def test_a_killed_writer_leaves_whole_folders_only(tmp_path):
    generator = random.Random(5)
    for _ in range(5):
        for old in tmp_path.glob("step-*"):
            os.rename(old, tmp_path / f"kept-{old.name}-{generator.random()}")
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
            for _ in range(generator.randrange(1, 4)):
                writer.stdout.readline()
            for _ in range(generator.randrange(20_000)):
                pass
            os.kill(writer.pid, signal.SIGKILL)
        for folder in tmp_path.glob("*step-*"):
            if not folder.name.startswith("."):
                assert len(check_manifest(folder)["files"]) == 5
    make_folder(tmp_path / "last")
    assert not list(tmp_path.glob(".*"))  # the next write beside them removes what was left


def test_a_failed_block_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "a") as folder:
        write_file(folder / "x", b"x")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    make_folder(tmp_path / "a")
    with pytest.raises(UserError, match="already exists"), atomic_directory(tmp_path / "a"):
        pass
    check_manifest(tmp_path / "a")


def test_two_writers_of_one_folder_do_not_mix(tmp_path):
    with atomic_directory(tmp_path / "a") as folder:
        with pytest.raises(UserError, match="another process is writing"), atomic_directory(tmp_path / "a"):
            pass
        write_file(folder / "x", b"x")
    assert (tmp_path / "a" / "x").read_bytes() == b"x"


def test_every_flipped_bit_and_every_cut_is_found(tmp_path):
    folder = make_folder(tmp_path / "a")
    generator = random.Random(1)
    for _ in range(200):
        path = generator.choice([folder / "ids.bin", folder / "more" / "vocab.txt", folder / "manifest.json"])
        content = path.read_bytes()
        damaged = bytearray(content)
        damaged[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        for wrong in (bytes(damaged), content[: generator.randrange(len(content))]):
            path.write_bytes(wrong)
            with pytest.raises(IntegrityError, match=path.name):
                check_manifest(folder)
        path.write_bytes(content)
    check_manifest(folder)


def test_missing_and_swapped_files_are_named(tmp_path):
    folder = make_folder(tmp_path / "a")
    os.rename(folder / "ids.bin", folder / "x")
    with pytest.raises(IntegrityError, match=r"ids\.bin: missing"):
        check_manifest(folder)
    os.rename(folder / "more" / "vocab.txt", folder / "ids.bin")
    os.rename(folder / "x", folder / "more" / "vocab.txt")
    with pytest.raises(IntegrityError, match=r"ids\.bin[^\n]*\n[^\n]*vocab\.txt"):
        check_manifest(folder)
    with pytest.raises(IntegrityError, match="missing"):
        read_manifest(tmp_path)


def test_a_file_is_replaced_whole(tmp_path):
    atomic_write(tmp_path / "a", b"one")
    with pytest.raises(TypeError):
        atomic_write(tmp_path / "a", [b"two", "three"])
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"one"]


def test_a_full_disk_is_told_with_path_and_sizes(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DiskError, match=r"big.*: File too large: needs 5,000 bytes, [\d,]+ bytes are free"):
            atomic_write(tmp_path / "big", bytes(5000))
        with pytest.raises(DiskError, match="big"), atomic_directory(tmp_path / "a") as folder:
            write_file(folder / "big", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_json_bytes_follow_from_the_content():
    assert to_json({"b": 1, "a": "词"}) == '{\n "a": "词",\n "b": 1\n}\n'.encode()
