"""Checks of exporters."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from wholeword.core.bert.shapes import initial_head
from wholeword.core.contracts import Exporter, HeadExporter, ModelFiles, VerifyingExporter
from wholeword.core.errors import WholewordError
from wholeword.core.files import MANIFEST, sha256_of
from wholeword.core.formats.tensors import checksum
from wholeword.core.testing.samples import tiny_model


def check_exporter(exporter: Exporter, model: ModelFiles | None = None, *, reproducible: bool = True) -> None:
    """Check the contract of `contracts.Exporter`, and of `contracts.VerifyingExporter` and `contracts.HeadExporter` if the exporter is one.

    Args:
        model: what to export, a model for pre-training; by default a BERT with random weights, two layers of width 8. Its encoder is
            exported alone too, and with a head of every kind that the exporter writes.
        reproducible: also demand that equal models give equal files; False for formats that hold a time of writing.
    Raises: AssertionError that says which rule was broken.
    """
    assert isinstance(exporter, Exporter), f"{type(exporter).__name__} has no method export(model, folder)"
    model = model or tiny_model()
    before = checksum(model.weights), model.config, model.provenance
    with tempfile.TemporaryDirectory() as scratch:
        first, second = Path(scratch, "first"), Path(scratch, "second")
        written = _exported(exporter, model, first)
        assert (checksum(model.weights), model.config, model.provenance) == before, "export() changed the model"
        again = _exported(exporter, model, second)
        assert sorted(written) == sorted(again), f"export() wrote {sorted(written)}, then {sorted(again)} for the same model"
        if reproducible:
            changed = [name for name in written if written[name] != again[name]]
            assert not changed, f"export() wrote {changed[0]} twice with different content for the same model"
        if isinstance(exporter, VerifyingExporter):
            _check_verify(exporter, model, first)
        for kind, other in _variants(exporter, model):
            folder = Path(scratch, kind.replace(" ", "-"))
            try:
                _exported(exporter, other, folder)
                lines = list(exporter.verify(other, folder)) if isinstance(exporter, VerifyingExporter) else ["nothing to verify"]
            except (KeyError, IndexError, AttributeError, TypeError) as error:
                raise AssertionError(f"export() or verify() raised {error!r} for a model with {kind}") from error
            assert lines, f"verify() compared nothing of a model with {kind}"


def _variants(exporter: Exporter, model: ModelFiles) -> Iterator[tuple[str, ModelFiles]]:
    """What an exporter may be given beside a model for pre-training."""
    encoder = {name: array for name, array in model.weights.items() if name.startswith("bert/")}
    missing = replace(model.provenance, missing=["MLM head", "NSP head"])
    yield "no heads", model._replace(weights=encoder, next_sentence=False, provenance=missing)
    for head in exporter.heads if isinstance(exporter, HeadExporter) else ():
        labels = () if head == "span" else ("A", "B", "C")
        weights = encoder | initial_head(head, len(labels) or 2, model.config.hidden_size, seed=1)
        yield f"a {head} head", model._replace(weights=weights, next_sentence=False, head=head, labels=labels)


def _exported(exporter: Exporter, model: ModelFiles, folder: Path) -> Mapping[str, str]:
    """Relative path -> sha256 of every file that an exporter writes."""
    folder.mkdir()
    result = exporter.export(model, folder)  # type: ignore[func-returns-value]
    assert result is None, f"export() returned {type(result).__name__}; expected None, and files in the folder"
    assert folder.is_dir(), "export() removed its folder"
    files = {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}
    assert files, "export() wrote no file into its folder"
    assert MANIFEST not in files, f"export() wrote {MANIFEST}, which the framework writes when the export is complete"
    links = [path.name for path in folder.rglob("*") if path.is_symlink()]
    assert not links, f"export() wrote the link {links[0]}; expected files"
    return files


def _check_verify(exporter: VerifyingExporter, model: ModelFiles, folder: Path) -> None:
    lines = list(exporter.verify(model, folder))
    assert lines and all(isinstance(line, str) and line and "\n" not in line for line in lines), (
        f"verify() returned {lines!r}; expected one line of text for each thing that was compared"
    )
    damaged = folder.with_name("damaged")
    shutil.copytree(folder, damaged)
    for path in damaged.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    try:
        lines = list(exporter.verify(model, damaged))
    except WholewordError:
        return
    except Exception as error:
        raise AssertionError(f"verify() raised {error!r} for empty files; expected IntegrityError") from error
    raise AssertionError(f"verify() returned {lines!r} for empty files; expected IntegrityError")
