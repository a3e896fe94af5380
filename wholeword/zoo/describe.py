"""Behind `wholeword zoo info`, `get` and `verify`: describe a model, copy its files, check them."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wholeword.core.bert.parts import without_lacking_parts
from wholeword.core.bert.task_heads import labels_of
from wholeword.core.errors import UserError
from wholeword.core.files import MANIFEST, atomic_directory, check_manifest, write_manifest
from wholeword.zoo.cards import FACTS, find_card
from wholeword.zoo.find import HUB, find, without_own_source
from wholeword.zoo.finetuned import read_with_head
from wholeword.zoo.finetuning_runs import result, seeds


def describe(name_or_location: str, *, weights: bool = False) -> dict[str, Any]:
    """The card of a model with its size and parameters, or the contents of a folder; with `weights`, also the state of its heads.

    Without `weights`, nothing is fetched.
    """
    from wholeword.core.bert.heads import inspect_model

    name_or_location = without_own_source(name_or_location)
    card = find_card(name_or_location)
    if card is None and len(runs := seeds(Path(name_or_location))) > 1:
        return _describe_run(Path(name_or_location), runs)
    model = read_with_head(name_or_location) if weights or card is None else None
    facts: dict[str, Any] = {}
    if card is not None:
        facts |= card.model_dump(by_alias=True) | {"size": card.size, "parameters": card.parameters}
    else:
        assert model is not None
        facts |= {
            "name": model.provenance.name or Path(name_or_location).name,
            "config": model.config.to_dict(),
            "lowercase": model.lowercase,
        }
        if model.head is not None:
            facts |= {"head": model.head, "labels": list(labels_of(model)), **_metrics(model.provenance.result)}
        total = sum(array.size for array in without_lacking_parts(model).weights.values())
        slots, notes = model.provenance.slots, [*(model.provenance.notes or [])]
        if slots is not None:
            notes.append(f"not read: tensors of an optimizer, or averages: {slots.tensors:,}, {slots.bytes:,} bytes")
        facts |= {"total_parameters": total, "notes": notes}
    if weights and model is not None:
        facts["weights"] = inspect_model(model).plain()
    return facts


def _metrics(result: Mapping[str, Any] | None) -> dict[str, Any]:
    """The part of a fine-tuning result that describes the model; nothing for a model of another tool."""
    if not result:
        return {}
    task = result.get("task")
    return {
        "task": task.get("name") if isinstance(task, dict) else task,
        "fine_tuned_from": result.get("model"),
        "metrics": result.get("splits"),
    }


def _describe_run(folder: Path, runs: Mapping[int, Path]) -> dict[str, Any]:
    """A fine-tuning run of several seeds, each of which has a model of its own."""
    finished = {number: values for number, path in runs.items() if (values := result(path))}
    first = next(iter(finished.values()), None)
    by_seed = {f"seed {number}": json.dumps(values["splits"], ensure_ascii=False) for number, values in finished.items()}
    unfinished = {f"seed {number}": "not finished" for number in runs if number not in finished}
    return {
        "name": folder.name,
        **_metrics(first),
        "metrics": by_seed | unfinished,
        "notes": [f"a fine-tuning run of {len(runs)} seeds, each with a model of its own: {folder}/seed-{next(iter(runs))}"],
    }


def lines(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text, each with its source."""
    rows = []
    for key, value in facts.items():
        if key in ("sources", "weights"):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{inner} {entry}" for inner, entry in value.items())
        if isinstance(value, list):
            value = "\n".join(map(str, value)).replace("\n", f"\n{'':18}")
        rows.append(f"{key:17} {value}")
        if key in FACTS and (source := facts.get("sources", {}).get(key)):
            rows.append(f"{'':17} ({'assumed: ' if source['assumed'] else ''}{source['from']})")
    return rows + [f"{part:17} {head['state']}: {head['why']}" for part, head in facts.get("weights", {}).items()]


def copy(path: Path, target: Path, *, name: str) -> Path:
    """Copy a model's files atomically into a new folder, with checksums. Raises: UserError if the folder exists; DiskError."""
    files = sorted(file for file in path.iterdir() if file.is_file() and file.name != MANIFEST) if path.is_dir() else []
    if not files:
        raise UserError(f"{path}: not a folder with files to copy")
    with atomic_directory(target) as folder:
        for file in files:
            shutil.copyfile(file, folder / file.name)
        write_manifest(folder, {"provenance": {"name": name}})
    return target


def verify(name_or_location: str) -> dict[str, str]:
    """Hash every file again and compare. Returns: file -> sha256.

    Raises: IntegrityError if a file has changed; UserError if the folder has no checksums or the model was never fetched.
    """
    name_or_location = without_own_source(name_or_location)
    card = find_card(name_or_location)
    if card is not None or name_or_location.startswith(HUB):
        from wholeword.zoo import hub

        return hub.verify(card.hub if card else name_or_location.removeprefix(HUB))
    folder = find(name_or_location)
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder}: contains no {MANIFEST} to check against; `wholeword zoo get -o` and `wholeword export` write one")
    manifest = check_manifest(folder)
    return {name: entry["sha256"] for name, entry in manifest["files"].items()}
