"""A recipe's text -> `Recipe`, or every problem of it at once, each with its place."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wholeword.core.config import checks
from wholeword.core.config.messages import meant, nearest, schema_at, sections_of_recipe, wanted, wrong_value
from wholeword.core.config.overrides import override
from wholeword.core.config.recipe import Recipe
from wholeword.core.config.recipes import shipped_recipes
from wholeword.core.config.sections import open_document, wrong_setting
from wholeword.core.config.yaml import Document, Problem, dotted
from wholeword.core.config.yaml import Path as Address
from wholeword.core.errors import PluginError, RecipeError
from wholeword.core.registry import registry

PLUGIN_SECTIONS = ("segmenter", "masking", "optimizer", "backend")  # each is named like its kind of plugin; and corpus.cleaning

# stands in for sections with problems while the others are looked at
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
    Raises: RecipeError with every problem, by place: `file:line:column: section.key: what was found, what was expected`.
    """
    document, base_folder = open_document(source, expected=f"a .yaml file or one of {', '.join(shipped_recipes())}")
    for key, what in (("task", "a recipe for fine-tuning; wholeword finetune"), ("tasks", "a table; wholeword bench run")):
        if key in document.data and "phases" not in document.data:
            raise RecipeError([f"{source}: {what} carries it out"])
    for text in overrides:
        override(document, text)
    loading = _Loading(document, base_folder)
    recipe = loading.recipe()
    if document.problems:
        raise RecipeError(_lines(document.problems))
    recipe._base_folder = base_folder
    recipe._warnings = tuple(_lines(loading.warnings))
    return recipe


def _lines(problems: Iterable[Problem]) -> list[str]:
    return [str(problem) for problem in sorted(problems)]


