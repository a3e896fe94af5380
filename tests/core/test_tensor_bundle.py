"""The bytes are checked against TensorFlow's own in tests/tensorflow; here stands what needs no TensorFlow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.formats.sorted_table import FOOTER_BYTES, MAGIC
from wholeword.core.formats.tensor_bundle import TYPES, read_bundle, read_entries, write_bundle
from wholeword.core.formats.tfrecord import masked_crc

ARRAYS = st.sampled_from(list(TYPES.values())).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))
NAMES = st.text(min_size=1, max_size=40).filter(lambda name: "\0" not in name)
# one tensor "a" of float32 [1.0], by hand from the protocol buffers
HEADER = "08 01  1a 02 08 01"  # one shard; version: producer 1
ENTRY = "08 01  12 04 12 02 08 01  28 04  35"  # float32; shape: one dimension of 1; 4 bytes; crc32c
SUCCESSOR_OF_A = "b"


def golden_index() -> bytes:
    def block(content: bytes) -> bytes:
        return content + b"\0" + masked_crc(content + b"\0")

    one = np.float32([1.0]).tobytes()
    entry = bytes.fromhex(ENTRY) + masked_crc(one)
    header = bytes.fromhex(HEADER)
    restarts = bytes.fromhex("00000000 01000000")
    data = block(bytes([0, 0, len(header)]) + header + bytes([0, 1, len(entry)]) + b"a" + entry + restarts)
    meta = block(restarts)
    handle = bytes([0, len(data) - 5])
    index = block(bytes([0, 1, len(handle)]) + SUCCESSOR_OF_A.encode() + handle + restarts)
    footer = bytes([len(data), len(meta) - 5, len(data) + len(meta), len(index) - 5])
    return data + meta + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def layers(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    tensors = {f"bert/layer_{number}/kernel": generator.normal(size=(3, 5)).astype(np.float32) for number in range(40)}
    return tensors | {"global_step": np.array(7, np.int64), "empty": np.zeros((0, 4), np.float32)}


def changed(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def resealed(path: Path, old: bytes, new: bytes) -> None:
    """The same first block with other bytes in it, and the checksum of these."""
    content = path.read_bytes()
    end = content[-FOOTER_BYTES]  # the block of meta data begins where the only data block ends
    assert len(old) == len(new) and content[: end - 5].count(old) == 1
    block = content[: end - 4].replace(old, new)
    path.write_bytes(block + masked_crc(block) + content[end:])


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", {"a": np.array([1.0], np.float32)})
    assert (tmp_path / "x.index").read_bytes() == golden_index()
    assert (tmp_path / "x.data-00000-of-00001").read_bytes() == bytes.fromhex("0000803f")


@settings(max_examples=60, deadline=None)
@given(tensors=st.dictionaries(NAMES, ARRAYS, max_size=40))
def test_there_and_back_gives_the_same_arrays(tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, np.ndarray]) -> None:
    prefix = tmp_path_factory.mktemp("bundle") / "model.ckpt"
    write_bundle(prefix, tensors)
    back = read_bundle(prefix)
    assert list(back) == sorted(tensors, key=str.encode)
    for name, array in tensors.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape and back[name].flags.writeable
        assert back[name].tobytes() == array.tobytes()


def test_views_are_written_as_what_they_show(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_bundle(tmp_path / "x", {"t": array.T, "s": array[::2, ::-1], "big": array.astype(">f4")})
    back = read_bundle(tmp_path / "x")
    assert np.array_equal(back["t"], array.T) and np.array_equal(back["s"], array[::2, ::-1]) and np.array_equal(back["big"], array)


def test_more_tensors_than_one_block_holds(tmp_path: Path) -> None:
    tensors = {f"{number * 7919 % 10007}/{'名' * (number % 30)}": np.array(number) for number in range(9000)}
    write_bundle(tmp_path / "x", tensors)
    back = read_bundle(tmp_path / "x")
    assert (tmp_path / "x.index").stat().st_size > 2 * 262144 and back == tensors


def test_what_is_not_wanted_is_not_read(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", layers())
    changed(tmp_path / "x.data-00000-of-00001", lambda content: content.__setitem__(0, content[0] ^ 1))
    damaged = min(layers(), key=str.encode)
    with pytest.raises(IntegrityError, match=damaged):
        read_bundle(tmp_path / "x")
    assert read_bundle(tmp_path / "x", select=lambda name: name != damaged).keys() == layers().keys() - {damaged}


def test_several_data_files(tmp_path: Path) -> None:
    """As tf.train.Saver(sharded=True) leaves them, made of a bundle of one: the entry of `b` says shard 1, the header two shards."""
    write_bundle(tmp_path / "x", {"a": np.array([1.0], np.float32), "b": np.array([2.0], np.float32)})
    resealed(tmp_path / "x.index", bytes.fromhex(HEADER), b"\x08\x02" + bytes.fromhex(HEADER)[2:])
    resealed(tmp_path / "x.index", b"\x20\x04\x28\x04", b"\x18\x01\x28\x04")  # offset 4 -> shard_id 1
    (tmp_path / "x.data-00000-of-00001").rename(tmp_path / "x.data-00000-of-00002")
    with pytest.raises(IntegrityError, match=r"x.data-00001-of-00002: no such file, but the index lists b in it"):
        read_bundle(tmp_path / "x")
    (tmp_path / "x.data-00001-of-00002").write_bytes(np.float32([2.0]).tobytes())
    assert read_bundle(tmp_path / "x") == {"a": 1.0, "b": 2.0}


def test_every_flipped_bit_is_refused_by_name(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", layers())
    generator = np.random.default_rng(5)
    entries = read_entries(tmp_path / "x")
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for bit in generator.choice(8 * len(whole), 300, replace=False).tolist():
            content = bytearray(whole)
            content[bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)
            with pytest.raises(IntegrityError) as refusal:
                read_bundle(tmp_path / "x")
            hit = [name for name, entry in entries.items() if entry.offset <= bit // 8 < entry.offset + entry.size]
            assert str(refusal.value).startswith(f"{path}: {hit[0] if path.suffix != '.index' else 'not a complete index'}")
        path.write_bytes(whole)


def test_cuts_are_refused_by_name(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", layers())
    index, data = tmp_path / "x.index", tmp_path / "x.data-00000-of-00001"
    whole = index.read_bytes()
    for size in range(0, len(whole), 3):
        index.write_bytes(whole[:size])
        with pytest.raises(IntegrityError, match=r"x\.index: not a complete index"):
            read_bundle(tmp_path / "x")
    index.write_bytes(whole)
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"x.data-00000-of-00001: global_step ends at byte 2,408, but the file has 2,407"):
        read_bundle(tmp_path / "x")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("12 04 12 02 08 01  28 04", "12 04 12 02 08 02  28 04", r"a: 4 bytes cannot be float32 \[2\]"),
        ("12 04 12 02 08 01  28 04", "12 04 12 02 08 01  28 05", r"a: 5 bytes cannot be float32 \[1\]"),
        ("12 04 12 02 08 01  28 04", "12 04 12 02 08 01  20 04", r"a: 0 bytes cannot be float32 \[1\]"),
        ("08 01  12 04", "08 07  12 04", "a is of type string, which is not supported"),
        ("08 01  12 04", "08 63  12 04", "a is of type number 99, which is not supported"),
        ("12 04 12 02 08 01", "3a 04 12 02 08 01", "a is a partitioned variable in 1 slices, which is not supported"),
        ("08 01  1a 02 08 01", "10 01  1a 02 08 01", "big endian"),
        ("1a 02 08 01", "1a 02 10 02", "needs version 2 of the format"),
        ("08 01  1a 02 08 01", "18 01  1a 02 08 01", "shard 0 of 0"),
        ("00 01 0f", "01 01 0f", "does not fit into its block"),
    ],
)
def test_an_index_that_says_something_else(tmp_path: Path, old: str, new: str, message: str) -> None:
    """With checksums that are right, as somebody would make them who means harm."""
    write_bundle(tmp_path / "x", {"a": np.array([1.0], np.float32)})
    resealed(tmp_path / "x.index", bytes.fromhex(old), bytes.fromhex(new))
    with pytest.raises((IntegrityError, UserError), match=message):
        read_bundle(tmp_path / "x")


def test_whatever_an_index_says_the_answer_is_an_error_of_ours_or_arrays(tmp_path: Path) -> None:
    """Bytes at random in the entries, with the checksum of these."""
    write_bundle(tmp_path / "x", {f"layer_{number}": np.ones((2, 3), np.float32) for number in range(6)})
    index, generator, refused = tmp_path / "x.index", np.random.default_rng(1), 0
    whole = index.read_bytes()
    end = (whole[-FOOTER_BYTES] & 127) | whole[1 - FOOTER_BYTES] << 7  # a varint of two bytes
    for _ in range(500):
        block = bytearray(whole[: end - 5])
        for place in generator.integers(len(block), size=3).tolist():
            block[place] = generator.integers(256)
        sealed = bytes(block) + b"\0"
        index.write_bytes(sealed + masked_crc(sealed) + whole[end:])
        try:
            assert all(array.nbytes <= 144 for array in read_bundle(tmp_path / "x").values())
        except (IntegrityError, UserError):
            refused += 1
    assert refused > 250


def test_one_place_cannot_be_two_tensors(tmp_path: Path) -> None:
    """Otherwise a small file could ask for any amount of memory."""
    write_bundle(tmp_path / "x", {"a": np.array([1.0], np.float32), "b": np.array([1.0], np.float32)})
    resealed(tmp_path / "x.index", b"\x20\x04\x28\x04", b"\x18\x00\x28\x04")
    data = tmp_path / "x.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:4])
    with pytest.raises(IntegrityError, match="8 bytes of tensors in it, but it has 4"):
        read_bundle(tmp_path / "x")


def test_compressed_blocks_are_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", {"a": np.array([1.0], np.float32)})

    def compress(content: bytearray) -> None:
        end = content[-FOOTER_BYTES]
        content[end - 5] = 1  # snappy
        content[end - 4 : end] = masked_crc(bytes(content[: end - 4]))

    changed(tmp_path / "x.index", compress)
    with pytest.raises(IntegrityError, match="block at byte 0 is compressed, which TensorFlow never does in a checkpoint"):
        read_bundle(tmp_path / "x")


@pytest.mark.parametrize("content", [b"", MAGIC, bytes(FOOTER_BYTES), bytes(FOOTER_BYTES - 8) + MAGIC, b"PK\3\4" * 40])
def test_other_files_are_no_index(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.index").write_bytes(content)
    with pytest.raises(IntegrityError, match="not a complete index of a TensorFlow checkpoint"):
        read_bundle(tmp_path / "x")


def test_no_checkpoint_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.index: no such file"):
        read_bundle(tmp_path / "x")
