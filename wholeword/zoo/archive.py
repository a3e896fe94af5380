"""Models from .zip archives, as Google and HFL publish them: one folder or flat.

An archive is refused as a whole if any of its members could do harm (`core/formats/zip_checks.py`), before a byte is written.
"""

import shutil
import zipfile
import zlib
from pathlib import Path

from wholeword.core.errors import DiskError, IntegrityError, UserError
from wholeword.core.files import atomic_directory, check_manifest, disk_errors, write_manifest
from wholeword.core.formats.zip_checks import check_end, problems
from wholeword.zoo.checksums import Checksums

JUNK = ("__MACOSX", ".DS_Store")  # what macOS adds: checked, and not unpacked


def unpack(path: Path | str, *, cache: Path | None = None) -> Path:
    """The folder with an archive's files, unpacked once: its name in the cache is the archive's sha256.

    Args:
        cache: `$HF_HOME/wholeword/archives` by default.
    Raises: UserError if it is no .zip file; IntegrityError if it is damaged or could do harm, and nothing is then written; DiskError.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a .zip with a model")
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
                    raise IntegrityError(f"{path}: refused as a whole: {problem}")
                _unpack(archive, final)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        if isinstance(error, UserError):
            if final.is_dir():  # another process was quicker
                return _model_folder(final / "files")
            raise
        raise IntegrityError(f"{path}: not a whole .zip archive: {error or type(error).__name__}; get it again") from None
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
        raise DiskError(f"{final}: needs {needed:,} bytes, {free:,} bytes are free; make room and run again")
    with disk_errors(final, needed=needed), atomic_directory(final) as folder:
        for member in members:
            target = folder / "files" / member.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(target, "xb") as file:
                shutil.copyfileobj(source, file, 1 << 20)  # never more than `file_size`, and its crc32 is checked
                if file.tell() != member.file_size:
                    raise zipfile.BadZipFile(f"{member.filename}: {file.tell():,} bytes, but it says {member.file_size:,}")
        write_manifest(folder, {"archive": Path(str(archive.filename)).name})


def _model_folder(folder: Path) -> Path:
    """The folder itself, or the only one in it."""
    while folder.is_dir() and len(entries := list(folder.iterdir())) == 1 and entries[0].is_dir():
        folder = entries[0]
    return folder
