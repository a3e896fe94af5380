"""Rows to TFRecord files on one core: ours beside tf.train.Example and tf.io.TFRecordWriter, as used by Google's script, in one run.

    pip install tensorflow-cpu && python benchmarks/tfrecord.py [--rounds 10] [--record]

Both write the same 1,024 rows to 10 files, row i to file i modulo 10, and the bytes are compared. Times are CPU times of this process
and its threads; rounds of the two sides alternate.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import tensorflow as tf
from results import Results, add_option

from wholeword.core.formats.tfrecord import FEATURES, write_tfrecords

ROWS, FILES = 1024, 10


def make_rows(length: int, most: int) -> dict[str, np.ndarray]:
    """Rows of half to full length, from a vocabulary of 21,128."""
    generator = np.random.default_rng(0)
    positions, lengths = np.arange(length), generator.integers(length // 2, length + 1, (ROWS, 1))
    input_mask = (positions < lengths).astype(np.int32)
    return {
        "input_ids": generator.integers(100, 21_128, (ROWS, length), np.int32) * input_mask,
        "input_mask": input_mask,
        "segment_ids": input_mask * (positions > lengths // 2).astype(np.int32),
        "masked_lm_positions": np.sort(generator.integers(1, length // 2, (ROWS, most), np.int32), axis=1),
        "masked_lm_ids": generator.integers(100, 21_128, (ROWS, most), np.int32),
        "masked_lm_weights": np.ones((ROWS, most), np.float32),
        "next_sentence_labels": generator.integers(0, 2, ROWS, np.int32),
    }


def write_with_tensorflow(paths: list[Path], rows: dict[str, np.ndarray]) -> None:
    with ExitStack() as stack:
        writers = [stack.enter_context(tf.io.TFRecordWriter(str(path))) for path in paths]
        for row in range(ROWS):
            feature = {}
            for name in FEATURES:
                values = np.atleast_1d(rows[name][row]).tolist()
                if name == "masked_lm_weights":
                    feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
                else:
                    feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writers[row % FILES].write(example.SerializeToString(deterministic=True))


def compare(folder: Path, length: int, most: int, rounds: int, results: Results) -> None:
    rows = make_rows(length, most)
    paths = {name: [folder / f"{name}-{length}-{number}" for number in range(FILES)] for name in ("ours", "TensorFlow")}
    times = np.empty((rounds + 1, 2))
    for number in range(rounds + 1):
        begin = time.process_time()
        write_tfrecords(paths["ours"], [rows])
        middle = time.process_time()
        write_with_tensorflow(paths["TensorFlow"], rows)
        times[number] = middle - begin, time.process_time() - middle
    content = [b"".join(path.read_bytes() for path in paths[name]) for name in paths]
    assert content[0] == content[1]
    ours, theirs = np.median(times[1:], axis=0)
    results.add(f"rows of {length}", theirs / ours, "x")
    for name, seconds in zip(paths, np.median(times[1:], axis=0), strict=True):
        ratio = np.median(times[1:, 1]) / seconds
        speed = f"{ROWS / seconds:8,.0f} rows/s {len(content[0]) / seconds / 1e6:6.1f} MB/s"
        print(f"length {length:3}  {name:10} {speed} {ratio:5.1f} x TensorFlow's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    add_option(parser)
    arguments = parser.parse_args()
    claim = "rows to TFRecord files on one core: TensorFlow's CPU time over ours"
    results = Results("tfrecord", claim=claim, peer=f"tf.train.Example and tf.io.TFRecordWriter of TensorFlow {tf.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        for length, most in ((128, 20), (512, 77)):
            compare(Path(folder), length, most, arguments.rounds, results)
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
