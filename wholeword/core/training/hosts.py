"""Several machines that train one model, one process each: who they are, and that all are there and mean the same.

Every host runs the same command. The chief, number 0, prepares, writes and evaluates; the others read what it wrote, so the folders of the
run and of the token store are on a disk that all see. Each takes its rows of every batch. Gradients are the framework's business; what is
here needs a line of text now and then, on one TCP connection from every other host to the chief's address.
"""

import json
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from wholeword.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from wholeword.core.contracts import RowSource

MOST_BYTES = 1 << 16  # of a line
RETRY_SECONDS = 0.2
GREETING_SECONDS = 5.0


class Hosts:
    """The hosts of a run, and which of them this is; by default this machine alone.

    Args:
        addresses: `host:port` of each, the chief first.
        wait_seconds: how long the chief, when it has prepared, waits for the others to call, and they for the chief to be there.
    Raises: UserError if that cannot be.
    """

    def __init__(self, addresses: tuple[str, ...] = ("",), number: int = 0, *, wait_seconds: float = 600.0):
        self.addresses, self.number, self.wait_seconds = addresses, number, wait_seconds
        self._lines: dict[int, Line] = {}  # of the chief to the others, or of another one to the chief
        self._door: socket.socket | None = None  # where the chief is called
        if not 0 <= number < self.count:
            raise UserError(f"host {number}: expected a number from 0 to {self.count - 1}, for {', '.join(addresses)}")
        if self.count > 1:
            for address in addresses:
                _place(address)

    @property
    def count(self) -> int:
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        return self.number == 0

    def part(self, batch: Mapping[str, "np.ndarray"]) -> Mapping[str, "np.ndarray"]:
        """This host's rows of a batch: every `count`-th."""
        return batch if self.count == 1 else {name: values[self.number :: self.count] for name, values in batch.items()}

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Within, the hosts can talk. Who leaves it hangs up, and the others hear of it when they next ask."""
        try:
            if self.count > 1 and self.is_chief:
                self._door = _open_door(self.addresses[0])
            elif self.count > 1:
                self._lines[0] = self._call_chief()
            yield
        finally:
            self._close_door()
            for line in self._lines.values():
                line.close()
            self._lines = {}

    def ask(self, say: str) -> list[str]:
        """What every host says, by number, when all have said something.

        Raises: UserError naming who did not come in time, or has left.
        """
        if self.count == 1:
            return [say]
        if not self.is_chief:
            self._tell(0, say)
            return self._hear(0)
        self._wait_for_all()
        said = [say, *(self._hear(number) for number in range(1, self.count))]
        for number in range(1, self.count):
            self._tell(number, said)
        return said

    def any(self, flag: bool) -> bool:
        """Whether it is so on any host."""
        return "yes" in self.ask("yes" if flag else "no")

    def agree(self, what: str, say: str) -> None:
        """Raises: UserError if a host has another one than the chief."""
        said = self.ask(say)
        for number, other in enumerate(said):
            if other != said[0]:
                raise UserError(f"{self._name(number)} has {what} {other}, but {self._name(0)} has {said[0]}; all need the same")

    # --- lines

    def _wait_for_all(self) -> None:
        deadline = time.monotonic() + self.wait_seconds
        while self._door is not None and len(self._lines) < self.count - 1:
            try:
                line = Line(self._door.accept()[0])
            except TimeoutError:
                if time.monotonic() > deadline:
                    missing = [self._name(number) for number in range(1, self.count) if number not in self._lines]
                    raise UserError(
                        f"{', '.join(missing)}: not heard of in {self.wait_seconds:g} s; start the same command there, with its number"
                    ) from None
                continue
            self._greet(line)
        self._close_door()  # the port is the framework's from now on

    def _greet(self, line: "Line") -> None:
        """Take a call. Whoever does not say which host it is is none of ours."""
        line.socket.settimeout(GREETING_SECONDS)
        try:
            number, count = line.hear()
        except (OSError, ValueError, TypeError):
            line.close()
            return
        line.socket.settimeout(None)
        if count != self.count or number in self._lines or number not in range(1, self.count):
            line.close()
            raise UserError(f"host {number} of {count} called {self._name(0)}; expected each number from 1 to {self.count - 1} once")
        self._lines[number] = line

    def _call_chief(self) -> "Line":
        deadline = time.monotonic() + self.wait_seconds
        while True:
            try:
                line = Line(socket.create_connection(_place(self.addresses[0]), timeout=RETRY_SECONDS * 10))
                line.socket.settimeout(None)  # the chief may prepare for hours
                line.tell([self.number, self.count])
                return line
            except OSError as error:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"{self._name(0)}: does not answer ({error}) since {self.wait_seconds:g} s; start the same command there "
                        "with number 0, and see that its port can be reached from here"
                    ) from None
                time.sleep(RETRY_SECONDS)

    def _tell(self, number: int, what: Any) -> None:
        try:
            self._lines[number].tell(what)
        except OSError:
            raise self._left(number) from None

    def _hear(self, number: int) -> Any:
        try:
            return self._lines[number].hear()
        except (OSError, ValueError):
            raise self._left(number) from None

    def _left(self, number: int) -> UserError:
        return UserError(
            f"{self._name(number)} has left; see what it says there. The same command on every host goes on from the last checkpoint"
        )

    def _name(self, number: int) -> str:
        return f"host {number} ({self.addresses[number]})"

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None


class HostRows:
    """A source of whole batches, of which each host takes its rows."""

    def __init__(self, source: "RowSource", hosts: Hosts):
        self.source, self.hosts, self.has_next_sentence = source, hosts, source.has_next_sentence

    def batch(self, step: int) -> Mapping[str, "np.ndarray"]:
        return self.source.batch(step)

    def batches(self, first_step: int, end_step: int, *, workers: int = 1) -> Generator[Mapping[str, "np.ndarray"], None, None]:
        with closing(self.source.batches(first_step, end_step, workers=workers)) as batches:
            for batch in batches:
                yield self.hosts.part(batch)


class Line:
    """A connection on which both sides speak in lines of JSON."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._file = connection.makefile("rb")

    def tell(self, what: Any) -> None:
        self.socket.sendall(json.dumps(what).encode() + b"\n")

    def hear(self) -> Any:
        """Raises: ValueError if the other side has hung up or says no JSON; OSError."""
        return json.loads(self._file.readline(MOST_BYTES))

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def _open_door(address: str) -> socket.socket:
    try:
        door = socket.create_server(("", _place(address)[1]))  # which also lets the framework open the port again at once
    except OSError as error:
        raise UserError(f"{address}: cannot be opened on this machine ({error.strerror}); is another run using the port?") from None
    door.settimeout(RETRY_SECONDS)
    return door


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"{address!r}: expected the address of a host as name:port, such as 10.0.0.2:2222")
    return host, int(port)
