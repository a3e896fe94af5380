"""Training rows from TFRecord files are the rows of the store."""

import json
from pathlib import Path

import numpy as np
import pytest

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.formats.tfrecord import FEATURES, encode_examples, frame
from wholeword.core.formats.tfrecord import write_tfrecords as write_records
from wholeword.core.training.hosts import Hosts
from wholeword.core.training.prepare import prepare
from wholeword.core.training.records import write_tfrecords
from wholeword.core.training.sources import JobRows

tf = pytest.importorskip("tensorflow")
from wholeword.plugins.tensorflow.records import Records, find_files, phase_location  # noqa: E402

SMALL = Path(__file__).parents[1] / "data" / "google_small"
DOCUMENTS = json.loads((SMALL / "documents.json").read_text(encoding="utf-8"))["documents"]
SHARDS, PASSES = 4, 3
RECIPE = f"""
version: 1
name: test
corpus: {{files: [corpus.txt]}}
tokenizer: {{vocab: {SMALL / "vocab.txt"}}}
masking: {{name: whole-word, dynamic: false, dupe_factor: {PASSES}}}
model: {{size: tiny}}
phases:
  - {{max_seq_length: 48, batch_size: 12, steps: 9, peak_lr: 1e-4, max_predictions: 7}}
  - {{max_seq_length: 64, batch_size: 6, steps: 9, peak_lr: 1e-4}}
evaluation: {{held_out_rate: 0.2, batches: 1}}
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    (folder / "corpus.txt").write_text("\n\n".join("\n".join(document) for document in DOCUMENTS) + "\n", encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    job = resolve(load_recipe(str(folder / "recipe.yaml"), overrides=[f"output={folder / 'run'}"]))
    store = TokenStore(prepare(job.prepare))
    write_tfrecords(job, store, folder / "out", shards=SHARDS, observer=Silent())
    return folder / "out", job, store


def arguments_of(job, store, number=0, **changes):
    arguments = JobRows(job, store, cache=None).record_arguments(number) | changes
    del arguments["number"], arguments["num_phases"]
    return arguments


def records(written, location="phase-1", hosts=None, **changes):
    folder, job, store = written
    return Records(str(folder / location), **arguments_of(job, store, **changes), hosts=hosts or Hosts())


def assert_equal(batch, expected):
    for name in FEATURES:
        assert batch[name].dtype == expected[name].dtype and np.array_equal(batch[name], expected[name]), name


@pytest.mark.parametrize("number", [0, 1])
def test_batches_are_those_of_the_store(written, number):
    folder, job, store = written
    found = phase_location(str(folder), number, 2)
    source = Records(found, **arguments_of(job, store, number), hosts=Hosts())
    expected = JobRows(job, store, cache=None).training(number)
    assert source.num_rows == expected.num_rows(PASSES) > 4 * source.batch_size
    steps = source.num_rows // source.batch_size
    for step, batch in enumerate(source.batches(0, steps)):
        assert_equal(batch, expected.batch(step))
    assert step == steps - 1


def test_behind_the_last_row_the_first_comes_again_and_none_is_dropped(written):
    source = records(written)
    steps = 3 * source.num_rows // source.batch_size
    assert source.num_rows % source.batch_size
    rows = np.concatenate([batch["input_ids"] for batch in source.batches(0, steps)])
    whole = rows[: source.num_rows]
    assert np.array_equal(rows, np.concatenate([whole] * 4)[: len(rows)])


def test_a_batch_follows_from_the_step_alone(written):
    source = records(written)
    batches = list(source.batches(0, 20))
    for step in (0, 1, 7, 19):
        assert_equal(source.batch(step), batches[step])
        assert_equal(next(source.batches(step, 20)), batches[step])
    assert source.batch(2)["sample_ids"].tolist() == list(range(24, 36))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_hosts_share_every_batch(written, count):
    """4 files for 2 or 4 hosts are divided, and with 3 hosts each opens all."""
    whole = list(records(written).batches(3, 20))
    parts = [list(records(written, hosts=Hosts(("a:1",) * count, number)).batches(3, 20)) for number in range(count)]
    for step, batch in enumerate(whole):
        for number in range(count):
            assert_equal(parts[number][step], {name: batch[name][number::count] for name in FEATURES})


def test_files_may_be_where_tensorflow_alone_can_read(written):
    """`ram://` stands for `gs://`: neither is a path of this machine."""
    for path in (written[0] / "phase-1").iterdir():
        tf.io.gfile.makedirs("ram://bucket/rows/phase-1")
        with tf.io.gfile.GFile(f"ram://bucket/rows/phase-1/{path.name}", "wb") as file:
            file.write(path.read_bytes())
    arguments = arguments_of(*written[1:])
    for location in (phase_location("ram://bucket/rows", 0, 2), "ram://bucket/rows/phase-1/*.tfrecord", "ram://bucket/rows/phase-1/"):
        source = Records(location, **arguments, hosts=Hosts())
        assert source.num_rows == records(written).num_rows
        assert_equal(source.batch(3), records(written).batch(3))


def test_shapes_are_static_before_a_row_is_read(written):
    source = records(written)
    dataset = source._records().batch(source.batch_size, drop_remainder=True).map(source._parse)
    assert all(spec.shape.is_fully_defined() and spec.shape[0] == source.batch_size for spec in dataset.element_spec.values())


def test_held_out_rows_are_never_trained_on(written):
    folder = written[0] / "phase-1"
    assert (folder / "eval.tfrecord").exists()
    for location in (str(folder), f"{folder}/", f"{folder}/*.tfrecord", f"{folder}/*"):
        assert [Path(path).name for path in find_files(location)] == [f"part-{shard:05d}-of-00004.tfrecord" for shard in range(4)]


def test_googles_files_without_a_manifest_are_rows_too(written, tmp_path):
    batch = records(written).batch(0)
    write_records([tmp_path / "tf_examples.tfrecord"], [batch])
    source = records(written, tmp_path / "tf_examples.tfrecord", batch_size=4)
    assert source.num_rows == 12
    for step in range(6):
        assert_equal(source.batch(step), {name: batch[name][step * 4 % 12 : step * 4 % 12 + 4] for name in FEATURES})


def copied(folder, target, names):
    target.mkdir()
    for name in names:
        (target / name).write_bytes((folder / name).read_bytes())
    return target


def test_what_is_wrong_with_the_files_is_said(written, tmp_path):
    folder, job, store = written
    names = [path.name for path in (folder / "phase-1").iterdir()]
    with pytest.raises(UserError, match="no files; write them with wholeword prepare RECIPE --to tfrecord"):
        records(written, "phase-9/*")
    with pytest.raises(UserError, match=r"rows of another recipe \(seed: 12345 -> 6\)"):
        records(written, identity=JobRows(job, store, cache=None).identity | {"seed": 6})
    with pytest.raises(UserError, match=r"rows of another recipe .*max_seq_length: 64 -> 48"):
        records(written, "phase-2")
    with pytest.raises(UserError, match="rows do not fill a batch of 5,000"):
        records(written, batch_size=5000)
    dynamic = JobRows(job, store, cache=None).identity
    dynamic = dynamic | {"masking": dynamic["masking"] | {"dynamic": True}}
    with pytest.raises(UserError, match=r"rows of another recipe \(masking.dynamic: False -> True\)"):
        records(written, identity=dynamic)
    missing = copied(folder / "phase-1", tmp_path / "missing", set(names) - {"part-00002-of-00004.tfrecord"})
    with pytest.raises(IntegrityError, match=r"4 files were written, but 3 were found; part-00002-of-00004\.tfrecord is missing"):
        records(written, missing)
    cut = copied(folder / "phase-1", tmp_path / "cut", names)
    part = cut / "part-00001-of-00004.tfrecord"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"part-00001-of-00004\.tfrecord: [\d,]+ bytes, but [\d,]+ were written"):
        records(written, cut)
    damaged = copied(folder / "phase-1", tmp_path / "damaged", names)
    data = bytearray((damaged / part.name).read_bytes())
    data[200] ^= 1
    (damaged / part.name).write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="damaged record"):
        list(records(written, damaged).batches(0, 30))


def test_dynamic_masks_are_not_seen_twice(written, tmp_path):
    folder, _, store = written
    again = resolve(load_recipe(str(folder.parent / "recipe.yaml"), overrides=["masking.dynamic=true", f"output={folder.parent / 'run'}"]))
    write_tfrecords(again, store, tmp_path / "out", shards=2, passes=1, observer=Silent())
    location = str(tmp_path / "out" / "phase-1")
    enough = Records(location, **arguments_of(again, store, steps=1), hosts=Hosts())
    assert enough.num_rows >= 12
    with pytest.raises(UserError, match=r"1,000 steps of 12 need 12,000 distinctly masked rows"):
        Records(location, **arguments_of(again, store, steps=1000), hosts=Hosts())


def test_rows_of_another_kind_are_said_before_the_model_is_built(written, tmp_path):
    batch = records(written).batch(0)
    rows = {name: batch[name] for name in FEATURES}
    write_records([tmp_path / "a"], [batch])
    with pytest.raises(UserError, match=r"rows do not match the recipe .* input_ids \[32\]"):
        records(written, tmp_path / "a", batch_size=4, max_seq_length=32)
    del rows["masked_lm_weights"]
    (tmp_path / "b").write_bytes(b"".join(map(frame, encode_examples(rows))))
    with pytest.raises(UserError, match=r"rows do not match the recipe .*masked_lm_weights"):
        records(written, tmp_path / "b", batch_size=4)


def test_where_the_rows_of_a_phase_are(written, tmp_path):
    folder = str(written[0])
    assert [phase_location(folder, number, 2) for number in (0, 1)] == [f"{folder}/phase-1", f"{folder}/phase-2"]
    assert phase_location("gs://bucket/{phase}/part-*", 1, 2) == "gs://bucket/2/part-*"
    assert phase_location(["a", "b"], 1, 2) == "b"
    assert phase_location("rows/*.tfrecord", 0, 1) == "rows/*.tfrecord"
    with pytest.raises(UserError, match="1 patterns for 2 phases"):
        phase_location(["a"], 0, 2)
    with pytest.raises(UserError, match="for 2 phases; expected subfolders phase-1 and so on"):
        phase_location("rows/*.tfrecord", 0, 2)
