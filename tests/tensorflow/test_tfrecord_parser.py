"""TensorFlow's own parser reads our files, and our reader reads TensorFlow's."""

import json
from pathlib import Path

import numpy as np
import pytest

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.data.store import TokenStore
from wholeword.core.formats.tfrecord import FEATURES, encode_examples, frame, read_records, read_tfrecords
from wholeword.core.training.prepare import prepare
from wholeword.core.training.records import write_tfrecords
from wholeword.core.training.sources import JobRows

tf = pytest.importorskip("tensorflow")

SMALL = Path(__file__).parents[1] / "data" / "google_small"
DOCUMENTS = json.loads((SMALL / "documents.json").read_text(encoding="utf-8"))["documents"]
LENGTH, PREDICTIONS, SHARDS, PASSES = 48, 7, 3, 2
RECIPE = f"""
version: 1
name: test
corpus: {{files: [corpus.txt]}}
tokenizer: {{vocab: {SMALL / "vocab.txt"}}}
masking: {{name: whole-word, dynamic: true}}
model: {{size: tiny}}
phases: [{{max_seq_length: {LENGTH}, batch_size: 16, steps: 1, peak_lr: 1e-4, max_predictions: {PREDICTIONS}}}]
"""
# as in `input_fn_builder` of google-research/bert's run_pretraining.py
NAME_TO_FEATURES = {
    "input_ids": tf.io.FixedLenFeature([LENGTH], tf.int64),
    "input_mask": tf.io.FixedLenFeature([LENGTH], tf.int64),
    "segment_ids": tf.io.FixedLenFeature([LENGTH], tf.int64),
    "masked_lm_positions": tf.io.FixedLenFeature([PREDICTIONS], tf.int64),
    "masked_lm_ids": tf.io.FixedLenFeature([PREDICTIONS], tf.int64),
    "masked_lm_weights": tf.io.FixedLenFeature([PREDICTIONS], tf.float32),
    "next_sentence_labels": tf.io.FixedLenFeature([1], tf.int64),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The files of a recipe, and the rows that its source makes."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "corpus.txt").write_text("\n\n".join("\n".join(document) for document in DOCUMENTS) + "\n", encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    job = resolve(load_recipe(str(folder / "recipe.yaml"), overrides=[f"output={folder / 'run'}"]))
    store = TokenStore(prepare(job.prepare))
    write_tfrecords(job, store, folder / "out", shards=SHARDS, passes=PASSES, observer=Silent())
    source = JobRows(job, store, cache=folder / "cache").training(0)
    rows = source.num_rows(PASSES)
    batches = [source.batch(step) for step in range(-(-rows // source.batch_size))]
    expected = {name: np.concatenate([batch[name] for batch in batches])[:rows].reshape(rows, -1) for name in FEATURES}
    return sorted((folder / "out" / "phase-1").glob("part-*.tfrecord")), expected


def test_tensorflow_parses_the_rows_of_the_batches(written):
    paths, expected = written
    assert len(paths) == SHARDS and len(expected["input_ids"]) > 40
    for number, path in enumerate(paths):
        dataset = tf.data.TFRecordDataset(str(path)).map(lambda record: tf.io.parse_single_example(record, NAME_TO_FEATURES))
        rows = list(dataset.as_numpy_iterator())
        for name in FEATURES:
            assert np.array_equal(np.stack([row[name] for row in rows]), expected[name][number::SHARDS])


def test_batches_have_static_shapes_as_a_tpu_needs(written):
    paths, expected = written

    def decode_record(record):  # as `_decode_record` of run_pretraining.py does
        example = tf.io.parse_single_example(record, NAME_TO_FEATURES)
        return {name: tf.cast(values, tf.int32) if values.dtype == tf.int64 else values for name, values in example.items()}

    files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    dataset = files.interleave(tf.data.TFRecordDataset, cycle_length=SHARDS).map(decode_record).batch(8, drop_remainder=True)
    for name, spec in dataset.element_spec.items():
        assert spec.shape == (8, *NAME_TO_FEATURES[name].shape) and spec.dtype == (tf.float32 if "weights" in name else tf.int32)
    ids = np.concatenate([batch["input_ids"] for batch in dataset.as_numpy_iterator()])
    assert np.array_equal(ids, expected["input_ids"][: len(ids)])  # one of each shard in turn is the order they were dealt out in


def test_our_bytes_are_those_of_tensorflow(written, tmp_path):
    for path in written[0]:
        with tf.io.TFRecordWriter(str(tmp_path / path.name)) as writer:
            for _, data in read_records(path):
                example = tf.train.Example.FromString(data)
                assert example.SerializeToString(deterministic=True) == data
                writer.write(data)
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_our_reader_reads_what_tensorflow_wrote(tmp_path):
    generator = np.random.default_rng(4)
    rows = [
        {
            "numbers": generator.integers(-(2**63), 2**63 - 1, 9),
            "ids": generator.integers(0, 120_000, generator.integers(1, 40)),
            "weights": generator.normal(size=5).astype(np.float32),
            "一": np.array([2**63 - 1, -(2**63), 0, 127, 128]),
        }
        for _ in range(20)
    ]
    path = tmp_path / "file"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            feature = {
                name: tf.train.Feature(float_list=tf.train.FloatList(value=values))
                if values.dtype == np.float32
                else tf.train.Feature(int64_list=tf.train.Int64List(value=values))
                for name, values in row.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    for row, read in zip(rows, read_tfrecords([path]), strict=True):
        assert row.keys() == read.keys()
        assert all(np.array_equal(row[name], read[name]) and row[name].dtype == read[name].dtype for name in row)


def test_numbers_that_are_not_packed_mean_the_same_to_both(tmp_path):
    """One int64_list of 1, 300, -1 in fields of their own and then 5, 6 packed."""
    numbers = bytes.fromhex("0801 08ac02 08ffffffffffffffffff01 0a020506")
    feature = bytes([0x1A, len(numbers)]) + numbers
    entry = bytes.fromhex("0a0161") + bytes([0x12, len(feature)]) + feature
    features = bytes([0x0A, len(entry)]) + entry
    data = bytes([0x0A, len(features)]) + features
    (tmp_path / "file").write_bytes(frame(data))
    [row] = read_tfrecords([tmp_path / "file"])
    assert row["a"].tolist() == list(tf.train.Example.FromString(data).features.feature["a"].int64_list.value) == [1, 300, -1, 5, 6]
    assert encode_examples({"a": row["a"][None]}) == [tf.train.Example.FromString(data).SerializeToString(deterministic=True)]
