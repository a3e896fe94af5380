"""What `wholeword check` prints about a fine-tuning recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wholeword.core.bert.shapes import count_parameters
from wholeword.core.config.locations import read_vocabulary
from wholeword.core.config.sources import FOLDER, source_location
from wholeword.core.contracts import BertConfig, Example
from wholeword.core.training.problems import Problems
from wholeword.finetuning.job import FinetuneJob, resolve
from wholeword.finetuning.preflight import bytes_to_write, examine
from wholeword.finetuning.prepare import expect_segments
from wholeword.finetuning.recipe import FinetuneRecipe
from wholeword.finetuning.results import is_finished
from wholeword.finetuning.understanding import share_of_unknown_text, understanding_of, unknown_lines


@dataclass(frozen=True)
class FinetuneCheck:
    """What a fine-tuning recipe will do and need; sizes are in bytes, 0 where they are not known."""

    name: str
    num_parameters: int
    num_examples: dict[str, int]  # by split
    understood: list[str]  # of the task's files
    description: str
    output_bytes: int
    warnings: list[str]
    missing: list[str]  # what a shipped recipe waits for
    problems: list[str]

    def plain(self) -> dict[str, Any]:
        """What `wholeword check --json` prints."""
        return dict(vars(self))

    def lines(self) -> list[str]:
        """The same for people; warnings and problems are printed elsewhere."""
        lines = []
        if self.num_parameters:
            lines.append(f"model: {self.num_parameters:,} parameters")
        lines += self.understood
        if self.description:
            lines.append(self.description)
        if self.output_bytes:
            lines.append(f"disk: {self.output_bytes / 2**20:,.0f} MiB for checkpoints and models")
        return lines + [f"not here yet: {line}" for line in self.missing]


def check(recipe: FinetuneRecipe, *, is_shipped: bool = False) -> FinetuneCheck:
    """Check a recipe; the task's files are read, the weights are not.

    Args:
        is_shipped: whether model and data are those of a shipped recipe, which may be missing.
    """
    problems = Problems()
    problems.warnings += recipe.warnings
    job, config = None, None
    with problems.collected():
        job = resolve(recipe)
    if job is None:
        return FinetuneCheck(recipe.name, 0, {}, [], "", 0, problems.warnings, [], problems.problems)
    num_seeds = sum(not is_finished(job.output, seed) for seed in job.seeds)
    config = examine(job, num_seeds, problems)
    data, understood = read_data(job, config, problems), []
    with problems.collected():
        if data:
            understood = list(understanding_of(job.task, job.task_name, data).lines())
    warnings = [line.removeprefix("warning: ") for line in understood if line.startswith("warning: ")]
    return FinetuneCheck(
        name=job.name,
        num_parameters=count_parameters(config, num_labels=_num_outputs(job, data)) if config else 0,
        num_examples={split: len(examples) for split, examples in data.items()},
        understood=[line for line in understood if not line.startswith("warning: ")],
        description=_description(job, len(data.get("train", []))),
        output_bytes=max(0, bytes_to_write(job, config, num_seeds)) if config else 0,
        warnings=[*problems.warnings, *warnings],
        missing=problems.problems if is_shipped else [],
        problems=[] if is_shipped else problems.problems,
    )


def read_data(job: FinetuneJob, config: BertConfig | None, problems: Problems) -> dict[str, list[Example]]:
    """The examples of the splits that a job needs, as far as they can be read."""
    data: dict[str, list[Example]] = {}
    splits: tuple[str, ...] = ()
    with problems.collected():
        splits = tuple(job.task.splits) if job.splits is None else job.splits
    for split in dict.fromkeys(("train", *splits)):
        with problems.collected():
            data[split] = job.task.read(split)
    if config is not None and "train" in data:
        examine_text(job, config, data["train"], problems)
    return data


def examine_text(job: FinetuneJob, config: BertConfig, examples: Sequence[Example], problems: Problems) -> None:
    """Check whether the texts of train fit the model: its segments, and its vocabulary if that is on this machine."""
    with problems.collected():
        expect_segments(job, config, examples)
    source = source_location(job.model)
    if source is not None and source.source != FOLDER:  # may have to be fetched
        return
    with problems.collected():
        share = share_of_unknown_text(examples, read_vocabulary(job.model, job.base_folder))
        problems.warnings += [line.removeprefix("warning: ") for line in unknown_lines({"train": share}, job.task_name)][1:]


def _num_outputs(job: FinetuneJob, data: Mapping[str, list[Example]]) -> int:
    """Outputs of the head; a task's own labels are those of train."""
    return 2 if job.task.head == "span" or "train" not in data else len(job.task.labels)


def _description(job: FinetuneJob, num_examples: int) -> str:
    """How the job trains. Long texts may be several rows each, so that steps are not known before they are cut."""
    training = job.training
    num_steps = -(-num_examples // training.batch_size) * training.epochs
    steps = f"about {num_steps:,} steps of" if num_examples else "batches of"
    rows = f"{training.batch_size} rows of up to {training.max_seq_length} pieces"
    seeds = f"{len(job.seeds)} seed{'s' * (len(job.seeds) > 1)}"
    epochs = f"{training.epochs} epoch{'s' * (training.epochs > 1)}"
    return f"training: {steps} {rows}, {epochs}, learning rate {training.learning_rate:g}; {seeds}"
