"""Corpus -> token store: built, continued where it was interrupted, or found finished.

Everything that decides the content of the store is in its `inputs`; time, folder and number of workers are not, and change no byte of it.
While it is built, there is beside the final folder

    store.partial/
      inputs.json          what is being built; a recipe with other inputs is refused
      vocabulary.json      with `tokenizer.train`: the texts that store/vocab.txt was trained from
      receipts/00000.json  what a finished shard was made from, its sha256, its counts
      store/               the shards and vocab.txt; it gets its manifest and then its final name at the end

which the next run continues. A lock on it keeps a second build away. Memory is bounded by shards and workers, not by the corpus.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from wholeword.core.config.preparation import PrepareJob, TokenizerSpec
from wholeword.core.console import doing
from wholeword.core.contracts import SplittingSegmenter
from wholeword.core.data.align import segment
from wholeword.core.data.chunks import CorpusReader
from wholeword.core.data.cleaning import make_cleaners
from wholeword.core.data.corpus import CorpusFile
from wholeword.core.data.corpus_format import CheckedFormat
from wholeword.core.data.documents import read_documents
from wholeword.core.data.shards import MAX_EXAMPLES, Report, StoreSpec, most_frequent
from wholeword.core.data.store import VOCABULARY, finish_store
from wholeword.core.data.vocabulary_training import train_vocabulary
from wholeword.core.data.workers import await_workers, build_shards
from wholeword.core.errors import UserError
from wholeword.core.files import atomic_write, disk_errors, fsync_folder, locked_folder, sha256_of, to_json
from wholeword.core.registry.registry import registry
from wholeword.core.training.inputs import describe, expect_continuable, expect_store_of, partial_store

Progress = Callable[[int, int, int], None]


def prepare(job: PrepareJob, *, progress: Progress | None = None) -> Path:
    """Build a token store, continue building it, or find it finished.

    Args:
        progress: called now and then with the bytes of the corpus that are done, all its bytes, and the number of tokens so far.
    Returns: the store's folder.
    Raises: UserError if something else is in its place, the corpus has changed or has no text; PluginError if the segmenter breaks its
        contract; DiskError; WholewordError if a worker process dies.
    """
    final = job.store
    partial = partial_store(final)
    with doing(f"loading the segmenter {job.segmenter.name}"):
        inputs, files = describe(job)
    if final.exists():
        expect_store_of(final, inputs)
        _remove_leftover(partial, inputs)
        return final
    with disk_errors(partial):
        partial.mkdir(parents=True, exist_ok=True)
        try:
            with locked_folder(partial):
                if final.exists():  # another process has finished it by now
                    expect_store_of(final, inputs)
                    return final
                _begin(partial, inputs)
                _build(job, partial, inputs, files, progress or (lambda done, total, tokens: None))
                os.rename(partial / "store", final)
                fsync_folder(final.parent)
                shutil.rmtree(partial)
        except BlockingIOError:
            raise UserError(f"{final}: another process is building this store; wait for it to end") from None
    return final


def _remove_leftover(partial: Path, inputs: dict[str, Any]) -> None:
    """Remove what is left of a process that was killed right after the store got its name."""
    record = partial / "inputs.json"
    if record.exists() and record.read_bytes() == to_json(inputs):
        with suppress(BlockingIOError, FileNotFoundError), locked_folder(partial):
            shutil.rmtree(partial)


def _begin(partial: Path, inputs: dict[str, Any]) -> None:
    """Prepare the folder, unless it holds the beginning of this very store."""
    before = expect_continuable(partial, inputs)
    if before != inputs:
        (partial / "vocabulary.json").unlink(missing_ok=True)
        atomic_write(partial / "inputs.json", to_json(inputs))
    await_workers(partial)
    for folder in (partial / "store", partial / "receipts"):
        folder.mkdir(exist_ok=True)


def _build(job: PrepareJob, partial: Path, inputs: dict[str, Any], files: Sequence[CorpusFile], progress: Progress) -> None:
    """Fill `partial/store` and write its manifest."""
    spec = StoreSpec(
        folder=partial,
        corpus=job.corpus,
        cleaning=job.cleaning,
        segmenter=job.segmenter,
        lowercase=job.tokenizer.lowercase,
        keep_latin=job.latin_phrases == "keep",
        compat=job.compat,
        inputs=inputs,
        words_cache=job.cache / "words" if job.cache else None,
    )
    training = job.tokenizer.train is not None
    total = sum(file.size for file in files) * (2 if training else 1)
    done = [0, 0]

    def report(read: int, tokens: int) -> None:
        done[0] += read
        done[1] += tokens
        progress(done[0], total, done[1])

    texts = None
    if training:
        texts = _train(spec, files, job.tokenizer, report)
        report(total // 2 - done[0], 0)
    else:
        atomic_write(partial / "store" / VOCABULARY, job.tokenizer.vocabulary.to_bytes())
    reader = CorpusReader(files, job.corpus)
    with closing(build_shards(spec, reader.chunks(), num_workers=_num_workers(job, files), report=report)) as building:
        receipts = list(building)
    if texts not in (None, reader.sha256):
        raise UserError(f"{partial}: the corpus has changed since the vocabulary was trained from it; remove this folder to start again")
    _finish(
        job,
        partial,
        inputs,
        receipts,
        [{"name": file.name, "bytes": file.size, "sha256": text} for file, text in zip(files, reader.sha256, strict=True)],
    )


def _finish(
    job: PrepareJob, partial: Path, inputs: dict[str, Any], receipts: Sequence[dict[str, Any]], files: list[dict[str, Any]]
) -> None:
    """Write the manifest of a store whose shards are complete."""
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for receipt in receipts:
        counts.update(receipt["counts"])
        unknown.update(dict(receipt["unknown"]))
    if not counts["num_tokens"]:
        raise UserError(f"corpus.files: no text in {', '.join(file['name'] for file in files[:3])}{' ...' if len(files) > 3 else ''}")
    shards = [{"file": receipt["file"], "sha256": receipt["sha256"], **receipt["counts"]} for receipt in receipts if receipt["sha256"]]
    for path in (partial / "store").iterdir():  # what an earlier, longer or killed build left
        if path.name not in (VOCABULARY, *(shard["file"] for shard in shards)):
            path.unlink()
    about = {
        "inputs": inputs,
        "segmenter": {**inputs["segmenter"], "version": receipts[0]["made_from"]["segmenter_version"]},
        "unknown": most_frequent(unknown),
        "fallback_examples": [example for receipt in receipts for example in receipt["fallback_examples"]][:MAX_EXAMPLES],
        "corpus": files,
    }
    with doing(f"finishing {job.store}: checksums of {len(shards):,} shards"):
        finish_store(partial / "store", lowercase=job.tokenizer.lowercase, shards=shards, counts=counts, about=about)
        fsync_folder(partial / "store")


def _train(spec: StoreSpec, files: Sequence[CorpusFile], tokenizer: TokenizerSpec, report: Report) -> list[str]:
    """Train `store/vocab.txt` from the corpus, unless that is done. Returns: the sha256 of the texts it was trained from."""
    path, record = spec.folder / "store" / VOCABULARY, spec.folder / "vocabulary.json"
    if record.exists() and path.exists():
        trained = json.loads(record.read_bytes())
        if trained["sha256"] == sha256_of(path):
            return list(trained["corpus"])
    reader, cleaners = CorpusReader(files, spec.corpus), make_cleaners(spec.cleaning)

    def sentences() -> Iterator[str]:
        name, settings = spec.segmenter
        splits = isinstance(registry.load("segmenter", name), SplittingSegmenter)  # then its separators are no text
        segmenter = registry.create("segmenter", name, **settings) if splits else None
        for chunk in reader.chunks():
            for _, document in read_documents(chunk, spec.corpus, Counter(), cleaners):
                yield from segment(segmenter, document)[0] if segmenter else document
            report(chunk.bytes_read, 0)

    vocabulary = train_vocabulary(sentences(), tokenizer.train or 0, tokenizer.lowercase, tokenizer.min_frequency)
    atomic_write(path, vocabulary.to_bytes())
    atomic_write(record, to_json({"corpus": reader.sha256, "sha256": vocabulary.sha256}))
    return reader.sha256


def _num_workers(job: PrepareJob, files: Sequence[CorpusFile]) -> int:
    """As many as the job says, or one a core; no more than there are shards (whose number is unknown for compressed files)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = job.workers or cores
    format = CheckedFormat(job.corpus.format)
    if not all(format.knows_size(file.path) for file in files):
        return workers
    return max(1, min(workers, -(-sum(file.size for file in files) // (job.corpus.shard_mb << 20))))
