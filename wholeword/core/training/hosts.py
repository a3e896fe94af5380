"""Several machines that train one model, one process each: their addresses, and a channel for short messages between them.

Every host runs the same command. The chief, rank 0, prepares, writes and evaluates; the others read what it wrote, so the folders of the
run and of the token store must be on a disk that all hosts share. Each host takes its own rows of every batch. The framework exchanges the
gradients; this module exchanges a line of text now and then, over one TCP connection from every other host to the chief's address.
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

MAX_BYTES = 1 << 16  # of a message
RETRY_SECONDS = 0.2
HANDSHAKE_SECONDS = 5.0


class Hosts:
    """The hosts of a run and the rank of this one; by default this machine alone.

    Args:
        addresses: `host:port` of each, the chief first.
        wait_seconds: how long the chief, once it has prepared, waits for the others to connect, and they for the chief to listen.
    Raises: UserError if the rank or an address is not valid.
    """

    def __init__(self, addresses: tuple[str, ...] = ("",), rank: int = 0, *, wait_seconds: float = 600.0):
        self.addresses, self.rank, self.wait_seconds = addresses, rank, wait_seconds
        self._connections: dict[int, Connection] = {}  # by rank: of the chief to the others, or of another host to the chief
        self._listener: socket.socket | None = None  # of the chief
        if not 0 <= rank < self.world_size:
            raise UserError(f"host {rank}: expected a number from 0 to {self.world_size - 1}, for {', '.join(addresses)}")
        if self.world_size > 1:
            for address in addresses:
                _host_and_port(address)

    @property
    def world_size(self) -> int:
        """The number of hosts."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this is rank 0, which prepares, writes and evaluates."""
        return self.rank == 0

    def own_rows(self, batch: Mapping[str, "np.ndarray"]) -> Mapping[str, "np.ndarray"]:
        """The rows of a batch that this host computes: every `world_size`-th."""
        return batch if self.world_size == 1 else {name: values[self.rank :: self.world_size] for name, values in batch.items()}

    @contextmanager
    def joined(self) -> Iterator[None]:
        """While it is open, the hosts are connected. Leaving closes the connections, which the others notice at the next exchange."""
        try:
            if self.world_size > 1 and self.is_chief:
                self._listener = _listen(self.addresses[0])
            elif self.world_size > 1:
                self._connections[0] = self._connect_to_chief()
            yield
        finally:
            self._close_listener()
            for connection in self._connections.values():
                connection.close()
            self._connections = {}

    def all_gather(self, text: str) -> list[str]:
        """The text of every host, by rank, as soon as all have sent theirs.

        Raises: UserError naming the host that did not connect in time, or has left.
        """
        if self.world_size == 1:
            return [text]
        if not self.is_chief:
            self._send(0, text)
            return list(self._receive(0))
        self._wait_for_all()
        texts = [text, *(self._receive(rank) for rank in range(1, self.world_size))]
        for rank in range(1, self.world_size):
            self._send(rank, texts)
        return texts

    def any_rank(self, flag: bool) -> bool:
        """Whether the flag is set on any host."""
        return "yes" in self.all_gather("yes" if flag else "no")

    def barrier(self) -> None:
        """Wait until every host has come here."""
        self.all_gather("")

    def expect_equal(self, name: str, value: str) -> None:
        """Raises: UserError if a host's value differs from the chief's."""
        values = self.all_gather(value)
        for rank, other in enumerate(values):
            if other != values[0]:
                raise UserError(f"{self._name(rank)} has {name} {other}, but {self._name(0)} has {values[0]}; all hosts need the same")

    # --- connections

    def _wait_for_all(self) -> None:
        deadline = time.monotonic() + self.wait_seconds
        while self._listener is not None and len(self._connections) < self.world_size - 1:
            try:
                connection = Connection(self._listener.accept()[0])
            except TimeoutError:
                if time.monotonic() > deadline:
                    missing = [self._name(rank) for rank in range(1, self.world_size) if rank not in self._connections]
                    late = f"{', '.join(missing)} did not connect within {self.wait_seconds:g} s"
                    raise UserError(f"{late}; start the same command there, with its own number") from None
                continue
            self._accept(connection)
        self._close_listener()  # from now on the framework uses the port

    def _accept(self, connection: "Connection") -> None:
        """Take a connection. One that does not begin with a rank is not from a host of this run."""
        connection.socket.settimeout(HANDSHAKE_SECONDS)
        try:
            rank, world_size = connection.receive()
        except (OSError, ValueError, TypeError):
            connection.close()
            return
        connection.socket.settimeout(None)
        if world_size != self.world_size or rank in self._connections or rank not in range(1, self.world_size):
            connection.close()
            expected = f"expected each number from 1 to {self.world_size - 1} once"
            raise UserError(f"host {rank} of {world_size} connected to {self._name(0)}; {expected}")
        self._connections[rank] = connection

    def _connect_to_chief(self) -> "Connection":
        deadline = time.monotonic() + self.wait_seconds
        while True:
            try:
                connection = Connection(socket.create_connection(_host_and_port(self.addresses[0]), timeout=RETRY_SECONDS * 10))
                connection.socket.settimeout(None)  # the chief may prepare for hours
                connection.send([self.rank, self.world_size])
                return connection
            except OSError as error:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"{self._name(0)} did not answer within {self.wait_seconds:g} s ({error}); start the same command there "
                        "with number 0, and check that its port can be reached from here"
                    ) from None
                time.sleep(RETRY_SECONDS)

    def _send(self, rank: int, message: Any) -> None:
        try:
            self._connections[rank].send(message)
        except OSError:
            raise self._left(rank) from None

    def _receive(self, rank: int) -> Any:
        try:
            return self._connections[rank].receive()
        except (OSError, ValueError):
            raise self._left(rank) from None

    def _left(self, rank: int) -> UserError:
        return UserError(
            f"{self._name(rank)} has left; see its own output. The same command on every host resumes from the last checkpoint"
        )

    def _name(self, rank: int) -> str:
        return f"host {rank} ({self.addresses[rank]})"

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


