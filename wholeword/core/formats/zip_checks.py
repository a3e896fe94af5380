"""Checks of a .zip archive before anything in it is read or unpacked: names, kinds, sizes and offsets of its members.

Follows the list of attacks in Keras' `file_utils_test.py` and `saving_lib_test.py`.
"""

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from wholeword.core.errors import IntegrityError

MOST_MEMBERS = 1000
MOST_DIRECTORY_BYTES = 1 << 20  # of the list of members
MOST_BYTES = 16 << 30  # all members together; BERT-large with optimizer slots has 4 GB
MOST_EXPANSION, FREE_EXPANSION_BYTES = 100, 1 << 20  # weights shrink by a tenth, a .meta file to a twentieth
MOST_NAME_BYTES, MOST_DEPTH = 200, 8
END, END_BYTES = b"PK\5\6", 22  # the record at the end of every archive, before a comment of up to 65,535 bytes
LOCAL_HEADER_BYTES = 30
ENCRYPTED = 0x41  # bits of the flags
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices on Windows


def check_end(file: BinaryIO) -> None:
    """Verify that the list of members can be read safely. Raises: BadZipFile, IntegrityError."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - END_BYTES - 65535))
    tail = file.read()
    start = tail.rfind(END)
    if start < 0 or len(tail) - start < END_BYTES:
        raise zipfile.BadZipFile("its end is missing")
    if start + END_BYTES + int.from_bytes(tail[start + 20 : start + 22], "little") != len(tail):
        raise zipfile.BadZipFile("its end is not where it says")
    members = int.from_bytes(tail[start + 10 : start + 12], "little")
    directory_bytes = int.from_bytes(tail[start + 12 : start + 16], "little")
    if members > MOST_MEMBERS or directory_bytes > MOST_DIRECTORY_BYTES:
        raise IntegrityError(f"{file.name}: refused as a whole: {members:,} members; at most {MOST_MEMBERS:,} are accepted")


def problems(members: Sequence[zipfile.ZipInfo]) -> Iterator[str]:
    """The reasons to refuse an archive, judged by its list of members."""
    if len(members) > MOST_MEMBERS:
        yield f"{len(members):,} members; at most {MOST_MEMBERS:,} are accepted"
    if (total := sum(member.file_size for member in members)) > MOST_BYTES:
        yield f"{total:,} bytes; at most {MOST_BYTES:,} are accepted"
    seen: dict[str, bool] = {}  # name, as a file system may see it: whether it is a folder
    for member in members:
        yield from (f"{member.orig_filename!r}: {problem}" for problem in _member_problems(member))
        parts = unicodedata.normalize("NFC", member.orig_filename).casefold().strip("/").split("/")
        folders = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        if (name := "/".join(parts)) in seen and not (seen[name] and member.is_dir()):
            yield f"{member.orig_filename!r}: another member has this name, or one that differs only in case"
        if any(seen.get(folder) is False for folder in folders):
            yield f"{member.orig_filename!r}: a file has the name of its folder"
        seen |= {name: member.is_dir()} | dict.fromkeys(folders, True)
    end, before = 0, ""
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            yield f"{member.orig_filename!r}: overlaps with {before!r}"
        end, before = member.header_offset + LOCAL_HEADER_BYTES + member.compress_size, member.orig_filename


def _member_problems(member: zipfile.ZipInfo) -> Iterator[str]:
    name = member.orig_filename  # `filename` ends at a NUL
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        yield "an absolute name"
    elif any(part in ("", ".", "..") for part in parts):
        yield "a name that leads out of the folder"
    elif re.search(r"[\\:\x00-\x1f\x7f]", name) or any(RESERVED.fullmatch(part) or part.endswith((".", " ")) for part in parts):
        yield "a name that is not valid on every system"
    if len(name.encode("utf-8", "replace")) > MOST_NAME_BYTES or len(parts) > MOST_DEPTH:
        yield "the name is too long"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "a link or a device"
    elif ((kind == stat.S_IFDIR) != member.is_dir() and kind) or (member.is_dir() and member.file_size):
        yield "a file and a folder at once"
    if member.flag_bits & ENCRYPTED:
        yield "encrypted; unpack it yourself and name the folder"
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield "compressed by a method that is not supported; unpack it yourself and name the folder"
    elif member.file_size > FREE_EXPANSION_BYTES and member.file_size > MOST_EXPANSION * member.compress_size:
        yield f"{member.compress_size:,} bytes that become {member.file_size:,}"
