"""YAML files beside recipes, as strict as they: a text -> a model of sections, or every problem of it at once, each with its place."""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError

from wholeword.core.config.messages import nearest, schema_at, sections_of_recipe, wanted, wrong_value
from wholeword.core.config.recipe import Section
from wholeword.core.config.recipes import read_recipe
from wholeword.core.config.yaml import MAX_BYTES, Document, Problem, dotted, read_yaml
from wholeword.core.config.yaml import Path as Address
from wholeword.core.errors import PluginError, RecipeError
from wholeword.core.registry import registry

Model = TypeVar("Model", bound=Section)


def open_document(source: str | Path, *, expected: str) -> tuple[Document, Path]:
    """The document and the folder that its paths start from. What has neither a suffix nor a slash comes with wholeword.

    Raises: RecipeError if it cannot be read, or is no YAML of ours; UserError for an unknown name.
    """
    path = Path(source)
    if isinstance(source, str) and not path.suffix and "/" not in source:
        return read_yaml(read_recipe(source), f"{source}.yaml"), Path()
    try:
        with open(path, "rb") as file:
            document = read_yaml(file.read(MAX_BYTES + 1), str(source))
    except FileNotFoundError:
        beside = [str(file) for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        close = nearest(str(path), beside)
        suggestion = f"; did you mean {close}?" if close else ""
        raise RecipeError([f"{source}: no such file{suggestion}; expected {expected}"]) from None
    except OSError as error:
        raise RecipeError([f"{source}: {error.strerror}; expected a .yaml file that can be read"]) from None
    if document.data is None:
        raise RecipeError([str(problem) for problem in document.problems])
    return document, path.parent


def read_section(model: type[Model], document: Document, *, plugins: Mapping[Address, str], optional: Sequence[str] = ()) -> Model:
    """Compare a document with a model, and the sections of plugins with their signatures, whose defaults are filled in.

    Args:
        plugins: path of a section -> kind of plugin; `*` in a path is each entry of a list.
        optional: settings of plugins that need not be there.
    Raises: RecipeError with every problem, by place.
    """
    reading = _Reading(model, document)
    for path, kind in plugins.items():
        for found in reading.places(path):
            reading.plugin(found, kind, optional)
    read = reading.compare()
    if document.problems or read is None:
        raise RecipeError([str(problem) for problem in sorted(document.problems)])
    return read


class _Reading:
    def __init__(self, model: type[Section], document: Document):
        self.model, self.document = model, document
        self.sections = sections_of_recipe((), model)

    def places(self, path: Address) -> list[Address]:
        """The paths that a pattern stands for, of those that are there."""
        found: list[Address] = [()]
        for part in path:
            found = [(*before, key) for before in found for key in self.keys(before) if part in (key, "*")]
        return found

    def keys(self, path: Address) -> list[str | int]:
        inside = self.at(path)
        return list(inside) if isinstance(inside, dict) else list(range(len(inside))) if isinstance(inside, list) else []

    def at(self, path: Address) -> Any:
        data = self.document.data
        for part in path:
            data = data[part]
        return data

    def problem(self, path: Address, message: str) -> None:
        self.document.problems.append(Problem(self.document.place(path), f"{dotted(path)}: {message}"))

    def unknown(self, path: Address, known: Sequence[str]) -> None:
        """Report a setting that its section does not have, and drop it."""
        section, key = self.at(path[:-1]), str(path[-1])
        guess = nearest(key, [other for other in known if other not in section])
        hint = f"did you mean {guess!r}?" if guess else f"expected one of {', '.join(known)}"
        self.document.problems.append(Problem(self.document.key_place(path), f"{dotted(path)}: unknown setting; {hint}"))
        del section[key]

    def plugin(self, path: Address, kind: str, optional: Sequence[str]) -> None:
        section = self.at(path)
        if isinstance(section, str):
            section = {"name": section}
            self.at(path[:-1])[path[-1]] = section
        if not isinstance(section, dict) or not isinstance(section.get("name"), str):
            return  # the model says so
        try:
            parameters = registry.parameters(kind, section["name"])
        except PluginError as error:
            self.problem((*path, "name"), str(error))
            return
        own = list(schema_at(path, self.model).get("properties", {"name": {}}))
        for key in [key for key in section if key not in own and key not in parameters]:
            self.unknown((*path, key), [*own, *parameters])
        for key, parameter in parameters.items():
            if key in section:
                if wrong := wrong_setting(key, section[key], parameter.annotation):
                    self.problem((*path, key), wrong)
            elif parameter.default is parameter.empty and key not in optional:
                self.problem((*path, key), f"missing; {section['name']} needs it")

    def compare(self) -> Any:
        try:
            return self.model.model_validate(self.document.data)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                path = detail["loc"]
                if detail["type"] == "extra_forbidden":
                    known = self.sections.get(tuple(0 if isinstance(part, int) else part for part in path[:-1]), [])
                    self.unknown(path, known)
                elif detail["type"] == "missing":
                    self.problem(path, f"missing; expected {wanted(schema_at(path, self.model))}")
                elif detail["type"] != "default_factory_not_called":
                    self.problem(path, wrong_value(detail["input"], schema_at(path, self.model)))
            return None


def wrong_setting(key: str, value: Any, annotation: Any) -> str | None:
    """What is wrong with a plugin's setting. A setting `rate` or `x_rate` is a share, as everywhere."""
    if annotation is float and (key == "rate" or key.endswith("_rate")):
        annotation = Annotated[float, Field(ge=0, le=1)]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(Any if annotation is inspect.Parameter.empty else annotation)
        schema = adapter.json_schema()
    except PydanticUserError:
        return None  # a type of the plugin's own, which its object has to check
    try:
        adapter.validate_json(json.dumps(value), strict=True)  # from JSON a list may be a tuple, and text a Path
    except ValidationError:
        return wrong_value(value, schema)
    return None
