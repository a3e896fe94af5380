"""What `wholeword report` prints for the folder of a fine-tuning run: task, labels, data, and the metrics of its seeds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wholeword.core.errors import IntegrityError
from wholeword.finetuning.identity import IDENTITY
from wholeword.finetuning.results import RESULT, is_finished, results, seed_folder, summary


@dataclass(frozen=True)
class RunReport:
    """The seeds of one recipe.

    Args:
        task: name and settings.
        seeds: the content of result.json by seed; an unfinished one has none.
    """

    folder: str
    model: str
    task: Mapping[str, Any]
    labels: Sequence[str]
    seeds: Mapping[int, Mapping[str, Any]]
    unfinished: Sequence[int]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """For people."""
        settings = ", ".join(f"{key} {value}" for key, value in self.task.items() if key != "name" and value is not None)
        yield f"{self.folder}: fine-tuning of {self.model} on {self.task['name']}" + (f" ({settings})" if settings else "")
        if self.labels:
            yield f"  labels: {', '.join(self.labels)}"
        if self.seeds:
            first = next(iter(self.seeds.values()))
            counts = (f"{split} " + ", ".join(f"{value:,} {name}" for name, value in rows.items()) for split, rows in first["rows"].items())
            yield f"  {'; '.join(counts)}"
            training = ", ".join(f"{key} {value}" for key, value in first["training"].items() if value is not None)
            yield f"  {training}"
            yield from (f"  note: {note}" for note in first["notes"])
        for seed, result in self.seeds.items():
            yield from (f"seed {seed}: {line}" for line in summary({seed: result}))
        if len(self.seeds) > 1:
            yield from summary(self.seeds)
        yield from (f"seed {seed}: not finished; the command that started it resumes it" for seed in self.unfinished)


def holds_finetuning(location: str | Path) -> bool:
    """Whether a path is the folder of a fine-tuning run."""
    return _recorded(Path(location)) is not None


def report_run(location: str | Path) -> RunReport:
    """The report on a folder for which `holds_finetuning`. Raises: IntegrityError if a file in it is damaged."""
    folder = Path(location)
    recorded = _recorded(folder)
    assert recorded is not None
    seeds = sorted(int(path.name[5:]) for path in folder.glob("seed-*") if path.is_dir() and path.name[5:].isdecimal())
    finished = [seed for seed in seeds if is_finished(folder, seed)]
    try:
        by_seed = results(folder, finished)
        first = next(iter(by_seed.values()), recorded["settings"])
        task = first["task"]
        return RunReport(
            folder=str(location),
            model=first["model"],
            task=task if isinstance(task, dict) else {"name": task},
            labels=recorded["labels"],
            seeds=by_seed,
            unfinished=[seed for seed in seeds if seed not in finished],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{folder}: {IDENTITY} or {seed_folder(Path(), finished[0]) / RESULT if finished else RESULT}: {error}"
        ) from None


def _recorded(folder: Path) -> dict[str, Any] | None:
    """What a run was made from; None if there is no fine-tuning run in the folder."""
    try:
        recorded = json.loads((folder / IDENTITY).read_bytes())
    except (OSError, ValueError):
        return None
    return recorded if isinstance(recorded, dict) and {"settings", "data", "labels"} <= recorded.keys() else None
