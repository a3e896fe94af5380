"""The official client against a misbehaving hub: no wrong byte is accepted, and every failure is prompt and says what to do.

The client reads its environment when it is imported, so every test runs it in a process of its own.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, FILES, OUTCOMES, WEIGHTS, Hub, repository

PATIENCE_SECONDS = 2.5
CLIENT = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from wholeword.core.errors import WholewordError
from wholeword.zoo.hub import fetch, verify

def work(call):
    began = time.monotonic()
    try:
        if call.pop("verify", False):
            result = {"outcome": "verified", "files": verify(call["repo_id"])}
        else:
            folder = fetch(**call)
            files = {path.name: path.read_bytes().hex() for path in folder.iterdir()}
            result = {"outcome": "fetched", "folder": str(folder), "files": files}
    except WholewordError as error:
        result = {"outcome": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    result["seconds"] = time.monotonic() - began
    return result

calls = json.loads(sys.stdin.read())
with ThreadPoolExecutor(len(calls)) as threads:
    print(json.dumps(list(threads.map(work, calls))))
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub
        hub.hold.set()
        hub.shutdown()


def environment(hub: Hub | str, home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "TRANSFORMERS_", "XDG_"))}
    address = hub if isinstance(hub, str) else hub.address
    return kept | {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def client(hub: Hub | str, home: Path, calls: list[dict[str, Any]], **variables: str) -> list[dict[str, Any]]:
    """The outcomes of the calls, made concurrently in one process."""
    calls = [{"patience_seconds": PATIENCE_SECONDS} | call if "verify" not in call else call for call in calls]
    program = [sys.executable, "-c", CLIENT]
    result = subprocess.run(
        program, input=json.dumps(calls), env=environment(hub, home) | variables, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def as_fetched(names: dict[str, bytes]) -> dict[str, str]:
    return {name: content.hex() for name, content in names.items() if name != "README.md"}


def blob(home: Path, repo: str) -> Path:
    """The weights as the cache has them."""
    return home / "hub" / f"models--{repo.replace('/', '--')}" / "snapshots" / COMMIT / "model.safetensors"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[777] ^= 1
    path.write_bytes(content)


def leftovers(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.name.endswith((".incomplete", ".wholeword-partial"))]


def assert_outcomes(results: list[dict[str, Any]], outcomes: dict[str, str]) -> None:
    """Each result is the expected one, and complete if it is a model."""
    for (fault, expected), result in zip(outcomes.items(), results, strict=True):
        assert result["outcome"] == expected, (fault, result)
        if expected == "fetched":
            assert result["files"] == as_fetched(FILES), fault
        else:
            line, code = result["message"], result["exit_code"]
            assert line.startswith(f"{repository(fault)}@") and "\n" not in line and len(line) < 500, line
            assert code == {"UserError": 2, "IntegrityError": 3, "NetworkError": 5}[expected]


def test_no_wrong_byte_enters_an_empty_cache(hub: Hub, tmp_path: Path) -> None:
    results = client(hub, tmp_path, [{"repo_id": repository(fault)} for fault in OUTCOMES])
    assert_outcomes(results, OUTCOMES)
    assert not leftovers(tmp_path) and {path.name for path in tmp_path.iterdir()} == {"hub", "wholeword"}
    for fault, outcome in OUTCOMES.items():  # rejected files are removed, so that the next attempt fetches them again
        assert blob(tmp_path, repository(fault)).exists() == (outcome == "fetched"), fault
    assert not [path for _, path, _ in hub.requests if "README" in path]
    hub.whole = True
    again = client(hub, tmp_path, [{"repo_id": repository(fault)} for fault in OUTCOMES if "outside" not in fault])
    assert all(result["files"] == as_fetched(FILES) for result in again)


def test_a_full_cache_works_whatever_the_hub_does(hub: Hub, tmp_path: Path) -> None:
    hub.whole = True
    calls = [{"repo_id": repository(fault)} for fault in OUTCOMES]
    assert {result["outcome"] for result in client(hub, tmp_path, calls)} == {"fetched"}
    hub.whole = False
    before = len(hub.requests)
    own = {"no repository", "no revision", "gated", "unauthorised", "no weights"}  # answers, not failures
    outcomes = {fault: "UserError" if fault in own else "fetched" for fault in OUTCOMES}
    assert_outcomes(client(hub, tmp_path, calls), outcomes)
    assert not [path for _, path, _ in hub.requests[before:] if "resolve" in path]


def test_a_damaged_cache_is_repaired_or_rejected(hub: Hub, tmp_path: Path) -> None:
    """The same size, one bit flipped: a healthy hub replaces it; with a faulty one, the outcome depends on the fault."""
    hub.whole = True
    calls = [{"repo_id": repository(fault)} for fault in OUTCOMES]
    client(hub, tmp_path, calls)
    for fault in OUTCOMES:
        flip(blob(tmp_path, repository(fault)))
    hub.whole = False
    outcomes = OUTCOMES | dict.fromkeys(["small file changed"], "fetched")  # that one is still in the cache
    outcomes |= {fault: "IntegrityError" for fault in OUTCOMES if fault.startswith("api") and fault != "api 503 once"}
    outcomes |= {"no checksum": "fetched"}  # its sha256 is in the lock file
    assert_outcomes(client(hub, tmp_path, calls), outcomes)
    hub.whole = True
    assert {result["outcome"] for result in client(hub, tmp_path, calls)} == {"fetched"}


def test_a_killed_download_is_repeated(hub: Hub, tmp_path: Path) -> None:
    call = {"repo_id": "toys/wait-for-me"}
    for _ in range(2):
        hub.waiting.clear()
        program = [sys.executable, "-c", CLIENT]
        with subprocess.Popen(program, stdin=subprocess.PIPE, env=environment(hub, tmp_path), text=True) as victim:
            assert victim.stdin
            victim.stdin.write(json.dumps([call]))
            victim.stdin.close()
            assert hub.waiting.wait(30)
            os.kill(victim.pid, signal.SIGKILL)
    assert len(leftovers(tmp_path)) == 1  # the second one removed what the first one left
    assert not blob(tmp_path, "toys/wait-for-me").exists()
    hub.hold.set()
    (result,) = client(hub, tmp_path, [call])
    assert result["files"] == as_fetched(FILES) and not leftovers(tmp_path)


def test_downloads_of_other_processes_are_left_alone(hub: Hub, tmp_path: Path) -> None:
    call = {"repo_id": "toys/wait-for-me"}
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(hub, tmp_path), text=True
    ) as first:
        assert first.stdin and first.stdout
        first.stdin.write(json.dumps([call]))
        first.stdin.close()
        assert hub.waiting.wait(30)
        (small,) = client(hub, tmp_path, [call | {"files": ["config.json", "README.md"]}])
        assert small["outcome"] == "fetched" and small["files"]["README.md"] == FILES["README.md"].hex()
        assert leftovers(tmp_path)
        hub.hold.set()
        assert json.loads(first.stdout.read().splitlines()[-1])[0]["files"]["model.safetensors"] == WEIGHTS.hex()


def test_a_second_load_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    call = {"repo_id": "toys/well"}
    (cold,) = client(hub, tmp_path, [call])
    got = [path for method, path, _ in hub.requests if method == "GET" and "toys" in path]
    assert len(got) == 4 and "api" in got[0]  # the list, three files
    hub.requests.clear()
    for more, variables in (({"local_files_only": True}, {}), ({}, {"HF_HUB_OFFLINE": "1"}), ({"revision": COMMIT}, {})):
        (warm,) = client(hub, tmp_path, [call | more], **variables)
        assert warm["outcome"] == "fetched" and warm["folder"] == cold["folder"]
    assert not hub.requests
    (absent,) = client(hub, tmp_path, [call | {"files": ["README.md"]}], HF_HUB_OFFLINE="1")
    assert absent["outcome"] == "NetworkError" and "HF_HUB_OFFLINE is set" in absent["message"]
    flip(blob(tmp_path, "toys/well"))
    results = [client(hub, tmp_path, [call | {"local_files_only": True}])[0] for _ in range(2)]
    assert [result["outcome"] for result in results] == ["IntegrityError", "NetworkError"] and not hub.requests


def test_files_fetched_by_other_programs_are_used_and_checked(hub: Hub, tmp_path: Path) -> None:
    """A cache filled by the client alone, as transformers does: its file names are the checksums that the hub announced."""
    repos = ["toys/well", "toys/bit-flipped"]
    names = ["config.json", "vocab.txt", "model.safetensors"]
    program = f"from huggingface_hub import hf_hub_download as get\n[get(repo, name) for repo in {repos} for name in {names}]"
    subprocess.run([sys.executable, "-c", program], env=environment(hub, tmp_path), check=True)
    hub.requests.clear()
    calls = [{"repo_id": repo, "local_files_only": True} for repo in repos]
    assert [result["outcome"] for result in client(hub, tmp_path, calls)] == ["fetched", "IntegrityError"]
    assert not hub.requests


def test_the_lock_file_remembers_the_first_use(hub: Hub, tmp_path: Path) -> None:
    client(hub, tmp_path, [{"repo_id": "toys/well"}])
    lock = tmp_path / "wholeword" / "hub.lock.json"
    content = json.loads(lock.read_text())
    assert content["revisions"] == {"toys/well@main": COMMIT}
    (verified,) = client(hub, tmp_path, [{"repo_id": "toys/well", "verify": True}])
    entries = content["models"][f"toys/well@{COMMIT}"]["files"]
    assert verified["files"] == {name: entry["sha256"] for name, entry in entries.items()} and len(entries) == 3
    for expected, outcome in ((entries["vocab.txt"]["sha256"], "fetched"), ("0" * 64, "IntegrityError")):  # known from elsewhere
        assert client(hub, tmp_path, [{"repo_id": "toys/well", "sha256": {"vocab.txt": expected}}])[0]["outcome"] == outcome
    entries["config.json"] |= {"sha256": "1" * 64, "stat": []}
    lock.write_text(json.dumps(content))
    (changed,) = client(hub, tmp_path, [{"repo_id": "toys/well"}])
    assert changed["outcome"] == "IntegrityError" and "first use" in changed["message"] and str(lock) in changed["message"]
    lock.write_text("{")
    assert "hub.lock.json: damaged; delete it" in client(hub, tmp_path, [{"repo_id": "toys/well"}])[0]["message"]


def test_a_file_touched_at_the_same_size_is_hashed_again(hub: Hub, tmp_path: Path) -> None:
    client(hub, tmp_path, [{"repo_id": "toys/well"}])
    path = blob(tmp_path, "toys/well")
    status = path.stat()
    flip(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as bits rot: a load trusts the time, `verify` does not
    assert client(hub, tmp_path, [{"repo_id": "toys/well", "local_files_only": True}])[0]["outcome"] == "fetched"
    assert client(hub, tmp_path, [{"repo_id": "toys/well", "verify": True}])[0]["outcome"] == "IntegrityError"


def test_only_files_of_the_repository_are_requested() -> None:
    from wholeword.zoo.hub import model_files

    others = ["README.md", "tf_model.h5", "flax_model.msgpack", "tokenizer.json", "config.json"]
    assert model_files(["bert_config.json", "vocab.txt", "added_tokens.json", "pytorch_model.bin"])[-2:] == [
        "added_tokens.json",
        "pytorch_model.bin",
    ]
    assert model_files(["model_config.json", "vocab.txt", "model_state.pdparams"])[0] == "model_config.json"
    assert model_files([*others, "vocab.txt", "pytorch_model.bin"]) == ["config.json", "vocab.txt", "pytorch_model.bin"]
    assert model_files([*others, "pytorch_model.bin", "model.safetensors"]) == ["config.json", "tokenizer.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"repo_id": "../evil"}, "not a valid repository name"),
        ({"repo_id": "a/b/c"}, "not a valid repository name"),
        ({"repo_id": "toys/well", "revision": "../../x"}, "not a valid revision"),
        (
            {"repo_id": "toys/well", "files": ["tf_model.h5"]},
            "no such file in the repository: tf_model.h5; it contains README.md, config.json",
        ),
        ({"repo_id": "toys/well", "files": ["../../evil"]}, "no such file in the repository: ../../evil"),
    ],
)
def test_invalid_requests_are_explained(hub: Hub, tmp_path: Path, call: dict[str, Any], message: str) -> None:
    (result,) = client(hub, tmp_path, [call])
    assert result["outcome"] == "UserError" and message in result["message"]


def test_an_unreachable_hub_is_reported(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        (result,) = client(address, tmp_path, [{"repo_id": "toys/well"}])
    assert result["outcome"] == "NetworkError"
    assert address in result["message"] and "HF_ENDPOINT" in result["message"]


@pytest.mark.parametrize(
    ("address", "outcome", "message"),
    [
        ("http://127.0.0.1:9", "NetworkError", "cannot be reached"),  # refused
        ("https://no-such-host.invalid", "NetworkError", "cannot be reached"),
        ("hf-mirror.com", "UserError", "expected one such as https://hf-mirror.com"),  # without https://
        ("https://", "UserError", "expected one such as https://hf-mirror.com"),
    ],
)
def test_a_wrong_endpoint_is_one_line_within_five_seconds(tmp_path: Path, address: str, outcome: str, message: str) -> None:
    began = time.monotonic()
    (result,) = client(address, tmp_path, [{"repo_id": "toys/well", "patience_seconds": 60}])
    assert result["seconds"] < 5 and time.monotonic() - began < 60
    assert result["outcome"] == outcome and message in result["message"] and "\n" not in result["message"]
    if outcome == "NetworkError":
        assert "HF_ENDPOINT" in result["message"] and "hf-mirror.com" in result["message"] and "modelscope.cn" in result["message"]


def test_a_hub_that_does_not_answer_is_given_up_within_five_seconds(tmp_path: Path) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):  # the queue is full: whoever comes next gets no answer
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        (result,) = client(f"http://127.0.0.1:{full.getsockname()[1]}", tmp_path, [{"repo_id": "toys/well", "patience_seconds": 60}])
    assert (
        result["outcome"] == "NetworkError"
        and re.search(r"cannot be reached \((no answer|timed out)\)", result["message"])
        and result["seconds"] < 5
    )


def test_an_endpoint_that_is_no_hub_is_reported_at_once(hub: Hub, tmp_path: Path) -> None:
    (result,) = client(hub, tmp_path, [{"repo_id": "toys/api-login-page", "patience_seconds": 60}])
    assert result["outcome"] == "NetworkError" and result["seconds"] < 5 and "modelscope.cn" in result["message"]


ONCE = """
from wholeword.core.errors import WholewordError
from wholeword.zoo.hub import fetch

for repo_id in ("toys/well", "toys/no-repository"):
    for _ in range(3):
        try:
            fetch(repo_id)
        except WholewordError:
            pass
"""


def test_the_hub_is_asked_once_for_what_it_has_and_for_what_it_lacks(hub: Hub, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ONCE], env=environment(hub, tmp_path), check=True)
    asked = [path for _, path, _ in hub.requests if "/api/models/" in path]
    assert len(asked) == len(set(asked)) == 2
