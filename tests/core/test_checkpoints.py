import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from wholeword.core.errors import DiskError, IntegrityError
from wholeword.core.formats.checkpoints import checkpoints, latest_checkpoint, prune, read_checkpoint, save_checkpoint
from wholeword.core.formats.tensors import read_tensors, write_tensors

WEIGHTS = {"bert/x/kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T, "bert/x/bias": np.zeros(2, np.float32)}
SLOTS = {"bert/x/kernel/lamb_m": np.full((3, 2), 0.5, np.float32), "lamb_step": np.array(7)}


def save(folder: Path, step: int) -> Path:
    path = folder / f"step-{step:08d}"
    save_checkpoint(path, WEIGHTS, SLOTS, {"step": step, "词": 0.1}, files={"vocab.txt": b"[PAD]\n"})
    return path


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    weights, optimizer_state, state = read_checkpoint(save(tmp_path, 10))
    assert state == {"step": 10, "词": 0.1}
    for read, saved in ((weights, WEIGHTS), (optimizer_state, SLOTS)):
        assert read.keys() == saved.keys()
        assert all(np.array_equal(read[name], saved[name]) and read[name].dtype == saved[name].dtype for name in saved)


def test_our_files_are_the_bytes_that_safetensors_writes(tmp_path: Path) -> None:
    tensors = {**WEIGHTS, **SLOTS, "半": np.ones(3, np.float16)}
    write_tensors(tmp_path / "x", tensors, {"format": "pt"})
    expected = safetensors.numpy.save(
        {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}, {"format": "pt"}
    )
    assert (tmp_path / "x").read_bytes() == expected


def test_the_newest_is_the_latest_whatever_lies_beside_it(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "nowhere") is None
    for step in (9_000, 100_000_000, 10_000):
        save(tmp_path, step)
    (tmp_path / ".step-99999999.wholeword-partial").mkdir()
    assert latest_checkpoint(tmp_path) == tmp_path / "step-100000000"


def test_a_save_clears_away_what_a_killed_process_left(tmp_path: Path) -> None:
    left = tmp_path / ".step-00000001.wholeword-partial"
    left.mkdir()
    (left / "weights.safetensors").write_bytes(b"half")
    save(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        save(tmp_path, step)
    prune(tmp_path, 2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000004", "step-00000005"]


def test_every_changed_byte_is_found_and_the_way_on_is_told(tmp_path: Path) -> None:
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    for file in sorted(path.iterdir()):
        content = bytearray(file.read_bytes())
        for place in range(0, len(content), max(1, len(content) // 20)):
            changed = content.copy()
            changed[place] ^= 1
            file.write_bytes(changed)
            with pytest.raises(IntegrityError, match=rf"{file.name}(.|\n)*delete the folder to resume from step-00000001"):
                read_checkpoint(path)
        file.write_bytes(content[:-2])
        with pytest.raises(IntegrityError, match=file.name):
            read_checkpoint(path)
        file.write_bytes(content)
    read_checkpoint(path)
    (path / "optimizer.safetensors").unlink()
    with pytest.raises(IntegrityError, match=r"optimizer\.safetensors: missing"):
        read_checkpoint(path)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whatever file it is that does not fit: at every limit the save fails whole, and the checkpoint before it stands."""
    first = save(tmp_path, 1)
    largest = max(file.stat().st_size for file in first.iterdir())
    for limit in range(1, largest, largest // 20):
        with file_size_limit(limit), pytest.raises(DiskError, match="bytes are free; make room"):
            save(tmp_path, 2)
        assert [path.name for path in tmp_path.iterdir()] == [first.name]
    read_checkpoint(first)


def test_a_broken_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(IntegrityError, match=r"model\.safetensors: not a safetensors file"):
        read_tensors(tmp_path / "model.safetensors")


def test_other_names_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "step-by-step").mkdir()
    (tmp_path / "step-00000001").write_bytes(b"")
    assert checkpoints(tmp_path) == []
