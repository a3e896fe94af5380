"""Find a BERT among the tensors of a file: under any prefix, beside any head, among an optimizer's tensors.

A file is read if it contains one encoder, which is found by its word embeddings: under `bert.` in most files, under `module.bert.`,
`model.bert.` or `encoder.` in those of training scripts, without a prefix in those of a bare BertModel. Tensors outside the encoder, except
those of the MLM and NSP heads, belong to another head and are left out. An unknown tensor inside the encoder is refused, since the model
computes something else with it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from wholeword.core.bert.names import TIED, names
from wholeword.core.errors import UserError
from wholeword.core.formats.state_dicts import COPIES

# parts of names that containers put anywhere before a parameter: DataParallel, torch.compile, FSDP, activation checkpointing, Paddle
CONTAINERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_layers"}
SYNONYMS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # in older models and those of other tools
BUFFERS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")
COUNTERS = {"global_step", "beta1_power", "beta2_power"}
WORDS = "bert/embeddings/word_embeddings"
INSIDE = ("embeddings", "encoder", "pooler")  # parts of an encoder


class StoredNames(NamedTuple):
    """The tensors of a file, sorted by what they are. All names but the keys of `table` are those of the file."""

    table: dict[str, str]  # name in the table of names, or of a copy or buffer -> name in the file
    heads: list[str]  # tensors of other heads, sorted
    slots: list[str]  # tensors of an optimizer
    prefix: str  # before the names of the encoder's tensors, such as `bert.`

    @property
    def is_roberta(self) -> bool:
        """Whether the file calls its encoder RoBERTa, whose positions differ from BERT's."""
        return "roberta" in self.prefix or any(name.split(".")[0] == "lm_head" for name in self.heads)


def sort_names(shapes: Mapping[str, tuple[int, ...]], framework: str) -> StoredNames:
    """Sort the tensors of a file.

    Args:
        shapes: name -> shape.
        framework: a column of the table of names.
    Raises: UserError if there is no encoder, or more than one, or if two names mean the same tensor.
    """
    separator = "/" if framework == "canonical" else "."
    words = names(framework, num_hidden_layers=0)[WORDS]  # bert.embeddings.word_embeddings.weight
    bert = f"bert{separator}"
    slots = {name for name in shapes if is_slot(name, shapes, separator) or (separator == "/" and not shapes[name])}  # no part has scalars
    cleaned = _cleaned([name for name in shapes if name not in slots], separator)
    prefix, copies = _prefixes(cleaned, words.removeprefix(bert), bert, separator)
    slots |= {stored for name, stored in cleaned.items() if name.startswith(tuple(_outer(copy, separator) for copy in copies))}
    cleaned = {name: stored for name, stored in cleaned.items() if stored not in slots}
    outer = _outer(prefix, separator)
    tied = TIED[framework]
    table, heads = {}, []
    for name, stored in cleaned.items():
        inner = name.removeprefix(prefix)
        is_bert = name.startswith(prefix) and (prefix.endswith(bert) or inner.startswith(INSIDE))
        head = name.removeprefix(outer)
        if is_bert:
            table[bert + inner] = stored
        elif head in tied or head in _head_names(framework):
            table[head] = stored
        else:
            heads.append(stored)
    return StoredNames(table, sorted(heads), sorted(slots), prefix)


def is_slot(name: str, tensors: Iterable[str] = (), separator: str = "/") -> bool:
    """Whether a tensor belongs to the optimizer: a counter, or values that it keeps for another tensor, whose name its own contains.

    Args:
        tensors: the names in the file: `x/kernel/adam_m`, `x/kernel/Momentum` and `optimizer/x/kernel/lamb_v` are slots if `x/kernel` is
            among them.
    """
    parts = name.split(separator)
    if parts[-1] in COUNTERS:
        return True
    owners = [separator.join(parts[begin:-1]) for begin in range(len(parts) - 1)]
    return any(owner in tensors for owner in owners if separator in owner or owner == owners[0])


def _head_names(framework: str) -> set[str]:
    return {other for name, other in names(framework, num_hidden_layers=0).items() if name.startswith("cls/")}


def _cleaned(stored_names: Iterable[str], separator: str) -> dict[str, str]:
    """Name without the parts that containers add, and as of today -> name in the file."""
    cleaned: dict[str, str] = {}
    for stored in stored_names:
        name = stored
        if separator == ".":
            name = separator.join(part for part in stored.split(separator) if part not in CONTAINERS)
            for old, modern in SYNONYMS.items():
                name = name.replace(old, modern)
        if name in cleaned:
            raise UserError(f"{cleaned[name]} and {stored} are two names for the same tensor")
        cleaned[name] = stored
    return cleaned


def _outer(prefix: str, separator: str) -> str:
    """The prefix without its last part, which is the encoder's: `model.` for `model.bert.`, nothing for `bert.`."""
    outer = prefix.removesuffix(separator).rpartition(separator)[0]
    return outer + separator if outer else ""


def _prefixes(cleaned: Iterable[str], words: str, bert: str, separator: str) -> tuple[str, list[str]]:
    """What is before `embeddings` in the name of the word embeddings; and the same for averages of these weights."""
    prefixes = [name.removesuffix(words) for name in cleaned if name == words or name.endswith(separator + words)]
    copies = [prefix for prefix in prefixes if len(prefixes) > 1 and any(mark in _outer(prefix, separator).lower() for mark in COPIES)]
    prefixes = [prefix for prefix in prefixes if prefix not in copies] or prefixes
    if len(prefixes) > 1:
        listed = " and ".join(repr(prefix + words) for prefix in sorted(prefixes))
        raise UserError(f"{len(prefixes)} encoders in one file, with {listed}; save the one to be read on its own")
    if prefixes:
        return prefixes[0], copies
    if any(name.startswith(bert) for name in cleaned):
        return bert, []
    if any("/.ATTRIBUTES/" in name for name in cleaned):
        raise UserError("an object-based checkpoint of TensorFlow 2, without the names of a BERT; expected one of tf.compat.v1.train.Saver")
    some = ", ".join(sorted(cleaned)[:3]) or "none at all"
    raise UserError(f"unknown tensors, none of which is the word embeddings of a BERT, {bert}{words}: {some}")
