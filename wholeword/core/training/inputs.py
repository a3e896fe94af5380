"""What decides the content of a token store, and whether a store that is there was made from it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wholeword.core.config.preparation import PrepareJob
from wholeword.core.config.settings import described
from wholeword.core.data.corpus import CorpusFile, expand_files, unmatched
from wholeword.core.data.google_text import check_ends
from wholeword.core.data.store import FORMAT
from wholeword.core.errors import UserError
from wholeword.core.files import PARTIAL, read_manifest
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.local_source import source_of
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import version_of
from wholeword.core.registry.spec import PluginSpec


def describe(job: PrepareJob) -> tuple[dict[str, Any], list[CorpusFile]]:
    """Everything that decides the content of the store, as JSON, and the files of the corpus."""
    corpus, tokenizer = job.corpus, job.tokenizer
    files = _files(job)
    segmenter = registry.find("segmenter", job.segmenter.name)
    inputs: dict[str, Any] = {
        "corpus": {
            "files": [{"name": file.name, "bytes": file.size} for file in files],
            **_described_format(corpus.format),
            **{key: getattr(corpus, key) for key in ("bad_bytes", "drop_duplicates", "shard_mb")},
        },
        "segmenter": {"name": segmenter.name, "distribution": segmenter.distribution, "settings": described(job.segmenter.settings)},
        "tokenizer": {"lowercase": tokenizer.lowercase},
        "alignment": {"latin_phrases": job.latin_phrases},
    }
    if source := source_of(segmenter):
        inputs["segmenter"]["source"] = source
    if job.compat:
        inputs["compat"] = job.compat
    if job.cleaning:
        inputs["corpus"]["cleaning"] = [_described_plugin("cleaner", cleaner) for cleaner in job.cleaning]
    if tokenizer.train is None:
        inputs["tokenizer"]["vocabulary_sha256"] = tokenizer.vocabulary.sha256
    else:
        inputs["tokenizer"] |= {"train": tokenizer.train, "min_frequency": tokenizer.min_frequency}
    return inputs, files


def expect_reusable(job: PrepareJob) -> bool:
    """Compare a recipe with the store in its place, finished or not. Nothing is written.

    Returns: whether there is a finished one, made from the same inputs.
    Raises: UserError if something else is there, or there is no finished store and a file of the corpus is missing.
    """
    partial = partial_store(job.store)
    if not job.store.exists() and not partial.exists():
        _expanded(job)
        return False
    inputs, _ = describe(job)
    if job.store.exists():
        expect_store_of(job.store, inputs)
        return True
    expect_continuable(partial, inputs)
    return False


def partial_store(store: Path) -> Path:
    """Where a store is built."""
    return store.with_name(f"{store.name}.partial")


def expect_continuable(partial: Path, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """Compare the beginning of a store with a recipe.

    Returns: the inputs recorded there; None if nothing is.
    Raises: UserError if a shard was built from other inputs, or the folder holds other files.
    """
    record = partial / "inputs.json"
    before: dict[str, Any] | None = json.loads(record.read_bytes()) if record.exists() else None
    if before is None:
        if any(not path.name.endswith(PARTIAL) for path in partial.iterdir()):
            raise UserError(f"{partial}: holds other files, but an unfinished store has to go there; set 'store' to another folder")
    elif before != inputs and any(partial.glob("receipts/*")):  # without a receipt, nothing has been built from what may be a mistake
        expect_same_inputs(partial, before, inputs)
    return before


def _files(job: PrepareJob) -> list[CorpusFile]:
    """The files of the corpus. A finished store does not need them, but must have been made from files of the recipe's names."""
    if not job.store.exists():
        return _expanded(job)
    try:
        return expand_files(job.corpus)
    except UserError:
        recorded = read_manifest(job.store).get("inputs", {}).get("corpus", {}).get("files", [])
        names = [file["name"] for file in recorded]
        if not names or unmatched(job.corpus.files, names):
            raise
        return []


def _expanded(job: PrepareJob) -> list[CorpusFile]:
    """The files of a corpus that is to be read."""
    files = expand_files(job.corpus)
    if job.compat == "google":
        check_ends(files, job.corpus)
    return files


def _described_format(format: PluginSpec) -> dict[str, Any]:
    """The settings of a built-in format are those of the corpus, as in stores of earlier versions; they depend on no version."""
    if registry.find("corpus_format", format.name).distribution == PROJECT:
        return {"format": format.name.removeprefix(f"{PROJECT}:"), "documents": "line", **described(format.settings)}
    return {"format": _described_plugin("corpus_format", format)}


def _described_plugin(kind: str, plugin: PluginSpec) -> dict[str, Any]:
    entry = registry.find(kind, plugin.name)
    version = version_of(registry.create(kind, plugin.name, **plugin.settings), entry)
    return {"name": entry.name, "distribution": entry.distribution, "version": version, "settings": described(plugin.settings)}


def expect_store_of(final: Path, inputs: dict[str, Any]) -> None:
    """Refuse a finished store with other inputs. Whoever opens it checks its files."""
    manifest = read_manifest(final)
    if manifest.get("format") != FORMAT or "inputs" not in manifest:
        raise UserError(f"{final}: is not the token store of a recipe; set 'store' to another folder")
    if not inputs["corpus"]["files"]:
        inputs["corpus"]["files"] = manifest["inputs"]["corpus"]["files"]
    expect_same_inputs(final, manifest["inputs"], inputs)


def expect_same_inputs(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises: UserError naming what differs."""
    changes = list(_changes(before, now))
    if changes:
        raise UserError(f"{folder}: made from other inputs: {'; '.join(changes[:3])}; set 'store' to another folder, or remove this one")


def _changes(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs between two nested settings, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from _changes(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    elif name == "corpus.files" and before != now:
        old, new = ({file["name"]: f"{file['bytes']:,} bytes" for file in files} for files in (before, now))
        yield from (f"{file} had {old[file]}, has {new[file]}" for file in old if file in new and old[file] != new[file])
        yield from (f"{file} no longer exists" for file in old if file not in new)
        yield from (f"{file} is new" for file in new if file not in old)
        if old == new:
            yield "the files of the corpus are in another order"
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, pair in enumerate(zip(before, now, strict=True)):
            yield from _changes(*pair, f"{name}.{number}")
    elif before != now:
        yield f"{name} was {before!r}, is {now!r}"
