"""Two processes on this machine train as one would: MultiWorkerMirroredStrategy, a command for each host."""

import json
import signal
import socket

import numpy as np
import pytest
import tiny
from small_runs import log_of

from wholeword.core.errors import UserError
from wholeword.core.formats.checkpoints import checkpoints, latest_checkpoint, read_checkpoint
from wholeword.plugins.tensorflow.hosts import find_hosts

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A recipe without dropout, and its run on one device."""
    recipe = tiny.write_recipe(tmp_path_factory.mktemp("hosts"))
    still = "hidden_dropout_prob: 0, attention_probs_dropout_prob: 0"
    recipe.write_text(
        recipe.read_text(encoding="utf-8").replace("intermediate_size: 64", f"intermediate_size: 64, {still}"), encoding="utf-8"
    )
    tiny.run("train", recipe, output="whole")
    return recipe


def two_ports():
    doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    places = [f"127.0.0.1:{door.getsockname()[1]}" for door in doors]
    for door in doors:
        door.close()
    return places


def start_both(recipe, *overrides, output, given_by="settings"):
    places = two_ports()
    processes = []
    for number in (0, 1):
        if given_by == "settings":
            more = {"environment": {}}
            hosts = [f"backend.hosts=[{','.join(json.dumps(place) for place in places)}]", f"backend.host={number}"]
        else:
            cluster = {"cluster": {"worker": places}, "task": {"type": "worker", "index": number}}
            more, hosts = {"environment": {"TF_CONFIG": json.dumps(cluster)}}, []
        processes.append(tiny.start("train", recipe, "backend.strategy=auto", *hosts, *overrides, output=output, **more))
    return processes


def finish(processes):
    said = [process.communicate() for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


def assert_as_one(folder, whole):
    lines, others = log_of(folder), log_of(whole)
    assert len(lines) == len(others)
    for line, other in zip(lines, others, strict=True):
        assert line.keys() == other.keys()
        for name, value in line.items():
            assert value == (pytest.approx(other[name], rel=1e-5, abs=1e-5) if isinstance(value, float) else other[name]), (line, other)


def test_two_hosts_are_one_device(whole):
    folder = whole.parent / "both"
    for code, _, errors in finish(start_both(whole, output="both")):
        assert code == 0, errors
    assert_as_one(folder, whole.parent / "whole")
    weights = [read_checkpoint(latest_checkpoint(path / "checkpoints")).weights for path in (folder, whole.parent / "whole")]
    for name in weights[0]:
        assert np.allclose(weights[0][name], weights[1][name], rtol=1e-4, atol=1e-5), name
    assert len(checkpoints(folder / "checkpoints")) == 2 and (folder / "export" / "tf-checkpoint").is_dir()


def test_two_hosts_read_their_rows_from_files(whole):
    rows = whole.parent / "rows"
    tiny.run(f"prepare --to tfrecord --shards 2 --passes 12 -o {rows}", whole, output="whole")
    for code, _, errors in finish(start_both(whole, f"backend.records={rows}", output="recorded")):
        assert code == 0, errors
    assert_as_one(whole.parent / "recorded", whole.parent / "whole")


def test_a_signal_to_one_host_stops_both_at_a_step_that_is_saved(whole):
    """And the hosts may come from TF_CONFIG as well as from settings."""
    output = "stopped"
    processes = start_both(whole, output=output, given_by="TF_CONFIG")
    for line in processes[0].stdout:
        if line.startswith("phase 1, step 10, held out"):
            processes[1].send_signal(signal.SIGTERM)
            break
    for code, _, errors in finish(processes):
        assert code == 130 and "the same command resumes" in errors, errors
    for code, _, errors in finish(start_both(whole, output=output)):
        assert code == 0, errors
    assert_as_one(whole.parent / output, whole.parent / "whole")


@pytest.mark.parametrize("killed", [0, 1])
def test_a_host_that_is_gone_is_one_clear_line_and_the_run_goes_on_later(whole, killed):
    output = f"killed-{killed}"
    processes = start_both(whole, output=output)
    for line in processes[0].stdout:
        if line.startswith("phase 1, step 10, held out"):
            processes[killed].kill()
            break
    code, _, errors = finish(processes)[1 - killed]
    assert code == 2 and "from the last checkpoint" in errors.splitlines()[-1] and "Traceback" not in errors, errors
    for code, _, errors in finish(start_both(whole, output=output)):
        assert code == 0, errors
    assert_as_one(whole.parent / output, whole.parent / "whole")


def test_hosts_with_different_recipes_do_not_train(whole):
    places = two_ports()
    hosts = f"backend.hosts=[{','.join(json.dumps(place) for place in places)}]"
    processes = [
        tiny.start("train", whole, "backend.strategy=auto", hosts, f"backend.host={number}", f"seed={number}", output="different")
        for number in (0, 1)
    ]
    for code, _, errors in finish(processes):
        assert code == 2 and f"host 1 ({places[1]}) has a recipe of sha256" in errors and "all hosts need the same" in errors, errors


def test_where_hosts_come_from(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert find_hosts(None, None).world_size == 1
    assert (find_hosts(["a:1", "b:2"], 1).addresses, find_hosts(["a:1", "b:2"], 1).rank) == (("a:1", "b:2"), 1)
    with pytest.raises(UserError, match=r"which of the 2 is this machine\? --set backend\.host=0 on a:1"):
        find_hosts(["a:1", "b:2"], None)
    cluster = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    assert (find_hosts(None, None).addresses, find_hosts(None, None).rank) == (("a:1", "b:2", "c:3"), 2)
    for wrong in ("{", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', '{"cluster": {"worker": ["a:1"]}}'):
        monkeypatch.setenv("TF_CONFIG", wrong)
        with pytest.raises(UserError, match=r"TF_CONFIG: .*expected something like"):
            find_hosts(None, None)
