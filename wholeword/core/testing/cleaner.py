"""Checks of cleaners."""

from collections.abc import Iterable, Sequence

from wholeword.core.contracts import Cleaner
from wholeword.core.testing.samples import LINES


def check_cleaner(cleaner: Cleaner, lines: Sequence[str] = LINES, *, idempotent: bool = True) -> None:
    """Check the contract of `contracts.Cleaner`.

    Args:
        idempotent: also require that cleaning twice equals cleaning once; False for cleaners that undo one level, such as entities.
    Raises: AssertionError naming the line and the problem.
    """
    assert isinstance(cleaner, Cleaner), f"{type(cleaner).__name__} has no method clean(lines)"
    first = _cleaned(cleaner, lines)
    assert _cleaned(cleaner, lines) == first, "a second call returned different lines; a cleaner must be deterministic"
    alone = [_cleaned(cleaner, [line])[0] for line in lines]
    for line, result, single in zip(lines, first, alone, strict=True):
        assert result == single, f"{line!r}: {result!r} among others, {single!r} alone; a line's result must not depend on others"
    assert _cleaned(cleaner, []) == [], "no lines must become no lines"
    if idempotent:
        for line, once, twice in zip(lines, first, _cleaned(cleaner, first), strict=True):
            assert once == twice, f"{line!r}: {once!r} when cleaned once, {twice!r} when cleaned twice"


def _cleaned(cleaner: Cleaner, lines: Sequence[str]) -> list[str]:
    given = list(lines)
    result = cleaner.clean(given)
    assert given == list(lines), "clean() wrote into its argument"
    assert isinstance(result, Iterable) and not isinstance(result, str), f"clean() returned {type(result).__name__}; expected lines of text"
    cleaned = list(result)
    assert len(cleaned) == len(lines), f"clean() returned {len(cleaned)} lines for {len(lines)}; expected one for each"
    for line, after in zip(lines, cleaned, strict=True):
        assert isinstance(after, str), f"{line!r}: clean() returned {after!r}; expected a string"
        assert "\n" not in after, f"{line!r}: clean() returned {after!r}; expected no line feed"
    return cleaned
