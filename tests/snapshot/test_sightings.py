"""Files that the index knows: who is still the same, whoever looks."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from runcache.snapshot.index import FileIndex
from runcache.snapshot.sightings import Sightings
from tests.snapshot.disk import LONG_AGO_NS, File, Folder, Link, Tree
from tests.snapshot.saved import saved
from tests.snapshot.second_core import needs_second_core
from tests.snapshot.unprivileged import as_nobody, open_folder

TREE: Tree = {
    b"": Folder(),
    b"a": Folder(),
    b"a/b/file": File(b"text", 0o640),
    b"a/other": File(b"other"),
    b"empty": File(b""),
    b"file": File(b"text"),
    b"link": Link(b"a"),
}

# So many that it is worth a process.
MANY: Tree = {b"%02d/%0200d" % (number % 7, number): File(b"%d" % number) for number in range(1500)}


def indexed(folder: Path, tree: Tree) -> tuple[Path, FileIndex]:
    """Return a root that an index knows, as it is now."""
    index = FileIndex(folder / "index")
    saved(folder, tree).restore(folder / "root", index=index)
    return folder / "root", index


def modes_in(sightings: Sightings) -> Mapping[bytes, int]:
    (known,), (modes,) = sightings.known, sightings.modes()
    return dict(zip(known.rows, modes, strict=True))


def seen(root: Path, index: FileIndex) -> Mapping[bytes, int]:
    """Return the permissions of what is the same."""
    modes = modes_in(Sightings([bytes(root)], index))
    return {name: mode & 0o777 for name, mode in modes.items() if mode}


def test_what_is_the_same_is_seen_with_its_mode(tmp_path: Path) -> None:
    root, index = indexed(tmp_path, TREE)
    (root / "file").chmod(0o600)

    # `file` got another time of change.
    assert seen(root, index) == {b"a/b/file": 0o640, b"a/other": 0o644}


def _write(root: Path) -> None:
    (root / "a/other").write_bytes(b"reoth")
    os.utime(root / "a/other", ns=(LONG_AGO_NS, LONG_AGO_NS))


def _replace_by_link(root: Path) -> None:
    (root / "a/other").rename(root / "moved")
    (root / "a/other").symlink_to("../moved")


def _replace_by_folder(root: Path) -> None:
    (root / "a/other").unlink()
    (root / "a/other").mkdir()


def _lead_elsewhere(root: Path) -> None:
    (root / "a").rename(root / "elsewhere")
    (root / "a").symlink_to("elsewhere")


def _replace_folder(root: Path) -> None:
    (root / "a").rename(root / "elsewhere")
    (root / "a").touch()


@pytest.mark.parametrize(
    "change", [_write, _replace_by_link, _replace_by_folder, _lead_elsewhere, _replace_folder]
)
def test_what_is_another_is_not_seen(tmp_path: Path, change: Callable[[Path], None]) -> None:
    root, index = indexed(tmp_path, TREE)

    change(root)

    assert b"a/other" not in seen(root, index)
    assert b"file" in seen(root, index)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_root_that_is_no_folder_is_not_seen(tmp_path: Path, *, is_link: bool) -> None:
    root, index = indexed(tmp_path, TREE)

    root.rename(tmp_path / "moved")
    if is_link:
        root.symlink_to("moved")

    assert seen(root, index) == {}


def test_nothing_is_known_without_an_index(tmp_path: Path) -> None:
    assert modes_in(Sightings([bytes(tmp_path)], None)) == {}


# What follows runs in processes of their own, which have one thread.


def children() -> Sequence[int]:
    return list(map(int, Path("/proc/thread-self/children").read_text().split()))


def seen_by_a_child(root: Path, index: FileIndex) -> Mapping[bytes, int]:
    with Sightings([bytes(root)], index, may_fork=True) as sightings:
        (child,) = children()
        found = modes_in(sightings)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not children()
    return found


def seen_without_its_child(root: Path, index: FileIndex) -> Mapping[bytes, int]:
    with Sightings([bytes(root)], index, may_fork=True) as sightings:
        os.kill(children()[0], signal.SIGKILL)
        return modes_in(sightings)


def seen_beside_a_thread(root: Path, index: FileIndex) -> Mapping[bytes, int]:
    is_over = threading.Event()
    thread = threading.Thread(target=is_over.wait)
    thread.start()
    try:
        with Sightings([bytes(root)], index, may_fork=True) as sightings:
            assert not children()
            return modes_in(sightings)
    finally:
        is_over.set()
        thread.join()


def left_early(root: Path, index: FileIndex) -> None:
    with Sightings([bytes(root)], index, may_fork=True):
        assert children()
    assert not children()


@pytest.fixture
def many() -> Iterator[tuple[Path, FileIndex]]:
    with open_folder() as folder:
        root, index = indexed(folder, MANY)
        for path in (folder / "index", *(folder / "index").iterdir()):
            path.chmod(0o777)
        (root / os.fsdecode(next(iter(MANY)))).unlink()
        yield root, index


@needs_second_core
@pytest.mark.parametrize("see", [seen_by_a_child, seen_without_its_child, seen_beside_a_thread])
def test_a_child_sees_the_same(
    many: tuple[Path, FileIndex], see: Callable[[Path, FileIndex], Mapping[bytes, int]]
) -> None:
    expected = modes_in(Sightings([bytes(many[0])], many[1]))

    assert as_nobody(see, *many) == expected
    assert sorted(expected.values())[:2] == [0, 0o100644]


@needs_second_core
def test_a_child_ends_with_the_interest_in_it(many: tuple[Path, FileIndex]) -> None:
    as_nobody(left_early, *many)
