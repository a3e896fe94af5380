"""Cleaners change the lines of a corpus before it is split into sentences (`corpus.cleaning`); by default there are none."""

from collections.abc import Iterable, Sequence

from wholeword.core.contracts import Cleaner
from wholeword.core.errors import PluginError
from wholeword.core.registry.registry import registry
from wholeword.core.registry.returned import title_of
from wholeword.core.registry.spec import PluginSpec

NamedCleaner = tuple[str, Cleaner]


def make_cleaners(cleaning: Iterable[PluginSpec]) -> list[NamedCleaner]:
    """The cleaners of a corpus, in order."""
    return [(name, registry.create("cleaner", name, **settings)) for name, settings in cleaning]


def clean(lines: Sequence[str], cleaners: Iterable[NamedCleaner], where: str) -> Sequence[str]:
    """The lines of one document after each cleaner in turn; what a cleaner returns is checked.

    Args:
        where: where the document begins, for messages.
    Raises: PluginError that names the cleaner and the line, and says what came back.
    """
    for name, cleaner in cleaners:
        try:
            lines = _ask(cleaner, lines)
        except PluginError as error:
            line = next((line for line in lines if not _keeps_its_contract(cleaner, line)), "".join(lines[:1]))
            raise PluginError(f"{title_of('cleaner', name)} {error} (for the line {line[:40]!r} of the document at {where})") from error
    return lines


def _ask(cleaner: Cleaner, lines: Sequence[str]) -> list[str]:
    try:
        returned = cleaner.clean(lines)
        cleaned = [] if isinstance(returned, str) else list(returned)
    except Exception as error:
        raise PluginError(f"failed with {type(error).__name__}: {' '.join(str(error).split())}") from error
    if isinstance(returned, str):
        raise PluginError("gave a single string; expected a sequence of lines")
    if len(cleaned) != len(lines):
        raise PluginError(f"gave {len(cleaned)} lines for {len(lines)}; expected one each")
    for line in cleaned:
        if not isinstance(line, str) or "\n" in line:
            raise PluginError(f"gave {repr(line)[:80]}; expected text without a line feed")
    return cleaned


def _keeps_its_contract(cleaner: Cleaner, line: str) -> bool:
    try:
        return bool(_ask(cleaner, [line]))
    except PluginError:
        return False
