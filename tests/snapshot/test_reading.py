"""Files that change while they are saved."""

import os
from pathlib import Path
from random import Random

import pytest

from runcache.progress import Silence
from runcache.snapshot.chunking import CUT_ABOVE_BYTES, digest_of
from runcache.snapshot.gathering import Gatherer
from runcache.snapshot.limits import KIB
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.packs import Packer
from runcache.snapshot.reading import Item, Reading
from runcache.snapshot.save import save
from runcache.snapshot.scan import Found, describe
from tests.snapshot.packs_in_memory import MemorySink

# The kernel says that it has 4096 bytes, and never gives as many.
NEVER_WHOLE = Path("/sys/devices/system/cpu/online")


def found(file: Path) -> Found:
    return describe(0, b"file", bytes(file), os.lstat(file))


def read(item: Item) -> tuple[Item, bytes, list[str]]:
    """Read an item; return it, what was stored in all, and the warnings."""
    sink, warnings = MemorySink(), list[str]()
    packer = Packer(sink)
    reading = Reading({}, packer, 3, Silence(), warnings.append)
    with reading.crew(1) as crew:
        gatherer = Gatherer(reading, crew)
        gatherer.add(item)
        gatherer.finish()
    packer.finish()
    return item, b"".join(sink.packs.values()), warnings


@pytest.mark.parametrize("size_bytes", [10, CUT_ABOVE_BYTES * 2])
def test_a_file_that_changed_since_it_was_found_is_read_as_it_is(
    tmp_path: Path, size_bytes: int
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    item = Item(found(file))
    file.write_bytes(b"x" * size_bytes)

    item, _, warnings = read(item)

    assert item.is_steady
    assert item.found == found(file)
    assert not warnings


def test_a_file_that_was_replaced_since_it_was_found_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    item = Item(found(file))
    (tmp_path / "new").write_bytes(b"behind")
    (tmp_path / "new").replace(file)

    item, _, _ = read(item)

    assert item.is_steady
    assert item.digests == (digest_of(b"behind"),)


def test_a_file_that_became_empty_has_no_chunks(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    item = Item(found(file))
    file.write_bytes(b"")

    item, stored, _ = read(item)

    assert (item.digests, item.found.size_bytes, stored) == ((), 0, b"")


@pytest.mark.parametrize("now", ["nothing", "pipe", "link", "folder"])
def test_what_is_no_file_any_more_is_gone(tmp_path: Path, now: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    item = Item(found(file))
    file.unlink()
    match now:
        case "pipe":
            os.mkfifo(file)
        case "link":
            file.symlink_to("elsewhere")
        case "folder":
            file.mkdir()
        case _:
            pass

    item, _, _ = read(item)

    assert item.is_gone


def test_a_file_that_changes_all_the_time_is_saved_as_it_was_read_last() -> None:
    sink = MemorySink()

    written = save([bytes(NEVER_WHOLE)], sink=sink)

    manifest = Manifest.decode(written.manifest)
    assert list(manifest.sizes) == [len(NEVER_WHOLE.read_bytes())]
    assert written.warnings == (f"`{NEVER_WHOLE}` changed while it was read",)


def test_small_files_are_compressed_among_their_like(tmp_path: Path) -> None:
    random = Random(1)
    for number in range(20):
        (tmp_path / f"{number:02}.js").write_bytes(b"text %d " % number * 1000)
        (tmp_path / f"{number:02}.png").write_bytes(random.randbytes(8 * KIB))

    manifest = Manifest.decode(save([bytes(tmp_path)], sink=MemorySink()).manifest)

    frames = {
        suffix: {
            manifest.chunks.frames[chunk]
            for record, name in enumerate(manifest.names)
            if name.endswith(suffix)
            for chunk in manifest.chunks_of(record)
        }
        for suffix in (b".js", b".png")
    }
    assert len(frames[b".js"]) == len(frames[b".png"]) == 1
    assert frames[b".js"] != frames[b".png"]
