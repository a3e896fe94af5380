"""Read YAML files into section models, or report all problems at once, each with its position. `load.py` adds checks for recipes."""

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError

from wholeword.core.config.fields import Section
from wholeword.core.config.messages import expectation, nearest, probably_meant, schema_at, sections_of_recipe, wrong_value
from wholeword.core.config.recipes import read_recipe
from wholeword.core.config.yaml import MAX_BYTES, Document, KeyPath, Problem, dotted, read_yaml
from wholeword.core.errors import BrokenPluginsError, PluginError, RecipeError
from wholeword.core.registry.registry import registry

Model = TypeVar("Model", bound=Section)


def open_document(source: str | Path, *, expected: str) -> tuple[Document, Path]:
    """Open a document. Returns: it, and the folder its paths are relative to. A name without suffix and slash is a shipped recipe.

    Raises: RecipeError if it cannot be read or breaks the rules of our YAML; UserError for an unknown name.
    """
    path = Path(source)
    if isinstance(source, str) and not path.suffix and "/" not in source:
        document = read_yaml(read_recipe(source), f"{source}.yaml")
        document.shipped = True
        return document, Path()
    try:
        with open(path, "rb") as file:
            document = read_yaml(file.read(MAX_BYTES + 1), str(source))
    except FileNotFoundError:
        beside = [str(file) for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        close = nearest(str(path), beside)
        suggestion = f"; did you mean {close}?" if close else ""
        raise RecipeError([f"{source}: no such file{suggestion}; expected {expected}"]) from None
    except OSError as error:
        raise RecipeError([f"{source}: {error.strerror}; expected a readable .yaml file"]) from None
    if document.data is None:
        raise RecipeError([str(problem) for problem in document.problems])
    return document, path.parent


def read_section(model: type[Model], document: Document, *, plugins: Mapping[KeyPath, str]) -> Model:
    """Validate a document against a model, and plugin sections against the plugins' signatures, filling in defaults.

    Args:
        plugins: path of a section -> kind of plugin; `*` in a path stands for every entry of a list.
    Raises: RecipeError listing every problem with its position (BrokenPluginsError if plugins alone are to blame).
    """
    reading = Reading(model, document)
    reading.check_plugins(plugins)
    reading.check_model()
    raise_problems(document)
    return model.model_validate(document.data)


def raise_problems(document: Document) -> None:
    """Raises: RecipeError if a document has problems; BrokenPluginsError if all of them are plugins that cannot be loaded."""
    if document.problems:
        error = BrokenPluginsError if document.broken_plugins == len(document.problems) else RecipeError
        raise error(lines(document.problems))


def lines(problems: Iterable[Problem]) -> list[str]:
    """One line for each problem, in the order of the document."""
    return [str(problem) for problem in sorted(problems)]


class Reading:
    """Validates one document against a model; problems are added to the document."""

    def __init__(self, model: type[Section], document: Document):
        self.model, self.document = model, document
        self.data: dict[str, Any] = document.data
        self.sections = sections_of_recipe((), model)
        self.broken: set[str | int] = set()  # top-level keys that cannot be checked any further
        self.guessed: set[KeyPath] = set()  # settings that an unknown one is probably a misspelling of

    def problem(self, path: KeyPath, message: str) -> None:
        """Report a problem with the value at a key path."""
        self.document.problems.append(Problem(self.document.place(path), f"{dotted(path)}: {message}"))
        self.broken.update(path[:1])

    def unknown(self, path: KeyPath, section: dict[str, Any]) -> None:
        """Report a setting that its section does not have, and drop it."""
        *around, key = path
        own = self.sections.get(tuple(around)) or self.sections[tuple(0 if isinstance(part, int) else part for part in around)]
        guess = probably_meant(str(key), [other for other in own if other not in section], self.sections)
        if guess in own:
            self.guessed.add((*around, guess))
        hint = f"did you mean {guess!r}?" if guess else f"expected {'one of ' * (len(own) > 1)}{', '.join(own)}"
        self.document.problems.append(Problem(self.document.key_place(path), f"{dotted(path)}: unknown setting; {hint}"))
        del section[str(key)]

    def check_plugins(self, plugins: Mapping[KeyPath, str]) -> None:
        """Validate plugin sections against the plugins' signatures, and fill in defaults.

        Args:
            plugins: as for `read_section`.
        """
        loaded: dict[KeyPath, dict[str, inspect.Parameter]] = {}
        for kind, path, section in self.plugin_sections(plugins):
            self.sections[path] = list(schema_at(path, self.model)["properties"])
            if not isinstance(section.get("name"), str):
                for key in [key for key in section if key != "name" and nearest(key, self.sections[path])]:
                    self.unknown((*path, key), section)
                continue
            try:
                section["name"] = self.plugin_name(kind, (*path, "name"), section["name"])
            except PluginError as error:
                self.problem((*path, "name"), str(error))
                continue
            parameters = self.plugin_parameters(kind, (*path, "name"), section["name"])
            if parameters is not None:
                loaded[path] = parameters
                self.sections[path] += parameters
        for path, parameters in loaded.items():
            section = at(self.data, path)
            for key in [key for key in section if key not in self.sections[path]]:
                self.unknown((*path, key), section)
            for key, parameter in parameters.items():
                if key in section:
                    if wrong := wrong_setting(key, section[key], parameter.annotation):
                        self.problem((*path, key), wrong)
                elif parameter.default is not parameter.empty:
                    if isinstance(parameter.default, JSON):
                        section[key] = parameter.default
                elif (*path, key) not in self.guessed:
                    self.problem((*path, key), f"missing; {section['name']} needs it")

    def plugin_sections(self, plugins: Mapping[KeyPath, str]) -> Iterator[tuple[str, KeyPath, dict[str, Any]]]:
        """Kind, key path and settings of each plugin in the document; a bare name is replaced by a section."""
        for pattern, kind in plugins.items():
            for *around, key in self.places(pattern):
                inside = at(self.data, tuple(around))
                path = (*around, key)
                if isinstance(inside[key], str):
                    inside[key] = {"name": inside[key]}
                    if path in self.document.values:
                        self.document.values[*path, "name"] = self.document.values[path]
                if isinstance(inside[key], dict):
                    yield kind, path, inside[key]

    def plugin_name(self, kind: str, path: KeyPath, name: str) -> str:
        """The canonical name of a plugin. Warns if the user gave a bare name that other distributions offer too, and once of each
        distribution that has hooks of another version.

        Args:
            path: key path of the name.
        Raises: PluginError if there is no such plugin.
        """
        mark = self.document.values.get(path)
        of_the_user = mark is not None and not (self.document.shipped and mark.source == self.document.source)
        if mark and of_the_user and (warning := registry.shadowed(kind, name)):
            self.document.warnings.append(Problem(mark, f"{dotted(path)}: {warning}"))
        if mark and (warning := registry.ignored_hooks(registry.find(kind, name))):
            if not any(earlier.message.endswith(warning) for earlier in self.document.warnings):
                self.document.warnings.append(Problem(mark, f"{dotted(path)}: {warning}"))
        return registry.canonical_name(kind, name)

    def plugin_parameters(self, kind: str, path: KeyPath, name: str) -> dict[str, inspect.Parameter] | None:
        """The settings of a plugin that exists. None, and a problem that is not the user's, if it cannot be loaded.

        Args:
            path: key path of the name.
        """
        try:
            return registry.parameters(kind, name)
        except PluginError as error:
            self.problem(path, str(error))
            self.document.broken_plugins += 1
            return None

    def places(self, pattern: KeyPath) -> list[KeyPath]:
        """The key paths in the document that match a pattern."""
        paths: list[KeyPath] = [()]
        for part in pattern:
            paths = [(*before, key) for before in paths for key in _entries(at(self.data, before), part)]
        return paths

    def check_model(self) -> None:
        """Validate everything else against the model."""
        try:
            self.model.model_validate(self.data)
        except ValidationError as error:
            details = error.errors(include_url=False)
            for detail in details:
                if detail["type"] == "extra_forbidden":
                    self.unknown(detail["loc"], at(self.data, detail["loc"][:-1]))
            for detail in details:
                path = detail["loc"]
                if detail["type"] == "missing":
                    self.broken.update(path[:1])
                    if path not in self.guessed:
                        self.problem(path, f"missing; expected {expectation(schema_at(path, self.model))}")
                elif detail["type"] not in ("extra_forbidden", "default_factory_not_called"):
                    self.problem(path, wrong_value(detail["input"], schema_at(path, self.model)))


JSON = (type(None), bool, int, float, str, list, dict)


def at(data: Any, path: KeyPath) -> Any:
    """The value at a key path."""
    for part in path:
        data = data[part]
    return data


def _entries(data: Any, part: str | int) -> Iterable[str | int]:
    """The keys or indices of some data that match a part of a pattern."""
    if part == "*":
        return range(len(data)) if isinstance(data, list) else ()
    if isinstance(part, int):
        return (part,) if isinstance(data, list) and part < len(data) else ()
    return (part,) if isinstance(data, dict) and part in data else ()


def wrong_setting(key: str, value: Any, annotation: Any) -> str | None:
    """The problem with the value of a plugin's setting, or None. Settings named `rate` or `x_rate` must be in [0, 1]."""
    if annotation is float and (key == "rate" or key.endswith("_rate")):
        annotation = Annotated[float, Field(ge=0, le=1)]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(Any if annotation is inspect.Parameter.empty else annotation)
        schema = adapter.json_schema()
    except PydanticUserError:
        return None  # the plugin's own type, which its object must check
    try:
        adapter.validate_json(json.dumps(value), strict=True)  # JSON mode accepts a list for a tuple, and text for a Path
    except ValidationError:
        return wrong_value(value, schema)
    return None
