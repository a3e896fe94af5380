"""The optional parts of a backend, its hosts and rows: called and checked here, so that errors name the backend."""

from collections.abc import Generator, Mapping
from typing import Any

from wholeword.core.contracts import Array, Backend, DistributedBackend, RowsBackend, RowSource
from wholeword.core.registry.returned import calling, contract_error
from wholeword.core.training.hosts import Hosts


class CheckedRows:
    """A backend's `RowSource`. Raises: PluginError where it fails, naming the backend."""

    def __init__(self, rows: RowSource, backend: str):
        self._rows, self._backend = rows, backend
        self.has_next_sentence = rows.has_next_sentence

    def batch(self, step: int) -> Mapping[str, Array]:
        """As the contract says."""
        with calling("backend", self._backend):
            return self._rows.batch(step)

    def batches(self, first_step: int, end_step: int, *, workers: int = 1) -> Generator[Mapping[str, Array], None, None]:
        """As the contract says."""
        with calling("backend", self._backend):
            yield from self._rows.batches(first_step, end_step, workers=workers)


def hosts_of(backend: Backend, name: str) -> Hosts:
    """The hosts of a run: those of its backend, or this machine alone. Raises: PluginError if the backend returns anything else."""
    if not isinstance(backend, DistributedBackend):
        return Hosts()
    with calling("backend", name):
        hosts = backend.hosts()
    if not isinstance(hosts, Hosts):
        raise contract_error("backend", name, f"hosts returned {type(hosts).__name__}; expected wholeword.core.training.hosts.Hosts")
    return hosts


def rows_of(backend: Backend, name: str, arguments: Mapping[str, Any]) -> RowSource | None:
    """The rows of a phase that a backend has ready, if any. Raises: PluginError if it returns anything else."""
    if not isinstance(backend, RowsBackend):
        return None
    with calling("backend", name):
        rows: Any = backend.rows(**arguments)
        if rows is None:
            return None
        missing = [part for part in ("has_next_sentence", "batch", "batches") if not hasattr(rows, part)]
    if missing:
        raise contract_error("backend", name, f"rows returned {type(rows).__name__} without {', '.join(missing)}; expected a RowSource")
    return CheckedRows(rows, name)
