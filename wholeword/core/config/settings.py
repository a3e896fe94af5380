"""The settings of a plugin that name files: where they are, and what decides what comes of them."""

import hashlib
from collections.abc import Iterator
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from wholeword.core.errors import UserError
from wholeword.core.files import sha256_of, to_json
from wholeword.core.registry.registry import registry
from wholeword.core.registry.spec import PluginSpec

if TYPE_CHECKING:
    from wholeword.core.config.fields import PluginSection


def found_settings(kind: str, section: "PluginSection", base_folder: Path) -> dict[str, Any]:
    """The settings of a plugin, its files found: one that is annotated `Path` starts from the recipe's folder and becomes a `Path`."""
    parameters = registry.parameters(kind, section.name)
    settings = dict(section.settings)
    for key, value in settings.items():
        if isinstance(value, str) and _takes_path(parameters[key]) and (path := base_folder / value).exists():
            settings[key] = path
    return settings


def create_from(kind: str, text: str) -> Any:
    """A plugin by what a user writes on the command line: its name, or `ltp=folder`, which gives the first of its settings.

    Raises: UserError if it has no settings; what `registry.create` raises.
    """
    name, given, value = text.partition("=")
    if not given:
        return registry.create(kind, name)
    setting = next(iter(registry.parameters(kind, name)), None)
    if setting is None:
        raise UserError(f"{text}: {kind} {name!r} has no settings")
    return registry.create(kind, name, **{setting: value})


def missing_files(kind: str, plugin: PluginSpec) -> Iterator[tuple[str, str]]:
    """Setting and value of each file or folder that a plugin's settings name, and that `found_settings` did not find.

    A setting that takes other text too, such as a name on a hub, is left to the plugin.
    """
    parameters = registry.parameters(kind, plugin.name)
    for key, value in plugin.settings.items():
        if isinstance(value, str) and key in parameters and _takes_path(parameters[key]) and not _takes_text(parameters[key]):
            yield key, value


def names_own_files(kind: str, plugin: PluginSpec) -> bool:
    """Whether a plugin's settings name a file or folder that is there, in a setting that takes no other text."""
    parameters = registry.parameters(kind, plugin.name)
    return any(isinstance(value, Path) and not _takes_text(parameters[key]) for key, value in plugin.settings.items() if key in parameters)


def _takes_text(parameter: Parameter) -> bool:
    return str in (parameter.annotation, *get_args(parameter.annotation))


def _takes_path(parameter: Parameter) -> bool:
    return Path in (parameter.annotation, *get_args(parameter.annotation))


def described(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a plugin as JSON; a file or folder is described by its name and content, not by its location."""
    return {
        key: {"name": value.name, "sha256": _content_sha256(value)} if isinstance(value, Path) else value for key, value in settings.items()
    }


def _content_sha256(path: Path) -> str:
    if path.is_file():
        return sha256_of(path)
    files = {file.relative_to(path).as_posix(): sha256_of(file) for file in path.rglob("*") if file.is_file()}
    return hashlib.sha256(to_json(files)).hexdigest()
