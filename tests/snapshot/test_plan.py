"""What a restore has to do, decided from what is on the disk."""

from collections.abc import Collection
from pathlib import Path

from runcache.progress import Silence
from runcache.snapshot.comparison import compare
from runcache.snapshot.plan import Plan, parents_of, plan
from runcache.snapshot.sightings import Sightings
from tests.snapshot.disk import File, Folder, Link, Tree, plant
from tests.snapshot.saved import saved

TREE: Tree = {
    b"": Folder(),
    b"a": Folder(0o500),
    b"a/b": Folder(0o750),
    b"a/b/file": File(b"text"),
    b"a/b/file 2": File(b"text"),
    b"empty": File(b""),
    b"link": Link(b"a"),
}


def planned(tmp_path: Path, here: Tree, there: Collection[tuple[int, bytes]] = ()) -> Plan:
    manifest = saved(tmp_path, TREE).manifest
    root = plant(tmp_path / "root", here) if here else tmp_path / "root"
    roots = [bytes(root)]
    found = compare(manifest, roots, Sightings(roots, None), progress=Silence(), threads=1)
    return plan(manifest, found, there)


def test_nothing_is_to_be_done_where_everything_is_right(tmp_path: Path) -> None:
    assert not planned(tmp_path, TREE)


def test_everything_is_to_be_done_where_nothing_is(tmp_path: Path) -> None:
    todo = planned(tmp_path, {})

    assert todo.folders == [(0, b"", 0o755), (0, b"a", 0o700), (0, b"a/b", 0o750)]
    assert todo.hollow == [5]
    assert todo.fetched == {3: 1, 4: 1}
    assert todo.links == [6]
    (wanted,) = todo.ranges
    ((_, (piece,)),) = wanted.frames
    assert piece == (0, [(3, 0), (4, 0)])


def test_what_is_only_untidy_is_not_fetched(tmp_path: Path) -> None:
    todo = planned(tmp_path, {**TREE, b"a": Folder(0o711), b"a/b/file": File(b"text", 0o600)})

    assert (todo.untidy, todo.untidy_folders) == ([3], [1])
    assert not todo.ranges
    assert not todo.folders


def test_what_would_be_saved_and_is_not_named_has_to_go(tmp_path: Path) -> None:
    names = [*TREE, b"x", b"x/y", b"a/b/z", b"empty/z"]

    todo = planned(tmp_path, TREE, [(0, name) for name in names])

    # What is below `empty` goes with whatever is replaced by that file.
    assert todo.extras == [(0, b"x/y"), (0, b"x"), (0, b"a/b/z")]


def test_folders_on_the_way_belong_to_what_is_named() -> None:
    assert parents_of([b"a/b/c", b"a/d", b""]) == {b"", b"a", b"a/b"}
