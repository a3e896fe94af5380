"""A trained MLM head for a model that has none: `wholeword repair-head`, a recipe with `model.freeze: encoder` that starts from it."""

import json
from collections.abc import Sequence
from pathlib import Path

from wholeword.core.config import Recipe, load_recipe
from wholeword.core.contracts import ModelFiles
from wholeword.core.files import atomic_write

RECIPE = "repair-head"  # the shipped one


def repair_recipe(
    source: str, model: ModelFiles, output: Path, *, recipe: str | None, corpus: Sequence[str], overrides: Sequence[str]
) -> Recipe:
    """The recipe that fits the heads of `model`, read from `source`. The model's vocabulary is written into `output` for it.

    Args:
        recipe: supplies corpus, masking and phases; by default the shipped `repair-head`.
        corpus: files to use instead of the recipe's; relative paths start from the working directory.
        overrides: more settings as "a.b=c".
    Raises: RecipeError.
    """
    output.mkdir(parents=True, exist_ok=True)
    vocabulary = output.absolute() / "vocab.txt"
    atomic_write(vocabulary, model.vocabulary.to_bytes())
    location = str(Path(source).absolute()) if Path(source).exists() else source
    files = [name if "://" in name else str(Path(name).absolute()) for name in corpus]
    settings = {
        "model": {"init": location, "freeze": "encoder"},
        "tokenizer": {"vocab": str(vocabulary), "lowercase": model.lowercase},
        "output": str(output),
        **({"corpus.files": files} if files else {}),
    }
    from_model = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
    return load_recipe(recipe or RECIPE, overrides=[*from_model, *overrides])
