"""Archives in the making: what is in them, in which blocks, and what goes wrong meanwhile."""

import io
import os
import random
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from runcache.client.packing import BLOCK_BYTES, ZSTD, Packing, compressed
from runcache.errors import FileUnreadable
from runcache.progress import Silence
from runcache.snapshot.scan import STAGING_PREFIX


def packing_of(folder: Path, *names: str, warn: Callable[[str], None] = pytest.fail) -> Packing:
    return Packing(names, os.fsencode(folder), progress=Silence(), look=lambda _: None, warn=warn)


def members(packing: Packing) -> list[tarfile.TarInfo]:
    plain = b"".join(packing.pieces())
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return tar.getmembers()


def test_a_folder_is_packed_with_all_below_it_in_order(tmp_path: Path) -> None:
    for name in ("deps/b/file", "deps/a", "deps/b.txt", "deps/B"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    packing = packing_of(tmp_path, "deps")

    names = [member.name for member in members(packing)]

    assert names == ["deps", "deps/B", "deps/a", "deps/b", "deps/b/file", "deps/b.txt"]
    assert packing.files == 4


def test_what_is_named_twice_is_packed_once(tmp_path: Path) -> None:
    (tmp_path / "deps" / "inner").mkdir(parents=True)
    (tmp_path / "deps" / "inner" / "file").write_text("x")
    packing = packing_of(tmp_path, "deps", "deps/inner", "deps/inner/file", "deps")

    assert [m.name for m in members(packing)] == ["deps", "deps/inner", "deps/inner/file"]


def test_files_that_are_one_stay_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 1000)
    (tmp_path / "b").hardlink_to(tmp_path / "a")

    first, second = members(packing_of(tmp_path, "a", "b"))

    assert (first.name, first.size, second.linkname) == ("a", 1000, "a")
    assert second.islnk()


def test_times_are_kept_to_the_nanosecond(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    os.utime(tmp_path / "a", ns=(0, 1_700_000_000_123_456_789))

    (member,) = members(packing_of(tmp_path, "a"))

    assert member.pax_headers["mtime"] == "1700000000.123456789"


def test_what_restores_have_left_over_is_not_packed(tmp_path: Path) -> None:
    hidden = tmp_path / "deps" / f"{os.fsdecode(STAGING_PREFIX)}0123456789abcdef"
    hidden.mkdir(parents=True)
    (hidden / "half").write_text("half a file")

    assert [member.name for member in members(packing_of(tmp_path, "deps"))] == ["deps"]


def test_a_socket_is_left_out_and_said_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    warnings: list[str] = []

    assert members(packing_of(tmp_path, "pipe", warn=warnings.append)) == []
    assert warnings == [f"left out `{tmp_path}/pipe`, which is no file, folder or link"]


def test_what_vanishes_meanwhile_was_never_there(tmp_path: Path) -> None:
    assert members(packing_of(tmp_path, "missing")) == []


def test_a_file_that_shrinks_while_it_is_read_is_filled_up(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"x" * 3_000_000)
    warnings: list[str] = []
    pieces = packing_of(tmp_path, "log", warn=warnings.append).pieces()

    first = next(pieces)
    os.truncate(file, 10)
    plain = bytes(first) + b"".join(pieces)

    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        (member,) = tar.getmembers()
    assert member.size == 3_000_000
    assert warnings
    assert set(warnings) == {f"`{file}` became shorter while it was read"}


def test_a_file_that_grows_while_it_is_read_has_the_size_that_it_had(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"x" * 3_000_000)
    pieces = packing_of(tmp_path, "log").pieces()

    first = next(pieces)
    with file.open("ab") as log:
        log.write(b"y" * 5_000_000)
    plain = bytes(first) + b"".join(pieces)

    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        (member,) = tar.getmembers()
    assert member.size == 3_000_000


def test_a_link_in_the_place_of_a_file_is_not_followed_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("hush")
    file = tmp_path / "file"
    file.write_text("mine")

    def swap(_: bytes) -> None:
        # Between the two looks that a packing takes at a file.
        file.unlink()
        file.symlink_to("outside")

    packing = Packing(
        ["file"], os.fsencode(tmp_path), progress=Silence(), look=swap, warn=pytest.fail
    )

    with pytest.raises(FileUnreadable):
        list(packing.pieces())


NOISE = random.Random(1).randbytes(BLOCK_BYTES + 12_345)


def test_zstd_comes_in_blocks_that_are_one_frame_with_a_checksum() -> None:
    blocks = list(compressed([NOISE[:1000], bytearray(NOISE[1000:])], ZSTD, 3))

    data = b"".join(blocks)
    assert [len(block) for block in blocks[:-1]] == [BLOCK_BYTES]
    assert zstandard.get_frame_parameters(data).has_checksum
    assert zstandard.ZstdDecompressor().decompressobj().decompress(data) == NOISE


def test_gzip_comes_in_blocks_too() -> None:
    blocks = list(compressed([NOISE], "gzip", 19))

    assert [len(block) for block in blocks[:-1]] == [BLOCK_BYTES]
    assert zlib.decompress(b"".join(blocks), 31) == NOISE


def test_a_higher_level_takes_fewer_bytes() -> None:
    text = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(50_000))

    sizes = [sum(map(len, compressed([text], ZSTD, level))) for level in (1, 19)]

    assert sizes[1] < sizes[0]
