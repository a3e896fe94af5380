"""Results -> tables as Chinese-BERT-wwm prints them: cells as text, for any of the writers in `formats.py`."""

from dataclasses import dataclass, field
from fractions import Fraction

from wholeword.core.errors import UserError
from wholeword.finetuning.bench.results import ResultKey, Results, TaskColumn, rate_text
from wholeword.finetuning.bench.splits import ordered_splits, split_title
from wholeword.finetuning.statistics import Statistics, average, decimal_text, percentage, rounded, short_decimal_text

MISSING = "-"


@dataclass
class Table:
    """Cells as text; the first column names the rows."""

    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


def all_tables(results: Results, *, relative_to: str | None = None, std: bool = False, seeds: bool = False) -> dict[str, list[Table]]:
    """All tables by part: one for each task, the learning rates, a summary of all tasks, and performance relative to one model."""
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
    """The split that every task has results for: test, or else dev."""
    return next((split for split in ("test", "dev") if results.tasks and all(split in task.splits for task in results.tasks)), None)


def task_table(results: Results, task: TaskColumn, *, std: bool = False, seeds: bool = False) -> Table:
    """`max (average)` on each split, with standard deviations and numbers of runs on request."""
    splits = ordered_splits(task.splits)
    rows = []
    for model in results.models:
        row = [model]
        for split in splits:
            by_metric = [results.statistics.get(ResultKey(model, task.name, split, metric)) for metric in task.metrics]
            row.append(_cell(by_metric, std=std) if any(by_metric) else "failed" if results.failed.get((model, task.name)) else MISSING)
        if seeds:
            stats = next((stats for key, stats in results.statistics.items() if (key.model, key.task) == (model, task.name)), None)
            row.append(_runs(stats, results.failed.get((model, task.name), 0)))
        rows.append(row)
    notes = [f"Evaluation Metrics: {' / '.join(metric_titles(task))}"]
    notes += [f"{failure.model}, {failure.reason}" for failure in results.failures if failure.task == task.name]
    return Table(task.name, ["Model", *map(split_title, splits), *(["Runs"] if seeds else [])], rows, notes)


def metric_titles(task: TaskColumn) -> list[str]:
    """The task's metrics as tables spell them."""
    return [metric.capitalize() if metric == "accuracy" else metric for metric in task.metrics]


def _cell(by_metric: list[Statistics | None], *, std: bool) -> str:
    parts = []
    for stats in by_metric:
        if stats is None:
            parts.append(MISSING)
            continue
        deviation = f" ± {stats.std:.1f}" if std and stats.std is not None else ""
        mean = f" ({decimal_text(stats.mean)}{deviation})" if stats.mean is not None else ""
        parts.append(f"{decimal_text(stats.best)}{mean}")
    failed = next((stats.failed for stats in by_metric if stats), 0)
    return " / ".join(parts) + (f", {failed} failed" if failed else "")


def _runs(stats: Statistics | None, failed: int) -> str:
    count = stats.count if stats else 0
    return MISSING if count is None else f"{count} of {count + failed}" if failed else str(count)


def rates_table(results: Results) -> Table:
    """The best learning rates: a row for each task, a column for each model."""
    rates = results.learning_rates
    models = [model for model in results.models if any(name == model for name, _ in rates)]
    rows = [
        [task.name, *(rate_text(rates[model, task.name]) if (model, task.name) in rates else MISSING for model in models)]
        for task in results.tasks
    ]
    return Table("Best Learning Rate", ["Model", *models], rows)


def summary_table(results: Results, *, split: str, relative_to: str | None = None) -> Table:
    """The best value of each task, their Average (EM and F1 count separately) and the number of parameters."""
    base = results.parameters[results.model(relative_to)] if relative_to else None
    rows = []
    for model in results.models:
        best = results.best(model, split)
        cells = [MISSING if values is None else " / ".join(map(decimal_text, values)) for values in best.values()]
        mean = _average(best)
        rows.append([model, *cells, MISSING if mean is None else decimal_text(mean, 3), parameters_text(results.parameters[model], base)])
    notes = [f"Best runs, {split_title(split)} set."]
    return Table("All tasks", ["Model", *(task.name for task in results.tasks), "Average", "Params"], rows, notes)


def _average(best: dict[str, list[Fraction] | None]) -> Fraction | None:
    numbers = [number for values in best.values() if values for number in values]
    return average(numbers) if numbers and None not in best.values() else None


def relative_table(results: Results, relative_to: str, *, split: str) -> Table:
    """Each value as a percentage of one model's; AVG-C is the mean of the rounded percentages of the classification tasks.

    Raises: UserError if a value of that model is missing.
    """
    base_name = results.model(relative_to)
    base = results.best(base_name, split)
    base_mean = _average(base)
    if base_mean is None:
        raise UserError(f"{base_name}: not every task has a result for it, so nothing can be relative to it; finish its runs first")
    classification = [task.name for task in results.tasks if task.is_classification]
    rows = []
    for model in results.models:
        best, cells, classified = results.best(model, split), [], []
        is_base = model == base_name
        for name, values in best.items():
            percentages = [percentage(value, base_value) for value, base_value in zip(values or [], base[name] or [], strict=False)]
            cells.append(" / ".join(_percent_text(value, is_base) for value in percentages) or MISSING)
            classified += [rounded(value) for value in percentages] if name in classification else []
        mean = _average(best)
        cells.append(MISSING if mean is None else _percent_text(percentage(mean, base_mean), is_base))
        if classification:
            complete = len(classified) == len(classification)
            cells.append(("100%" if is_base else f"{short_decimal_text(average(classified))}%") if complete else MISSING)
        rows.append([model, *cells])
    notes = [f"AVG-C: average score of classification tasks: {', '.join(classification)}"] if classification else []
    head = ["Model", *(task.name for task in results.tasks), "Average", *(["AVG-C"] if classification else [])]
    return Table("Relative performance", head, rows, notes)


def _percent_text(value: Fraction, is_base: bool) -> str:
    """`102.2%`; `100%` for the model that the others are relative to."""
    return "100%" if is_base else f"{decimal_text(value)}%"


def parameters_text(count: int | None, base: int | None = None) -> str:
    """`38M (37.3%)`: millions rounded down, as published, and their percentage of the base's millions, where it is below 100."""
    if count is None:
        return MISSING
    millions = count // 10**6
    if millions == 0:
        return f"{count / 10**6:.2f}M"
    base_millions = base // 10**6 if base else 0
    if base_millions <= millions:
        return f"{millions}M"
    return f"{millions}M ({decimal_text(percentage(Fraction(millions), Fraction(base_millions)))}%)"
