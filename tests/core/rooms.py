"""Rooms of a source tree and the imports between them, read from the source.

    python tests/core/rooms.py [WHOLEWORD_FOLDER]

prints rooms, arrows, circles, and functions and files that are too long.

A room is a folder or file of wholeword/ or of wholeword/core/ (`__main__` counts to the command line, and `wholeword` is the
package's own `__init__`); folders below a room belong to it. An arrow is a pair of rooms of which one imports the other: at the top
of a file, inside a function, under TYPE_CHECKING, or by `import_module` with a name that is written there.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_FILE = 60, 300


class Import(NamedTuple):
    path: str  # of the file that imports, below wholeword/
    line: int
    module: str
    at_top: bool  # neither inside a function nor under TYPE_CHECKING
    typing_only: bool


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if path.read_text(encoding="utf-8").strip())


@cache
def imports(root: Path, path: Path) -> list[Import]:
    """Every import of a file; names taken from a package are modules where such a file exists."""
    return list(_imports(root, path))


def _imports(root: Path, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only, inside = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_only |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        for module in _modules(root, path, node) if isinstance(node, ast.Import | ast.ImportFrom | ast.Call) else ():
            at_top = id(node) not in inside and id(node) not in typing_only
            yield Import(path.relative_to(root).as_posix(), node.lineno, module, at_top, id(node) in typing_only)


def _modules(root: Path, path: Path, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module, f"{path}:{node.lineno}: imports are absolute here"
        folder = root.parent.joinpath(*node.module.split("."))
        modules = [
            f"{node.module}.{alias.name}" if (folder / alias.name).is_dir() or (folder / f"{alias.name}.py").is_file() else node.module
            for alias in node.names
        ]
        return list(dict.fromkeys(modules))
    if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func) and node.args:
        name = node.args[0]
        if isinstance(name, ast.JoinedStr):
            name = name.values[0]
        if isinstance(name, ast.Constant):
            return [str(name.value).rstrip(".")]
    return []


def room(module: str) -> str:
    """The room of a module of ours: `wholeword.core.data.store` is in `core.data`."""
    parts = module.split(".")[1:]
    if not parts or parts == ["__init__"]:
        return "wholeword"
    if parts[0] == "__main__":
        return "cli"
    return ".".join(parts[:2] if parts[0] == "core" and len(parts) > 1 else parts[:1])


def room_of_file(path: str) -> str:
    return room("wholeword." + path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def arrows(root: Path) -> dict[tuple[str, str], list[Import]]:
    """(room, room it imports) -> the imports that make it so."""
    found = defaultdict(list)
    for path in files(root):
        for item in imports(root, path):
            if item.module.split(".")[0] == "wholeword":
                pair = room_of_file(item.path), room(item.module)
                if pair[0] != pair[1]:
                    found[pair].append(item)
    return dict(found)


def circles(pairs: set[tuple[str, str]]) -> list[list[str]]:
    """Groups of rooms each of which reaches all others."""
    after = defaultdict(set)
    for first, second in pairs:
        after[first].add(second)

    def reached(start: str) -> set[str]:
        seen, waiting = set(), [start]
        while waiting:
            for following in after[waiting.pop()] - seen:
                seen.add(following)
                waiting.append(following)
        return seen

    reach = {name: reached(name) for pair in pairs for name in pair}
    return [list(group) for group in sorted({tuple(sorted(b for b in reach[a] if a in reach[b])) for a in reach if a in reach[a]})]


def long_functions(root: Path) -> dict[str, int]:
    """`file:function` -> its lines, with its decorators and all within it."""
    return {
        f"{path.relative_to(root).as_posix()}:{node.name}": lines
        for path in files(root)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := node.end_lineno - min([node.lineno, *(d.lineno for d in node.decorator_list)]) + 1) > MOST_LINES_OF_A_FUNCTION
    }


def long_files(root: Path) -> dict[str, int]:
    lines = {path.relative_to(root).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in files(root)}
    return {path: number for path, number in lines.items() if number > MOST_LINES_OF_A_FILE}


def main(root: Path) -> None:
    every = arrows(root)
    rooms = {room_of_file(path.relative_to(root).as_posix()) for path in files(root)}
    at_top = {pair for pair, found in every.items() if any(item.at_top for item in found)}
    print(f"{len(rooms)} rooms, {sum(name.startswith('core.') for name in rooms)} of them in core; {len(every)} arrows")
    print(f"circles: {circles(set(every)) or 'none'}")
    print(f"circles without imports inside functions and under TYPE_CHECKING: {circles(at_top) or 'none'}")
    print(f"functions over {MOST_LINES_OF_A_FUNCTION} lines: {long_functions(root) or 'none'}")
    print(f"files over {MOST_LINES_OF_A_FILE} lines: {long_files(root) or 'none'}")
    for start in sorted(rooms):
        print(f"{start:18} -> {', '.join(sorted(second for first, second in every if first == start)) or '-'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "wholeword"))
