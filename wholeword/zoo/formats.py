"""Weight files in all formats. Names and shapes are known before any tensor is read, and nothing in a file is executed."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from safetensors import SafetensorError, safe_open

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.formats.json_file import read_json
from wholeword.core.formats.mapped_tensors import itemsize, map_tensors
from wholeword.core.formats.pdparams import read_state_dict
from wholeword.core.formats.tensor_bundle import read_bundle, read_entries
from wholeword.core.formats.torch_bin import Bin

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

MOST_TENSORS = 100_000
BUNDLE, PADDLE = "bert_model.ckpt", "model_state.pdparams"
OTHER_WEIGHTS = {".bin", ".ckpt", ".h5", ".msgpack", ".npz", ".onnx", ".pdparams", ".pt", ".pth", ".safetensors"}
EXPECTED = f"model.safetensors or pytorch_model.bin (sharded or not), {BUNDLE}.index or {PADDLE}"


class Stored(NamedTuple):
    """The tensors in one or more files."""

    framework: str  # the naming and layout of the tensors: a column of the table of names
    shapes: dict[str, tuple[int, ...]]
    sizes: dict[str, int]  # bytes of each tensor in the files
    read: Callable[[Collection[str]], "Tensors"]
    notes: Sequence[str] = ()  # what else is in the files, and not read
    unread: str = ""  # which other files of weights the folder has


def stored_tensors(location: Path) -> Stored:
    """The tensors in a folder, in the first format that it contains, or at the prefix of a TF checkpoint.

    Raises: UserError if there is none; IntegrityError if a file is damaged or malicious.
    """
    if not location.is_dir():
        return _bundle(location)
    formats = _formats(location)
    if not formats:
        others = ", ".join(sorted(path.name for path in location.iterdir() if path.suffix in OTHER_WEIGHTS))
        raise UserError(f"{location}: no weights; expected {EXPECTED}" + (f"; {others} has none of these names" if others else ""))
    first, *rest = formats
    stored = formats[first]()
    return stored._replace(unread=f"the weights are those of {first}; {', '.join(rest)} not read" if rest else "")


def _formats(folder: Path) -> dict[str, Callable[[], Stored]]:
    """The file that a format begins with -> its reader, for each format that the folder contains, in the order of preference."""
    found: dict[str, Callable[[], Stored]] = {}
    for name, read in (("model.safetensors", _safetensors), ("pytorch_model.bin", _bins)):
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            found[name] = partial(read, [folder / name])
        elif index.exists():
            found[index.name] = partial(lambda index, read: read(_shards(index)), index, read)
    if prefix := _bundle_prefix(folder, alone=not found):
        found[f"{prefix.name}.index"] = partial(_bundle, prefix)
    if (folder / PADDLE).is_file():
        found[PADDLE] = partial(_pdparams, folder / PADDLE)
    return found


def _shards(index: Path) -> list[Path]:
    """The files listed in an index. Raises: IntegrityError if one is missing or outside the folder."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise IntegrityError(f"{index}: weight_map is missing, or does not map names to files")
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        if Path(shard).name != shard or "\0" in shard:
            raise IntegrityError(f"{index}: lists {shard!r}, which is not a file name in this folder")
        if not (index.parent / shard).is_file():
            raise IntegrityError(f"{index.parent / shard}: missing, but listed in {index.name}; download it again")
    return [index.parent / shard for shard in shards]


def _safetensors(paths: list[Path]) -> Stored:
    shapes: dict[str, tuple[int, ...]] = {}
    sizes: dict[str, int] = {}
    files: dict[Path, set[str]] = {}
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as file:
                slices = {name: file.get_slice(name) for name in file.keys()}
                file_shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
                sizes |= {name: prod(file_shapes[name]) * itemsize(part.get_dtype()) for name, part in slices.items()}
        except (SafetensorError, OSError) as error:
            raise IntegrityError(f"{path}: incomplete or damaged safetensors file ({error}); download it again") from None
        _add(shapes, file_shapes, path)
        files[path] = set(file_shapes)

    def read(names: Collection[str]) -> "Tensors":  # memory-mapped: read on first use
        return {name: array for path, inside in files.items() for name, array in map_tensors(path, inside & set(names)).items()}

    return Stored(_framework(shapes), shapes, sizes, read)


def _framework(shapes: Collection[str]) -> str:
    """Whose names the tensors of a .safetensors file have: PaddleNLP writes such files, too."""
    return "paddlenlp" if any(".self_attn.q_proj." in name for name in shapes) else "transformers"


def _bundle_prefix(folder: Path, *, alone: bool) -> Path | None:
    prefixes = sorted(path.with_suffix("") for path in folder.glob("*.index"))
    if len(prefixes) > 1 and folder / BUNDLE not in prefixes and alone:
        names = ", ".join(prefix.name for prefix in prefixes)
        raise UserError(f"{folder}: several TF checkpoints ({names}); specify one, for example {prefixes[0]}")
    return folder / BUNDLE if folder / BUNDLE in prefixes else next(iter(prefixes), None)


def _bundle(prefix: Path) -> Stored:
    entries = read_entries(prefix)
    return Stored(
        "canonical",
        {name: entry.shape for name, entry in entries.items()},
        {name: entry.size for name, entry in entries.items()},
        lambda names: read_bundle(prefix, select=set(names).__contains__),
    )


def _bins(paths: list[Path]) -> Stored:
    shapes: dict[str, tuple[int, ...]] = {}
    bins = [Bin(path) for path in paths]
    for file in bins:
        _add(shapes, file.shapes, file.path)

    def read(names: Collection[str]) -> "Tensors":
        return {name: array for file in bins for name, array in file.read(file.shapes.keys() & set(names)).items()}

    sizes = {name: tensor.nbytes for file in bins for name, tensor in file.tensors.items()}
    return Stored("transformers", shapes, sizes, read, [f"{file.path.name}: {note}" for file in bins for note in file.notes])


def _pdparams(path: Path) -> Stored:
    arrays, notes = read_state_dict(path)
    return Stored(
        "paddlenlp",
        {name: array.shape for name, array in arrays.items()},
        {name: array.nbytes for name, array in arrays.items()},
        lambda names: {name: arrays[name] for name in names},
        [f"{path.name}: {note}" for note in notes],
    )


def _add(shapes: dict[str, tuple[int, ...]], more: Mapping[str, tuple[int, ...]], path: Path) -> None:
    if both := sorted(shapes.keys() & more.keys()):
        raise IntegrityError(f"{path}: tensor {both[0]!r} is also in another file")
    shapes |= more
    if len(shapes) > MOST_TENSORS:
        raise IntegrityError(f"{path}: more than {MOST_TENSORS:,} tensors; not accepted")
