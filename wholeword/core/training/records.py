"""The rows of a job as TFRecords: `wholeword prepare RECIPE --to tfrecord`."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from wholeword.core.config.job import Job
from wholeword.core.console import Observer
from wholeword.core.contracts import Array
from wholeword.core.data.batches import BatchSource
from wholeword.core.data.google_source import GoogleSource
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import UserError
from wholeword.core.files import MANIFEST, atomic_directory, check_manifest, differences, read_manifest, write_manifest
from wholeword.core.formats.tfrecord import FORMAT
from wholeword.core.formats.tfrecord import write_tfrecords as write_records
from wholeword.core.training.sources import JobRows


def write_tfrecords(job: Job, store: TokenStore, folder: Path, *, shards: int, passes: int | None = None, observer: Observer) -> None:
    """Write the rows of each phase for TensorFlow: `folder/phase-1/part-00000-of-00010.tfrecord` and so on, and those of held-out
    documents, if there are any, as `folder/phase-1/eval.tfrecord`. A phase that exists already is checked and kept.

    Args:
        passes: how many epochs to write; by default dupe_factor.
    Raises: UserError if a phase's folder holds something else; IntegrityError if a phase is damaged; DiskError.
    """
    if passes is None:
        passes = job.rows.dupe_factor
        if job.rows.dynamic:
            observer.say(f"masking is dynamic, but files hold a fixed number of epochs: {passes} (masking.dupe_factor, or --passes)")
    rows = JobRows(job, store, cache=job.output / "examples")
    for number, phase in enumerate(job.phases):
        final = folder / f"phase-{number + 1}"
        about = {"format": FORMAT, "inputs": _inputs(rows, number, passes, shards)}
        if (final / MANIFEST).exists():
            _check_existing(final, about)
            observer.say(f"{final}: finished earlier, intact, and kept")
            continue
        source = rows.training(number)
        with atomic_directory(final) as partial:
            names = [f"part-{shard:05d}-of-{shards:05d}.tfrecord" for shard in range(shards)]
            batches = _first_rows(source, source.num_rows(passes), job.loader_workers, f"tfrecord phase {number + 1}", observer)
            counts = {"rows": write_records([partial / name for name in names], batches)}
            if job.rows.held_out_rate:
                counts["held_out_rows"] = write_records([partial / "eval.tfrecord"], rows.held_out(number))
            write_manifest(partial, about | counts)
        written = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
        shape = f"{phase.max_seq_length} tokens and {phase.max_predictions} predictions each"
        observer.say(f"{final}: {written}, {shape}; {passes} epoch{'s' * (passes != 1)}")


def _inputs(rows: JobRows, number: int, passes: int, shards: int) -> dict[str, Any]:
    """What decides the files of a phase, as JSON."""
    phase = rows.job.phases[number]
    lengths = {"max_seq_length": phase.max_seq_length, "max_predictions": phase.max_predictions}
    inputs: dict[str, Any] = {**rows.identity, **lengths, "passes": passes, "shards": shards}
    if rows.job.rows.held_out_rate:
        inputs["evaluation"] = {"batches": rows.job.evaluation.batches, "batch_size": phase.batch_size}
    return inputs


def _check_existing(final: Path, about: Mapping[str, Any]) -> None:
    manifest = read_manifest(final)
    if changed := differences({key: manifest.get(key) for key in about}, about):
        raise UserError(f"{final}: holds something else ({'; '.join(changed[:4])}); remove it, or choose another folder with -o")
    check_manifest(final)


def _first_rows(
    source: BatchSource | GoogleSource, num_rows: int, workers: int, title: str, observer: Observer
) -> Iterator[Mapping[str, Array]]:
    """The first rows of a source, in batches of which the last may be short."""
    done = 0
    with closing(source.batches(0, -(-num_rows // source.batch_size), workers=workers)) as batches:
        for batch in batches:
            yield {name: values[: num_rows - done] for name, values in batch.items()}
            done = min(done + source.batch_size, num_rows)
            observer.progress(title, done, num_rows, f"{done:,} rows")
