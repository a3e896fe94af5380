"""The recipe of `wholeword bench run`: models x tasks x seeds in one YAML file."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from wholeword.core.config.fields import Count, PluginSection, RecipeRoot, Section, Share, Shorthand
from wholeword.core.config.locations import read_config
from wholeword.core.config.overrides import override
from wholeword.core.config.sections import lines, open_document, read_section
from wholeword.core.config.sources import source_location
from wholeword.core.config.yaml import Document, KeyPath, Problem, dotted
from wholeword.core.errors import RecipeError, WholewordError

Rate = Annotated[float, Field(gt=0, le=1)]
Rates = Annotated[list[Rate], Field(min_length=1)]

# what published tables call a task
TITLES = {
    "chnsenticorp": "ChnSentiCorp",
    "thucnews": "THUCNews",
    "thucnews-title": "THUCNews titles",
    "xnli": "XNLI",
    "ocnli": "OCNLI",
    "lcqmc": "LCQMC",
    "bq": "BQ Corpus",
    "cmrc2018": "CMRC 2018",
    "drcd": "DRCD",
    "cjrc": "CJRC",
    "msra-ner": "MSRA NER",
    "peoples-daily-ner": "People's Daily NER",
}
FINETUNING = ("batch_size", "epochs", "max_seq_length", "doc_stride", "max_query_length", "max_answer_length", "warmup_rate")


def _default_name(location: str) -> str:
    """What a table calls a model: NAME of zoo:NAME, or its folder's name."""
    source = source_location(location)
    return source.model if source else Path(location).name


class BenchModel(Shorthand):
    """A model to fine-tune, and what tables call it."""

    main: ClassVar[str] = "model"

    model: str = Field(min_length=1, description="the folder of a run or model, relative to the table's folder, or zoo:NAME")
    name: str = Field(
        default_factory=lambda data: _default_name(data["model"]) if data.get("model") else "",
        description="what tables call it; by default the last part of model",
    )
    learning_rates_of: str | None = Field(
        default=None, description="name of a model above whose chosen learning rates are used, as in the published tables"
    )


class BenchTask(Section):
    """A task, and how to fine-tune for it; what is left out comes from the task's defaults."""

    task: PluginSection = Field(description="a task by name, and its settings, among them data: the folder with its files")
    name: str = Field(
        default_factory=lambda data: TITLES.get(data["task"].name, data["task"].name) if "task" in data else "",
        description="what tables call it",
    )
    learning_rate: Rate | None = Field(default=None, description="peak learning rate; where a search starts")
    learning_rates: Rates | None = Field(default=None, description="learning rates to choose from on dev, such as [2e-5, 3e-5, 4e-5, 5e-5]")
    search: bool | None = Field(default=None, description="true: try the rates around learning_rate, and further while dev improves")
    batch_size: Count | None = Field(default=None, description="rows in an optimizer step")
    epochs: Count | None = Field(default=None, description="how many times the training rows are used")
    max_seq_length: Annotated[int, Field(ge=8)] | None = Field(default=None, description="most pieces in a row, special ones included")
    doc_stride: Count | None = Field(default=None, description="pieces from the start of one window of a long text to the next")
    max_query_length: Count | None = Field(default=None, description="the largest number of pieces in a question")
    max_answer_length: Count | None = Field(default=None, description="the largest number of pieces in an answer")
    warmup_rate: Share | None = Field(default=None, description="the share of steps during which the learning rate rises")


class TableRecipe(RecipeRoot):
    """A table to fill; see `load_table`."""

    version: Literal[1] = Field(description="version of this format")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="name of the table: lower-case letters, digits, '.', '_', '-'")
    models: Annotated[list[BenchModel], Field(min_length=1)] = Field(description="the models to fine-tune")
    tasks: Annotated[list[BenchTask], Field(min_length=1)] = Field(description="the tasks to fine-tune on")
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)] = Field(
        default=list(range(1, 11)), description="one run each; ten by default, as in the published tables"
    )
    learning_rates: Rates | None = Field(default=None, description="learning_rates of every task that has none of its own")
    search: bool = Field(default=False, description="search of every task that does not set it")
    optimizer: PluginSection = Field(default=PluginSection(name="adamw"), description="what turns gradients into updates")
    backend: PluginSection = Field(default=PluginSection(name="pytorch"), description="the framework to train with")
    output: str = Field(
        default_factory=lambda data: f"bench/{data.get('name')}",
        min_length=1,
        description="the output folder: runs and results.json",
    )


