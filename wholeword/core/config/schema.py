"""The JSON schema of recipes, for editors: `python -m wholeword.core.config.schema > wholeword/recipes/schema.json`."""

import inspect
import json
from typing import Any

from pydantic import PydanticUserError, TypeAdapter

from wholeword.core.config.recipe import Recipe
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.registry import registry


def recipe_schema() -> dict[str, Any]:
    """The schema of `recipe.py`, suggesting names and settings of built-in plugins; other plugins are allowed."""
    schema = without_titles(Recipe.model_json_schema())
    recipe = schema["properties"]
    cleaning = schema["$defs"]["CorpusSection"]["properties"]["cleaning"]
    phase = schema["$defs"]["Phase"]["properties"]
    trackers = schema["$defs"]["LogSection"]["properties"]["trackers"]
    sections = [
        ("cleaner", cleaning, "items"),
        ("corpus_format", schema["$defs"]["CorpusSection"]["properties"], "format"),
        ("exporter", recipe["export"], "items"),
        ("schedule", phase, "schedule"),
        ("tracker", trackers, "items"),
        *((kind, recipe, kind) for kind in ("segmenter", "masking", "optimizer", "backend")),
    ]
    for kind, inside, key in sections:
        offer_plugins(kind, inside, key, schema["$defs"])
    schema["$defs"]["EvaluationSection"]["properties"]["maskings"]["items"] = _offer("masking")
    recipe["store"]["type"] = ["string", "null"]
    schema["$defs"] = {
        name: value for name, value in schema["$defs"].items() if name not in ("PluginSection", "MaskingSection", "BriefSection")
    }
    return headed("wholeword recipe", schema)


def headed(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A whole schema."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": title, **schema}


def offer_plugins(kind: str, inside: dict[str, Any], key: str, definitions: dict[str, Any]) -> None:
    """Let the section `key` of the properties `inside` suggest names and settings of built-in plugins of a kind."""
    settings = definitions[inside[key]["$ref"].rsplit("/", 1)[1]]["anyOf"][1]
    name = _offer(kind) | {"description": settings["properties"]["name"]["description"]}
    offers = [_offer(kind), settings | {"properties": settings["properties"] | {"name": name}, "allOf": _settings(kind)}]
    inside[key] = {"description": inside[key].get("description", "name of a plugin, or its name and settings"), "anyOf": offers}


def _offer(kind: str) -> dict[str, Any]:
    return {"anyOf": [{"enum": _builtin(kind)}, {"type": "string"}]}


def _builtin(kind: str) -> list[str]:
    return sorted(entry.name for entry in registry.entries if entry.kind == kind and entry.distribution == PROJECT)


def _settings(kind: str) -> list[dict[str, Any]]:
    """The types of each built-in plugin's settings, conditional on its name."""
    return [
        {
            "if": {"properties": {"name": {"const": name}}},
            "then": {"properties": {key: _type(parameter) for key, parameter in registry.parameters(kind, f"{PROJECT}:{name}").items()}},
        }
        for name in _builtin(kind)
    ]


def _type(parameter: inspect.Parameter) -> dict[str, Any]:
    try:
        schema = TypeAdapter(parameter.annotation).json_schema()
    except PydanticUserError:
        return {}
    return schema if parameter.default is parameter.empty else schema | {"default": parameter.default}


def without_titles(node: Any) -> Any:
    """Remove the titles that pydantic derives from names, which add nothing to them."""
    if isinstance(node, list):
        return [without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: without_titles(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}


if __name__ == "__main__":
    print(json.dumps(recipe_schema(), ensure_ascii=False, indent=1))
