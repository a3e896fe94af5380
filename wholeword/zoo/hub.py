"""Models of the Hugging Face hub, fetched by its own client and trusted only by their checksums.

The client honours HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE, and keeps its cache, shared with transformers. Added here: every file
is hashed and compared with what the hub announces for its commit (the client looks at the size alone) and with what it was at its first use
here (`zoo/hub_cache.py`); waiting and trying again have an end, and a failure is one of our errors (`zoo/hub_client.py`).
"""

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public in its documentation

from wholeword.core.errors import IntegrityError, NetworkError, UserError
from wholeword.zoo.hub_cache import COMMIT, Known, check, read_lock, remember, snapshot, storage
from wholeword.zoo.hub_client import PATIENCE_SECONDS, WARM_PATIENCE_SECONDS, Repository, download, explained, find_repository

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


def tokenizer_files(names: Sequence[str]) -> list[str]:
    """Of a repository's files, those that say how text becomes ids, and the configuration."""
    config = "config.json" if "config.json" in names else "bert_config.json"
    vocabulary = "tokenizer.json" if "tokenizer.json" in names and "vocab.txt" not in names else "vocab.txt"
    return [config, vocabulary, *(name for name in ("tokenizer_config.json",) if name in names)]


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
        repository = find_repository(repo_id, revision, min(patience_seconds, WARM_PATIENCE_SECONDS) if held else patience_seconds)
    except NetworkError as error:
        if held is None:
            raise
        log.warning("%s; going on with what it was the last time, commit %s", error, held.commit[:8])
        return _use(repo_id, held, sha256, patience_seconds=None)
    with explained(where):
        chosen = _choose(files, list(repository.files))
    if absent := [name for name in chosen if name not in repository.files]:
        raise UserError(f"{where}: no file {', '.join(absent)}; it has {', '.join(sorted(repository.files)[:20])}")
    remember(repo_id, repository.commit, revision=revision, names=sorted(repository.files))
    wanted = Repository(repository.commit, {name: repository.files[name] for name in chosen})
    return _use(repo_id, wanted, sha256, patience_seconds=patience_seconds)


def verify(repo_id: str, *, revision: str | None = None) -> dict[str, str]:
    """Hash every file that was ever fetched of a revision, without a network. Returns: file -> sha256.

    Raises: IntegrityError for a file that changed; it is then gone. UserError if nothing was fetched.
    """
    revision = revision or "main"
    lock = read_lock()
    commit = revision if COMMIT.fullmatch(revision) else lock["revisions"].get(f"{repo_id}@{revision}", "")
    known = lock["models"].get(f"{repo_id}@{commit}", {}).get("files", {})
    if not known:
        raise UserError(f"{repo_id}@{revision}: nothing of it was fetched yet; `wholeword zoo get` does")
    for name in known:
        check(repo_id, commit, name, Known(), None, always=True)
    return {name: entry["sha256"] for name, entry in sorted(known.items())}


def _held(repo_id: str, revision: str, files: Sequence[str] | Choice) -> Repository | None:
    """The commit that the revision stood for the last time, here or for any user of the cache, if all of its files are there."""
    lock, commits = read_lock(), [revision]
    if not COMMIT.fullmatch(revision):
        commits = [lock["revisions"].get(f"{repo_id}@{revision}", "")]
        with suppress(OSError, UnicodeDecodeError):
            commits.append((storage(repo_id) / "refs" / revision).read_text().strip())
    for commit in commits:
        folder = snapshot(repo_id, commit)
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
    folder = snapshot(repo_id, repository.commit)
    for name, known in repository.files.items():
        if (folder / name).is_file():
            try:
                check(repo_id, repository.commit, name, known, sha256.get(name))
                continue
            except IntegrityError as error:
                if patience_seconds is None:
                    raise
                log.warning("%s", error)
        assert patience_seconds is not None
        download(repo_id, repository.commit, name, known, patience_seconds)
        check(repo_id, repository.commit, name, known, sha256.get(name))
    return folder
