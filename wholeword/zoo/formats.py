"""Weight files in all formats. Names and shapes are known before any tensor is read, and nothing in a file is executed."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError, safe_open

from wholeword.core.bert.names import is_slot
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.formats.mapped_tensors import map_tensors
from wholeword.core.formats.pdparams import read_pdparams
from wholeword.core.formats.tensor_bundle import read_bundle, read_entries
from wholeword.core.formats.torch_bin import Bin

if TYPE_CHECKING:
    from wholeword.core.contracts import Tensors

MOST_TENSORS = 100_000
MOST_JSON_BYTES = 16 << 20  # an index of shards has about 100 bytes per tensor
BUNDLE, PADDLE = "bert_model.ckpt", "model_state.pdparams"
EXPECTED = f"model.safetensors or pytorch_model.bin (sharded or not), {BUNDLE}.index or {PADDLE}"


class Stored(NamedTuple):
    """The tensors of a model, in one or more files."""

    framework: str  # the naming and layout of the tensors: a column of the table of names
    shapes: dict[str, tuple[int, ...]]
    read: Callable[[Collection[str]], "Tensors"]
    num_slots: int = 0  # tensors of an optimizer; not in `shapes`
    slot_bytes: int = 0


def stored_tensors(location: Path) -> Stored:
    """The tensors in a folder, in the first format that it contains, or at the prefix of a TF checkpoint.

    Raises: UserError if there is none; IntegrityError if a file is damaged or malicious.
    """
    if not location.is_dir():
        return _bundle(location)
    for name, read in (("model.safetensors", _safetensors), ("pytorch_model.bin", _bins)):
        if (location / name).is_file():
            return read([location / name])
        if (index := location / f"{name}.index.json").exists():
            return read(_shards(index))
    if prefix := _bundle_prefix(location):
        return _bundle(prefix)
    if (location / PADDLE).is_file():
        arrays = read_pdparams(location / PADDLE)
        shapes = {name: array.shape for name, array in arrays.items()}
        return Stored("paddlenlp", shapes, lambda names: {name: arrays[name] for name in names})
    raise UserError(f"{location}: no weights; expected {EXPECTED}")


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
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as file:
                file_shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
        except (SafetensorError, OSError) as error:
            raise IntegrityError(f"{path}: incomplete or damaged safetensors file ({error}); download it again") from None
        _add(shapes, file_shapes, path)

    def read(names: Collection[str]) -> "Tensors":
        return {
            name: array for path in paths for name, array in map_tensors(path).items() if name in names
        }  # memory-mapped: read on first use

    return Stored("transformers", shapes, read)


def _bundle_prefix(folder: Path) -> Path | None:
    prefixes = sorted(path.with_suffix("") for path in folder.glob("*.index"))
    if len(prefixes) > 1 and folder / BUNDLE not in prefixes:
        names = ", ".join(prefix.name for prefix in prefixes)
        raise UserError(f"{folder}: several TF checkpoints ({names}); specify one, for example {prefixes[0]}")
    return folder / BUNDLE if folder / BUNDLE in prefixes else next(iter(prefixes), None)


def _bundle(prefix: Path) -> Stored:
    entries = read_entries(prefix)
    slots = [entry for name, entry in entries.items() if is_slot(name)]
    return Stored(
        "canonical",
        {name: entry.shape for name, entry in entries.items() if not is_slot(name)},
        lambda names: read_bundle(prefix, select=set(names).__contains__),
        len(slots),
        sum(entry.size for entry in slots),
    )


def _bins(paths: list[Path]) -> Stored:
    shapes: dict[str, tuple[int, ...]] = {}
    bins = [Bin(path) for path in paths]
    for file in bins:
        _add(shapes, file.shapes, file.path)

    def read(names: Collection[str]) -> "Tensors":
        return {name: array for file in bins for name, array in file.read(file.shapes.keys() & set(names)).items()}

    return Stored("transformers", shapes, read)


def _add(shapes: dict[str, tuple[int, ...]], more: Mapping[str, tuple[int, ...]], path: Path) -> None:
    if both := sorted(shapes.keys() & more.keys()):
        raise IntegrityError(f"{path}: tensor {both[0]!r} is also in another file")
    shapes |= more
    if len(shapes) > MOST_TENSORS:
        raise IntegrityError(f"{path}: more than {MOST_TENSORS:,} tensors; not accepted")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises: UserError if there is none, or the file is too large."""
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise UserError(f"{path}: {path.stat().st_size:,} bytes; too large; at most {MOST_JSON_BYTES:,} are accepted")
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: invalid JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object")
    return content
