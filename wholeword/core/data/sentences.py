"""Chinese text into sentences.

A sentence ends after 。！？｡ and …… (also ⋯⋯, and in any mixture: ？！ 。。。), after ! and ? unless a letter or digit follows, and after a
full stop that is followed by a blank and a capital or Chinese character, unless it belongs to an initial, an abbreviation or the number of
an item. Closing quotes and brackets stay with the sentence before them; a straight " closes if it is the second of a pair. No sentence
ends before a comma or the like （“你去吗？”，他问。） or inside a title 《你好，李焕英！》. ；and ： do not end sentences.

The sentences are parts of the line, in order, and only white space is left out. Long run-on sentences are left whole.
"""

import re

CLOSING = "”’」』）》】〕〉］｝»)\\]}"
MARK = re.compile(rf"。|！|？|｡|!|\?|…|⋯|《|\"|\.(?=[{CLOSING}\"]{{0,8}}\s)")  # where END may match; fast, as each begins with a literal
TERMINAL = rf"(?:[。！？｡!?]|[…⋯]{{2,}}|\.(?=[.{CLOSING}\"]{{0,8}}\s))"
END = re.compile(
    rf"(?P<ending>(?:{TERMINAL}[{CLOSING}]*+)++)(?P<straight>\"?+)[{CLOSING}]*+(?P<inside>(?=[，、；：,;:…⋯])|(?<=[!?])(?=[0-9A-Za-z=&/_]))?"
    r"|《[^《》]{1,64}》"  # a title, stepped over
    r"|\""
)
ABBREVIATIONS = "Mr|Mrs|Ms|Dr|Prof|St|No|Nos|vs|etc|al|Fig|Vol|Inc|Ltd|Co|Corp|Jr|Sr"
ABBREVIATION = re.compile(rf"(?:^|[^A-Za-z])(?:[A-Za-z](?:\.[A-Za-z])*|{ABBREVIATIONS})\.$")
ITEM = re.compile(r"\s*[(（]?[0-9]+\.")
NEXT = re.compile(r"\s+[“‘「『（《【(\"']*[A-Z\u3400-\u9fff\U00020000-\U0003ffff]")


def split_sentences(line: str) -> list[str]:
    """The sentences of one line, without the blanks around them; none for a line of blanks.

    >>> split_sentences("他问：“去吗？” 我说：“不去。”后来下雨了……")
    ['他问：“去吗？”', '我说：“不去。”', '后来下雨了……']
    """
    sentences = []
    start = position = 0
    quotes = 0  # straight ones so far in the line
    while mark := MARK.search(line, position):
        match = END.match(line, mark.start())
        position = end = match.end() if match else mark.end()
        if match is None or not match["ending"]:
            quotes += mark[0] == '"'
            continue
        if match["straight"]:
            if quotes % 2 == 0:  # it opens the next sentence
                end = match.start("straight")
            quotes += 1
        if match["inside"] is None and (match["ending"][0] != "." or _full_stop_ends(line, start, mark.start(), end)):
            sentences.append(line[start:end].strip())
            start = end
    sentences.append(line[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _full_stop_ends(line: str, start: int, stop: int, end: int) -> bool:
    """Whether the full stop at `stop`, in a sentence that began at `start`, ends it."""
    head = line[max(start, stop - 12) : stop + 1]
    return bool(NEXT.match(line, end)) and not ABBREVIATION.search(head) and not ITEM.fullmatch(line, start, stop + 1)
