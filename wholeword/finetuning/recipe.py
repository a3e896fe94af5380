"""What `wholeword finetune` reads: a model, a task and seeds, one YAML file. What it leaves out is the task's own default."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, SerializerFunctionWrapHandler, model_serializer

from wholeword.core.config.overrides import override
from wholeword.core.config.recipe import DEFAULT_SCHEDULE, Count, PluginSection, ScheduleSection, Section, Share, without_default_schedule
from wholeword.core.config.sections import lines, open_document, read_section
from wholeword.core.config.yaml import Document, Mark, Problem, dotted
from wholeword.core.config.yaml import Path as Address
from wholeword.core.errors import RecipeError

PLUGINS: dict[Address, str] = {("task",): "task", ("optimizer",): "optimizer", ("backend",): "backend", ("schedule",): "schedule"}


class FinetuneRecipe(Section):
    """Fine-tuning runs of one model on one task, one for each seed. Made by `load_finetune_recipe`."""

    version: Literal[1] = Field(description="version of this format")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="name of the runs: small letters, digits, '.', '_', '-'")
    model: str = Field(min_length=1, description="what to fine-tune: the folder of a run or model, or zoo:NAME")
    task: PluginSection = Field(description="a task by name, and its settings, among them data: the folder of its files")
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)] = Field(
        default=[1], description="one run each; a seed decides the head's first weights, the order of the rows and dropout"
    )
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = Field(default=None, description="its peak, after the warm-up")
    batch_size: Count | None = Field(default=None, description="rows of an optimizer step")
    epochs: Count | None = Field(default=None, description="passes over the training rows")
    max_seq_length: Annotated[int, Field(ge=8)] | None = Field(default=None, description="most pieces in a row, the special ones included")
    warmup_rate: Share | None = Field(default=None, description="share of the steps in which the learning rate rises")
    doc_stride: Count | None = Field(
        default=None, description="pieces between the beginnings of the windows of a long text; without it long texts to classify are cut"
    )
    max_query_length: Count = Field(default=64, description="most pieces of a question")
    max_answer_length: Count = Field(default=30, description="most pieces of an answer")
    n_best: Count = Field(default=20, description="answers of an example in nbest.json")
    splits: list[str] | None = Field(default=None, description="what to predict and score in the end; all but train by default")
    optimizer: PluginSection = Field(default=PluginSection(name="adamw"), description="what turns gradients into updates")
    backend: PluginSection = Field(default=PluginSection(name="pytorch"), description="the framework that trains")
    schedule: ScheduleSection = DEFAULT_SCHEDULE
    clip_norm: Annotated[float, Field(gt=0)] = Field(default=1.0, description="largest norm of a step's gradients")
    checkpoint_every: Count = Field(default=200, description="steps between checkpoints; an epoch's end has one too")
    log_every: Count = Field(default=10, description="steps between lines of log.jsonl")
    keep_model: bool = Field(default=True, description="keep the fine-tuned weights, not the figures and predictions alone")
    output: str = Field(default_factory=lambda data: f"runs/{data.get('name')}", min_length=1, description="folder of the runs")

    _base_folder: Path = PrivateAttr(default=Path())
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        return without_default_schedule(handler(self))

    @property
    def base_folder(self) -> Path:
        """What the relative paths of model and task start from; output starts from the working folder."""
        return self._base_folder

    @property
    def warnings(self) -> list[str]:
        """One line each, with its place."""
        return list(self._warnings)


def load_finetune_recipe(source: str | Path, overrides: Sequence[str] = ()) -> FinetuneRecipe:
    """Read a recipe.

    Args:
        source: the path of a .yaml file, or the name of a shipped recipe.
        overrides: "a.b=c" as after `--set`, in order.
    Raises: RecipeError with every problem, by place.
    """
    document, base_folder = open_document(source, expected="a .yaml file or the name of a shipped recipe")
    for key in ("optimizer", "backend"):  # so that --set backend.device=cpu has a section to go into
        document.data.setdefault(key, FinetuneRecipe.model_fields[key].default.name)
    for text in overrides:
        override(document, text, FinetuneRecipe)
    return finetune_recipe_from(document, base_folder)


def finetune_recipe_from(document: Document, base_folder: Path) -> FinetuneRecipe:
    """Raises: RecipeError with every problem, by place."""
    document.values.setdefault((), Mark(0, 0, document.source))  # of one that was made, not read
    if isinstance(document.data, dict) and "phases" in document.data and "task" not in document.data:
        raise RecipeError([f"{document.source}: a recipe for pre-training; wholeword train carries it out"])
    recipe = read_section(FinetuneRecipe, document, plugins=PLUGINS)
    recipe._base_folder = base_folder
    recipe._warnings = tuple(lines(document.warnings))
    if problems := [Problem(document.place(path), f"{dotted(path)}: {message}") for path, message in _findings(recipe)]:
        raise RecipeError(lines(problems))
    return recipe


def _findings(recipe: FinetuneRecipe) -> Iterator[tuple[Address, str]]:
    for seed, count in Counter(recipe.seeds).items():
        if count > 1:
            yield ("seeds",), f"{seed} stands {count} times; equal seeds are equal runs: keep one"
    if recipe.splits == []:
        yield ("splits",), "an empty list; expected splits such as dev, or leave it out"
