"""Behind `wholeword zoo info`, `get` and `verify`: describe a model, copy its files, check them."""

import shutil
from pathlib import Path
from typing import Any

from wholeword.core.bert.shapes import count_parameters
from wholeword.core.errors import UserError
from wholeword.core.files import MANIFEST, atomic_directory, check_manifest, write_manifest
from wholeword.zoo.cards import FACTS, find_card
from wholeword.zoo.find import HUB, find, read, without_own_source


def describe(name_or_location: str, *, weights: bool = False) -> dict[str, Any]:
    """The card of a model with its size and parameters, or the contents of a folder; with `weights`, also the state of its heads.

    Without `weights`, nothing is fetched.
    """
    from wholeword.core.bert.heads import inspect_model

    name_or_location = without_own_source(name_or_location)
    card = find_card(name_or_location)
    model = read(name_or_location) if weights or card is None else None
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
        facts |= {"total_parameters": count_parameters(model.config), "notes": model.provenance.notes or []}
    if weights and model is not None:
        facts["weights"] = inspect_model(model).plain()
    return facts


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
