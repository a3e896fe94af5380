"""Results -> tables in the formats of Chinese-BERT-wwm: cells as text, for any of the writers in `formats.py`."""

from dataclasses import dataclass, field
from fractions import Fraction

from wholeword.core.errors import UserError
from wholeword.finetuning.bench.results import Place, Results, TaskColumn, in_order, rate_text
from wholeword.finetuning.statistics import Figure, average, rounded, share, short_text, text

SPLITS = {"dev": "Development", "test": "Test", "challenge": "Challenge"}
MISSING = "-"


@dataclass
class Table:
    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


def all_tables(results: Results, *, relative_to: str | None = None, std: bool = False, seeds: bool = False) -> dict[str, list[Table]]:
    """What there is to show: a table a task, the learning rates, all tasks side by side with parameters, and relative to one model."""
    tables = {"tasks": [task_table(results, task, std=std, seeds=seeds) for task in results.tasks]}
    if results.learning_rates:
        tables["rates"] = [rates_table(results)]
    split = summary_split(results)
    if split is not None:
        tables["summary"] = [summary_table(results, split=split, relative_to=relative_to)]
        if relative_to is not None:
            tables["relative"] = [relative_table(results, relative_to, split=split)]
    return tables


def summary_split(results: Results) -> str | None:
    """The split that every task has figures of: test, or else dev."""
    return next((split for split in ("test", "dev") if results.tasks and all(split in task.splits for task in results.tasks)), None)


def task_table(results: Results, task: TaskColumn, *, std: bool = False, seeds: bool = False) -> Table:
    """`max (average)` of each split, with standard deviations and numbers of runs on request."""
    splits = in_order(task.splits, SPLITS)
    rows = []
    for model in results.models:
        row = [model]
        for split in splits:
            figures = [results.figures.get(Place(model, task.name, split, metric)) for metric in task.metrics]
            row.append(_cell(figures, std=std) if any(figures) else "failed" if results.failed.get((model, task.name)) else MISSING)
        if seeds:
            counted = next((found for place, found in results.figures.items() if place[:2] == (model, task.name)), None)
            row.append(_runs(counted, results.failed.get((model, task.name), 0)))
        rows.append(row)
    notes = [f"Evaluation Metrics: {' / '.join(names(task))}"]
    notes += [f"{failure.model}, {failure.reason}" for failure in results.failures if failure.task == task.name]
    return Table(task.name, ["Model", *(SPLITS.get(split, split) for split in splits), *(["Runs"] if seeds else [])], rows, notes)


def names(task: TaskColumn) -> list[str]:
    return [metric.capitalize() if metric == "accuracy" else metric for metric in task.metrics]


def _cell(figures: list[Figure | None], *, std: bool) -> str:
    written = []
    for found in figures:
        if found is None:
            written.append(MISSING)
            continue
        deviation = f" ± {found.std:.1f}" if std and found.std is not None else ""
        mean = f" ({text(found.mean)}{deviation})" if found.mean is not None else ""
        written.append(f"{text(found.best)}{mean}")
    failed = next((found.failed for found in figures if found), 0)
    return " / ".join(written) + (f", {failed} failed" if failed else "")


def _runs(found: Figure | None, failed: int) -> str:
    count = found.count if found else 0
    return MISSING if count is None else f"{count} of {count + failed}" if failed else str(count)


def rates_table(results: Results) -> Table:
    """Best learning rates: tasks down, models across."""
    rates = results.learning_rates
    models = [model for model in results.models if any(name == model for name, _ in rates)]
    rows = [
        [task.name, *(rate_text(rates[model, task.name]) if (model, task.name) in rates else MISSING for model in models)]
        for task in results.tasks
    ]
    return Table("Best Learning Rate", ["Model", *models], rows)


def summary_table(results: Results, *, split: str, relative_to: str | None = None) -> Table:
    """The best of each task, their Average (EM and F1 count by themselves) and the parameters, a percentage if a model is smaller."""
    base = results.parameters[results.model(relative_to)] if relative_to else None
    rows = []
    for model in results.models:
        figures = results.best(model, split)
        cells = [MISSING if found is None else " / ".join(map(text, found)) for found in figures.values()]
        mean = _average(figures)
        rows.append([model, *cells, MISSING if mean is None else text(mean, 3), parameters_text(results.parameters[model], base)])
    notes = [f"Best runs, {SPLITS.get(split, split)} set."]
    return Table("All tasks", ["Model", *(task.name for task in results.tasks), "Average", "Params"], rows, notes)


def _average(figures: dict[str, list[Fraction] | None]) -> Fraction | None:
    numbers = [number for found in figures.values() if found for number in found]
    return average(numbers) if numbers and None not in figures.values() else None


def relative_table(results: Results, relative_to: str, *, split: str) -> Table:
    """Each figure as a share of one model's; AVG-C is the mean of the rounded shares of the classification tasks.

    Raises: UserError if the model's own figures are not all there.
    """
    base_name = results.model(relative_to)
    base = results.best(base_name, split)
    base_mean = _average(base)
    if base_mean is None:
        raise UserError(f"{base_name}: not every task has a figure of it, and nothing can be relative to it; finish its runs first")
    classification = [task.name for task in results.tasks if task.is_classification]
    rows = []
    for model in results.models:
        figures, cells, classified = results.best(model, split), [], []
        own = model == base_name
        for name, found in figures.items():
            shares = [share(number, of) for number, of in zip(found or [], base[name] or [], strict=False)]
            cells.append(" / ".join(_percent(value, own) for value in shares) or MISSING)
            classified += [rounded(value) for value in shares] if name in classification else []
        mean = _average(figures)
        cells.append(MISSING if mean is None else _percent(share(mean, base_mean), own))
        if classification:
            whole = len(classified) == len(classification)
            cells.append(("100%" if own else f"{short_text(average(classified))}%") if whole else MISSING)
        rows.append([model, *cells])
    notes = [f"AVG-C: average score of classification tasks: {', '.join(classification)}"] if classification else []
    head = ["Model", *(task.name for task in results.tasks), "Average", *(["AVG-C"] if classification else [])]
    return Table("Relative performance", head, rows, notes)


def _percent(value: Fraction, own: bool) -> str:
    """`102.2%`; the model that all is relative to has `100%`."""
    return "100%" if own else f"{text(value)}%"


def parameters_text(count: int | None, base: int | None = None) -> str:
    """`38M (37.3%)`: millions rounded down, as published, and of these the percentage, where it is below 100."""
    if count is None:
        return MISSING
    millions = count // 10**6
    if millions == 0:
        return f"{count / 10**6:.2f}M"
    base_millions = base // 10**6 if base else 0
    percentage = f" ({text(share(Fraction(millions), Fraction(base_millions)))}%)" if base_millions > millions else ""
    return f"{millions}M{percentage}"
