"""Models of the Hugging Face hub, fetched by its own client and trusted only by their checksums.

The client honours HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE, and keeps its cache, shared with transformers. Added here: every file
is hashed and compared with what the hub announces for its commit (the client looks at the size alone) and with what it was at its first use
here (`$HF_HOME/wholeword/hub.lock.json`); waiting and trying again have an end; what killed downloads left is removed; a failure is one of
our errors.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import HfApi, constants, get_session, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import validate_repo_id

from wholeword.core.errors import IntegrityError, NetworkError, UserError
from wholeword.core.files import atomic_write, disk_errors, to_json

HTTPError: Any = HfHubHTTPError.__bases__[0]  # of httpx, or of httpx2: the client's versions differ in it
COMMIT = re.compile(r"[0-9a-f]{40}")
TRANSIENT = (408, 425, 429, 500, 502, 503, 504, 520, 522, 524)
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # before trying again, as long as patience lasts
PATIENCE_SECONDS = 60.0
WARM_PATIENCE_SECONDS = 5.0  # when the cache has what a branch stood for the last time
log = logging.getLogger(__name__)

Choice = Callable[[Sequence[str]], Sequence[str]]
WEIGHTS = (  # the first of them that a repository has
    r"model\.safetensors",
    r"model\.safetensors\.index\.json|model-\d{5}-of-\d{5}\.safetensors",
    r"pytorch_model\.bin",
    r"pytorch_model\.bin\.index\.json|pytorch_model-\d{5}-of-\d{5}\.bin",
    r"bert_model\.ckpt\.(index|data-\d{5}-of-\d{5})",
    r"model_state\.pdparams",
)


class Known(NamedTuple):
    """What the hub says of a file; None where it does not."""

    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None  # of "blob <size>\0" and the content: small files have no sha256 there


class Repository(NamedTuple):
    commit: str
    files: dict[str, Known]


def tokenizer_files(names: Sequence[str]) -> list[str]:
    """Of a repository's files, those that say how text becomes ids, and the configuration."""
    config = "config.json" if "config.json" in names else "bert_config.json"
    return [config, "vocab.txt", *(name for name in ("tokenizer_config.json",) if name in names)]


def model_files(names: Sequence[str]) -> list[str]:
    """Of a repository's files, those that `zoo.folder.Folder` reads. Raises: UserError if there are no weights among them."""
    for pattern in WEIGHTS:
        if found := sorted(name for name in names if re.fullmatch(pattern, name)):
            return [*tokenizer_files(names), *found]
    raise UserError("no weights that can be read: expected model.safetensors, pytorch_model.bin, bert_model.ckpt or model_state.pdparams")


def fetch(
    repo_id: str,
    *,
    revision: str | None = None,
    files: Sequence[str] | Choice = model_files,
    local_files_only: bool = False,
    sha256: dict[str, str] | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Path:
    """A folder of the hub's cache with the files asked for, each of them what the hub announces and what it was at its first use.

    Without a request where the network is not wanted, or where a commit is asked for and is there. A branch whose newest commit cannot be
    asked for stands for the commit that it stood for the last time, if that is there.

    Args:
        revision: branch, tag or commit; "main" by default.
        files: names; or a function that chooses among the names of the repository.
        sha256: file -> what its sha256 has to be, if that is known from elsewhere.
        patience_seconds: how long nothing may come before this is given up.
    Raises: UserError for a repository, revision or file that does not exist or may not be read; NetworkError for what did not come;
        IntegrityError for what came and is something else; a file that is refused is removed from the cache.
    """
    revision, sha256 = revision or "main", sha256 or {}
    where = f"{repo_id}@{revision}"
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UserError(f"{repo_id}: not the name of a repository: {str(error).splitlines()[0]}; expected owner/name") from None
    if not re.fullmatch(r"[\w.\-/]+", revision) or ".." in revision:
        raise UserError(f"{where}: not a revision; expected a branch, a tag or a commit")
    local = local_files_only or constants.HF_HUB_OFFLINE
    held = _held(repo_id, revision, files)
    if held and (local or COMMIT.fullmatch(revision)):
        return _use(repo_id, held, sha256, patience_seconds=None if local else patience_seconds)
    if local:
        why = "local_files_only is set" if local_files_only else "HF_HUB_OFFLINE is set"
        raise NetworkError(f"{where}: not in the cache {constants.HF_HUB_CACHE}, and {why}; fetch it once with a network")
    try:
        repository = _repository(repo_id, revision, min(patience_seconds, WARM_PATIENCE_SECONDS) if held else patience_seconds)
    except NetworkError as error:
        if held is None:
            raise
        log.warning("%s; going on with what it was the last time, commit %s", error, held.commit[:8])
        return _use(repo_id, held, sha256, patience_seconds=None)
    with _explained(where):
        chosen = _choose(files, list(repository.files))
    if absent := [name for name in chosen if name not in repository.files]:
        raise UserError(f"{where}: no file {', '.join(absent)}; it has {', '.join(sorted(repository.files)[:20])}")
    _remember(repo_id, repository.commit, revision=revision, names=sorted(repository.files))
    wanted = Repository(repository.commit, {name: repository.files[name] for name in chosen})
    return _use(repo_id, wanted, sha256, patience_seconds=patience_seconds)


def verify(repo_id: str, *, revision: str | None = None) -> dict[str, str]:
    """Hash every file that was ever fetched of a revision, without a network. Returns: file -> sha256.

    Raises: IntegrityError for a file that changed; it is then gone. UserError if nothing was fetched.
    """
    revision = revision or "main"
    lock = _read_lock()
    commit = revision if COMMIT.fullmatch(revision) else lock["revisions"].get(f"{repo_id}@{revision}", "")
    known = lock["models"].get(f"{repo_id}@{commit}", {}).get("files", {})
    if not known:
        raise UserError(f"{repo_id}@{revision}: nothing of it was fetched yet; `wholeword zoo get` does")
    for name in known:
        _check(repo_id, commit, name, Known(), None, always=True)
    return {name: entry["sha256"] for name, entry in sorted(known.items())}


# --- what is there


def _snapshot(repo_id: str, commit: str) -> Path:
    return _storage(repo_id) / "snapshots" / commit


def _storage(repo_id: str) -> Path:
    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo_id, repo_type="model"))


