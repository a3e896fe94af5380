"""The trackers of a run. One that fails is reported once and then left out; it never stops a run."""

import math
from collections.abc import Callable, Mapping, Sequence

from wholeword.core.console import Observer
from wholeword.core.contracts import TrackedRun, Tracker
from wholeword.core.errors import PluginError
from wholeword.core.registry.registry import registry
from wholeword.core.registry.spec import PluginSpec


class Trackers:
    """The trackers of a run, started together.

    Args:
        specs: from the recipe.
        report: where a failing tracker is reported.
    Raises: PluginError if the library of one is missing, before anything is trained.
    """

    def __init__(self, specs: Sequence[PluginSpec], run: TrackedRun, *, report: Observer):
        self._report = report
        self._trackers: dict[str, Tracker] = {}
        for spec in specs:
            try:
                self._trackers[spec.name] = registry.create("tracker", spec.name, **spec.settings)
            except PluginError as error:
                if isinstance(error.__cause__, ModuleNotFoundError):
                    raise
                self._report.warn(f"{error}; training continues without this tracker")
                continue
            with registry.explaining("tracker", spec.name):
                self._call(spec.name, lambda tracker: tracker.start(run), fatal=ModuleNotFoundError)

    def log(self, metrics: Mapping[str, object], *, step: int, prefix: str) -> None:
        """Send the finite floats among some metrics, as `prefix/name`."""
        numbers = {f"{prefix}/{name}": value for name, value in metrics.items() if isinstance(value, float) and math.isfinite(value)}
        self._each(lambda tracker: tracker.log(numbers, step=step))

    def finish(self) -> None:
        """Close all."""
        self._each(lambda tracker: tracker.finish())

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name in list(self._trackers):
            self._call(name, call)

    def _call(self, name: str, call: Callable[[Tracker], None], *, fatal: type[Exception] | tuple[()] = ()) -> None:
        try:
            call(self._trackers[name])
        except fatal:
            raise
        except (Exception, SystemExit) as error:  # of a third party's library, often over a network: the run matters more
            del self._trackers[name]
            entry, message = registry.find("tracker", name), " ".join(str(error).split())
            self._report.warn(
                f"tracker {name!r} of {entry.distribution} {entry.version} failed and is switched off; training continues "
                f"({type(error).__name__}: {message})"
            )
