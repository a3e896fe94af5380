"""What a .zip archive has to be before anything of it is read or unpacked: names, kinds, sizes and places of its members.

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
    """Whether the list of members is one that may be read at all. Raises: BadZipFile, IntegrityError."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - END_BYTES - 65535))
    tail = file.read()
    start = tail.rfind(END)
    if start < 0 or len(tail) - start < END_BYTES:
        raise zipfile.BadZipFile("its end is missing")
    if start + END_BYTES + int.from_bytes(tail[start + 20 : start + 22], "little") != len(tail):
        raise zipfile.BadZipFile("it does not end where it says")
    members = int.from_bytes(tail[start + 10 : start + 12], "little")
    directory_bytes = int.from_bytes(tail[start + 12 : start + 16], "little")
    if members > MOST_MEMBERS or directory_bytes > MOST_DIRECTORY_BYTES:
        raise IntegrityError(f"{file.name}: refused as a whole: {members:,} members; at most {MOST_MEMBERS:,} are taken")


def problems(members: Sequence[zipfile.ZipInfo]) -> Iterator[str]:
    """What speaks against an archive, one line each, as its list of members tells it."""
    if len(members) > MOST_MEMBERS:
        yield f"{len(members):,} members; at most {MOST_MEMBERS:,} are taken"
    if (total := sum(member.file_size for member in members)) > MOST_BYTES:
        yield f"{total:,} bytes; at most {MOST_BYTES:,} are taken"
    seen: dict[str, bool] = {}  # name, as a file system may see it: whether it is a folder
    for member in members:
        yield from (f"{member.orig_filename!r}: {problem}" for problem in _member_problems(member))
        parts = unicodedata.normalize("NFC", member.orig_filename).casefold().strip("/").split("/")
        folders = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        if (name := "/".join(parts)) in seen and not (seen[name] and member.is_dir()):
            yield f"{member.orig_filename!r}: there is another one of that name, or of one that differs in case only"
        if any(seen.get(folder) is False for folder in folders):
            yield f"{member.orig_filename!r}: a file is where its folder should be"
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
        yield "a name that leads elsewhere"
    elif re.search(r"[\\:\x00-\x1f\x7f]", name) or any(RESERVED.fullmatch(part) or part.endswith((".", " ")) for part in parts):
        yield "a name that is none on every system"
    if len(name.encode("utf-8", "replace")) > MOST_NAME_BYTES or len(parts) > MOST_DEPTH:
        yield "too long a name"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "a link or a device"
    elif ((kind == stat.S_IFDIR) != member.is_dir() and kind) or (member.is_dir() and member.file_size):
        yield "half file, half folder"
    if member.flag_bits & ENCRYPTED:
        yield "encrypted; unpack it yourself and name the folder"
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield "compressed in a way that is not read here; unpack it yourself and name the folder"
    elif member.file_size > FREE_EXPANSION_BYTES and member.file_size > MOST_EXPANSION * member.compress_size:
        yield f"{member.compress_size:,} bytes that become {member.file_size:,}"
