"""The rows of a recipe as TFRecords: `wholeword prepare RECIPE --to tfrecord`."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from wholeword.core.console import Observer
from wholeword.core.data.batches import BatchSource
from wholeword.core.data.google import GoogleSource
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import UserError
from wholeword.core.files import MANIFEST, atomic_directory, check_manifest, differences, read_manifest, write_manifest
from wholeword.core.formats.tfrecord import FORMAT
from wholeword.core.formats.tfrecord import write_tfrecords as write_records
from wholeword.core.training.sources import held_out_batches, phase_source, recipe_strategy, rows_identity

if TYPE_CHECKING:
    import numpy as np

    from wholeword.core.config import Recipe


def write_tfrecords(
    recipe: "Recipe", store: TokenStore, folder: Path, *, shards: int, passes: int | None = None, observer: Observer
) -> None:
    """Write the rows of each phase for TensorFlow: `folder/phase-1/part-00000-of-00010.tfrecord` and so on, and those of held-out
    documents, if there are any, as `folder/phase-1/eval.tfrecord`. A phase that is there already is checked and kept.

    Args:
        passes: how often over the corpus; by default dupe_factor times.
    Raises: UserError if something else is in the place of a phase; IntegrityError if a phase is damaged; DiskError.
    """
    if passes is None:
        passes = recipe.masking.dupe_factor
        if recipe.masking.dynamic:
            observer.say(f"masking is dynamic, and files hold a fixed number of passes: {passes} (masking.dupe_factor); --passes for more")
    strategy = recipe_strategy(recipe, store)
    cache = Path(recipe.output) / "examples"
    for number, phase in enumerate(recipe.phases):
        final = folder / f"phase-{number + 1}"
        inputs = rows_identity(recipe, store)
        inputs |= {"max_seq_length": phase.max_seq_length, "max_predictions": phase.max_predictions, "passes": passes, "shards": shards}
        if recipe.evaluation.held_out_rate:
            inputs |= {"evaluation": {"batches": recipe.evaluation.batches, "batch_size": phase.batch_size}}
        about = {"format": FORMAT, "inputs": inputs}
        if (final / MANIFEST).exists():
            found = read_manifest(final)
            if changed := differences({key: found.get(key) for key in about}, about):
                raise UserError(f"{final}: holds something else ({'; '.join(changed[:4])}); remove it, or choose another folder with -o")
            check_manifest(final)
            observer.say(f"{final}: finished before, whole, and kept")
            continue
        source = phase_source(recipe, number, store, strategy=strategy, cache=cache)
        with atomic_directory(final) as partial:
            names = [f"part-{shard:05d}-of-{shards:05d}.tfrecord" for shard in range(shards)]
            rows = _rows(source, source.num_rows(passes), recipe.loader_workers, f"tfrecord phase {number + 1}", observer)
            counts = {"rows": write_records([partial / name for name in names], rows)}
            if recipe.evaluation.held_out_rate:
                held_out = held_out_batches(recipe, number, store, strategy=strategy, cache=cache)
                counts["held_out_rows"] = write_records([partial / "eval.tfrecord"], held_out)
            write_manifest(partial, about | counts)
        said = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
        shape = f"{phase.max_seq_length} tokens and {phase.max_predictions} predictions each"
        observer.say(f"{final}: {said}, {shape}; {passes} pass{'es' * (passes != 1)} over the corpus")


def _rows(
    source: BatchSource | GoogleSource, num_rows: int, workers: int, title: str, observer: Observer
) -> Iterator[Mapping[str, "np.ndarray"]]:
    """The first rows of a source, in batches of which the last may be short."""
    done = 0
    with closing(source.batches(0, -(-num_rows // source.batch_size), workers=workers)) as batches:
        for batch in batches:
            yield {name: values[: num_rows - done] for name, values in batch.items()}
            done = min(done + source.batch_size, num_rows)
            observer.progress(title, done, num_rows, f"{done:,} rows")
