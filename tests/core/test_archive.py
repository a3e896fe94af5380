"""Archives are unpacked as published, and rejected as a whole if any member could do harm."""

import io
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.formats import zip_checks
from wholeword.zoo.archive import unpack

MODEL = {
    "bert_config.json": b"{}",
    "vocab.txt": "使\n用\n".encode(),
    "bert_model.ckpt.index": bytes(200),
    "bert_model.ckpt.data-00000-of-00001": os.urandom(50_000),
}


def pack(path: Path, members: dict[str, bytes], *, prefix: str = "", compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(prefix + name, content)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("prefix", ["", "chinese_wwm_L-12_H-768_A-12/", "a/b/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_as_published_are_unpacked_once(tmp_path: Path, prefix: str, compression: int) -> None:
    path, cache = pack(tmp_path / "model.zip", MODEL, prefix=prefix, compression=compression), tmp_path / "cache"
    folder = unpack(path, cache=cache)
    assert files(folder) == MODEL
    inode = (folder / "vocab.txt").stat().st_ino
    path.rename(tmp_path / "renamed.zip")  # known by its content
    assert unpack(tmp_path / "renamed.zip", cache=cache) == folder and (folder / "vocab.txt").stat().st_ino == inode
    (folder / "vocab.txt").write_bytes(b"changed")
    assert files(unpack(tmp_path / "renamed.zip", cache=cache)) == MODEL


def test_files_added_by_macos_are_left_out(tmp_path: Path) -> None:
    junk = {"model/.DS_Store": b"x", "__MACOSX/model/._vocab.txt": b"x", "model/": b""}
    path = pack(tmp_path / "model.zip", junk | {f"model/{name}": content for name, content in MODEL.items()})
    assert files(unpack(path, cache=tmp_path / "cache")) == MODEL


def test_a_sha256_names_the_folder_and_a_manifest_lies_beside_the_files(tmp_path: Path) -> None:
    """Also where the archive has a manifest of its own."""
    members = MODEL | {"manifest.json": b"{}"}
    folder = unpack(pack(tmp_path / "model.zip", members), cache=tmp_path / "cache")
    assert files(folder) == members and (folder.parent / "manifest.json").stat().st_size > 2


def entry(name: str, content: bytes = b"x", **attributes: int) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name  # as it is, NUL and all
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def unix(mode: int) -> dict[str, int]:
    return {"create_system": 3, "external_attr": mode << 16}


LONG = "长" * 100
MEMBERS: dict[str, list[tuple[zipfile.ZipInfo, bytes]]] = {
    "parent": [entry("../evil")],
    "parent inside": [entry("a/../../evil")],
    "parent that stays inside": [entry("a/../evil")],
    "absolute": [entry("/evil")],
    "drive": [entry("C:/evil")],
    "drive and backslash": [entry("C:\\evil")],
    "backslash": [entry("..\\evil")],
    "stream": [entry("vocab.txt:evil")],
    "dot": [entry("./evil")],
    "empty part": [entry("a//evil")],
    "empty name": [entry("")],
    "NUL": [entry("vocab.txt\0.evil")],
    "line feed": [entry("a\nevil")],
    "Windows device": [entry("aux.txt")],
    "trailing dot": [entry("evil.")],
    "long": [entry(LONG)],
    "deep": [entry("a/" * 20 + "evil")],
    "symbolic link": [entry("evil", b"/etc/passwd", **unix(stat.S_IFLNK | 0o777))],
    "link as a folder": [entry("evil/", b"", **unix(stat.S_IFLNK | 0o777))],
    "device": [entry("evil", b"", **unix(stat.S_IFCHR | 0o666))],
    "pipe": [entry("evil", b"", **unix(stat.S_IFIFO | 0o666))],
    "socket": [entry("evil", b"", **unix(stat.S_IFSOCK | 0o666))],
    "file that says folder": [entry("evil", **unix(stat.S_IFDIR | 0o777))],
    "folder with content": [entry("evil/", b"content")],
    "twice": [entry("evil"), entry("evil")],
    "case only": [entry("evil"), entry("EVIL")],
    "accents only": [entry("é"), entry("e\u0301")],
    "file as folder": [entry("evil"), entry("evil/x")],
    "folder as file": [entry("evil/x"), entry("evil")],
    "bomb": [entry("evil", bytes(5_000_000), compress_type=zipfile.ZIP_DEFLATED)],
    "other compression": [entry("evil", b"x" * 100, compress_type=zipfile.ZIP_LZMA)],
}


def change(content: bytes, signature: bytes, offset: int, new: bytes) -> bytes:
    """Overwrite a field of the last record with the signature."""
    start = content.rindex(signature) + offset
    return content[:start] + new + content[start + len(new) :]


CENTRAL, LOCAL = b"PK\1\2", b"PK\3\4"
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "encrypted": lambda content: change(change(content, CENTRAL, 8, b"\1\0"), LOCAL, 6, b"\1\0"),
    "overlapping": lambda content: change(content, CENTRAL, 42, struct.pack("<I", content.rindex(LOCAL, 0, content.rindex(LOCAL)))),
    "too large": lambda content: change(content, CENTRAL, 24, struct.pack("<I", 0xFFFFFFF0)),
    "larger than listed": lambda content: change(content, CENTRAL, 24, struct.pack("<I", 1)),
    "smaller than listed": lambda content: change(content, CENTRAL, 24, struct.pack("<I", 10)),
    "cut": lambda content: content[: len(content) // 2],
    "end cut": lambda content: content[:-3],
    "start cut": lambda content: content[100:],
    "bit flipped": lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
    "other name inside": lambda content: content.replace(b"vocab.txt", b"vocab.bad", 1),
    "many members announced": lambda content: change(content, b"PK\5\6", 10, struct.pack("<H", 65535)),
    "more behind": lambda content: content + b"more",
    "not an archive": lambda content: b"not an archive" * 100,
    "empty": lambda content: b"",
}


def assert_refused(path: Path, folder: Path) -> None:
    before = files(folder)
    with pytest.raises(IntegrityError) as caught:
        unpack(path, cache=folder / "in" / "cache")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert files(folder) == before and not [entry for entry in folder.rglob("*") if entry.is_symlink()]


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("position", ["first", "last"])
def test_nothing_is_unpacked_if_one_member_is_hostile(tmp_path: Path, member: str, position: str) -> None:
    good = [entry(f"model/{name}", content) for name, content in MODEL.items()]
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as file:
        warnings.simplefilter("ignore")  # of the same name twice
        for info, content in [*MEMBERS[member], *good] if position == "first" else [*good, *MEMBERS[member]]:
            file.writestr(info, content, compress_type=info.compress_type)
    (tmp_path / "model.zip").write_bytes(buffer.getvalue())
    assert_refused(tmp_path / "model.zip", tmp_path)


@pytest.mark.parametrize("damage", BYTES)
def test_a_hostile_or_damaged_archive_is_rejected(tmp_path: Path, damage: str) -> None:
    path = pack(tmp_path / "model.zip", dict(reversed(MODEL.items())), compression=zipfile.ZIP_STORED)
    path.write_bytes(BYTES[damage](path.read_bytes()))
    assert_refused(path, tmp_path)


def test_limits_on_all_members_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "many.zip", {f"{number}": b"" for number in range(zip_checks.MOST_MEMBERS + 1)})
    assert_refused(path, tmp_path)
    monkeypatch.setattr(zip_checks, "MOST_BYTES", sum(map(len, MODEL.values())) - 1)
    assert_refused(pack(tmp_path / "large.zip", MODEL), tmp_path)


def test_a_missing_archive_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.zip: no such file"):
        unpack(tmp_path / "model.zip", cache=tmp_path / "cache")
