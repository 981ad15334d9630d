"""What is found on the disk, beside what a manifest says."""

import os
from pathlib import Path

from runcache.progress import Silence
from runcache.snapshot.comparison import compare
from runcache.snapshot.index import FileIndex
from runcache.snapshot.looking import Comparison, State
from runcache.snapshot.sightings import Sightings
from tests.snapshot.disk import LONG_AGO_NS, File, Folder, Link, Tree, plant
from tests.snapshot.saved import Snapshot, saved

WANTED: Tree = {
    b"": Folder(),
    b"a": Folder(),
    b"a/file": File(b"text"),
    b"a/large": File(bytes(range(256)) * 10_000),
    b"empty": File(b""),
    b"link": Link(b"a"),
}


def compared(snapshot: Snapshot, root: Path, index: FileIndex | None = None) -> Comparison:
    roots = [bytes(root)]
    return compare(snapshot.manifest, roots, Sightings(roots, index), progress=Silence(), threads=2)


def states(snapshot: Snapshot, root: Path) -> dict[bytes, State]:
    found = compared(snapshot, root)
    return dict(zip(snapshot.manifest.names, found.states, strict=True))


def changed(tmp_path: Path, changes: Tree) -> dict[bytes, State]:
    """Return the states of all records that are not right, after some changes."""
    root = plant(tmp_path / "root", {**WANTED, **changes})
    found = states(saved(tmp_path, WANTED), root)
    return {name: state for name, state in found.items() if state is not State.RIGHT}


def test_the_same_is_right(tmp_path: Path) -> None:
    assert changed(tmp_path, {}) == {}


def test_nothing_is_right_where_nothing_is(tmp_path: Path) -> None:
    assert set(states(saved(tmp_path, WANTED), tmp_path / "root").values()) == {State.ABSENT}


def test_other_contents_are_wrong(tmp_path: Path) -> None:
    large = bytearray(WANTED[b"a/large"].contents)  # type: ignore[union-attr]
    large[-1] ^= 1

    found = changed(
        tmp_path,
        {
            b"a/file": File(b"test"),
            b"a/large": File(bytes(large)),
            b"empty": File(b"not empty"),
            b"link": Link(b"a/file"),
        },
    )

    assert set(found) == {b"a/file", b"a/large", b"empty", b"link"}
    assert set(found.values()) == {State.WRONG}


def test_other_permissions_and_times_are_untidy(tmp_path: Path) -> None:
    found = changed(
        tmp_path,
        {
            b"": Folder(0o711),
            b"a": Folder(mtime_ns=1),
            b"a/file": File(b"text", 0o4644),
            b"empty": File(b"", 0o600),
            b"link": Link(b"a", LONG_AGO_NS + 1),
        },
    )

    assert set(found) == {b"", b"a", b"a/file", b"empty", b"link"}
    assert set(found.values()) == {State.UNTIDY}


def test_a_file_with_other_links_is_wrong_if_it_is_not_right(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {**WANTED, b"a/file": File(b"text", 0o600)})
    for name in ("a/file", "a/large"):
        (tmp_path / name.replace("/", "-")).hardlink_to(root / name)

    found = states(saved(tmp_path, WANTED), root)

    assert found[b"a/file"] is State.WRONG
    assert found[b"a/large"] is State.RIGHT


def test_what_is_of_another_kind_is_in_the_way_and_nothing_is_below(tmp_path: Path) -> None:
    root = plant(tmp_path / "elsewhere", {b"file": File(b"text"), b"large": File(b"")})
    plant(tmp_path / "root", {b"a": Link(bytes(root)), b"empty": Folder(), b"link": File()})

    found = states(saved(tmp_path, WANTED), tmp_path / "root")

    assert found[b"a"] is State.OBSTRUCTED
    assert found[b"a/file"] is State.ABSENT
    assert found[b"empty"] is State.OBSTRUCTED
    assert found[b"link"] is State.OBSTRUCTED


def test_what_the_index_knows_is_not_read(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, WANTED)
    index = FileIndex(tmp_path / "index")
    snapshot.restore(tmp_path / "root", index=index)
    os.utime(tmp_path / "root/a/file")

    assert compared(snapshot, tmp_path / "root", index).files_read == 1
    assert compared(snapshot, tmp_path / "root").files_read == 2