class _Loading:
    """One recipe on its way; problems go into the document."""

    def __init__(self, document: Document, base_folder: Path):
        self.document = document
        self.data: dict[str, Any] = document.data
        self.base_folder = base_folder
        self.sections = sections_of_recipe()
        self.broken: set[str | int] = set()  # what of the top level cannot be looked at any further
        self.guessed: set[Address] = set()  # settings that an unknown one was probably meant to be
        self.warnings: list[Problem] = []

    def recipe(self) -> Recipe:
        """The recipe; broken sections are stood in for."""
        self.check_plugins()
        self.check_names()
        self.check_models()
        sound = {key: value for key, value in self.data.items() if key in Recipe.model_fields and key not in self.broken}
        recipe = Recipe.model_validate(STAND_IN | sound)
        sections = {key: getattr(recipe, key) for key in Recipe.model_fields if key not in self.broken} | {"base_folder": self.base_folder}
        misspelt = {path[:-1] for path in self.guessed}  # sections that lack nothing but the right spelling
        for check in checks.PROBLEMS:
            for path, message in _findings(check, sections):
                if path not in misspelt:
                    self.problem(path, message)
        for check in checks.WARNINGS:
            for path, message in _findings(check, sections):
                self.warnings.append(Problem(self.document.place(path), f"{dotted(path)}: {message}"))
        return checks.with_predictions(recipe)

    def problem(self, path: Address, message: str) -> None:
        self.document.problems.append(Problem(self.document.place(path), f"{dotted(path)}: {message}"))
        self.broken.update(path[:1])

    def unknown(self, path: Address, section: dict[str, Any]) -> None:
        """Report a setting that its section does not have, and drop it."""
        *around, key = path
        own = self.sections.get(tuple(around)) or self.sections[tuple(0 if isinstance(part, int) else part for part in around)]
        guess = meant(str(key), [other for other in own if other not in section], self.sections)
        if guess in own:
            self.guessed.add((*around, guess))
        hint = f"did you mean {guess!r}?" if guess else f"expected one of {', '.join(own)}"
        self.document.problems.append(Problem(self.document.key_place(path), f"{dotted(path)}: unknown setting; {hint}"))
        del section[str(key)]

    def check_plugins(self) -> None:
        """Compare the plugins' sections with the signatures of the plugins, and fill in their defaults."""
        loaded: dict[Address, dict[str, inspect.Parameter]] = {}
        for kind, path, section in self.plugin_sections():
            self.sections[path] = list(schema_at(path)["properties"])
            if not isinstance(section.get("name"), str):
                for key in [key for key in section if key != "name" and nearest(key, self.sections[path])]:
                    self.unknown((*path, key), section)
                continue
            try:
                loaded[path] = registry.parameters(kind, section["name"])
            except PluginError as error:
                self.problem((*path, "name"), str(error))
            else:
                self.sections[path] += loaded[path]
        for path, parameters in loaded.items():
            section = _at(self.data, path)
            for key in [key for key in section if key not in self.sections[path]]:
                self.unknown((*path, key), section)
            for key, parameter in parameters.items():
                if key in section:
                    wrong = wrong_setting(key, section[key], parameter.annotation)
                    if wrong:
                        self.problem((*path, key), wrong)
                elif parameter.default is not parameter.empty:
                    if isinstance(parameter.default, JSON):
                        section[key] = parameter.default
                elif (*path, key) not in self.guessed:
                    self.problem((*path, key), f"missing; {section['name']} needs it")

    def plugin_sections(self) -> Iterator[tuple[str, Address, dict[str, Any]]]:
        """Kind, path and settings of each plugin; text that stands for settings, and a default, is replaced by them."""
        corpus = self.data.get("corpus")
        cleaning = corpus.get("cleaning") if isinstance(corpus, dict) else None
        for kind in PLUGIN_SECTIONS:
            self.data.setdefault(kind, Recipe.model_fields[kind].default.name)
        places: list[tuple[str, Address]] = [(kind, (kind,)) for kind in PLUGIN_SECTIONS]
        places += [("cleaner", ("corpus", "cleaning", number)) for number in range(len(cleaning) if isinstance(cleaning, list) else 0)]
        for kind, (*around, key) in places:
            inside = _at(self.data, tuple(around))
            if isinstance(inside[key], str):
                inside[key] = {"name": inside[key]}
            if isinstance(inside[key], dict):
                yield kind, (*around, key), inside[key]

    def check_names(self) -> None:
        """Look up the plugins that are only named."""
        for kind, path in (("exporter", ("export",)), ("masking", ("evaluation", "maskings"))):
            names: Any = self.data
            for part in path:
                names = names.get(part) if isinstance(names, dict) else None
            for number, name in enumerate(names if isinstance(names, list) else []):
                try:
                    registry.find(kind, str(name))
                    needed = [key for key, wanted in registry.parameters(kind, str(name)).items() if wanted.default is wanted.empty]
                    if needed:
                        raise PluginError(f"{name} needs the setting {needed[0]!r}, and is only named here; expected one that does without")
                except PluginError as error:
                    self.problem((*path, number), str(error))

    def check_models(self) -> None:
        """Compare everything else with the models."""
        try:
            Recipe.model_validate(self.data)
        except ValidationError as error:
            details = error.errors(include_url=False)
            for detail in details:
                if detail["type"] == "extra_forbidden":
                    self.unknown(detail["loc"], _at(self.data, detail["loc"][:-1]))
            for detail in details:
                path = detail["loc"]
                if detail["type"] == "missing":
                    self.broken.update(path[:1])
                    if path not in self.guessed:
                        self.problem(path, f"missing; expected {wanted(schema_at(path))}")
                elif detail["type"] not in ("extra_forbidden", "default_factory_not_called"):
                    self.problem(path, wrong_value(detail["input"], schema_at(path)))


JSON = (type(None), bool, int, float, str, list, dict)


def _at(data: Any, path: Address) -> Any:
    for part in path:
        data = data[part]
    return data


def _findings(check: Callable[..., checks.Findings], sections: dict[str, Any]) -> checks.Findings:
    names = inspect.signature(check).parameters
    return check(**{name: sections[name] for name in names}) if all(name in sections for name in names) else iter(())
