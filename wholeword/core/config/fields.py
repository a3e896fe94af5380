"""Building blocks of recipe sections: types of values, and sections that can be written as text."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, PlainValidator, PrivateAttr, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


def _numbers_of_layers(value: Any) -> Any:
    """A number N means the first N layers."""
    return list(range(value)) if type(value) is int and 0 < value <= MOST_LAYERS else value


def _file_or_pieces(value: Any) -> str | list[str]:
    if isinstance(value, str) or (isinstance(value, list) and value and all(isinstance(item, str) and item for item in value)):
        return value
    raise ValueError("neither text nor a list of text")


MOST_LAYERS = 1000
Layers = Annotated[
    list[CountOrZero], Field(min_length=1), BeforeValidator(_numbers_of_layers, json_schema_input_type=Count | list[CountOrZero])
]
FileOrPieces = Annotated[str | list[str], PlainValidator(_file_or_pieces, json_schema_input_type=str | list[str])]
KeepOrNew = Literal["keep", "new"]


class Section(BaseModel):
    """A mapping in a recipe; unknown settings are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class RecipeRoot(Section):
    """The top of a recipe, which knows where it was read."""

    _base_folder: Path = PrivateAttr(default=Path())
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def base_folder(self) -> Path:
        """The recipe's folder, from which relative paths of what it reads start; `output` starts from the working folder."""
        return self._base_folder

    @property
    def warnings(self) -> list[str]:
        """One line per warning, with line and column."""
        return list(self._warnings)

    def located(self, base_folder: Path, warnings: Iterable[str]) -> Self:
        """This recipe, as read in `base_folder` with these warnings."""
        self._base_folder, self._warnings = base_folder, tuple(warnings)
        return self


class Shorthand(Section):
    """A section that can be written as text: `jieba` means `{name: jieba}`."""

    main: ClassVar[str] = "name"

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {cls.main: data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(reference := handler(core_schema))
        settings = dict(schema)
        schema.clear()
        schema["anyOf"] = [{"type": "string"}, settings]
        return reference


class PluginSection(Shorthand):
    """A plugin: its name and settings."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Field(description="name of a plugin, as listed by `wholeword plugins`, or distribution:name")]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings beside `name`."""
        return dict(self.__pydantic_extra__ or {})


DEFAULT_SCHEDULE = PluginSection(name="bert-linear")
ScheduleSection = Annotated[PluginSection, Field(description="learning rate schedule: bert-linear (BERT's own), cosine, ...")]


def without_default_schedule(data: dict[str, Any]) -> dict[str, Any]:
    """A dumped section without the default schedule, so that runs of earlier versions, which lack the setting, can be resumed."""
    return {key: value for key, value in data.items() if (key, value) != ("schedule", {"name": DEFAULT_SCHEDULE.name})}
