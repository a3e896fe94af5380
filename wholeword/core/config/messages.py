"""The wording of problems: the actual value, the expected one, and a suggestion.

Valid keys and values are derived from the JSON schema of the models (`recipe.py`).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from wholeword.core.config.fields import Section
from wholeword.core.config.recipe import Recipe
from wholeword.core.config.yaml import KeyPath, dotted, from_text

# names of our settings in other programs: Google's flags, transformers' arguments
ELSEWHERE = {
    "learning_rate": "phases.0.peak_lr",
    "lr": "phases.0.peak_lr",
    "train_batch_size": "phases.0.batch_size",
    "per_device_train_batch_size": "phases.0.batch_size",
    "gradient_accumulation_steps": "backend.micro_batch_size",
    "num_train_steps": "phases.0.steps",
    "max_steps": "phases.0.steps",
    "num_warmup_steps": "phases.0.warmup_steps",
    "max_predictions_per_seq": "phases.0.max_predictions",
    "masked_lm_prob": "masking.rate",
    "mlm_probability": "masking.rate",
    "short_seq_prob": "examples.short_seq_rate",
    "do_lower_case": "tokenizer.lowercase",
    "vocab_file": "tokenizer.vocab",
    "vocab_size": "tokenizer.train",
    "init_checkpoint": "model.init",
    "max_grad_norm": "clip_norm",
    "save_checkpoints_steps": "checkpoint.every",
    "save_steps": "checkpoint.every",
    "output_dir": "output",
    "input_file": "corpus.files",
}

# --- reading the schema


@cache
def _schema(model: type[Section]) -> dict[str, Any]:
    return model.model_json_schema()


def schema_at(path: KeyPath, model: type[Section] = Recipe) -> dict[str, Any]:
    """The JSON schema at a key path of a recipe or another file; {} for settings of plugins."""
    node = _schema(model)
    for part in path:
        child = node["items"] if isinstance(part, int) and "items" in node else node.get("properties", {}).get(part, {})
        node = _inlined(child, _schema(model).get("$defs", {}))
    return node


def _inlined(node: dict[str, Any], definitions: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The node without `$ref` and "or null"; a section that can be written as text has `properties` as well as `anyOf`.

    The description of a definition is left out: it is the docstring of a class, and no text for users.
    """
    if "$ref" in node:
        node = {**_undescribed(definitions[node["$ref"].rsplit("/", 1)[1]]), **node}
    if "$ref" in node.get("items", {}):
        node = {**node, "items": _inlined(node["items"], definitions)}
    choices = [choice for choice in node.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        return {**node, **_inlined(choices[0], definitions), "anyOf": choices}
    items = next(({"items": choice["items"]} for choice in choices if "items" in choice), {})
    return {**items, **_undescribed(next((choice for choice in choices if "properties" in choice), {})), **node}


def _undescribed(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "description"}


def sections_of_recipe(path: KeyPath = (), model: type[Section] = Recipe) -> dict[KeyPath, list[str]]:
    """Key path of each section -> its settings, without those of plugins; the first entry of a list represents all."""
    schema = schema_at(path, model)
    if "items" in schema:
        return sections_of_recipe((*path, 0), model)
    keys = list(schema.get("properties", {}))
    sections = {path: keys} if keys else {}
    for key in keys:
        sections |= sections_of_recipe((*path, key), model)
    return sections


# --- words

WORDS = {"boolean": "true or false", "string": "text", "object": "settings as key: value", "null": "null"}


def expected(schema: Mapping[str, Any]) -> str:
    """Describe a JSON schema: "a whole number of at least 1"."""
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(expected(choice) for choice in schema["anyOf"]))
    kind = "object" if "$ref" in schema else schema.get("type")
    if kind in ("integer", "number"):
        bounds = (("minimum", "of at least"), ("exclusiveMinimum", "over"), ("maximum", "at most"), ("exclusiveMaximum", "under"))
        limits = " and ".join(f"{words} {schema[key]:,}" for key, words in bounds if key in schema)
        return " ".join(filter(None, ["a whole number" if kind == "integer" else "a number", limits]))
    if kind == "array":
        return f"a list of {expected(schema['items'])}" if schema.get("items") else "a list"
    return WORDS.get(str(kind), "another value")


def expectation(schema: Mapping[str, Any]) -> str:
    """Describe the expected value, and its meaning or keys."""
    meaning = ", ".join(schema["properties"]) if schema.get("type") == "object" and "anyOf" not in schema else schema.get("description")
    return f"{expected(schema)} ({meaning})" if meaning else expected(schema)


def in_words(value: Any) -> str:
    """Describe a value."""
    if value is None:
        return "no value"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"{value if len(value) <= 40 else value[:37] + '...'!r} is text"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "settings as key: value" if isinstance(value, dict) else str(value)


def wrong_value(value: Any, schema: Mapping[str, Any]) -> str:
    """Describe the actual value, the expected one, and a suggestion."""
    shown = repr(value) if isinstance(value, str) and ("enum" in schema or "pattern" in schema) else in_words(value)
    guess = _guess(value, schema)
    if _is_share(schema) and _is_number(value) and 1 < value <= 100:
        shown, guess = f"{value} is not a share", f"{value / 100:g}"
    return f"{shown}; expected {expectation(schema)}" + (f"; did you mean {guess}?" if guess else "")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "number" and schema.get("minimum") == 0 and 1 in (schema.get("maximum"), schema.get("exclusiveMaximum"))


def _guess(value: Any, schema: Mapping[str, Any]) -> str | None:
    """A valid value that resembles the invalid one, as written in YAML."""
    kind = schema.get("type")
    if isinstance(value, str) and "enum" in schema:
        return nearest(value, [str(choice) for choice in schema["enum"]])
    if isinstance(value, str) and "pattern" in schema:
        name = re.sub(r"[^a-z0-9._-]+", "-", value.lower()).strip("._-")
        return name or None
    if isinstance(value, str) and kind == "boolean":
        return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower())
    if isinstance(value, str) and kind == "array":
        return f"[{value}]"
    if isinstance(value, str) and kind in ("integer", "number"):
        value = from_text(re.sub(r"^0+(?=[0-9])", "", re.sub(r"[_,\s]", "", unicodedata.normalize("NFKC", value))))
        return None if not _is_number(value) else _guess(value, schema) or str(value)
    if kind == "integer" and isinstance(value, float) and value == int(value):
        return str(int(value))
    return None


def nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The most similar word, ignoring case, width and dashes; None if no word is similar enough."""
    by_spelling = {_spelling(candidate): candidate for candidate in words}
    close = get_close_matches(_spelling(word), by_spelling, n=1, cutoff=cutoff)
    return by_spelling[close[0]] if close else None


def _spelling(word: str) -> str:
    return unicodedata.normalize("NFKC", word).lower().replace("-", "_")


def probably_meant(key: str, candidates: Iterable[str], sections: Mapping[KeyPath, list[str]]) -> str | None:
    """The setting that an unknown one probably stands for: a key of the same section, or a dotted path elsewhere.

    Args:
        candidates: settings of its section that are not given.
        sections: the settings of every section, including those of plugins.
    """
    homes = [dotted((*path, key)) for path, keys in sections.items() if key in keys]
    if homes:  # right key, wrong section; ambiguous if many sections have it
        return " or ".join(homes) if len(homes) <= 3 else None
    everywhere = {other: dotted((*path, other)) for path, keys in sections.items() for other in keys}
    far = nearest(key, everywhere, cutoff=0.8)
    return ELSEWHERE.get(_spelling(key)) or nearest(key, candidates) or (everywhere[far] if far else None)
