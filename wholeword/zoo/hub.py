"""Fetch models from the Hugging Face hub with its official client, and verify their checksums.

The client honours HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE, and manages the cache, which it shares with transformers. This module
adds two things. Every file is hashed and compared with the checksum that the hub publishes for the commit (the client checks only the
size) and with the checksum recorded at first use (`zoo/hub_cache.py`). Retries are limited in time, and failures are raised as
wholeword's own errors (`zoo/hub_client.py`).
"""

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented as public

from wholeword.core.bert.config_files import NAMES
from wholeword.core.errors import IntegrityError, NetworkError, UserError
from wholeword.zoo.hub_cache import COMMIT, Known, check, read_lock, remember, snapshot, storage
from wholeword.zoo.hub_client import PATIENCE_SECONDS, WARM_PATIENCE_SECONDS, Repository, download, explained, find_repository

log = logging.getLogger(__name__)

Choice = Callable[[Sequence[str]], Sequence[str]]
OPTIONAL = ("added_tokens.json",)  # empty for most models; a cache that other tools filled may lack it
WEIGHTS = (  # in order of preference
    r"model\.safetensors",
    r"model\.safetensors\.index\.json|model-\d{5}-of-\d{5}\.safetensors",
    r"pytorch_model\.bin",
    r"pytorch_model\.bin\.index\.json|pytorch_model-\d{5}-of-\d{5}\.bin",
    r"bert_model\.ckpt\.(index|data-\d{5}-of-\d{5})",
    r"model_state\.pdparams",
)


def tokenizer_files(names: Sequence[str]) -> list[str]:
    """Select the configuration and the tokenizer's files from the names of a repository's files."""
    config = next((name for name in NAMES if name in names), NAMES[1])
    vocabulary = "tokenizer.json" if "tokenizer.json" in names and "vocab.txt" not in names else "vocab.txt"
    return [config, vocabulary, *(name for name in ("tokenizer_config.json", "added_tokens.json") if name in names)]


def model_files(names: Sequence[str]) -> list[str]:
    """Select the files that `zoo.folder.Folder` reads from the names of a repository's files. Raises: UserError if there are no weights."""
    for pattern in WEIGHTS:
        if weights := sorted(name for name in names if re.fullmatch(pattern, name)):
            return [*tokenizer_files(names), *weights]
    raise UserError(
        "no weights in a supported format; expected model.safetensors, pytorch_model.bin, bert_model.ckpt or model_state.pdparams"
    )


def fetch(
    repo_id: str,
    *,
    revision: str | None = None,
    files: Sequence[str] | Choice = model_files,
    local_files_only: bool = False,
    sha256: dict[str, str] | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Path:
    """Fetch files into the hub's cache and verify each against the hub's checksum and the one recorded at first use.

    No request is sent in offline mode, or if the given commit is already in the cache. If the hub cannot be reached, a branch resolves to
    the last commit known for it, provided that is in the cache.

    Args:
        revision: branch, tag or commit; defaults to "main".
        files: names, or a function that selects from the names of the repository's files.
        sha256: file -> expected sha256, if known from another source.
        patience_seconds: how long to wait without progress before giving up.
    Returns: the folder of the commit in the cache.
    Raises: UserError if the repository, revision or a file does not exist or access is denied; NetworkError if a download fails;
        IntegrityError if a file does not match its checksum, in which case it is removed from the cache.
    """
    revision, sha256 = revision or "main", sha256 or {}
    where = f"{repo_id}@{revision}"
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UserError(f"{repo_id}: not a valid repository name: {str(error).splitlines()[0]}; expected owner/name") from None
    if not re.fullmatch(r"[\w.\-/]+", revision) or ".." in revision:
        raise UserError(f"{where}: not a valid revision; expected a branch, tag or commit")
    local = local_files_only or constants.HF_HUB_OFFLINE
    cached = _find_cached(repo_id, revision, files)
    if cached and (local or COMMIT.fullmatch(revision)):
        return _checked_folder(repo_id, cached, sha256, patience_seconds=None if local else patience_seconds)
    if local:
        reason = "local_files_only is set" if local_files_only else "HF_HUB_OFFLINE is set"
        raise NetworkError(f"{where}: not in the cache {constants.HF_HUB_CACHE}, and {reason}; fetch it once while online")
    try:
        repository = find_repository(repo_id, revision, min(patience_seconds, WARM_PATIENCE_SECONDS) if cached else patience_seconds)
    except NetworkError as error:
        if cached is None:
            raise
        log.warning("%s; using commit %s from the cache instead", error, cached.commit[:8])
        return _checked_folder(repo_id, cached, sha256, patience_seconds=None)
    with explained(where):
        chosen = _choose(files, list(repository.files))
    if absent := [name for name in chosen if name not in repository.files]:
        raise UserError(
            f"{where}: no such file in the repository: {', '.join(absent)}; it contains {', '.join(sorted(repository.files)[:20])}"
        )
    remember(repo_id, repository.commit, revision=revision, names=sorted(repository.files))
    chosen_files = Repository(repository.commit, {name: repository.files[name] for name in chosen})
    return _checked_folder(repo_id, chosen_files, sha256, patience_seconds=patience_seconds)


def verify(repo_id: str, *, revision: str | None = None) -> dict[str, str]:
    """Hash every file ever fetched of a revision, without network access. Returns: file -> sha256.

    Raises: IntegrityError if a file has changed, in which case it is removed from the cache; UserError if nothing was fetched.
    """
    revision = revision or "main"
    lock = read_lock()
    commit = revision if COMMIT.fullmatch(revision) else lock["revisions"].get(f"{repo_id}@{revision}", "")
    known = lock["models"].get(f"{repo_id}@{commit}", {}).get("files", {})
    if not known:
        raise UserError(f"{repo_id}@{revision}: not fetched yet; fetch it with `wholeword zoo get`")
    for name in known:
        check(repo_id, commit, name, Known(), None, always=True)
    return {name: entry["sha256"] for name, entry in sorted(known.items())}


def _find_cached(repo_id: str, revision: str, files: Sequence[str] | Choice) -> Repository | None:
    """The last commit known for the revision, here or to any other user of the cache, if all of its files are in the cache."""
    lock, commits = read_lock(), [revision]
    if not COMMIT.fullmatch(revision):
        commits = [lock["revisions"].get(f"{repo_id}@{revision}", "")]
        with suppress(OSError, UnicodeDecodeError):
            commits.append((storage(repo_id) / "refs" / revision).read_text().strip())
    for commit in commits:
        folder = snapshot(repo_id, commit)
        if not COMMIT.fullmatch(commit) or not folder.is_dir():
            continue
        present = [path.name for path in folder.iterdir() if path.is_file()]
        try:
            chosen = _choose(files, lock["models"].get(f"{repo_id}@{commit}", {}).get("names") or present)
        except UserError:
            continue
        chosen = [name for name in chosen if (folder / name).is_file() or name not in OPTIONAL]
        if all((folder / name).is_file() for name in chosen):
            return Repository(commit, dict.fromkeys(chosen, Known()))
    return None


def _choose(files: Sequence[str] | Choice, names: Sequence[str]) -> list[str]:
    return list(files(names) if callable(files) else files)


def _checked_folder(repo_id: str, repository: Repository, sha256: dict[str, str], *, patience_seconds: float | None) -> Path:
    """Verify every file, fetching what is missing or damaged; fetch nothing if `patience_seconds` is None. Returns: the folder."""
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
