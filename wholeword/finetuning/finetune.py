"""Fine-tuning from beginning to end: read the task, train once for each seed, predict, score. The folder of a job holds

    recipe.json                           what the runs were made from; another recipe is refused
    seed-<n>/log.jsonl                    losses and metrics, reproducible byte by byte; timings.jsonl holds the clock
    seed-<n>/progress/                    checkpoints, while the seed is unfinished
    seed-<n>/{predictions,nbest}.json     split -> id of an example -> answer, and the likeliest answers with probabilities
    seed-<n>/model/                       what transformers loads; the zoo reads its encoder
    seed-<n>/result.json                  the metrics of every split, and how they came about; no clock

result.json is written last: a seed that has one is finished.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from wholeword.core.console import Observer
from wholeword.core.errors import UserError
from wholeword.core.files import locked_folder
from wholeword.core.training.problems import expect_folders
from wholeword.finetuning.identity import expect_same, files_changed
from wholeword.finetuning.job import FinetuneJob, resolve
from wholeword.finetuning.preflight import expect_ready
from wholeword.finetuning.prepare import input_paths, prepare
from wholeword.finetuning.results import is_finished, results, seed_folder, summary
from wholeword.finetuning.run import CHECKPOINTS, SeedRun

if TYPE_CHECKING:
    from wholeword.finetuning.recipe import FinetuneRecipe


def finetune(recipe: "FinetuneRecipe", *, observer: Observer) -> Path:
    """Carry a recipe out, or resume where it was left; finished seeds stay as they are.

    Returns: the folder of the seeds.
    Raises: OtherOriginError if the folder holds runs of another recipe; UserError if model and task do not fit; PluginError if a plugin
        breaks its contract; DivergedError at a loss that is not finite; KeyboardInterrupt after SIGINT or SIGTERM, a checkpoint saved.
    """
    job = resolve(recipe)
    expect_folders({"output": job.output})
    job.output.mkdir(parents=True, exist_ok=True)
    try:
        with locked_folder(job.output):
            _run_seeds(job, observer)
    except BlockingIOError:
        raise UserError(f"{job.output}: another process is fine-tuning there; wait for it or set another output") from None
    return job.output


def _run_seeds(job: FinetuneJob, observer: Observer) -> None:
    expect_same(job.output, {"settings": job.settings})
    unfinished = [seed for seed in job.seeds if not is_finished(job.output, seed)]
    for seed in job.seeds:
        if seed not in unfinished:
            observer.say(f"{seed_folder(job.output, seed)}: already finished")
            shutil.rmtree(seed_folder(job.output, seed) / CHECKPOINTS, ignore_errors=True)  # left if killed just after writing the result
    if not unfinished and not files_changed(job.output, input_paths(job)):
        return
    expect_ready(job, len(unfinished))
    prepared = prepare(job, observer)
    for seed in unfinished:
        SeedRun(job, prepared, seed, observer).run()
        for line in summary(results(job.output, [seed])):
            observer.say(f"seed {seed}: {line}")
