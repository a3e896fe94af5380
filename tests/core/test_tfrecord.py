import hashlib
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_runs import write_corpus

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import check_manifest
from wholeword.core.formats.tfrecord import FEATURES, encode_examples, frame, masked_crc, read_tfrecords, write_tfrecords
from wholeword.core.training.prepare import prepare
from wholeword.core.training.records import write_tfrecords as write_phases
from wholeword.core.training.sources import JobRows

SMALL = Path(__file__).parents[1] / "data" / "google_small"
RECIPE = f"""
version: 1
name: test
corpus: {{files: [corpus.txt]}}
tokenizer: {{vocab: {SMALL / "vocab.txt"}}}
examples: nsp-pairs
masking: {{name: whole-word, dynamic: false, dupe_factor: 3}}
model: {{size: tiny}}
phases:
  - {{max_seq_length: 32, batch_size: 7, steps: 1, peak_lr: 1e-4, max_predictions: 5}}
  - {{max_seq_length: 64, batch_size: 2, steps: 1, peak_lr: 1e-4}}
evaluation: {{held_out_rate: 0.2, batches: 2}}
"""
LITERAL = bytes.fromhex(  # the file that tf.io.TFRecordWriter of TensorFlow 2.21 makes of one tf.train.Example: a = [1, 300]
    "1000000000000000 95fbfe18"  # 16 bytes, crc32c of the length
    "0a0e 0a0c 0a01 61 1207"  # Features of 14 bytes, an entry of 12, its name 'a', a Feature of 7
    "1a05 0a03 01 ac02"  # an int64_list of 5 bytes, 3 packed: 1, 300
    "1db60f1b"  # crc32c of the data
)


def make_batch(seed, rows, *, length=16, slots=4, vocab_size=100_000):
    """Features of the right shapes and random content."""
    generator = np.random.default_rng(seed)
    shapes = {"masked_lm_positions": (slots,), "masked_lm_ids": (slots,), "masked_lm_weights": (slots,), "next_sentence_labels": ()}
    limits = {"input_mask": 2, "segment_ids": 2, "masked_lm_positions": length, "masked_lm_weights": 2, "next_sentence_labels": 2}
    return {
        name: generator.integers(0, limits.get(name, vocab_size), (rows, *shapes.get(name, (length,)))).astype(
            np.float32 if name == "masked_lm_weights" else np.int32
        )
        for name in FEATURES
    }


def joined(batches):
    batches = list(batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in FEATURES}


def assert_rows(rows, batch):
    """That the rows read from files are those of a batch."""
    rows = list(rows)
    assert len(rows) == len(batch["input_ids"])
    for name in FEATURES:
        read = np.stack([row[name] for row in rows])
        assert read.dtype == (np.float32 if name == "masked_lm_weights" else np.int64)
        assert np.array_equal(read, batch[name].reshape(len(rows), -1)), name
    assert all(row.keys() == set(FEATURES) for row in rows)


def part_of(batch, rows):
    return {name: values[rows] for name, values in batch.items()}


def test_a_record_small_enough_to_check_by_eye(tmp_path):
    assert frame(encode_examples({"a": np.array([[1, 300]])})[0]) == LITERAL
    (tmp_path / "literal").write_bytes(LITERAL)
    [row] = read_tfrecords([tmp_path / "literal"])
    assert list(row) == ["a"] and row["a"].tolist() == [1, 300]


def test_checksums_are_crc32c_masked():
    crc = 0x8A9136AA  # of 32 bytes of zeros, RFC 3720, B.4
    rotated = crc >> 15 | (crc & 0x7FFF) << 17
    assert int.from_bytes(masked_crc(bytes(32)), "little") == (rotated + 0xA282EAD8) % 2**32


@st.composite
def random_features(draw):
    rows = draw(st.integers(1, 4))
    wide = st.integers(1, 12).map(lambda width: (rows, width))
    integers = arrays.arrays(np.int64, wide, elements=st.one_of(st.integers(0, 200_000), st.integers(-(2**63), 2**63 - 1)))
    floats = arrays.arrays(np.float32, wide, elements=st.floats(width=32, allow_nan=False))
    return draw(st.dictionaries(st.text(max_size=200), st.one_of(integers, floats), min_size=1, max_size=5))


