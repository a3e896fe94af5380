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
    return None if entry.distribution == PROJECT else _source(entry.distribution, entry.target.split(":")[0].split(".")[0])


@cache
def _source(name: str, module: str) -> str | None:
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return None
    if not any(installed.read_text(record) for record in ("direct_url.json", "SOURCES.txt")):
        return None
    files = {shown: _content(path) for top in _top_level(installed, module) for shown, path in _files(top)}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:SHOWN]


def _content(path: Path) -> str | int:
    """The sha256 of a file, or the size of a large one, which is a model rather than source."""
    size = path.stat().st_size
    return hashlib.sha256(path.read_bytes()).hexdigest() if size <= MAX_SOURCE else size


def _top_level(installed: Distribution, module: str) -> set[str]:
    return {module, *(installed.read_text("top_level.txt") or "").split()}


def _files(top: str) -> list[tuple[str, Path]]:
    """The files of a top-level package or module, which is not imported, by names that do not depend on its location."""
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
