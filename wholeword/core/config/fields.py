"""What sections of recipes are made of: types of values, and sections that text may stand for."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, PlainValidator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


def _numbers_of_layers(value: Any) -> Any:
    """The first N for a number N."""
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
    """A mapping of a recipe; unknown settings are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Shorthand(Section):
    """A section that text may stand for: `jieba` is `{name: jieba}`."""

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
    """A plugin by name, and its settings: whatever its object takes."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Field(description="name of a plugin, as listed by `wholeword plugins`, or distribution:name")]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings beside `name`."""
        return dict(self.__pydantic_extra__ or {})


DEFAULT_SCHEDULE = PluginSection(name="bert-linear")
ScheduleSection = Annotated[
    PluginSection, Field(description="how the learning rate follows the step: bert-linear (BERT's own), cosine, ...")
]


def without_default_schedule(data: dict[str, Any]) -> dict[str, Any]:
    """A dumped section, without the schedule if it is the default one, so that runs of earlier versions, which had none, resume."""
    return {key: value for key, value in data.items() if (key, value) != ("schedule", {"name": DEFAULT_SCHEDULE.name})}
