"""Results as one SVG: a panel for each task and metric, a line for each model from its average to its maximum.

It has no script and loads no font; it has a light and a dark style.
"""

import math
import unicodedata
from collections.abc import Callable
from html import escape

from wholeword.finetuning.bench.results import ResultKey, Results, TaskColumn
from wholeword.finetuning.bench.splits import SPLITS
from wholeword.finetuning.bench.tables import metric_titles, summary_split
from wholeword.finetuning.statistics import Statistics, decimal_text

WIDTH, NAME, VALUES, ROW, HEAD, FOOT, GAP = 760, 210, 120, 24, 30, 26, 14
METRICS = {"Accuracy": "准确率"}
LONGEST = 28  # of a name, in half-width characters

STYLE = """
svg{color-scheme:light dark;--paper:#fbfaf6;--ink:#201f1c;--soft:#69665e;--rule:#ded9cd;--bar:#38607d;--pale:#b5c8d5;--bad:#ae3127;
background:var(--paper);font:13px system-ui,-apple-system,"Segoe UI","PingFang SC","Noto Sans CJK SC","Microsoft YaHei",sans-serif}
@media (prefers-color-scheme:dark){svg{--paper:#161614;--ink:#e8e5dd;--soft:#a09c91;--rule:#37352f;
--bar:#85b3d1;--pale:#41596a;--bad:#ee7a6c}}
rect{fill:var(--paper)}text{fill:var(--ink)}.soft{fill:var(--soft);font-size:12px}.title{font-weight:600}.bad{fill:var(--bad)}
.end{text-anchor:end;font-variant-numeric:tabular-nums}.mid{text-anchor:middle}.rule{stroke:var(--rule)}
.span{stroke:var(--pale);stroke-width:6;stroke-linecap:round}.best{fill:var(--bar)}.mean{fill:var(--paper);stroke:var(--bar);stroke-width:2}
""".strip()


def picture(results: Results) -> str:
    """Draw the results on the test set, or on dev for tasks without one."""
    common, y = summary_split(results), float(HEAD + GAP)
    parts = []
    for task in results.tasks:
        split = common or next((split for split in ("test", "dev") if split in task.splits), None)
        if split is None:
            continue
        for metric, name in zip(task.metrics, metric_titles(task), strict=True):
            drawn, height = _panel(results, task, split, metric, name, y)
            parts.append(drawn)
            y += height + GAP
    legend = (
        f'<circle class="best" cx="14" cy="{HEAD / 2 + 2:g}" r="5"/><text x="26" y="{HEAD / 2 + 6:g}">maximum 最高</text>'
        f'<circle class="mean" cx="134" cy="{HEAD / 2 + 2:g}" r="4"/><text x="146" y="{HEAD / 2 + 6:g}">average 平均</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:g}" width="{WIDTH}" height="{y:g}" role="img">\n'
        f"<title>maximum and average of each model 各模型的最高与平均结果</title>\n<style>{STYLE}</style>\n"
        f'<rect width="{WIDTH}" height="{y:g}"/>\n{legend}\n' + "".join(parts) + "</svg>\n"
    )


def _panel(results: Results, task: TaskColumn, split: str, metric: str, name: str, top: float) -> tuple[str, float]:
    """The panel of one task and metric, with its upper edge at `top`, and its height."""
    rows = [(model, results.statistics.get(ResultKey(model, task.name, split, metric))) for model in results.models]
    values = [float(value) for _, stats in rows if stats for value in (stats.best, stats.mean) if value is not None]
    low, high, step = _axis(values)
    left, right = float(NAME), float(WIDTH - VALUES)

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    english, chinese = (SPLITS[split].english.lower(), SPLITS[split].chinese) if split in SPLITS else (split, "")
    bottom = top + HEAD + ROW * len(rows)
    lines = [
        f'<text class="title" x="8" y="{top + 15:g}">{escape(task.name)}</text>',
        f'<text class="soft" x="{left:g}" y="{top + 15:g}">{escape(" ".join(filter(None, [name, METRICS.get(name)])))}, % '
        f"· {escape(' '.join(filter(None, [english, chinese])))}</text>",
    ]
    tick = low
    while tick <= high + step / 2:
        lines.append(f'<line class="rule" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top + HEAD - 6:g}" y2="{bottom:g}"/>')
        lines.append(f'<text class="soft mid" x="{x(tick):.1f}" y="{bottom + 15:g}">{tick:g}</text>')
        tick = round(tick + step, 6)
    for number, (model, stats) in enumerate(rows):
        y = top + HEAD + ROW * number + ROW / 2
        lines.append(f'<text x="8" y="{y + 4:g}">{escape(_short(model))}<title>{escape(model)}</title></text>')
        lines.append(_row(stats, y, x, failed=bool(results.failed.get((model, task.name)))))
    return "\n".join(lines) + "\n", HEAD + ROW * len(rows) + FOOT


def _row(stats: Statistics | None, y: float, x: Callable[[float], float], *, failed: bool) -> str:
    if stats is None:
        return f'<text class="{"bad" if failed else "soft"} end" x="{WIDTH - 8}" y="{y + 4:g}">{"failed 失败" if failed else "–"}</text>'
    best = x(float(stats.best))
    marks, label = f'<circle class="best" cx="{best:.1f}" cy="{y:g}" r="5"/>', decimal_text(stats.best)
    if stats.mean is not None:
        mean = x(float(stats.mean))
        span = f'<line class="span" x1="{mean:.1f}" x2="{best:.1f}" y1="{y:g}" y2="{y:g}"/>'
        marks = f'{span}{marks}<circle class="mean" cx="{mean:.1f}" cy="{y:g}" r="4"/>'
        label += f" ({decimal_text(stats.mean)})"
    return f'{marks}<text class="end" x="{WIDTH - 8}" y="{y + 4:g}">{label}</text>'


def _axis(values: list[float]) -> tuple[float, float, float]:
    """The lowest and highest tick and their distance, so that about five ticks span all values."""
    if not values:
        return 0.0, 100.0, 25.0
    spread = max(max(values) - min(values), 0.4)
    step = next(size for size in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 25.0) if spread / size <= 5 or size == 25.0)
    low = max(0.0, math.floor(min(values) / step - 0.2) * step)
    high = min(100.0, math.ceil(max(values) / step + 0.2) * step)
    return round(low, 6), round(max(high, low + step), 6), step


def _short(name: str) -> str:
    """A name that fits its column."""
    widths = [2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in name]
    if sum(widths) <= LONGEST:
        return name
    kept = 0
    while sum(widths[: kept + 1]) < LONGEST:
        kept += 1
    return name[:kept] + "…"
