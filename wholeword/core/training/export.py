"""A model through an exporter: written whole or not at all, and compared with what was read."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wholeword.core.config.settings import described
from wholeword.core.contracts import ModelFiles, VerifyingExporter
from wholeword.core.errors import IntegrityError, PluginError
from wholeword.core.files import atomic_directory, write_manifest
from wholeword.core.formats.tensors import checksum
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import calling, contract_error


def export_folder(exporter: str) -> str:
    """The name of the folder that holds an exporter's files: the exporter's own, in which Windows allows no colon."""
    return exporter.removeprefix(f"{PROJECT}:").replace(":", "-")


def export(model: ModelFiles, name: str, target: Path, *, settings: Mapping[str, Any] | None = None) -> None:
    """Write a model with the exporter called `name`; `target` appears whole, with a manifest, or not at all.

    Args:
        settings: of the exporter, its files found (see `found_settings`).
    """
    exporter = registry.create("exporter", name, **settings or {})
    with atomic_directory(target) as folder:
        with calling("exporter", name):
            exporter.export(model, folder)
        if not any(path.is_file() for path in folder.rglob("*")):
            raise contract_error("exporter", name, "export() wrote no file; expected the model's files in the folder that it was given")
        provenance = replace(model.provenance, missing=None, slots=None)  # which are of the files that were read
        about = {"exporter": name, **({"settings": described(dict(settings))} if settings else {})}
        write_manifest(folder, about | {"provenance": provenance.to_dict()})


def verify_by_exporter(model: ModelFiles, name: str, folder: Path) -> Iterator[str]:
    """Let an exporter of another distribution verify its files. Yields: one line for each comparison.

    Raises: PluginError if it offers no verification, or breaks its contract; IntegrityError if its files do not match the model.
    """
    entry, exporter = registry.find("exporter", name), registry.create("exporter", name)
    if not isinstance(exporter, VerifyingExporter):
        raise PluginError(f"{name}: written, but not verified: {entry.distribution} {entry.version} offers no verification for it")
    with calling("exporter", name):
        lines = list(exporter.verify(model, folder))
    if not lines or not all(isinstance(line, str) for line in lines):
        raise contract_error("exporter", name, f"verify() returned {lines!r}; expected a line of text for each thing that was compared")
    yield from lines


def read_back(model: ModelFiles, written: ModelFiles) -> Iterator[str]:
    """Compare an export with its model. Yields: what was kept and left out. Raises: IntegrityError naming a tensor that differs."""
    kept = [name for name in model.weights if model.next_sentence or not name.startswith("cls/seq_relationship/")]
    before, after = ({name: files.weights[name] for name in kept} for files in (model, written))
    for name in kept:
        if checksum({name: before[name]}) != checksum({name: after[name]}):
            raise IntegrityError(f"{name}: the tensor read back differs from the one written")
    yield f"read back {len(kept)} tensors, largest difference 0.0"
    if slots := model.provenance.slots:
        size = sum(array.nbytes for array in before.values())
        left_out = f"{slots.tensors:,} optimizer slots left out, {size + slots.bytes:,} -> {size:,} bytes"
        yield f"{left_out}; the other tensors have sha256 {checksum(before)[:16]}... before and {checksum(after)[:16]}... after"
