"""The state dict of a model in what `torch.save` or `paddle.save` wrote, which may be a training checkpoint around it.

Training scripts save `{"model": state_dict, "optimizer": ..., "epoch": 3}`, Lightning saves `{"state_dict": ..., "callbacks": ...}`. The
state dict is the dictionary that holds a BERT's word embeddings, at any depth; everything beside it is named and not read.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from wholeword.core.errors import UserError
from wholeword.core.formats.pickles import Refused, short

WORDS = "embeddings.word_embeddings.weight"  # every state dict of a BERT has a tensor whose name ends so
MOST_DEPTH = 5
SHOWN, MOST_SHOWN = 8, 60  # keys in a message, and characters of one
COPIES = ("ema", "averag", "shadow", "swa", "teacher", "momentum", "optim")  # in the keys of further copies of the weights


class StateDict(NamedTuple):
    """Tensors by name, and what is to be said about where they were."""

    tensors: dict[str, Any]
    notes: list[str]


def find_state_dict(content: Any, as_tensor: Callable[[Any], Any], *, ignored: tuple[str, ...] = ()) -> StateDict:
    """The state dict in the content of a file.

    Args:
        as_tensor: the tensor that a value of a dictionary is; None if it is something else.
        ignored: keys that a writer adds to a state dict.
    Returns: tensors by name. Without word embeddings (in a shard) the content itself has to be the state dict.
    Raises: Refused if there is none; UserError if there are several.
    """
    if type(content) is not dict:
        raise Refused("it is not a dictionary")
    found = {
        keys: item
        for keys, item in _dictionaries(content)
        if any(_is_words(key) and as_tensor(value) is not None for key, value in item.items())
    }
    if len(found) > 1:
        found = {keys: item for keys, item in found.items() if not any(mark in key.lower() for key in keys for mark in COPIES)} or found
    if len(found) > 1:
        listed = " and ".join(_path(keys) or "no key" for keys in found)
        raise UserError(f"several state dicts, under {listed}; save the one to be read on its own")
    keys, state = next(iter(found.items()), ((), content))
    tensors = {key: tensor for key, value in state.items() if key not in ignored and (tensor := as_tensor(value)) is not None}
    beside = [_path((*keys, key)) for key in state if key not in tensors and key not in ignored]
    if beside and not found:
        raise Refused(f"{beside[0]!r} is not a plain tensor")
    if names := [key for key in tensors if type(key) is not str]:
        raise Refused(f"a tensor under {names[0]!r}, which is not a name")
    beside += _beside(content, keys)
    notes = [f"the state dict is the one under {_path(keys)!r}"] if keys else []
    if beside:
        more = f" and {len(beside) - SHOWN} more" if len(beside) > SHOWN else ""
        notes.append(f"not read, beside the state dict: {', '.join(beside[:SHOWN])}{more}")
    return StateDict(tensors, notes)


def _is_words(key: Any) -> bool:
    return type(key) is str and f".{key}".endswith(f".{WORDS}")


def _dictionaries(content: dict[Any, Any]) -> Iterator[tuple[tuple[str, ...], dict[Any, Any]]]:
    """The dictionaries in a dictionary and itself, each with the first path that leads to it."""
    level: list[tuple[tuple[str, ...], dict[Any, Any]]] = [((), content)]
    seen = {id(content)}
    for _ in range(MOST_DEPTH):
        yield from level
        inside = [((*keys, key), value) for keys, item in level for key, value in item.items() if type(key) is str and type(value) is dict]
        level = []
        for keys, value in inside:
            if id(value) not in seen:
                seen.add(id(value))
                level.append((keys, value))


def _beside(content: dict[Any, Any], keys: tuple[str, ...]) -> Iterator[str]:
    """What is in the dictionaries along a path, but not on it."""
    for depth, key in enumerate(keys):
        yield from (_path((*keys[:depth], other)) for other in content if other != key)
        content = content[key]


def _path(keys: tuple[str, ...]) -> str:
    return ".".join(map(_shown, keys))


def _shown(key: Any) -> str:
    """A key for a message."""
    text = str(key)
    return text if text.isprintable() and len(text) <= MOST_SHOWN else short(text)