@given(random_features())
def test_random_features_come_back(tmp_path_factory, features):
    path = tmp_path_factory.mktemp("random") / "file"
    path.write_bytes(b"".join(map(frame, encode_examples(features))))
    read = list(read_tfrecords([path]))
    assert len(read) == len(next(iter(features.values())))
    for number, row in enumerate(read):
        assert list(row) == sorted(features)
        for name, values in features.items():
            assert row[name].dtype == values.dtype and np.array_equal(row[name], values[number])


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 50])
def test_row_i_is_in_shard_i_modulo_the_number_of_shards(tmp_path, shards):
    batches = [make_batch(seed, rows) for seed, rows in enumerate([5, 300, 1, 8])]  # 300: more than are encoded at once
    paths = [tmp_path / str(number) for number in range(shards)]
    assert write_tfrecords(paths, batches) == 314
    whole = joined(batches)
    for number, path in enumerate(paths):
        assert_rows(read_tfrecords([path]), part_of(whole, slice(number, None, shards)))
    assert len(list(read_tfrecords(paths))) == 314


def test_every_flipped_bit_and_every_cut_is_refused(tmp_path):
    path, generator = tmp_path / "file", random.Random(3)
    write_tfrecords([path], [make_batch(1, 4, length=8)])
    content = path.read_bytes()
    ends = [0]
    for row in range(4):
        ends.append(ends[row] + 16 + int.from_bytes(content[ends[row] : ends[row] + 8], "little"))
    assert ends[-1] == len(content)

    def refused(damaged, row):
        path.write_bytes(damaged)
        rows = read_tfrecords([path])
        for _ in range(row):  # what comes before is whole
            next(rows)
        with pytest.raises(IntegrityError, match=f"{path}: byte {ends[row]}: "):
            next(rows)

    for _ in range(200):
        place = generator.randrange(len(content))
        damaged = bytearray(content)
        damaged[place] ^= 1 << generator.randrange(8)
        refused(damaged, np.searchsorted(ends, place, side="right") - 1)
    for size in set(range(len(content))) - set(ends):
        refused(content[:size], np.searchsorted(ends, size, side="right") - 1)


