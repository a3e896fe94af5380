"""Read the text of a recipe into a `Recipe`, or report all its problems at once, each with its position."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wholeword.core.config import checks
from wholeword.core.config.overrides import override
from wholeword.core.config.recipe import FORMAT_SETTINGS, Recipe
from wholeword.core.config.recipes import shipped_recipes
from wholeword.core.config.sections import Reading, lines, open_document, raise_problems
from wholeword.core.config.yaml import Document, KeyPath, Problem, dotted
from wholeword.core.errors import PluginError, RecipeError

PLUGIN_SECTIONS = ("segmenter", "masking", "optimizer", "backend")  # each has the name of its kind of plugin

# replaces sections with problems while the others are checked
STAND_IN: dict[str, Any] = {
    "version": 1,
    "name": "x",
    "corpus": {"files": ["x"]},
    "tokenizer": {"train": 8000},
    "model": {"size": "base"},
    "phases": [{"max_seq_length": 128, "batch_size": 1, "steps": 1, "peak_lr": 1e-4}],
}


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        source: the path of a .yaml file, or the name of a shipped recipe.
        overrides: "a.b=c" as after `--set`, in order.
    Raises: RecipeError listing every problem: `file:line:column: section.key: actual value; expected value`; BrokenPluginsError, which is
        one, if all of them are plugins that cannot be loaded.
    """
    document, base_folder = open_document(source, expected=f"a .yaml file or one of {', '.join(shipped_recipes())}")
    for key, kind in (
        ("task", "a fine-tuning recipe; run it with wholeword finetune"),
        ("tasks", "a table; run it with wholeword bench run"),
    ):
        if key in document.data and "phases" not in document.data:
            raise RecipeError([f"{source}: {kind}"])
    for text in overrides:
        override(document, text)
    loading = _Loading(document, base_folder)
    recipe = loading.recipe()
    raise_problems(document)
    return recipe.located(base_folder, lines(document.warnings))


class _Loading(Reading):
    """Reads one recipe."""

    def __init__(self, document: Document, base_folder: Path):
        super().__init__(Recipe, document)
        self.base_folder = base_folder

    def recipe(self) -> Recipe:
        """Read the recipe. Sections with problems are replaced by placeholders, so that the others can be checked."""
        for kind in PLUGIN_SECTIONS:
            self.data.setdefault(kind, Recipe.model_fields[kind].default.name)
        self.move_format_settings()
        lists = {("corpus", "cleaning", "*"): "cleaner", ("phases", "*", "schedule"): "schedule", ("log", "trackers", "*"): "tracker"}
        self.check_plugins({(kind,): kind for kind in PLUGIN_SECTIONS} | lists | self.exporters() | {("corpus", "format"): "corpus_format"})
        self.drop_format_settings()
        self.check_names()
        self.check_model()
        sound = {key: value for key, value in self.data.items() if key in Recipe.model_fields and key not in self.broken}
        recipe = Recipe.model_validate(STAND_IN | sound)
        sections = {key: getattr(recipe, key) for key in Recipe.model_fields if key not in self.broken} | {"base_folder": self.base_folder}
        misspelt = {path[:-1] for path in self.guessed}  # sections whose missing setting is only misspelt
        for check in checks.PROBLEMS:
            for path, message in _problems(check, sections):
                if path not in misspelt:
                    self.problem(path, message)
        for check in checks.WARNINGS:
            for path, message in _problems(check, sections):
                self.document.warnings.append(Problem(self.document.place(path), f"{dotted(path)}: {message}"))
        return checks.with_predictions(recipe)

    def move_format_settings(self) -> None:
        """Treat `format: {name: jsonl, text_key: body}` as `format: jsonl` with `text_key: body`."""
        corpus = self.data.get("corpus")
        section = corpus.get("format", "sentences") if isinstance(corpus, dict) else None
        if isinstance(corpus, dict) and isinstance(section, str):
            corpus["format"] = {"name": section}
        elif isinstance(corpus, dict) and isinstance(section, dict):
            for key in FORMAT_SETTINGS:
                if key in section and key in corpus:
                    self.problem(("corpus", "format", key), f"{section.pop(key)!r}, but corpus.{key} is also given; keep one")
                elif key in section:
                    corpus[key] = section.pop(key)

    def drop_format_settings(self) -> None:
        """Drop defaults of settings that belong to the section `corpus`."""
        corpus = self.data.get("corpus")
        if isinstance(corpus, dict) and isinstance(corpus.get("format"), dict):
            for key in FORMAT_SETTINGS:
                corpus["format"].pop(key, None)

    def exporters(self) -> dict[KeyPath, str]:
        """The exporters that have settings. A bare name stays text, so that the output of `resolved` does not change."""
        items = self.data.get("export")
        items = items if isinstance(items, list) else []
        return {("export", number): "exporter" for number, item in enumerate(items) if isinstance(item, dict)}

    def check_names(self) -> None:
        """Look up plugins that are given by name alone."""
        for kind, section, key in (("exporter", self.data, "export"), ("masking", self.data.get("evaluation"), "maskings")):
            names = section.get(key) if isinstance(section, dict) else None
            names = names if isinstance(names, list) else []
            around = (key,) if section is self.data else ("evaluation", key)
            for number, name in enumerate(names):
                if isinstance(name, str):
                    try:
                        names[number] = self.plugin_name(kind, (*around, number), name)
                    except PluginError as error:
                        self.problem((*around, number), str(error))
                    else:
                        self.expect_no_settings(kind, (*around, number), names[number])

    def expect_no_settings(self, kind: str, path: KeyPath, name: str) -> None:
        """Report a plugin that requires settings."""
        parameters = self.plugin_parameters(kind, path, name) or {}
        needed = [key for key, parameter in parameters.items() if parameter.default is parameter.empty]
        if needed:
            other = f"{{name: {name}, {needed[0]}: ...}}" if kind == "exporter" else "one that needs no settings"
            self.problem(path, f"{name} needs the setting {needed[0]!r}, but only its name is given; expected {other}")


def _problems(check: Callable[..., checks.Problems], sections: dict[str, Any]) -> checks.Problems:
    names = inspect.signature(check).parameters
    return check(**{name: sections[name] for name in names}) if all(name in sections for name in names) else iter(())
