"""What is left of HTML in text: tags, comments, scripts, styles and entities.

Each line is cleaned by itself, so its result depends on no other line. A comment, script or style that does not end on its line
goes to the end of the line, and what follows of it on the next lines is text; a tag that does not end on its line is text, because < is
also "less than". Whole web pages want a program that extracts their text.

Follows the HTML standard (https://html.spec.whatwg.org/#parsing), but is careful with text: names of tags are ASCII (x<y且y>z has none,
nor has <http://a.cn>), and a `<` within a tag means that it was none.
"""

import html
import re
from collections.abc import Sequence

ATTRIBUTES = r"(?=[\s/>])(?:=\s*(?:\"[^\"<]*\"|'[^'<]*')|[^<>])*+>"
MARKUP = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))"
    rf"|<(?P<raw>script|style){ATTRIBUTES}.*?(?:</(?P=raw){ATTRIBUTES}|\Z)"
    rf"|</?(?P<name>[a-z][a-z0-9_-]*+(?::[a-z0-9_-]+)?+){ATTRIBUTES}"
    r"|<[!?][^<>]*>",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
# tags that begin a new line on a page; for others nothing is left: 使<b>用</b>语言 is 使用语言
BREAKS = frozenset(
    "address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 head header hr html legend li main menu nav ol optgroup option p pre section summary table tbody td tfoot th thead "
    "title tr ul".split()
)


class Html:
    """Drops tags, comments, scripts and styles, and resolves entities. Of a tag that begins a new line on a page a blank is left.

    Entities are resolved once: &amp;lt; is the text &lt;.
    """

    version = "1"

    def clean(self, lines: Sequence[str]) -> list[str]:
        return [_clean(line) for line in lines]


def _clean(line: str) -> str:
    if "<" not in line:
        return _text(line)
    parts: list[str] = []
    position = 0
    for match in MARKUP.finditer(line):
        parts += _text(line[position : match.start()]), " " if (match["name"] or "").lower() in BREAKS else ""
        position = match.end()
    return "".join([*parts, _text(line[position:])])


def _text(source: str) -> str:
    return html.unescape(source).replace("\n", " ") if "&" in source else source
