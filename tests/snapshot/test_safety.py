"""No entry writes anything outside of its roots, whatever it says and whatever lies on the disk."""

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import zstandard

from runcache.errors import BrokenEntry, CacheError
from runcache.snapshot.fetching import RANGE_BYTES
from runcache.snapshot.limits import MIB
from runcache.snapshot.manifest import Frames, Manifest, Pack
from runcache.snapshot.scan import everything
from runcache.snapshot.staging import staging_in
from tests.snapshot.disk import File, Folder, Link, Tree, plant, tree_at
from tests.snapshot.packs_in_memory import MemorySource
from tests.snapshot.saved import forged, saved

OUTSIDE: Tree = {
    b"": Folder(0o755),
    b"x": File(b"precious", 0o600),
    b"file": File(b"mine", 0o600),
    b"folder/x": File(b"also precious"),
    b"folder": Folder(0o700),
}
ENTRY: Tree = {
    b"": Folder(),
    b"a": Folder(),
    b"a/x": File(b"evil", 0o777),
    b"a/folder/x": File(b"evil"),
    b"a/folder": Folder(0o777),
    b"file": File(b"evil", 0o777),
    b"same": File(b"precious", 0o777),
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Make something that must not change."""
    return plant(tmp_path / "outside", OUTSIDE)


@pytest.mark.parametrize(
    "planted",
    [
        {b"a": Link(b"../outside")},
        {b"a": Link(b"../outside/folder")},
        {b"a/folder": Link(b"../../outside/folder")},
        {b"a/x": Link(b"../../outside/x")},
        {b"file": Link(b"../outside/file"), b"same": Link(b"../outside/x")},
        {b"file": Link(b"../outside"), b"a/x": Link(b"../../outside/folder")},
        {b"": Link(b"outside")},
        {b"a": Link(b"."), b"file": Link(b"file")},
    ],
    ids=lambda tree: "-".join(f"{os.fsdecode(n)}>{os.fsdecode(t.target)}" for n, t in tree.items()),
)
@pytest.mark.parametrize("exact", [None, everything], ids=["", "exact"])
def test_links_that_lie_there_are_replaced_and_not_followed(
    tmp_path: Path, outside: Path, planted: Tree, exact: object
) -> None:
    snapshot = forged(ENTRY)
    root = plant(tmp_path / "root", planted)

    snapshot.restore(root, exact=exact)

    assert tree_at(outside) == OUTSIDE
    restored = tree_at(root)
    assert {name: restored[name] for name in ENTRY} == ENTRY


def test_a_link_that_an_earlier_entry_planted_is_replaced(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "root"

    forged({b"": Folder(), b"a": Link(b"../outside")}).restore(root)
    forged(ENTRY).restore(root)

    assert tree_at(outside) == OUTSIDE
    assert tree_at(root) == ENTRY


def test_a_link_of_the_entry_itself_is_not_followed(tmp_path: Path, outside: Path) -> None:
    """One root plants a link where the next one writes: both are what was asked for, alone."""
    first, second = tmp_path / "root", tmp_path / "root" / "a"
    link = forged({b"": Folder(), b"a": Link(b"../outside")}).manifest
    snapshot = saved(tmp_path, {b"": Folder(), b"x": File(b"evil")})
    snapshot.restore(tmp_path / "elsewhere")
    both = msgspec.structs.replace(
        snapshot.manifest,
        root_starts=[0, 2, 4],
        names=[*link.names, *snapshot.manifest.names],
        modes=[*link.modes, *snapshot.manifest.modes],
        mtimes_ns=[*link.mtimes_ns, *snapshot.manifest.mtimes_ns],
        sizes=[*link.sizes, *snapshot.manifest.sizes],
        targets=link.targets,
        content_starts=[0, 0, 0, 0, 1],
    )
    manifest = Manifest.decode(both.encode())

    with pytest.raises(CacheError):
        replace(snapshot, manifest=manifest).restore(first, second)

    assert tree_at(outside) == OUTSIDE


def test_hard_links_to_the_outside_are_not_written_through(tmp_path: Path, outside: Path) -> None:
    root = plant(tmp_path / "root", {b"a": Folder()})
    (root / "a/x").hardlink_to(outside / "x")
    (root / "file").hardlink_to(outside / "file")
    (root / "same").hardlink_to(outside / "x")

    forged(ENTRY).restore(root)

    assert tree_at(outside) == OUTSIDE
    assert tree_at(root) == ENTRY


def test_links_may_lead_anywhere_and_nobody_goes_there(tmp_path: Path, outside: Path) -> None:
    links: Tree = {
        b"": Folder(),
        b"absolute": Link(bytes(outside)),
        b"upwards": Link(b"../outside/x"),
        b"itself": Link(b"itself"),
        b"dead": Link(b"nowhere"),
    }

    forged(links).restore(tmp_path / "root")

    assert tree_at(tmp_path / "root") == links
    assert tree_at(outside) == OUTSIDE


def test_what_is_removed_is_not_what_a_link_leads_to(tmp_path: Path, outside: Path) -> None:
    root = plant(tmp_path / "root", {b"a/link": Link(b"../../outside"), b"file/x": File()})
    (root / "file" / "link").symlink_to(outside)

    forged({b"": Folder(), b"file": File(b"a file")}).restore(root, exact=everything)

    assert tree_at(root) == {b"": Folder(), b"file": File(b"a file")}
    assert tree_at(outside) == OUTSIDE


def test_what_looks_left_over_is_not_followed_either(tmp_path: Path, outside: Path) -> None:
    root = plant(tmp_path / "root", {b".runcache-restore-1": Link(b"../outside")})
    (tmp_path / ".runcache-restore-2").symlink_to(outside)

    forged(ENTRY).restore(root)

    assert tree_at(outside) == OUTSIDE


def test_what_is_left_over_is_removed_unless_somebody_uses_it(tmp_path: Path) -> None:
    left: Tree = {b".runcache-restore-1/a/b": File(), b".runcache-restore-2": Folder(0o000)}
    root = plant(tmp_path / "root", left)
    plant(tmp_path / ".runcache-restore-3", {b"root/x": File(mode=0o000)})
    folder = os.open(root, os.O_RDONLY)

    with staging_in(folder):
        forged({b"": Folder(), b"new": File(b"1")}).restore(root)

        (used,) = root.glob(".runcache-restore-*")
        assert used.name not in (".runcache-restore-1", ".runcache-restore-2")
    os.close(folder)
    assert not list(tmp_path.rglob(".runcache-restore-*"))
    assert sorted(tree_at(root)) == [b"", b"new"]


def spoiled_frame(frame: bytes, *, length: int = 8) -> tuple[Manifest, MemorySource]:
    """Return a snapshot of the file `file`, whose frame is this instead."""
    snapshot = forged({b"": Folder(), b"file": File(b"x" * length)})
    manifest = msgspec.structs.replace(
        snapshot.manifest,
        frames=Frames([0], [0], [len(frame)], [length]),
        packs=[Pack("1-0", len(frame))],
    )
    snapshot.sink.packs["1-0"] = frame
    return Manifest.decode(manifest.encode()), MemorySource(snapshot.sink)


def huge_frame() -> bytes:
    """Return a frame that announces a length for which no memory is enough."""
    return b"\x28\xb5\x2f\xfd\xe0" + (1 << 50).to_bytes(8, "little") + b"\x01\0\0"


@pytest.mark.parametrize(
    "frame",
    [
        b"y" * 8,
        b"noise",
        huge_frame(),
        zstandard.compress(b"x" * 9),
        zstandard.compress(b"y" * 1000),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 1000),
        zstandard.compress(b"x" * 1000) + b"more",
        zstandard.compress(b"x" * 1000)[:-1],
        b"\x50\x2a\x4d\x18\x04\0\0\0skip",
    ],
    ids=["other", "noise", "huge", "longer", "other-zstd", "sizeless", "more", "cut", "skippable"],
)
def test_a_frame_that_is_not_what_was_saved_is_refused(tmp_path: Path, frame: bytes) -> None:
    manifest, source = spoiled_frame(frame, length=8 if len(frame) == 8 else 1000)
    snapshot = forged({})

    with pytest.raises(BrokenEntry, match="`1-0` is damaged at byte 0"):
        replace(snapshot, manifest=manifest).restore(tmp_path / "root", source=source)

    assert not (tmp_path / "root").exists()


def test_no_more_is_asked_for_than_there_is_room_for(tmp_path: Path) -> None:
    tree: Tree = {b"": Folder(), **{b"%d" % n: File(os.urandom(MIB // 2)) for n in range(30)}}
    snapshot = saved(tmp_path, tree)
    source = MemorySource(snapshot.sink)

    snapshot.restore(tmp_path / "root", source=source)

    assert max(end - start for _, start, end in source.asked) <= RANGE_BYTES
