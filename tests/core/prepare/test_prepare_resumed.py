"""Builds that are killed, interrupted, disturbed or short of room."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prepare_parts import BUILD, hashes, recipe_in, start, write_corpus

from wholeword.core.config.preparation import prepare_job
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import DiskError, UserError
from wholeword.core.training.prepare import prepare

INTERRUPTED = """
import os, signal, sys
from wholeword.core.config import load_recipe
from wholeword.core.config.preparation import prepare_job
from wholeword.core.training.prepare import prepare

def interrupt(done, total, tokens):  # as a terminal does: this process and its workers, in the middle of the work, once
    if done and not seen:
        seen.append(done)
        os.killpg(0, signal.SIGINT)

seen = []
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
    prepare(prepare_job(load_recipe(sys.argv[1], sys.argv[2:])), progress=interrupt)
"""


def test_a_killed_build_goes_on_to_the_same_bytes(built, tmp_path):
    """Killed at ten random moments, of the build by one process or by two, and with damage to what was finished in between."""
    generator = random.Random(8)
    expected = hashes(built / "run/store")
    kills = 0
    while kills < 10:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        while not (tmp_path / "run/store").exists() and kills < 10:
            with start(built, tmp_path / "build.py", f"output={tmp_path}/run", f"prepare_workers={generator.choice([1, 1, 2])}") as process:
                for _ in range(generator.randrange(1, 60)):
                    if not process.stdout.readline():
                        break
                for _ in range(generator.randrange(50_000)):
                    pass
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            finished = sorted((tmp_path / "run/store.partial/store").glob("shard-*"))
            if finished and generator.random() < 0.3:
                os.truncate(generator.choice(finished), 1000)
        assert hashes(prepare(prepare_job(recipe_in(built, f"output={tmp_path}/run", "prepare_workers=1")))) == expected
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["store"]


def test_finished_shards_are_not_built_again(built, tmp_path):
    def stop(done, total, tokens):
        if done > 1.5 * 2**20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(prepare_job(recipe_in(built, f"output={tmp_path}", "prepare_workers=1")), progress=stop)
    first = tmp_path / "store.partial/store/shard-00000.bin"
    before = first.stat().st_mtime_ns
    with pytest.raises(UserError, match=r"store\.partial: .*shard_mb was 1, is 2"):
        prepare(prepare_job(recipe_in(built, f"output={tmp_path}", "corpus.shard_mb=2")))
    assert prepare(prepare_job(recipe_in(built, f"output={tmp_path}", "prepare_workers=1"))) == tmp_path / "store"
    assert (tmp_path / "store" / first.name).stat().st_mtime_ns == before


def test_a_shard_whose_text_has_changed_is_built_again(tmp_path):
    write_corpus(tmp_path, 1.2)
    half = (f"output={tmp_path}/run", "prepare_workers=1")
    with pytest.raises(ZeroDivisionError):
        prepare(prepare_job(recipe_in(tmp_path, *half)), progress=lambda done, total, tokens: done > 2**20 and 1 // 0)
    assert list((tmp_path / "run/store.partial/receipts").iterdir())
    text = (tmp_path / "0.txt").read_text(encoding="utf-8")
    (tmp_path / "0.txt").write_text(text[:5000][::-1] + text[5000:], encoding="utf-8")  # as long as before
    resumed = hashes(prepare(prepare_job(recipe_in(tmp_path, *half))))
    assert resumed == hashes(prepare(prepare_job(recipe_in(tmp_path, f"output={tmp_path}/anew"))))


def test_an_interrupted_build_by_processes_ends_quietly_and_goes_on(built, tmp_path):
    with start(built, tmp_path / "build.py", f"output={tmp_path}/run", "prepare_workers=2", source=INTERRUPTED) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and errors.count("Traceback") == 1  # its own KeyboardInterrupt, none of a worker
    assert hashes(prepare(prepare_job(recipe_in(built, f"output={tmp_path}/run")))) == hashes(built / "run/store")


def test_two_builds_of_one_store_do_not_mix(built, tmp_path):
    def second(done, total, tokens):
        with pytest.raises(UserError, match="another process is building this store"):
            prepare(prepare_job(recipe_in(built, f"output={tmp_path}")))
        seen.append(done)

    seen: list[int] = []
    prepare(prepare_job(recipe_in(built, f"output={tmp_path}", "prepare_workers=1")), progress=second)
    assert seen and hashes(tmp_path / "store") == hashes(built / "run/store")


def test_an_error_of_a_worker_reaches_the_user(built, tmp_path):
    for number in range(2):
        shutil.copy(built / f"{number}.txt", tmp_path)
    with open(tmp_path / "1.txt", "ab") as file:
        file.write(b"\n\xb5\xff")
    with pytest.raises(UserError, match=r"1\.txt:\d+: byte 1 of the line \(0xb5\) is not UTF-8"):
        prepare(prepare_job(recipe_in(tmp_path, "prepare_workers=2")))


DEADLY = """
import os
import wholeword

@wholeword.hookimpl
def register_segmenters(register):
    register("deadly", "deadly:Deadly")

class Deadly:
    def segment(self, sentences):
        os.kill(os.getpid(), 9)
"""


def test_a_worker_that_dies_is_told(built, tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY)
    metadata = tmp_path / "deadly-1.0.dist-info"  # as an installed package, so that workers find it too
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[wholeword]\ndeadly = deadly\n")
    (tmp_path / "build.py").write_text(BUILD)
    overrides = ["segmenter=deadly", f"output={tmp_path}/run", "prepare_workers=2"]
    arguments = [sys.executable, str(tmp_path / "build.py"), str(built / "recipe.yaml"), *overrides]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))}
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment)
    assert "WholewordError: one of 2 worker processes died" in result.stderr


MEMORY = """
import re, sys
from wholeword.core.config import load_recipe
from wholeword.core.data import compressed
from wholeword.core.config.preparation import prepare_job
from wholeword.core.training.prepare import prepare
compressed.BLOCK = 1 << 16
prepare(prepare_job(load_recipe(sys.argv[1], ["prepare_workers=1", "segmenter=characters"])))
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])  # ru_maxrss would count the parent before exec, too
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    peaks = []
    for megabytes in (2, 20):
        folder = tmp_path / str(megabytes)
        folder.mkdir()
        write_corpus(folder, megabytes)
        recipe_in(folder)
        result = subprocess.run([sys.executable, "-c", MEMORY, str(folder / "recipe.yaml")], capture_output=True, text=True, check=True)
        peaks.append(int(result.stdout))
    assert peaks[1] < 1.1 * peaks[0]


def test_a_full_disk_is_told_and_leaves_nothing_half(tmp_path):
    write_corpus(tmp_path, 1.2)
    recipe = recipe_in(tmp_path, "prepare_workers=1")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (100, 700, 1_500, 100_000):  # the first file that does not fit is another one each time
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            with pytest.raises(DiskError, match=r"store\.partial.*needs [\d,]+ bytes, [\d,]+ bytes are free"):
                prepare(prepare_job(recipe))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not (tmp_path / "run/store").exists()
    TokenStore(prepare(prepare_job(recipe)))
