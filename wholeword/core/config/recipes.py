"""The recipes that ship with wholeword, to train by name, or to copy and adapt."""

import re
from importlib.resources import files
from pathlib import Path

from wholeword.core.config.messages import nearest
from wholeword.core.errors import UserError

_FOLDER = files("wholeword") / "recipes"


def shipped_recipes() -> dict[str, str]:
    """Name -> summary: the first comment of the file."""
    names = sorted(file.name.removesuffix(".yaml") for file in _FOLDER.iterdir() if file.name.endswith(".yaml"))
    return {name: _summary(read_recipe(name)) for name in names}


def _summary(content: bytes) -> str:
    comments = [line[1:].strip() for line in content.decode("utf-8").splitlines() if line.startswith("#")]
    return next((line for line in comments if not line.startswith("yaml-language-server")), "")


def read_recipe(name: str) -> bytes:
    """The text of a shipped recipe.

    Raises: UserError suggesting the nearest name and listing all names.
    """
    file = _FOLDER / f"{name}.yaml"
    if "/" in name or not file.is_file():
        names = list(shipped_recipes())
        close = nearest(name, names)
        suggestion = f" did you mean {close!r}?" if close else ""
        raise UserError(f"{name}: unknown recipe;{suggestion} expected one of {', '.join(names)}, or the path of a .yaml file")
    return file.read_bytes()


def copy_recipe(name: str, target: Path | str = ".") -> Path:
    """Copy a shipped recipe to a file, or under its own name into a folder.

    The copy is named after its file, since runs of the two are different ones, and its schema is that of the installed package.

    Raises: UserError if the file exists.
    """
    content, target = read_recipe(name).decode("utf-8"), Path(target)
    path = target / f"{name}.yaml" if target.is_dir() else target
    try:
        with open(path, "x", encoding="utf-8", newline="") as file:
            file.write(_with_schema(_renamed(content, path.stem)))
    except FileExistsError:
        raise UserError(f"{path}: already exists; remove it, or choose another name") from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such folder; create {path.parent} first") from None
    return path


def _renamed(content: str, stem: str) -> str:
    """The recipe with a name, and an output folder of that name, made from a file's name; as it was if that has no usable letter."""
    own = re.search(r"^name: (\S+)", content, re.M)
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")
    if own is None or not name:
        return content
    content = re.sub(rf"^(output: \S*/){re.escape(own[1])}(?=\s|$)", rf"\g<1>{name}", content, flags=re.M)
    return content[: own.start(1)] + name + content[own.end(1) :]


def _with_schema(content: str) -> str:
    """The recipe with the path of its schema: a URI where that has blanks, at which editors would end it."""

    def absolute(match: re.Match[str]) -> str:
        path = Path(str(_FOLDER / match[1])).resolve()
        return f"$schema={path.as_uri() if len(str(path).split()) > 1 else path}"

    return re.sub(r"\$schema=(\S+)", absolute, content, count=1)
