"""The hub's official client with time limits: requests are monitored, retried while that can help, and failures are explained."""

import fcntl
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import HfApi, constants, get_session, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from wholeword.core.console import doing
from wholeword.core.errors import IntegrityError, NetworkError, UserError
from wholeword.core.files import disk_errors
from wholeword.zoo.hub_cache import COMMIT, Known, remove, snapshot, storage

Result = TypeVar("Result")
HTTPError: Any = HfHubHTTPError.__bases__[0]  # from httpx or httpx2, depending on the client's version
TRANSIENT = (408, 425, 429, 500, 502, 503, 504, 520, 522, 524)
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # between retries, until the time limit
PATIENCE_SECONDS = 60.0
WARM_PATIENCE_SECONDS = 5.0  # if the cache has the last known commit of the branch
CONNECT_SECONDS = 4.0  # to find the hub's address and connect to it
MEMORY_SECONDS = 60.0  # for which an answer of the hub is not asked for again
ELSEWHERE = (
    "set HF_ENDPOINT to a mirror such as https://hf-mirror.com, or download the model elsewhere, such as from ModelScope "
    "(https://modelscope.cn), and give its folder"
)


class Repository(NamedTuple):
    """A commit of a repository on the hub, and its files."""

    commit: str
    files: dict[str, Known]


_answers: dict[tuple[str, ...], tuple[float, Repository | Exception]] = {}  # by endpoint, repository and revision; with their times


def find_repository(repo_id: str, revision: str, patience_seconds: float) -> Repository:
    """The commit of a revision, and what the hub publishes about its files. The hub is asked once in MEMORY_SECONDS."""
    key = (constants.ENDPOINT, repo_id, revision)
    asked, answer = _answers.get(key, (0.0, None))
    if answer is None or time.monotonic() - asked > MEMORY_SECONDS:
        try:
            with doing(f"asking {constants.ENDPOINT} for {repo_id}"):
                answer = _ask(repo_id, revision, patience_seconds)
        except (UserError, NetworkError) as error:
            answer = error
        _answers[key] = time.monotonic(), answer
    if isinstance(answer, Exception):
        raise answer
    return answer


def _ask(repo_id: str, revision: str, patience_seconds: float) -> Repository:
    where = f"{repo_id}@{revision}"
    _expect_reachable(constants.ENDPOINT, where)

    def request() -> Repository:
        info = HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=patience_seconds)
        if not COMMIT.fullmatch(info.sha or ""):
            raise ValueError("no commit")
        files = {
            sibling.rfilename: Known(sibling.size, *((sibling.lfs.sha256, None) if sibling.lfs else (None, sibling.blob_id)))
            for sibling in info.siblings or []
        }
        return Repository(str(info.sha), files)

    return _persist(where, request, _Patience(patience_seconds, where))


def _expect_reachable(endpoint: str, where: str) -> None:
    """Connect once, since the client would try one address after the other, each for a long time.

    Raises: UserError if HF_ENDPOINT is no address; NetworkError if there is no connection after CONNECT_SECONDS.
    """
    address = urlsplit(endpoint)
    try:
        host, port = address.hostname, address.port or (80 if address.scheme == "http" else 443)
    except ValueError:
        host = None
    if address.scheme not in ("http", "https") or not host:
        raise UserError(f"HF_ENDPOINT: {endpoint!r} is no address of a hub; expected one such as https://hf-mirror.com")
    if getproxies():
        return
    failures: list[str] = ["no answer"]

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
            failures.clear()
        except OSError as error:
            failures[:] = [error.strerror or str(error)]

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if reason := list(failures):
        raise NetworkError(f"{where}: {endpoint} cannot be reached ({reason[0]}); {ELSEWHERE}")


def download(repo_id: str, commit: str, name: str, known: Known, patience_seconds: float) -> None:
    """Download a file into the cache."""
    where = f"{repo_id}@{commit[:8]}/{name}"
    _remove_orphans(storage(repo_id))

    def get() -> None:
        path = Path(hf_hub_download(repo_id, name, revision=commit, etag_timeout=patience_seconds))
        if path != snapshot(repo_id, commit) / name:
            remove(path)
            raise IntegrityError(f"{where}: the hub sent another commit, {path.parent.name}; try another HF_ENDPOINT")

    with disk_errors(storage(repo_id), needed=known.size), doing(f"downloading {name} of {repo_id} from {constants.ENDPOINT}"):
        _persist(where, get, _Patience(patience_seconds, where))


def _remove_orphans(folder: Path) -> None:
    """Remove partial files of killed downloads, which the client never resumes. Files being written are locked, and kept."""
    for partial in (folder / "blobs").glob("*.incomplete"):
        lock = folder.parent / ".locks" / folder.name / f"{partial.name.split('.')[0]}.lock"
        with suppress(OSError):
            lock.parent.mkdir(parents=True, exist_ok=True)
            with open(lock, "a") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink()


