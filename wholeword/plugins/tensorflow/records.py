"""Training rows from TFRecord files, local or on gs://, in place of the token store.

The rows are those of `wholeword prepare --to tfrecord` (row i in file i modulo their number), or of Google's create_pretraining_data.py.
Row r of step s is row s * batch_size + r of the files, which are read in turn, one row from each, and repeatedly. This depends on the step
alone, so a resumed run skips rows without parsing them. With several hosts, host h parses the rows whose number is h modulo the number of
hosts, and opens only the files that contain them where possible.

TensorFlow checks the crc32c of every record that it reads.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import MANIFEST, differences, parse_manifest
from wholeword.core.formats.tfrecord import FEATURES
from wholeword.core.training.hosts import Hosts

HELD_OUT = "eval.tfrecord"
OTHERS = (HELD_OUT, MANIFEST)  # files in the same folder that are not training rows


class Records:
    """The batches of a phase; see `wholeword.core.contracts.RowSource`.

    Args:
        location: the folder of the phase, or a pattern.
        identity: the settings that determine the recipe's rows; the manifest of the files must match them.
    Raises: UserError if the files belong to another recipe, or have too few rows or rows of the wrong shape; IntegrityError if files are
        missing or truncated.
    """

    def __init__(
        self,
        location: str,
        *,
        steps: int,
        batch_size: int,
        max_seq_length: int,
        max_predictions: int,
        next_sentence: bool,
        identity: Mapping[str, Any],
        hosts: Hosts,
    ):
        self.batch_size, self.has_next_sentence, self.hosts, self.location = batch_size, next_sentence, hosts, location
        lengths = {"input_ids": max_seq_length, "input_mask": max_seq_length, "segment_ids": max_seq_length, "next_sentence_labels": 1}
        self.features = {
            name: tf.io.FixedLenFeature([lengths.get(name, max_predictions)], tf.float32 if name == "masked_lm_weights" else tf.int64)
            for name in FEATURES
        }
        self.files = find_files(location)
        manifest = read_manifest_beside(self.files)
        self.dealt = manifest is not None  # row i is in file i modulo their number
        if manifest is None:
            self.num_rows = int(self._records().reduce(np.int64(0), lambda count, _: count + 1))
        else:
            shape = {"max_seq_length": max_seq_length, "max_predictions": max_predictions}
            _check(manifest, self.files, {**identity, **shape}, location)
            self.num_rows = manifest["rows"]
        self._check_number(steps, dynamic=bool(manifest and identity["masking"]["dynamic"]))
        self.batch(0)  # detects rows of the wrong shape before the model is built

    def _check_number(self, steps: int, *, dynamic: bool) -> None:
        if self.num_rows < self.batch_size:
            raise UserError(
                f"{self.location}: {self.num_rows:,} rows do not fill a batch of {self.batch_size:,}; prepare more with --passes"
            )
        if dynamic and self.num_rows < steps * self.batch_size:
            raise UserError(
                f"{self.location}: {self.num_rows:,} rows, but {steps:,} steps of {self.batch_size:,} need {steps * self.batch_size:,} "
                "distinctly masked rows (masking.dynamic); write more epochs with prepare --passes, or train from the store"
            )

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The whole batch of a step; `sample_ids` are the numbers of the rows in the files."""
        batch = next(self._batches(step, step + 1, Hosts()))
        return batch | {"sample_ids": (np.arange(self.batch_size) + step * self.batch_size).astype(np.uint64) % np.uint64(self.num_rows)}

    def batches(self, first_step: int, end_step: int, *, workers: int = 1) -> Generator[dict[str, np.ndarray], None, None]:
        """This host's rows of the batches of some steps, prefetched by TensorFlow's own threads."""
        return self._batches(first_step, end_step, self.hosts)

    def _batches(self, first_step: int, end_step: int, hosts: Hosts) -> Generator[dict[str, np.ndarray], None, None]:
        """int32 and float32 [rows of this host, ...]."""
        first_row = first_step * self.batch_size % self.num_rows
        if self.dealt and len(self.files) % hosts.world_size == 0 and self.num_rows % hosts.world_size == 0:
            records = self._records(self.files[hosts.rank :: hosts.world_size]).repeat().skip(first_row // hosts.world_size)
        else:
            records = self._records().repeat().skip(first_row).shard(hosts.world_size, hosts.rank)
        batches = records.batch(self.batch_size // hosts.world_size, drop_remainder=True).take(end_step - first_step)
        batches = batches.map(self._parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
        try:
            yield from batches.as_numpy_iterator()
        except (tf.errors.InvalidArgumentError, tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
            raise self._explained(error) from None

    def _records(self, files: Sequence[str] | None = None) -> tf.data.Dataset:
        """The unparsed records of some files, read in turn, one from each."""
        names = list(files or self.files)
        dataset = tf.data.Dataset.from_tensor_slices(names)
        return dataset.interleave(tf.data.TFRecordDataset, cycle_length=len(names), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _parse(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = tf.io.parse_example(records, self.features)
        batch["next_sentence_labels"] = tf.squeeze(batch["next_sentence_labels"], 1)
        return {name: tf.cast(values, tf.int32) if values.dtype == tf.int64 else values for name, values in batch.items()}

    def _explained(self, error: tf.errors.OpError) -> UserError | IntegrityError:
        message = " ".join(str(error.message).split())
        if isinstance(error, tf.errors.DataLossError):
            return IntegrityError(f"{self.location}: damaged record ({message[:200]}); write the files again")
        shapes = ", ".join(f"{name} {list(feature.shape)}" for name, feature in self.features.items())
        return UserError(f"{self.location}: rows do not match the recipe ({message[:200]}); its phase has {shapes}")


def phase_location(records: str | Sequence[str], number: int, num_phases: int) -> str:
    """The location of a phase's rows, from the folder that contains `phase-1` and so on, a pattern with {phase}, or a list of patterns.

    Raises: UserError if phases would share files.
    """
    if not isinstance(records, str):
        if len(records) != num_phases:
            raise UserError(f"backend.records: {len(records)} patterns for {num_phases} phases; expected one for each phase")
        return records[number]
    location = records.replace("{phase}", str(number + 1))
    folder = f"{location.rstrip('/')}/phase-{number + 1}"
    if location == records and tf.io.gfile.isdir(folder):
        return folder
    if location == records and num_phases > 1:
        raise UserError(f"backend.records: {records} for {num_phases} phases; expected subfolders phase-1 and so on, or a list of patterns")
    return location


def find_files(location: str) -> list[str]:
    """The files in a folder or of a pattern, in order, without held-out rows. Raises: UserError if there are none."""
    pattern = f"{location.rstrip('/')}/*.tfrecord*" if tf.io.gfile.isdir(location) else location
    try:
        paths = tf.io.gfile.glob(pattern)
    except tf.errors.OpError as error:
        raise UserError(f"backend.records: {location}: cannot be read ({' '.join(str(error.message).split())[:200]})") from None
    files = sorted(path for path in paths if path.rsplit("/", 1)[-1] not in OTHERS)
    if not files:
        raise UserError(f"backend.records: {location}: no files; write them with wholeword prepare RECIPE --to tfrecord")
    return files


def read_manifest_beside(files: Sequence[str]) -> dict[str, Any] | None:
    """The manifest in the folder of the files; None if there is none, as for Google's files."""
    path = f"{files[0].rpartition('/')[0] or '.'}/{MANIFEST}"
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        return parse_manifest(file.read(), path)


def _check(manifest: Mapping[str, Any], files: Sequence[str], inputs: Mapping[str, Any], location: str) -> None:
    """Check that the manifest matches the recipe, and that the files are complete and of their original sizes."""
    actual = {key: manifest.get("inputs", {}).get(key) for key in inputs}
    if changed := differences(actual, dict(inputs)):
        raise UserError(f"{location}: rows of another recipe ({'; '.join(changed[:4])}); write them again, or set another location")
    names = {path.rsplit("/", 1)[-1]: path for path in files}
    written = {name: entry["size"] for name, entry in manifest["files"].items() if name != HELD_OUT}
    if names.keys() != written.keys():
        missing, more = sorted(written.keys() - names.keys()), sorted(names.keys() - written.keys())
        problem = f"{missing[0]} is missing" if missing else f"{more[0]} was not among them"
        raise IntegrityError(f"{location}: {len(written)} files were written, but {len(names)} were found; {problem}")
    for name, path in names.items():
        if (size := tf.io.gfile.stat(path).length) != written[name]:
            raise IntegrityError(f"{path}: {size:,} bytes, but {written[name]:,} were written; copy it again")
