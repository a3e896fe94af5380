"""Entity tags in the spellings that are in use, and what they mean.

Understood are O and B-, I-, M-, E- and S- with a kind (BIO, IOB1, BIOES, BMES); L- and U- (BILOU) for E- and S-; `B_PER`, `PER-B` and
`PER_B`; `b-per`; `0` or `o` for O; letters without a kind, as for words (BMES); and kinds alone, of which neighbours are one entity. What
could mean two things is refused.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from wholeword.core.errors import UserError

OUTSIDE = "O"
OUTSIDE_SPELLINGS = ("O", "o", "0")
LETTERS = "BIMESLU"
MAX_LENGTH = 200  # characters of a tag; the patterns below take the square of it
SAME_LETTERS = {"L": "E", "U": "S"}  # of BILOU, in BIOES
PREFIX, SUFFIX = re.compile(r"([BIMESLU])([-_])(.*\w.*)", re.I | re.S), re.compile(r"(.*\w.*)([-_])([BIMESLU])", re.I | re.S)
COMPOSED = re.compile(r"^[BIMESLU][^\w]|[^\w][BIMESLU]$|(?:\b|_)(begin|start|inside|middle|end|last|single|unit|whole)(?:\b|_)", re.I)
NO_ENTITY = frozenset(("none", "other", "others", "out", "outside", "null", "nil", "nan", "na"))
KIND = re.compile(r"""[^\s\x00-\x1f/|\\,;"'\[\]{}]+""")  # alone: what holds other characters is no tag, but a line of another form
EXPECTED = "O and tags such as B-PER and I-PER"


class Spelling(NamedTuple):
    """How the tags of a file are to be read."""

    tags: Mapping[str, str]  # tag -> the spelling to use
    scored: Mapping[str, str]  # tag -> O, a letter, or a letter, a hyphen and a kind: what entities are made from
    description: str


def spelling_of(tags: Iterable[str], where: Callable[[str], str] = lambda tag: "") -> Spelling:
    """Find out how tags are spelt.

    Args:
        tags: all that occur, in any order.
        where: what a message about a tag begins with.
    Raises: UserError naming the tag that is not understood.
    """
    every = list(dict.fromkeys(tags))
    outside = [tag for tag in every if tag in OUTSIDE_SPELLINGS]
    rest = [tag for tag in every if tag not in OUTSIDE_SPELLINGS]
    if len(outside) > 1:
        raise UserError(f"{where(outside[1])}tag {outside[1]!r} beside {outside[0]!r}; expected one spelling of O")
    for tag in rest:
        if len(tag) > MAX_LENGTH:
            raise UserError(f"{where(tag)}a tag of {len(tag):,} characters, {tag[:20]!r} ...; expected {EXPECTED}")
        if tag.strip("-_") != tag or not re.search(r"\w", tag) or tag.isdigit():
            raise UserError(f"{where(tag)}tag {tag!r}; expected {EXPECTED}")
    named, description = _named(rest, where) if rest else ({}, "no tag but O")
    scored = dict.fromkeys(outside, OUTSIDE) | named
    kinds: dict[str, str] = {}
    for tag in rest:
        kind = scored[tag][2:]
        if kinds.setdefault(kind.casefold(), kind) != kind:
            raise UserError(
                f"{where(tag)}tag {tag!r}: kinds {kinds[kind.casefold()]!r} and {kind!r} differ in case alone; write them alike"
            )
    bare = description.startswith("kinds")
    if bare and "o" in outside:
        raise UserError(f"{where('o')}tag 'o' beside kinds without B- or I-; write O for what is no entity")
    return Spelling({tag: tag if bare and tag in rest else scored[tag] for tag in every}, scored, description)


def is_tag(text: str) -> bool:
    """Whether a text is a tag of an entity, such as B-PER, whatever it is beside."""
    return len(text) <= MAX_LENGTH and (PREFIX.fullmatch(text) or SUFFIX.fullmatch(text)) is not None


def _named(tags: list[str], where: Callable[[str], str]) -> tuple[dict[str, str], str]:
    """Tags other than O -> their meaning, and a description."""
    for pattern, order, separator, form in (
        (PREFIX, (1, 3), "-", "B-PER"),
        (PREFIX, (1, 3), "_", "B_PER"),
        (SUFFIX, (3, 1), "-", "PER-B"),
        (SUFFIX, (3, 1), "_", "PER_B"),
    ):
        matches = [pattern.fullmatch(tag) for tag in tags]
        if all(match and match[2] == separator for match in matches):
            named = {tag: f"{_letter(match[order[0]])}-{match[order[1]]}" for tag, match in zip(tags, matches, strict=True) if match}
            changed = next((f"; {tag} is read as {name}" for tag, name in named.items() if tag != name), "")
            return named, f"tags of the form {form}{changed}"
    if set("".join(tags).upper()) <= set(LETTERS) and all(len(tag) == 1 for tag in tags):
        return {tag: _letter(tag) for tag in tags}, "letters without a kind"
    forms = [tag for tag in tags if PREFIX.fullmatch(tag) or SUFFIX.fullmatch(tag)]
    if forms:
        other = next((tag for tag in tags if tag not in forms), next((tag for tag in forms if _form(tag) != _form(forms[0])), forms[-1]))
        raise UserError(f"{where(other)}tag {other!r} beside {(forms[0] if other != forms[0] else forms[-1])!r}; expected {EXPECTED}")
    if {"B", "I"} <= set(tags):
        other = next(tag for tag in tags if tag not in LETTERS)
        raise UserError(f"{where(other)}tag {other!r} beside 'B' and 'I'; expected {EXPECTED}")
    unclear = next((tag for tag in tags if not KIND.fullmatch(tag)), None) or next(filter(_looks_composed(tags), tags), None)
    if unclear:
        raise UserError(f"{where(unclear)}tag {unclear!r}; expected {EXPECTED}, or kinds such as PER alone")
    return {tag: f"I-{tag}" for tag in tags}, "kinds without B- or I-: neighbouring units of one kind are one entity"


def _looks_composed(tags: list[str]) -> Callable[[str], bool]:
    """Whether a tag is more than a kind: a letter and a kind in a spelling that is not known, or a word for what is no entity."""
    every = set(tags)

    def is_composed(tag: str) -> bool:
        partner = {"B": "I", "S": "B", "E": "I", "L": "I", "U": "B"}
        twins = (f"{partner.get(tag[0].upper(), '')}{tag[1:]}", f"{tag[:-1]}{partner.get(tag[-1].upper(), '')}")
        has_twin = len(tag) > 1 and any(twin != tag and len(twin) == len(tag) and twin in every for twin in twins)
        return has_twin or COMPOSED.search(tag) is not None or tag.casefold() in NO_ENTITY

    return is_composed


def _letter(letter: str) -> str:
    return SAME_LETTERS.get(letter.upper(), letter.upper())


def _form(tag: str) -> tuple[bool, str]:
    prefix, suffix = PREFIX.fullmatch(tag), SUFFIX.fullmatch(tag)
    match = prefix or suffix
    assert match
    return prefix is not None, match[2]