class _Patience:
    """Monitors the client's requests, including its own retries, and stops them after too long without progress."""

    def __init__(self, seconds: float, where: str):
        self.seconds, self.where = seconds, where
        self.last_error = "no response"
        self.received = 0
        self.thread = threading.get_ident()
        self.progressed()

    def progressed(self) -> None:
        self.deadline = time.monotonic() + self.seconds

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def give_up(self) -> NetworkError:
        return NetworkError(
            f"{self.where}: gave up after {self.seconds:g} s without progress; {self.last_error} from {constants.ENDPOINT}; "
            f"try again later, or {ELSEWHERE}"
        )

    def on_request(self, request: Any) -> None:
        if threading.get_ident() != self.thread:
            return
        resumed = int((re.match(r"bytes=(\d+)-", request.headers.get("range", "")) or [0, 0])[1])
        if resumed > self.received:
            self.received = resumed
            self.progressed()
        if self.left() <= 0:
            raise self.give_up()
        limits = request.extensions.get("timeout") or {}
        request.extensions["timeout"] = {
            kind: min(limits.get(kind) or self.seconds, self.left()) for kind in ("connect", "read", "write", "pool")
        }

    def on_response(self, response: Any) -> None:
        if threading.get_ident() != self.thread:
            return
        if response.status_code >= 400:
            self.last_error = f"HTTP status {response.status_code}"
        wait = response.headers.get("retry-after", "")
        if response.status_code in TRANSIENT and wait.isdigit() and int(wait) + 1 > self.left():
            self.last_error += f" with retry-after {wait} s"
            raise self.give_up()
        for key in ("etag", "x-linked-etag", "x-repo-commit"):  # the client uses them as file names
            if re.search(r"[/\\\0]|\.\.", response.headers.get(key, "").removeprefix("W/")):
                raise IntegrityError(
                    f"{self.where}: rejected: {constants.ENDPOINT} sent an unsafe header {key}: {response.headers[key][:80]!r}"
                )

    @contextmanager
    def monitored(self) -> Iterator[None]:
        client: Any = get_session()
        own: dict[str, Any] = {"request": self.on_request, "response": self.on_response}
        client.event_hooks = {kind: [*client.event_hooks[kind], hook] for kind, hook in own.items()}
        try:
            yield
        finally:
            client.event_hooks = {kind: [other for other in client.event_hooks[kind] if other != hook] for kind, hook in own.items()}


def _persist(where: str, action: Callable[[], Result], patience: _Patience) -> Result:
    """Call `action`, retrying transient failures until the time limit. Returns: its result."""
    for pause in (*PAUSES_SECONDS, *[PAUSES_SECONDS[-1]] * 1000):
        try:
            with explained(where), patience.monitored():
                return action()
        except _Transient as error:
            patience.last_error = str(error)
        if patience.left() <= pause:
            raise patience.give_up()
        time.sleep(pause)
    raise patience.give_up()


class _Transient(Exception):
    """A failure that a retry may resolve."""


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn the client's errors into wholeword's, or into `_Transient`."""
    hub = constants.ENDPOINT
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except GatedRepoError:
        raise UserError(
            f"{where}: access needs the owner's consent; request it on {hub}/{where.split('@')[0]}, then run `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise UserError(f"{where}: no such branch, tag or commit on {hub}") from None
    except RepositoryNotFoundError:
        raise UserError(f"{where}: no such repository on {hub}, or it is private; check the name, or run `hf auth login`") from None
    except LocalEntryNotFoundError as error:  # how the client reports a failed HEAD request
        raise _Transient(_reason(error.__cause__ or error)) from None
    except EntryNotFoundError:
        raise UserError(f"{where}: no such file on {hub}") from None
    except OfflineModeIsEnabled:
        raise NetworkError(f"{where}: HF_HUB_OFFLINE is set; fetch it once while online") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in TRANSIENT:
            raise _Transient(_reason(error)) from None
        if status in (401, 403):
            raise UserError(f"{where}: {hub} denied access (HTTP status {status}); check HF_TOKEN or run `hf auth login`") from None
        raise NetworkError(f"{where}: HTTP status {status} from {hub}, which may not be a hub; {ELSEWHERE}") from None
    except HTTPError as error:
        raise _Transient(_reason(error)) from None
    except OSError as error:
        if error.errno is None:  # how the client reports a body of the wrong size
            raise _Transient(_reason(error)) from None
        raise
    except (ValueError, TypeError, KeyError, AttributeError):  # from a response that is not the hub's
        raise NetworkError(f"{where}: unexpected response from {hub}, perhaps the login page of a network; {ELSEWHERE}") from None


def _reason(error: BaseException) -> str:
    if isinstance(error, HfHubHTTPError):
        return f"HTTP status {error.response.status_code}"
    return f"{type(error).__name__}: {(str(error).strip() or 'no details').splitlines()[0][:150]}"