class HostRows:
    """A source of whole batches, of which each host takes its own rows."""

    def __init__(self, source: "RowSource", hosts: Hosts):
        self.source, self.hosts, self.has_next_sentence = source, hosts, source.has_next_sentence

    def batch(self, step: int) -> Mapping[str, "np.ndarray"]:
        """One batch, the rows of all hosts."""
        return self.source.batch(step)

    def batches(self, first_step: int, end_step: int, *, workers: int = 1) -> Generator[Mapping[str, "np.ndarray"], None, None]:
        """The batches of some steps, the rows of this host only."""
        with closing(self.source.batches(first_step, end_step, workers=workers)) as batches:
            for batch in batches:
                yield self.hosts.own_rows(batch)


class Connection:
    """A TCP connection that carries one JSON value a line, in both directions."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._file = connection.makefile("rb")

    def send(self, message: Any) -> None:
        """Raises: OSError."""
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> Any:
        """Raises: ValueError if the other side has closed the connection or sent no JSON; OSError."""
        return json.loads(self._file.readline(MAX_BYTES))

    def close(self) -> None:
        """Close the connection; the other side notices at its next exchange."""
        self._file.close()
        self.socket.close()


def _listen(address: str) -> socket.socket:
    try:
        listener = socket.create_server(("", _host_and_port(address)[1]))  # which also lets the framework open the port again at once
    except OSError as error:
        raise UserError(f"{address}: cannot be opened on this machine ({error.strerror}); is another run using the port?") from None
    listener.settimeout(RETRY_SECONDS)
    return listener


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"{address!r}: expected the address of a host as name:port, such as 10.0.0.2:2222")
    return host, int(port)
