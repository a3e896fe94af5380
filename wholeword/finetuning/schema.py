"""The JSON schemas of recipes for fine-tuning and tables, for editors: `python -m wholeword.finetuning.schema wholeword/recipes`."""

import json
import sys
from pathlib import Path
from typing import Any

from wholeword.core.config.fields import RecipeRoot
from wholeword.core.config.schema import headed, offer_plugins, without_titles
from wholeword.finetuning.bench.recipe import TableRecipe
from wholeword.finetuning.recipe import FinetuneRecipe


def finetune_schema() -> dict[str, Any]:
    """The schema of `FinetuneRecipe`, suggesting built-in plugins; others are allowed."""
    return _schema("wholeword fine-tuning recipe", FinetuneRecipe, ("task", "optimizer", "backend", "schedule"))


def table_schema() -> dict[str, Any]:
    """The schema of `TableRecipe`, likewise."""
    return _schema("wholeword table", TableRecipe, ("optimizer", "backend"), task_of="BenchTask")


def _schema(title: str, recipe: type[RecipeRoot], kinds: tuple[str, ...], task_of: str | None = None) -> dict[str, Any]:
    schema = without_titles(recipe.model_json_schema())
    definitions = schema["$defs"]
    if task_of is not None:
        offer_plugins("task", definitions[task_of]["properties"], "task", definitions)
    for kind in kinds:
        offer_plugins(kind, schema["properties"], kind, definitions)
    del definitions["PluginSection"]
    return headed(title, schema)


SCHEMAS = {"finetune.schema.json": finetune_schema, "table.schema.json": table_schema}

if __name__ == "__main__":
    for name, make in SCHEMAS.items():
        Path(sys.argv[1], name).write_text(json.dumps(make(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
