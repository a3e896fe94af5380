"""The source of plugins that were installed from a folder or a repository: it changes while their version stays.

A distribution from a package index is identified by its version. One that pip installed from somewhere else says so in direct_url.json
(PEP 610), an editable one in particular; one that `setup.py develop` installed has SOURCES.txt beside its metadata.
"""

import hashlib
import json
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.plugins import Entry

LEFT_OUT = ("__pycache__", ".git")  # folders
MAX_SOURCE = 16 << 20  # bytes of a file
SHOWN = 12  # hexadecimal digits of the hash


def source_of(entry: Entry) -> str | None:
    """A hash of the source of a plugin's distribution; None for wholeword's own plugins and for released distributions.

    It covers the files of the distribution's top-level packages and modules, for they may be read as well as imported.
    """
    return _source(entry.distribution, _module(entry)) if source_files(entry) else None


def source_files(entry: Entry) -> list[Path]:
    """The files that `source_of` covers; none for wholeword's own plugins and for released distributions."""
    return [] if entry.distribution == PROJECT else list(_local_files(entry.distribution, _module(entry)).values())


def _module(entry: Entry) -> str:
    return entry.target.split(":")[0].split(".")[0]


@cache
def _source(name: str, module: str) -> str:
    files = {shown: _content(path) for shown, path in _local_files(name, module).items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:SHOWN]


@cache
def _local_files(name: str, module: str) -> dict[str, Path]:
    """The files of a distribution that is no release, by names that do not depend on its location."""
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return {}
    if not any(installed.read_text(record) for record in ("direct_url.json", "SOURCES.txt")):
        return {}
    return {shown: path for top in _top_level(installed, module) for shown, path in _files(top)}


def _content(path: Path) -> str | int:
    """The sha256 of a file, or the size of a large one, which is a model rather than source."""
    size = path.stat().st_size
    return hashlib.sha256(path.read_bytes()).hexdigest() if size <= MAX_SOURCE else size


def _top_level(installed: Distribution, module: str) -> set[str]:
    return {module, *(installed.read_text("top_level.txt") or "").split()}


def _files(top: str) -> list[tuple[str, Path]]:
    """The files of a top-level package or module, which is not imported."""
    spec = find_spec(top)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [(f"{top}.py", Path(spec.origin))] if spec.origin and Path(spec.origin).is_file() else []
    found = []
    for location in map(Path, spec.submodule_search_locations):
        for path in location.rglob("*"):
            inside = path.relative_to(location)
            if path.is_file() and not any(part in LEFT_OUT for part in inside.parts):
                found.append((f"{top}/{inside.as_posix()}", path))
    return found