@pytest.mark.parametrize("length", [1, 2**31, 2**62, 2**64 - 1])
def test_an_absurd_length_is_refused_before_any_memory_is_taken(tmp_path, length):
    header = length.to_bytes(8, "little")
    (tmp_path / "file").write_bytes(LITERAL + header + masked_crc(header))
    tracemalloc.start()
    rows = read_tfrecords([tmp_path / "file"])
    next(rows)
    with pytest.raises(IntegrityError, match=rf"byte 32: a record of {length} bytes, but only 0 remain"):
        next(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_other_writers_may_leave_numbers_unpacked_and_add_fields(tmp_path):
    unpacked = "0801 08ac02" + "08ffffffffffffffffff01"  # 1, 300 and -1, one field each
    rest = "0a02 0506"  # 5, 6 packed
    numbers = bytes.fromhex(unpacked + rest)
    floats = bytes.fromhex("0d0000803f" + "0a08 0000003f 000080bf")  # 1.0; 0.5, -1.0 packed
    texts = bytes.fromhex("0a00 0a03e4bda0")

    def entry(name, kind, content):
        feature = bytes([kind << 3 | 2, len(content)]) + content
        unknown = bytes.fromhex("1896 01 2500000000 31 0000000000000000")  # fields 3, 4 and 6: a varint, 4 bytes, 8 bytes
        body = unknown + bytes([0x12, len(feature)]) + feature + bytes([0x0A, len(name)]) + name  # the value before its name
        return bytes([0x0A, len(body)]) + body

    features = entry(b"z", 3, numbers) + entry(b"f", 2, floats) + entry(b"a", 1, texts) + entry(b"none", 3, b"")
    (tmp_path / "file").write_bytes(frame(b"\x0a" + bytes([len(features) & 127 | 128, len(features) >> 7]) + features))
    [row] = read_tfrecords([tmp_path / "file"])
    assert list(row) == ["z", "f", "a", "none"]
    assert row["z"].tolist() == [1, 300, -1, 5, 6] and row["f"].tolist() == [1.0, 0.5, -1.0]
    assert row["a"].tolist() == [b"", "你".encode()] and row["none"].tolist() == []


@given(st.binary(max_size=60) | st.integers(12, 27).flatmap(lambda cut: st.binary(max_size=4).map(lambda more: LITERAL[12:cut] + more)))
@settings(max_examples=500)
def test_bytes_that_are_no_example_are_refused_and_never_crash(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("hostile") / "file"
    path.write_bytes(frame(data))
    try:
        [row] = read_tfrecords([path])
    except IntegrityError as error:
        assert str(error).startswith(f"{path}: byte 0: the record is not a tf.train.Example: ")
    else:
        assert all(isinstance(values, np.ndarray) and values.ndim == 1 for values in row.values())


# --- wholeword prepare --to tfrecord


@pytest.fixture
def recipe(tmp_path):
    write_corpus(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def load(recipe, *overrides):
    return resolve(load_recipe(str(recipe), overrides=[f"output={recipe.parent / 'run'}", *overrides]))


@pytest.fixture
def run(recipe, command):
    """`wholeword prepare` of the recipe."""
    return lambda *arguments: command("prepare", str(recipe), "--set", f"output={recipe.parent / 'run'}", *arguments)


def hashes(folder):
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def deal_back(paths):
    """The rows of shards in the order in which they were dealt out."""
    shards = [list(read_tfrecords([path])) for path in paths]
    return [shards[number % len(shards)][number // len(shards)] for number in range(sum(map(len, shards)))]


def test_prepare_writes_the_rows_of_every_pass_and_the_held_out_ones(recipe, run):
    result = run("--to", "tfrecord", "--shards", "4")
    assert result.returncode == 0, result.stderr
    loaded, folder = load(recipe), recipe.parent / "run"
    store = TokenStore(folder / "store")
    job_rows = JobRows(loaded, store, cache=folder / "examples")
    for number, (length, predictions) in enumerate([(32, 5), (64, 10)]):
        phase = folder / "tfrecord" / f"phase-{number + 1}"
        manifest = check_manifest(phase)
        source = job_rows.training(number)
        size = source.batch_size
        expected = joined(source.batch(step) for step in range(-(-manifest["rows"] // size)))
        rows = deal_back([phase / f"part-0000{shard}-of-00004.tfrecord" for shard in range(4)])
        assert_rows(rows, part_of(expected, slice(manifest["rows"])))
        assert expected["input_ids"].shape[1] == length and expected["masked_lm_ids"].shape[1] == predictions
        held_out = joined(job_rows.held_out(number))
        assert_rows(read_tfrecords([phase / "eval.tfrecord"]), held_out)
        inputs = manifest["inputs"]
        assert (inputs["passes"], inputs["shards"], inputs["max_seq_length"], inputs["max_predictions"]) == (3, 4, length, predictions)
        assert inputs["store"] == store.manifest["fingerprint"] and manifest["held_out_rows"] == len(held_out["input_ids"])
        said = f"{manifest['rows']:,} rows, {manifest['held_out_rows']:,} held out rows, {length} tokens and {predictions} predictions each"
        assert f"{phase}: {said}; 3 epochs" in result.stdout


@pytest.mark.parametrize("examples", ["nsp-pairs", "doc-sentences"])
def test_every_example_of_every_pass_is_there_once(recipe, examples):
    loaded = load(recipe, f"examples={{name: {examples}}}", "evaluation.held_out_rate=0.0")
    source = JobRows(loaded, TokenStore(prepare(loaded.prepare)), cache=recipe.parent / "cache").training(0)
    for passes in (1, 2, 3, 5):
        rows = source.num_rows(passes)
        batches = [source.batch(step) for step in range(-(-rows // source.batch_size))]
        ids = np.concatenate([batch["sample_ids"] for batch in batches])[:rows]
        numbers, times = np.unique(ids, return_counts=True)
        structures = len(np.unique(numbers >> np.uint64(48)))
        assert structures == (min(passes, 3) if examples == "nsp-pairs" else 1)
        assert times.sum() == rows and times.min() == passes // structures and times.max() == -(-passes // structures)
        if passes == 1:
            assert rows == source.num_examples


def test_a_finished_phase_is_kept_and_another_one_is_refused(recipe, run):
    first = run("--to", "tfrecord", "-o", str(recipe.parent / "out"))
    assert first.returncode == 0 and not (recipe.parent / "run" / "tfrecord").exists()
    before = hashes(recipe.parent / "out")
    assert len(before) == 2 * (10 + 2)
    again = run("--to", "tfrecord", "-o", str(recipe.parent / "out"), "--set", "phases.0.peak_lr=0.01")
    assert again.returncode == 0 and f"{recipe.parent / 'out' / 'phase-1'}: finished earlier, intact, and kept" in again.stdout
    other = run("--to", "tfrecord", "-o", str(recipe.parent / "out"), "--passes", "4", "--set", "masking.dynamic=true")
    assert other.returncode == 2 and "inputs.passes: 3 -> 4" in other.stderr.splitlines()[-1]
    assert hashes(recipe.parent / "out") == before
    path = recipe.parent / "out" / "phase-2" / "part-00003-of-00010.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    damaged = run("--to", "tfrecord", "-o", str(recipe.parent / "out"))
    assert damaged.returncode == 3 and str(path) in damaged.stderr and "Traceback" not in damaged.stderr


def test_the_bytes_depend_on_nothing_but_the_recipe(recipe):
    store = TokenStore(prepare(load(recipe).prepare))
    folders = [recipe.parent / "one", recipe.parent / "two"]
    for folder, *overrides in ((folders[0],), (folders[1], "loader_workers=2", f"output={recipe.parent / 'other'}")):
        write_phases(load(recipe, *overrides), store, folder, shards=3, observer=Silent())
    assert hashes(folders[0]) == hashes(folders[1])


class Interrupting(Silent):
    def progress(self, title, done, total, detail=""):
        if done > total / 2:
            raise KeyboardInterrupt


def test_a_phase_is_whole_or_absent(recipe):
    store = TokenStore(prepare(load(recipe).prepare))
    with pytest.raises(KeyboardInterrupt):
        write_phases(load(recipe), store, recipe.parent / "out", shards=2, observer=Interrupting())
    assert not any((recipe.parent / "out").iterdir())
    (recipe.parent / "out" / "phase-1").mkdir()
    (recipe.parent / "out" / "phase-1" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        write_phases(load(recipe), store, recipe.parent / "out", shards=2, observer=Silent())


def test_dynamic_masking_has_no_last_pass_and_says_how_many_are_written(recipe, run):
    result = run("--to", "tfrecord", "--set", "masking.dynamic=true")
    assert result.returncode == 0 and "masking is dynamic, but files hold a fixed number of epochs: 3" in result.stdout
    told = run("--to", "tfrecord", "--set", "masking.dynamic=true", "--passes", "1", "-o", str(recipe.parent / "one"))
    assert told.returncode == 0 and "masking is dynamic" not in told.stdout and "; 1 epoch" in told.stdout


def test_prepare_alone_does_without_it(recipe, run):
    program = "import sys; from wholeword.cli import app; app(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    command = [sys.executable, "-c", program, "prepare", str(recipe), "--set", f"output={recipe.parent / 'run'}"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
    assert "wholeword.core.training.prepare" in loaded and not {"google_crc32c", "wholeword.core.formats.tfrecord"} & set(loaded)
    options = run("--shards", "3")
    assert options.returncode == 2 and "require --to tfrecord" in options.stderr
