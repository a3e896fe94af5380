"""The look of the pages that `wholeword mask` and `wholeword report` write.

A page is one file: no script, no font, nothing from elsewhere; light or dark as the reader's system; readable on a telephone. Labels stand
in English and Chinese side by side. What callers put into these functions is HTML; text goes through `html.escape` first.
"""

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root{color-scheme:light dark;--paper:#fbfaf6;--wash:#f0ede4;--ink:#201f1c;--soft:#69665e;--rule:#ded9cd;--on:#fff;
--bar:#38607d;--pale:#b5c8d5;--mask:#ae3127;--kept:#2b6847;--random:#86580b;
--sans:system-ui,-apple-system,"Segoe UI","Helvetica Neue","PingFang SC","Hiragino Sans GB","Noto Sans CJK SC","Microsoft YaHei",sans-serif;
--serif:Georgia,"Songti SC","Noto Serif CJK SC","Source Han Serif SC",SimSun,serif;
--mono:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){:root{--paper:#161614;--wash:#23221f;--ink:#e8e5dd;--soft:#a09c91;--rule:#37352f;--on:#141412;
--bar:#85b3d1;--pale:#41596a;--mask:#ee7a6c;--kept:#7fc79d;--random:#e0b25f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font-family:var(--sans);line-height:1.6;-webkit-text-size-adjust:100%}
main{max-width:62rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1,h2{font-family:var(--serif);font-weight:600;line-height:1.25;margin:0}
h1{font-size:2.1rem}h2{font-size:1.4rem}h3{font-size:1rem;font-weight:600;margin:1.6rem 0 .5rem}
.zh{color:var(--soft)}h1 .zh,h2 .zh,h3 .zh{display:inline-block;font-weight:400;margin-left:.3em}
header{border-top:4px solid var(--ink);padding-top:1rem}header p{color:var(--soft);margin:.4rem 0 0;overflow-wrap:anywhere}
section{border-top:1px solid var(--rule);margin-top:2.75rem;padding-top:1.1rem}
p{margin:.6rem 0}code{font-family:var(--mono);font-size:.88em}
.note{display:grid;grid-template-columns:1fr 1fr;gap:0 2.5rem;color:var(--soft);font-size:.92rem;margin:.4rem 0 1.1rem}
.note p{margin:.2rem 0}
.advice{border-left:4px solid var(--mask);background:var(--wash);padding:.6rem 1rem;margin:1rem 0}.advice p{margin:.15rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:1px;background:var(--rule);border:1px solid var(--rule)}
header+.tiles{margin-top:1.6rem}h2+.tiles,h2+.scroll{margin-top:.7rem}
section .tiles{display:flex;flex-wrap:wrap;gap:.2rem 3rem;border:0;background:none}
section .tiles div{padding:.3rem 0}
.tiles div{background:var(--paper);padding:.8rem .9rem .7rem}.tiles span{color:var(--soft);font-size:.85rem}
.tiles strong{display:block;font-size:1.45rem;font-weight:600;line-height:1.3;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.95rem;font-variant-numeric:tabular-nums;margin:.4rem 0}
th,td{padding:.38rem 1.2rem .38rem 0;text-align:left;vertical-align:baseline;border-bottom:1px solid var(--rule);font-weight:400}
th:last-child,td:last-child{padding-right:0}thead th{color:var(--soft);font-size:.85rem;vertical-align:bottom}
.n{text-align:right;white-space:nowrap}td{overflow-wrap:break-word}thead .n{white-space:normal}
.bars{display:grid;grid-template-columns:max-content 1fr max-content;gap:.15rem .8rem;align-items:center;margin:.4rem 0;font-size:.95rem}
.bars dt{grid-column:1}.bars dd{display:contents;font-variant-numeric:tabular-nums}.bars dd+dd>.track{grid-column:2}
.bars dd+dt,.bars dd+dt+dd>*{margin-top:.4rem}
.track{position:relative;height:.7rem;background:var(--wash)}.track b{position:absolute;inset:0 auto 0 0;background:var(--bar)}
.second>.track b{background:var(--pale)}.second{color:var(--soft)}
.track u{position:absolute;top:-.2rem;bottom:-.2rem;border-left:2px solid var(--mask)}
i.key{display:inline-block;width:.8em;height:.8em;margin-right:.45em;background:var(--bar)}i.pale{background:var(--pale)}
i.line{width:0;height:1em;border-left:2px solid var(--mask);background:none;vertical-align:-.1em}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,16.5rem),1fr));gap:0 2.4rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.6rem;font-size:.88rem;color:var(--soft)}
.legend b,ruby b{display:inline-block;font-weight:400;line-height:1.25;border-radius:2px;padding:.06em .28em;color:var(--on)}
b.mask,.mask b,i.mask{background:var(--mask)}b.kept,.kept b,i.kept{background:var(--kept)}
b.random,.random b,i.random{background:var(--random)}
.mask b,.legend .mask{font:.68em/1.84 var(--mono);padding:.06em .3em}
.row{font-size:1.12rem;line-height:2.5}.row i{font-style:normal;opacity:.45}
.w{border-bottom:2px solid var(--rule);padding-bottom:.16em;margin-right:.42em}ruby{margin:0 .06em}rt{font-size:.62em;color:var(--soft)}
.rows{margin:0;padding:0;list-style:none}.rows dt{color:var(--soft);font-size:.82rem;margin:.3rem 0 .2rem}.rows dd{margin:0}
.rows li,article{padding:.25rem 0;border-bottom:1px solid var(--rule)}article{padding:.5rem 0}
@media (max-width:40rem){main{padding:1.4rem .9rem 3rem}h1{font-size:1.55rem}h1 .zh{margin-left:0}
.note{grid-template-columns:1fr}.note p+p{margin-top:.4rem}
.tiles{grid-template-columns:1fr 1fr}
.tiles div:last-child:nth-child(odd){grid-column:span 2}.tiles strong{font-size:1.2rem}.row{font-size:1.05rem}th,td{padding-right:.8rem}}
"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main>
<header><h1>{title} <span class="zh" lang="zh">{chinese}</span></h1>{under}</header>
{body}
</main></body></html>
"""


def page(title: str, chinese: str, under: Iterable[str], body: str) -> str:
    """A whole page; `under` its title stand lines."""
    lines = "".join(f"<p>{line}</p>" for line in under)
    return PAGE.format(title=title, chinese=chinese, under=lines, body=body, style=STYLE.strip())


def both(english: str, chinese: str) -> str:
    """A label in both languages."""
    return f'{english} <span class="zh" lang="zh">{chinese}</span>'


def section(english: str, chinese: str, *parts: str) -> str:
    return f"<section><h2>{both(english, chinese)}</h2>\n{''.join(parts)}</section>\n"


def note(english: str, chinese: str, kind: str = "note") -> str:
    """An explanation in both languages, side by side where there is room; of the kind `advice` it stands out."""
    return f'<div class="{kind}"><p>{english}</p><p lang="zh">{chinese}</p></div>\n'


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    """Large figures, each with its label."""
    cells = "".join(f"<div><strong>{figure}</strong><span>{label}</span></div>" for figure, label in figures)
    return f'<div class="tiles">{cells}</div>\n'


def columns(blocks: Iterable[tuple[str, str]]) -> str:
    """Blocks beside each other where there is room, each under its title."""
    cells = "".join(f"<div>{f'<h3>{title}</h3>' if title else ''}{block}</div>" for title, block in blocks)
    return f'<div class="columns">{cells}</div>\n'


def key(kind: str) -> str:
    """A small square in a colour: `bar`, `pale`, `mask`, `kept`, `random`; or a `line`."""
    return f'<i class="key {kind}"></i>'


def legend(*entries: tuple[str, str]) -> str:
    """What the colours mean: (kind of `key` or HTML, label)."""
    keys = (mark if mark.startswith("<") else key(mark) for mark, _ in entries)
    cells = "".join(f"<span>{mark}{label}</span>" for mark, (_, label) in zip(keys, entries, strict=True))
    return f'<p class="legend">{cells}</p>\n'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kinds: str) -> str:
    """A table; of `kinds` a letter a column: `n` for figures, `t` for text."""
    titles = "".join(f'<th class="{kind}" scope="col">{cell}</th>' for kind, cell in zip(kinds, head, strict=True))
    lines = ("".join(f'<td class="{kind}">{cell}</td>' for kind, cell in zip(kinds, row, strict=True)) for row in rows)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>\n'


def bars(rows: Iterable[tuple[str, Sequence[float]]], *, top: float = 1.0, line: float | None = None) -> str:
    """Labels with one bar or two each, of shares; the bars end at `top`.

    Args:
        line: a share to mark in every track.
    """
    mark = "" if line is None else f'<u style="left:{100 * line / top:.2f}%"></u>'
    parts = []
    for label, values in rows:
        parts.append(f"<dt>{label}</dt>")
        for number, value in enumerate(values):
            track = f'<span class="track"><b style="width:{100 * value / top:.2f}%"></b>{mark}</span>'
            parts.append(f'<dd class="{"second" if number else "first"}">{track}<span class="n">{percent(value)}</span></dd>')
    return f'<dl class="bars">{"".join(parts)}</dl>\n'


def percent(share: float | None) -> str:
    """60.5 %; with two decimals below 20 %."""
    if share is None:
        return "–"
    if not share:
        return "0 %"
    if 0 < share < 5e-5:
        return "<0.01 %"
    return f"{100 * share:.{2 if share < 0.2 else 1}f} %"


def text(words: str) -> str:
    """Text of a corpus."""
    return f'<span lang="zh">{escape(words)}</span>'
