"""What a plugin of any kind may say about what it needs, so that a run that lacks it is refused before its corpus is prepared."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class NeedsLibraries(Protocol):
    """A plugin's class that names the libraries it imports when it is used, by their import names: `libraries = ("torch",)`."""

    libraries: tuple[str, ...]


@runtime_checkable
class NeedsMachine(Protocol):
    """A plugin's object that can tell, in little time, whether this machine has what its settings ask for."""

    def expect_machine(self) -> None:
        """Raises: UserError for a device that is not there."""
        ...
