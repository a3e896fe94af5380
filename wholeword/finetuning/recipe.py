"""The recipe of `wholeword finetune`: a model, a task and seeds in one YAML file. What it leaves out comes from the task's defaults."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from wholeword.core.config.fields import (
    DEFAULT_SCHEDULE,
    Count,
    PluginSection,
    RecipeRoot,
    ScheduleSection,
    Share,
    without_default_schedule,
)
from wholeword.core.config.overrides import override
from wholeword.core.config.sections import lines, open_document, read_section
from wholeword.core.config.yaml import Document, KeyPath, Mark, Problem, dotted
from wholeword.core.errors import RecipeError

PLUGINS: dict[KeyPath, str] = {("task",): "task", ("optimizer",): "optimizer", ("backend",): "backend", ("schedule",): "schedule"}


class FinetuneRecipe(RecipeRoot):
    """Fine-tuning runs of one model on one task, one for each seed; see `load_finetune_recipe`."""

    version: Literal[1] = Field(description="version of this format")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="name of the runs: lower-case letters, digits, '.', '_', '-'")
    model: str = Field(min_length=1, description="what to fine-tune: the folder of a run or model, or zoo:NAME")
    task: PluginSection = Field(description="a task by name, and its settings, among them data: the folder with its files")
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)] = Field(
        default=[1], description="one run each; a seed decides the head's initial weights, the order of the rows and dropout"
    )
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = Field(default=None, description="the peak learning rate, after the warm-up")
    batch_size: Count | None = Field(default=None, description="rows in an optimizer step")
    epochs: Count | None = Field(default=None, description="how many times the training rows are used")
    max_seq_length: Annotated[int, Field(ge=8)] | None = Field(default=None, description="most pieces in a row, special ones included")
    warmup_rate: Share | None = Field(default=None, description="the share of steps during which the learning rate rises")
    doc_stride: Count | None = Field(
        default=None,
        description="pieces from one window of a long text to the next; without it, long texts to classify are truncated",
    )
    max_query_length: Count = Field(default=64, description="the largest number of pieces in a question")
    max_answer_length: Count = Field(default=30, description="the largest number of pieces in an answer")
    n_best: Count = Field(default=20, description="how many answers nbest.json keeps for each example")
    splits: list[str] | None = Field(default=None, description="the splits to predict and score at the end; by default all but train")
    optimizer: PluginSection = Field(default=PluginSection(name="adamw"), description="what turns gradients into updates")
    backend: PluginSection = Field(default=PluginSection(name="pytorch"), description="the framework to train with")
    schedule: ScheduleSection = DEFAULT_SCHEDULE
    clip_norm: Annotated[float, Field(gt=0)] = Field(default=1.0, description="gradients are clipped to this global norm")
    checkpoint_every: Count = Field(default=200, description="steps between checkpoints; one is saved at the end of every epoch too")
    log_every: Count = Field(default=10, description="steps between lines of log.jsonl")
    keep_model: bool = Field(default=True, description="keep the fine-tuned weights, not only metrics and predictions")
    output: str = Field(default_factory=lambda data: f"runs/{data.get('name')}", min_length=1, description="the output folder")

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        return without_default_schedule(handler(self))


def load_finetune_recipe(source: str | Path, overrides: Sequence[str] = ()) -> FinetuneRecipe:
    """Read a recipe.

    Args:
        source: the path of a .yaml file, or the name of a shipped recipe.
        overrides: "a.b=c" as after `--set`, in order.
    Raises: RecipeError with every problem, by line and column.
    """
    document, base_folder = open_document(source, expected="a .yaml file or the name of a shipped recipe")
    for key in ("optimizer", "backend"):  # so that --set backend.device=cpu has a section to go into
        document.data.setdefault(key, FinetuneRecipe.model_fields[key].default.name)
    for text in overrides:
        override(document, text, FinetuneRecipe)
    return finetune_recipe_from(document, base_folder)


def finetune_recipe_from(document: Document, base_folder: Path) -> FinetuneRecipe:
    """Read a recipe from a document. Raises: RecipeError with every problem, by line and column."""
    document.values.setdefault((), Mark(0, 0, document.source))  # a document made in memory has no lines
    if isinstance(document.data, dict) and "phases" in document.data and "task" not in document.data:
        raise RecipeError([f"{document.source}: a recipe for pre-training; wholeword train carries it out"])
    recipe = read_section(FinetuneRecipe, document, plugins=PLUGINS)
    recipe.located(base_folder, lines(document.warnings))
    if problems := [Problem(document.place(path), f"{dotted(path)}: {message}") for path, message in _problems(recipe)]:
        raise RecipeError(lines(problems))
    return recipe


def _problems(recipe: FinetuneRecipe) -> Iterator[tuple[KeyPath, str]]:
    for seed, count in Counter(recipe.seeds).items():
        if count > 1:
            yield ("seeds",), f"{seed} appears {count} times; equal seeds give equal runs: keep one"
    if recipe.splits == []:
        yield ("splits",), "an empty list; expected splits such as dev, or leave it out"
