"""What would stop fine-tuning, found before a task's files are turned into rows: by `wholeword check`, and by the commands that train."""

from pathlib import Path

from wholeword.core.bert.shapes import count_parameters
from wholeword.core.config.locations import read_config, read_model
from wholeword.core.contracts import BertConfig, NeedsMachine
from wholeword.core.registry.libraries import expect_libraries
from wholeword.core.training.problems import Problems, expect_folders, expect_room, size_of_folder
from wholeword.finetuning.identity import expect_same
from wholeword.finetuning.job import FinetuneJob
from wholeword.finetuning.prepare import expect_positions

CHECKPOINT_COPIES = 2 * 3  # weights and two moments; a checkpoint is removed when the next one is there


def expect_ready(job: FinetuneJob, num_seeds: int) -> None:
    """Raises: RecipeError with all that would stop a job; BrokenPluginsError if that is plugins alone.

    Args:
        num_seeds: how many are still to be trained.
    """
    problems = Problems()
    examine(job, num_seeds, problems)
    problems.expect_none()


def examine(job: FinetuneJob, num_seeds: int, problems: Problems) -> BertConfig | None:
    """Check a job against this machine. Returns: the model's configuration, if it can be read."""
    config = None
    with problems.collected():
        expect_libraries("backend", job.backend_name)
        if isinstance(job.backend, NeedsMachine):
            job.backend.expect_machine()
    for kind, name in (("task", job.task_name), ("optimizer", job.optimizer.name), ("schedule", job.schedule_name)):
        with problems.collected():
            expect_libraries(kind, name)
    with problems.collected():
        expect_folders({"output": job.output})
        expect_same(job.output, {"settings": job.settings})
    with problems.collected():
        config = read_config(job.model, job.base_folder) or read_model(job.model, job.base_folder).config
    if config is not None:
        with problems.collected():
            expect_positions(job, config)
        with problems.collected():
            expect_room({job.output: bytes_to_write(job, config, num_seeds)})
    return config


def bytes_to_write(job: FinetuneJob, config: BertConfig, num_seeds: int) -> int:
    """The most that a job takes on the disk, what is there already left out."""
    weights = 4 * count_parameters(config)
    return weights * ((num_seeds if job.keep_model else 0) + CHECKPOINT_COPIES) - _already_there(job.output)


def _already_there(output: Path) -> int:
    """Checkpoints of seeds that were interrupted; they are removed when the seed is finished."""
    return sum(size_of_folder(folder) for folder in output.glob("seed-*/progress"))