def _held(repo_id: str, revision: str, files: Sequence[str] | Choice) -> Repository | None:
    """The commit that the revision stood for the last time, here or for any user of the cache, if all of its files are there."""
    lock, commits = _read_lock(), [revision]
    if not COMMIT.fullmatch(revision):
        commits = [lock["revisions"].get(f"{repo_id}@{revision}", "")]
        with suppress(OSError, UnicodeDecodeError):
            commits.append((_storage(repo_id) / "refs" / revision).read_text().strip())
    for commit in commits:
        folder = _snapshot(repo_id, commit)
        if not COMMIT.fullmatch(commit) or not folder.is_dir():
            continue
        there = [path.name for path in folder.iterdir() if path.is_file()]
        try:
            chosen = _choose(files, lock["models"].get(f"{repo_id}@{commit}", {}).get("names") or there)
        except UserError:
            continue
        if all((folder / name).is_file() for name in chosen):
            return Repository(commit, dict.fromkeys(chosen, Known()))
    return None


def _choose(files: Sequence[str] | Choice, names: Sequence[str]) -> list[str]:
    return list(files(names) if callable(files) else files)


def _use(repo_id: str, repository: Repository, sha256: dict[str, str], *, patience_seconds: float | None) -> Path:
    """The folder, after every file was found right; without patience nothing is fetched."""
    folder = _snapshot(repo_id, repository.commit)
    for name, known in repository.files.items():
        if (folder / name).is_file():
            try:
                _check(repo_id, repository.commit, name, known, sha256.get(name))
                continue
            except IntegrityError as error:
                if patience_seconds is None:
                    raise
                log.warning("%s", error)
        assert patience_seconds is not None
        _download(repo_id, repository.commit, name, known, patience_seconds)
        _check(repo_id, repository.commit, name, known, sha256.get(name))
    return folder


