"""Hosts that find each other, over real connections on this machine."""

import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from wholeword.core.errors import UserError
from wholeword.core.training.hosts import HostRows, Hosts


def addresses(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = tuple(f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners)
    for listener in listeners:
        listener.close()
    return found


def together(hosts, task):
    """What a task gives on each of the hosts, or the error it raises."""

    def run(host):
        try:
            with host.joined():
                return task(host)
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(len(hosts)) as threads:
        return list(threads.map(run, hosts))


def test_every_host_gathers_the_texts_of_all():
    names = addresses(4)
    results = together(
        [Hosts(names, number) for number in range(4)], lambda host: [host.all_gather(f"{host.rank}-{turn}") for turn in range(50)]
    )
    assert results == [[[f"{number}-{turn}" for number in range(4)] for turn in range(50)]] * 4


def test_one_that_wants_to_stop_stops_all():
    names = addresses(3)
    hosts = [Hosts(names, number) for number in range(3)]
    assert (
        together(hosts, lambda host: [host.any_rank(host.rank == 2 and turn == 3) for turn in range(5)])
        == [[False, False, False, True, False]] * 3
    )


def test_a_host_with_another_value_is_named_on_all():
    names = addresses(3)
    results = together([Hosts(names, number) for number in range(3)], lambda host: host.expect_equal("a recipe", "ab"[host.rank == 1]))
    assert results == [f"host 1 ({names[1]}) has a recipe b, but host 0 ({names[0]}) has a; all hosts need the same"] * 3


def test_a_missing_host_is_named():
    names = addresses(3)
    results = together([Hosts(names, number, wait_seconds=0.5) for number in (0, 2)], lambda host: host.all_gather("x"))
    assert results[0] == f"host 1 ({names[1]}) did not connect within 0.5 s; start the same command there, with its own number"
    assert results[1].startswith(f"host 0 ({names[0]}) has left; see its own output")


def test_a_missing_chief_is_named():
    names = addresses(2)
    [results] = together([Hosts(names, 1, wait_seconds=0.3)], lambda host: host.all_gather("x"))
    assert results.startswith(f"host 0 ({names[0]}) did not answer within ") and "start the same command there with number 0" in results


@pytest.mark.parametrize("gone", [0, 1])
def test_a_host_that_leaves_is_named_by_those_that_stay(gone):
    names = addresses(2)
    results = together(
        [Hosts(names, number) for number in range(2)],
        lambda host: [host.all_gather("x") for _ in range(1 if host.rank == gone else 9)],
    )
    assert results[1 - gone].startswith(f"host {gone} ({names[gone]}) has left")


def test_connections_of_strangers_are_closed():
    names = addresses(2)
    chief = Hosts(names, 0)
    with chief.joined():
        port = int(names[0].split(":")[1])
        strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        strangers[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
        strangers[1].close()
        with ThreadPoolExecutor(1) as threads:
            other = threads.submit(together, [Hosts(names, 1)], lambda host: host.all_gather("1"))
            assert chief.all_gather("0") == ["0", "1"]
            assert other.result() == [["0", "1"]]


def test_a_rank_that_connects_twice_is_an_error():
    names = addresses(3)
    hosts = [Hosts(names, number, wait_seconds=20) for number in (0, 1, 1)]
    results = together(hosts, lambda host: host.all_gather("x"))
    assert results[0] == f"host 1 of 3 connected to host 0 ({names[0]}); expected each number from 1 to 2 once"


def test_impossible_ranks_and_addresses_are_refused():
    with pytest.raises(UserError, match="host 2: expected a number from 0 to 1"):
        Hosts(("a:1", "b:2"), 2)
    with pytest.raises(UserError, match=r"'b': expected the address of a host as name:port"):
        Hosts(("a:1", "b"), 0)
    with socket.create_server(("", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(UserError, match="cannot be opened on this machine"), Hosts((place, "b:2")).joined():
            pass


def test_rows_of_the_hosts_are_the_rows_of_the_batch():
    class Source:
        has_next_sentence = True

        def batch(self, step):
            return {"ids": np.arange(12).reshape(12, 1) + 100 * step}

        def batches(self, first_step, end_step, *, workers=1):
            yield from map(self.batch, range(first_step, end_step))

    for count in (1, 2, 3, 4, 6):
        parts = [list(HostRows(Source(), Hosts(("a:1",) * count, number)).batches(2, 5)) for number in range(count)]
        for step in range(3):
            rows = np.concatenate([part[step]["ids"] for part in parts])
            assert (
                sorted(rows.ravel()) == list(range(100 * (step + 2), 100 * (step + 2) + 12)) and len(parts[0][step]["ids"]) == 12 // count
            )


def test_one_machine_needs_no_connection():
    with Hosts().joined():
        assert Hosts().all_gather("x") == ["x"] and Hosts().any_rank(True) and not Hosts().any_rank(False) and Hosts().is_chief