def load_table(source: str | Path, overrides: Sequence[str] = ()) -> TableRecipe:
    """Read a table.

    Args:
        source: the path of a .yaml file, or the name of a shipped one.
        overrides: "tasks.0.epochs=1" as after `--set`, in order.
    Raises: RecipeError with every problem, by line and column.
    """
    document, base_folder = open_document(source, expected="a .yaml file with models and tasks, or table-chnsenticorp")
    for text in overrides:
        override(document, text, TableRecipe)
    plugins: dict[KeyPath, str] = {("optimizer",): "optimizer", ("backend",): "backend", ("tasks", "*", "task"): "task"}
    table = read_section(TableRecipe, document, plugins=plugins)
    table.located(base_folder, lines(document.warnings))
    problems = [Problem(document.place(path), f"{dotted(path)}: {message}") for path, message in _problems(table, document)]
    if problems:
        raise RecipeError(lines(problems))
    return table


def _problems(table: TableRecipe, document: Document) -> Iterator[tuple[KeyPath, str]]:
    for key, names in (("models", [model.name for model in table.models]), ("tasks", [task.name for task in table.tasks])):
        folders = Counter(map(folder_name, names))
        for number, name in enumerate(names):
            path: KeyPath = (key, number)
            if not folder_name(name):
                yield path, f"no letter or digit in the name {name!r}; expected name: ... beside it"
            elif folders[folder_name(name)] > 1:
                yield path, f"duplicate name {name!r}; expected a name of its own: name: ... beside it"
    for number, model in enumerate(table.models):
        try:
            read_config(model.model, table.base_folder)
        except WholewordError as error:
            yield ("models", number), str(error).splitlines()[0]
        else:
            if source_location(model.model) is None and not (table.base_folder / model.model).exists():
                yield ("models", number), f"{table.base_folder / model.model}: no such folder; expected a model's, or zoo:NAME"
        above = [other.name for other in table.models[:number]]
        if model.learning_rates_of is not None and model.learning_rates_of not in above:
            yield (
                ("models", number, "learning_rates_of"),
                f"{model.learning_rates_of!r}; expected the name of a model above: {', '.join(above) or 'there is none'}",
            )
    for seed, count in Counter(table.seeds).items():
        if count > 1:
            yield ("seeds",), f"{seed} appears {count} times; equal seeds give equal runs: keep one"
    for number, task in enumerate(table.tasks):
        if task.search and task.learning_rates:
            yield ("tasks", number, "search"), "true beside learning_rates; expected one of them"
    if table.search and table.learning_rates:
        yield ("search",), "true beside learning_rates; expected one of them"


def folder_name(name: str) -> str:
    """The folder of a model or task by its name in the table: `Reviews 评论` -> `reviews-评论`."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.").lower()


def rates_to_try(table: TableRecipe, task: BenchTask) -> list[float] | None:
    """The learning rates to choose from; [] for the only one, None where they are searched for."""
    if task.learning_rates:
        return task.learning_rates
    if table.search if task.search is None else task.search:
        return None
    return table.learning_rates or [] if task.search is None and task.learning_rate is None else []


def finetuning_settings(table: TableRecipe, task: BenchTask) -> dict[str, Any]:
    """What decides a task's runs, by the names of a fine-tuning recipe; without learning rate and seed."""
    settings = {key: getattr(task, key) for key in FINETUNING if getattr(task, key) is not None}
    sections = {"task": task.task, "optimizer": table.optimizer}
    return settings | {key: section.model_dump(mode="json") for key, section in sections.items()}