def _check(repo_id: str, commit: str, name: str, known: Known, sha256: str | None, *, always: bool = False) -> None:
    """Compare a file with all that is known of it, and remember it. Raises: IntegrityError; the file is then gone."""
    path = _snapshot(repo_id, commit) / name
    where = f"{repo_id}@{commit[:8]}/{name}"
    first = _read_lock()["models"].get(f"{repo_id}@{commit}", {}).get("files", {}).get(name)
    if not path.is_file():
        raise IntegrityError(f"{where}: gone from the cache; fetch it anew")
    status = path.stat()
    stat = [status.st_mtime_ns, status.st_ino, status.st_size]
    if first and first["stat"] == stat and not always:  # hashed before, and not touched since
        found_sha256, found_sha1 = first["sha256"], first["git_sha1"]
    else:
        found_sha256, found_sha1 = _hashes(path)
    if known == Known():  # nothing was asked for: the cache calls a file what the hub announced
        announced = path.resolve().name
        known = Known(None, *((announced, None) if len(announced) == 64 else (None, announced if len(announced) == 40 else None)))
    expected = {
        "the hub announces": (known.size, known.sha256, known.git_sha1),
        "the model's card says": (None, sha256, None),
        f"at its first use ({_lock_path()})": (None, first and first["sha256"], None),
    }
    found = (status.st_size, found_sha256, found_sha1)
    for who, values in expected.items():
        for kind, value, is_now in zip(("size", "sha256", "git sha1"), values, found, strict=True):
            if value is not None and value != is_now:
                _remove(path)
                raise IntegrityError(
                    f"{where}: refused and removed from the cache: its {kind} is {is_now}, not {value} as {who}; run again"
                )
    if not (known.sha256 or known.git_sha1 or sha256 or first):
        raise IntegrityError(f"{where}: the hub announces no checksum; it cannot be trusted")
    if first is None or first["stat"] != stat:
        _remember(repo_id, commit, file=name, entry={"sha256": found_sha256, "git_sha1": found_sha1, "size": status.st_size, "stat": stat})


def _hashes(path: Path) -> tuple[str, str]:
    """sha256, and what git calls the content."""
    git = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
            git.update(block)
    return sha256.hexdigest(), git.hexdigest()


def _remove(path: Path) -> None:
    """A file of the cache and what its links lead to, as far as that is in the cache."""
    cache = Path(constants.HF_HUB_CACHE).resolve()
    while path.is_symlink():
        target = path.parent / os.readlink(path)
        path.unlink()
        path = Path(os.path.abspath(target))
        if cache not in path.parent.resolve().parents:
            return
    path.unlink(missing_ok=True)


# --- the lock file


def _lock_path() -> Path:
    return Path(constants.HF_HOME, "wholeword", "hub.lock.json")


def _read_lock() -> dict[str, Any]:
    """{"revisions": {repo@branch: commit}, "models": {repo@commit: {"names": [...], "files": {name: sha256, size, stat}}}}."""
    path = _lock_path()
    try:
        content = json.loads(path.read_bytes())
        for model in content["models"].values():
            assert all(entry.keys() >= {"sha256", "git_sha1", "stat"} for entry in model.get("files", {}).values())
        return {"revisions": dict(content["revisions"]), "models": dict(content["models"])}
    except FileNotFoundError:
        return {"revisions": {}, "models": {}}
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
        raise IntegrityError(f"{path}: damaged; delete it to take the files as they are now for the right ones") from None


def _remember(
    repo_id: str,
    commit: str,
    *,
    revision: str | None = None,
    names: list[str] | None = None,
    file: str | None = None,
    entry: dict[str, Any] | None = None,
) -> None:
    """Add to the lock file, unless its folder cannot be written: then files are hashed at every use."""
    path = _lock_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk_errors(path), open(path.with_name(f".{path.name}"), "w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            lock = _read_lock()
            model = lock["models"].setdefault(f"{repo_id}@{commit}", {})
            if revision and not COMMIT.fullmatch(revision):
                lock["revisions"][f"{repo_id}@{revision}"] = commit
            if names is not None:
                model["names"] = names
            if file:
                model.setdefault("files", {})[file] = entry
            atomic_write(path, to_json(lock))
    except OSError as error:
        if not isinstance(error, PermissionError) and "Read-only" not in str(error):
            raise


# --- the network


def _repository(repo_id: str, revision: str, patience_seconds: float) -> Repository:
    """The commit of a revision, and what the hub says of its files."""
    where = f"{repo_id}@{revision}"

    def ask() -> Repository:
        info = HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=patience_seconds)
        if not COMMIT.fullmatch(info.sha or ""):
            raise ValueError("no commit")
        files = {
            sibling.rfilename: Known(sibling.size, *((sibling.lfs.sha256, None) if sibling.lfs else (None, sibling.blob_id)))
            for sibling in info.siblings or []
        }
        return Repository(str(info.sha), files)

    return _persist(where, ask, _Patience(patience_seconds, where))


def _download(repo_id: str, commit: str, name: str, known: Known, patience_seconds: float) -> None:
    """Bring a file into the cache."""
    where = f"{repo_id}@{commit[:8]}/{name}"
    _remove_orphans(_storage(repo_id))

    def get() -> None:
        path = Path(hf_hub_download(repo_id, name, revision=commit, etag_timeout=patience_seconds))
        if path != _snapshot(repo_id, commit) / name:
            _remove(path)
            raise IntegrityError(f"{where}: the hub sent it as another commit, {path.parent.name}; try another HF_ENDPOINT")

    with disk_errors(_storage(repo_id), needed=known.size):
        _persist(where, get, _Patience(patience_seconds, where))


