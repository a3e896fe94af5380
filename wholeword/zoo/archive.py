"""Models from .zip archives as Google and HFL publish them, with or without a top-level folder.

If any member could do harm (`core/formats/zip_checks.py`), the whole archive is rejected before a byte is written.
"""

import shutil
import zipfile
import zlib
from pathlib import Path

from wholeword.core.errors import DiskError, IntegrityError, UserError
from wholeword.core.files import atomic_directory, check_manifest, disk_errors, write_manifest
from wholeword.core.formats.zip_checks import check_end, problems
from wholeword.zoo.checksums import Checksums

JUNK = ("__MACOSX", ".DS_Store")  # added by macOS: checked, but not unpacked


def unpack(path: Path | str, *, cache: Path | None = None) -> Path:
    """Unpack an archive once, into a cache folder named after its sha256. Returns: the folder that holds the model's files.

    Args:
        cache: defaults to `$HF_HOME/wholeword/archives`.
    Raises: UserError if there is no such file; IntegrityError, writing nothing, if it is damaged or could do harm; DiskError.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a .zip archive of a model")
    cache, checksums = cache or _default_cache(), Checksums()
    final = cache / checksums.sha256(path)
    if final.is_dir():
        try:
            check_manifest(final, sha256=checksums.sha256)
            checksums.save()
            return _model_folder(final / "files")
        except IntegrityError:
            shutil.rmtree(final)
    try:
        with open(path, "rb") as file:
            check_end(file)
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                for problem in problems(members):
                    raise IntegrityError(f"{path}: archive rejected: {problem}")
                _unpack(archive, final)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        if isinstance(error, UserError):
            if final.is_dir():  # another process has just unpacked it
                return _model_folder(final / "files")
            raise
        raise IntegrityError(f"{path}: incomplete or damaged .zip archive: {error or type(error).__name__}; download it again") from None
    return _model_folder(final / "files")


def _default_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME, "wholeword", "archives")


def _unpack(archive: zipfile.ZipFile, final: Path) -> None:
    members = [member for member in archive.infolist() if not member.is_dir() and not set(JUNK) & set(member.filename.split("/"))]
    needed = sum(member.file_size for member in members)
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
    if needed > (free := shutil.disk_usage(final.parent).free):
        raise DiskError(f"{final}: needs {needed:,} bytes, but only {free:,} are free; free some space and run again")
    with disk_errors(final, needed=needed), atomic_directory(final) as folder:
        for member in members:
            target = folder / "files" / member.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(target, "xb") as file:
                shutil.copyfileobj(source, file, 1 << 20)  # reads at most `file_size` bytes, and checks the crc32
                if file.tell() != member.file_size:
                    raise zipfile.BadZipFile(f"{member.filename}: {file.tell():,} bytes, but the archive lists {member.file_size:,}")
        write_manifest(folder, {"archive": Path(str(archive.filename)).name})


def _model_folder(folder: Path) -> Path:
    """The folder itself, or, while a folder is all that it contains, that folder."""
    while folder.is_dir() and len(entries := list(folder.iterdir())) == 1 and entries[0].is_dir():
        folder = entries[0]
    return folder
