"""A model through an exporter: written whole or not at all, and compared with what was read."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wholeword.core.bert.parts import lacks, untrained_head, without_lacking_parts
from wholeword.core.bert.task_heads import labels_of
from wholeword.core.config.settings import described
from wholeword.core.contracts import HeadExporter, ModelFiles, VerifyingExporter
from wholeword.core.errors import IntegrityError, PluginError, UserError
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
    Raises: UserError if the model was fine-tuned and the exporter cannot write its head.
    """
    exporter = registry.create("exporter", name, **settings or {})
    expect_head_written(model, name, exporter)
    model = without_lacking_parts(model)
    with atomic_directory(target) as folder:
        with calling("exporter", name):
            exporter.export(model, folder)
        if not any(path.is_file() for path in folder.rglob("*")):
            raise contract_error("exporter", name, "export() wrote no file; expected the model's files in the folder that it was given")
        provenance = replace(model.provenance, missing=None, slots=None)  # which are of the files that were read
        about = {"exporter": name, **({"settings": described(dict(settings))} if settings else {})}
        write_manifest(folder, about | {"provenance": provenance.to_dict()})


def expect_head_written(model: ModelFiles, name: str, exporter: object) -> None:
    """Raises: UserError if the model was fine-tuned and the exporter cannot write its head."""
    if model.head is None or (isinstance(exporter, HeadExporter) and model.head in exporter.heads):
        return
    able = [other for other in ("pytorch-bin", "tf-checkpoint", "paddlenlp") if other != name]
    raise UserError(f"{name}: cannot write the {model.head} head of a fine-tuned model; expected one that can, such as {', '.join(able)}")


def head_warnings(model: ModelFiles, name: str) -> Iterator[str]:
    """What users should know before they use an export of the model `name`: parts that it lacks, and a head that was never trained."""
    if model.head is not None:
        return
    if lacks(model, "MLM head"):
        bert = "BertModel" if lacks(model, "NSP head") else "BertForNextSentencePrediction"
        advice = f"load the export with {bert}, or train a head with `wholeword repair-head`"
        yield f"{name}: its files contain no MLM head, so none is exported; {advice}"
    elif warning := untrained_head(model, name):
        yield warning
    if lacks(model, "pooler"):
        yield f"{name}: its files contain no pooler, so none is exported; tools that need one start with random values"


def verify_by_exporter(model: ModelFiles, name: str, folder: Path) -> Iterator[str]:
    """Let an exporter of another distribution verify its files. Yields: one line for each comparison.

    Raises: PluginError if it offers no verification, or breaks its contract; IntegrityError if its files do not match the model.
    """
    entry, exporter = registry.find("exporter", name), registry.create("exporter", name)
    if not isinstance(exporter, VerifyingExporter):
        raise PluginError(f"{name}: written, but not verified: {entry.distribution} {entry.version} offers no verification for it")
    with calling("exporter", name):
        lines = list(exporter.verify(without_lacking_parts(model), folder))
    if not lines or not all(isinstance(line, str) for line in lines):
        raise contract_error("exporter", name, f"verify() returned {lines!r}; expected a line of text for each thing that was compared")
    yield from lines


def read_back(model: ModelFiles, written: ModelFiles) -> Iterator[str]:
    """Compare an export with its model. Yields: what was kept and left out. Raises: IntegrityError naming what differs."""
    before, after = without_lacking_parts(model).weights, without_lacking_parts(written).weights
    if differing := sorted(before.keys() ^ after.keys()):
        place = "only in the model" if differing[0] in before else "only in the export"
        raise IntegrityError(f"{differing[0]}: the tensor is {place}")
    for name in before:
        if checksum({name: before[name]}) != checksum({name: after[name]}):
            raise IntegrityError(f"{name}: the tensor read back differs from the one written")
    if (model.head, labels_of(model)) != (written.head, labels_of(written)):
        raise IntegrityError(f"the head read back is {written.head} of {labels_of(written)}; expected {model.head} of {labels_of(model)}")
    yield f"read back {len(before)} tensors, largest difference 0.0"
    if slots := model.provenance.slots:
        size = sum(array.nbytes for array in before.values())
        dropped = f"{slots.tensors:,} optimizer slots left out, {size + slots.bytes:,} -> {size:,} bytes"
        yield f"{dropped}; the other tensors have sha256 {checksum(before)[:16]}... before and {checksum(after)[:16]}... after"