def _remove_orphans(storage: Path) -> None:
    """Remove what killed downloads left: the client never takes them up again. What is being written is locked and stays."""
    for partial in (storage / "blobs").glob("*.incomplete"):
        lock = storage.parent / ".locks" / storage.name / f"{partial.name.split('.')[0]}.lock"
        with suppress(OSError):
            lock.parent.mkdir(parents=True, exist_ok=True)
            with open(lock, "a") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink()


class _Patience:
    """Watches the client's requests, which it repeats on its own, and ends them when nothing has come for too long."""

    def __init__(self, seconds: float, where: str):
        self.seconds, self.where = seconds, where
        self.last_error = "no answer"
        self.received = 0
        self.thread = threading.get_ident()
        self.progressed()

    def progressed(self) -> None:
        self.deadline = time.monotonic() + self.seconds

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def give_up(self) -> NetworkError:
        return NetworkError(
            f"{self.where}: given up after {self.seconds:g} s without progress; {self.last_error} from {constants.ENDPOINT}; "
            f"run it again later, or set HF_ENDPOINT to another hub"
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
            self.last_error += f" and the wish to wait {wait} s"
            raise self.give_up()
        for key in ("etag", "x-linked-etag", "x-repo-commit"):  # the client makes file names of them
            if re.search(r"[/\\\0]|\.\.", response.headers.get(key, "").removeprefix("W/")):
                raise IntegrityError(f"{self.where}: refused: {constants.ENDPOINT} sent the header {key}: {response.headers[key][:80]!r}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        client: Any = get_session()
        own: dict[str, Any] = {"request": self.on_request, "response": self.on_response}
        client.event_hooks = {kind: [*client.event_hooks[kind], hook] for kind, hook in own.items()}
        try:
            yield
        finally:
            client.event_hooks = {kind: [other for other in client.event_hooks[kind] if other != hook] for kind, hook in own.items()}


def _persist(where: str, action: Callable[[], Any], patience: _Patience) -> Any:
    """What `action` returns, tried again while the reason may pass and patience lasts."""
    for pause in (*PAUSES_SECONDS, *[PAUSES_SECONDS[-1]] * 1000):
        try:
            with _explained(where), patience.watching():
                return action()
        except _Passing as passing:
            patience.last_error = str(passing)
        if patience.left() <= pause:
            raise patience.give_up()
        time.sleep(pause)
    raise patience.give_up()


class _Passing(Exception):
    """A failure that may be none the next time."""


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """The client's errors as ours, or as `_Passing`."""
    hub = constants.ENDPOINT
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except GatedRepoError:
        raise UserError(
            f"{where}: its owner asks for consent first; give it on {hub}/{where.split('@')[0]}, then `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise UserError(f"{where}: the repository has no such branch, tag or commit on {hub}") from None
    except RepositoryNotFoundError:
        raise UserError(f"{where}: no such repository on {hub}, or a private one; check the name, or `hf auth login`") from None
    except LocalEntryNotFoundError as error:  # the client's word for a failed HEAD request
        raise _Passing(_reason(error.__cause__ or error)) from None
    except EntryNotFoundError:
        raise UserError(f"{where}: no such file on {hub}") from None
    except OfflineModeIsEnabled:
        raise NetworkError(f"{where}: HF_HUB_OFFLINE is set; fetch it once with a network") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in TRANSIENT:
            raise _Passing(_reason(error)) from None
        if status in (401, 403):
            raise UserError(f"{where}: {hub} refuses access (HTTP status {status}); check HF_TOKEN or `hf auth login`") from None
        raise NetworkError(f"{where}: HTTP status {status} from {hub}; if HF_ENDPOINT is set, check that it is a hub") from None
    except HTTPError as error:
        raise _Passing(_reason(error)) from None
    except OSError as error:
        if error.errno is None:  # the client's word for a body of another size
            raise _Passing(_reason(error)) from None
        raise
    except (ValueError, TypeError, KeyError, AttributeError):  # of an answer that is not the hub's
        raise _Passing("an answer that no hub gives (a login page of the network?)") from None


def _reason(error: BaseException) -> str:
    if isinstance(error, HfHubHTTPError):
        return f"HTTP status {error.response.status_code}"
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0][:150]}"
