"""A scan by a child: it finds what any scan does, and is no worse when the child comes to grief."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from runcache.snapshot.ahead import ScanAhead
from runcache.snapshot.chunking import digest_of
from runcache.snapshot.index import FileIndex
from runcache.snapshot.scan import Choice, Found, scan
from tests.snapshot.disk import File, Folder, Link, Tree, plant
from tests.snapshot.second_core import needs_second_core
from tests.snapshot.unprivileged import FORKING, FailedAsNobody, as_nobody, open_folder

pytestmark = needs_second_core

# More than a pipe holds, so that a child which nobody listens to stays.
MANY: Tree = {b"%02d/%060d" % (number % 7, number): File() for number in range(2000)}


def ahead(root: Path, index: FileIndex | None = None) -> ScanAhead:
    return ScanAhead([bytes(root)], None, index, may_fork=True)


def children() -> Sequence[int]:
    return list(map(int, Path("/proc/thread-self/children").read_text().split()))


def found_by(scanning: ScanAhead) -> list[Found]:
    """Return what is found without a warning."""
    warnings: list[str] = []
    found = list(scanning.founds(warnings.append))
    assert not warnings
    return found


# What follows runs in processes of their own, which have one thread.


def scanned_by_a_child(root: Path) -> list[Found]:
    with ahead(root) as scanning:
        (child,) = children()
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        (root / "file").unlink()
        found = found_by(scanning)
    assert not children()
    return found


def told_by_a_child(root: Path, index: FileIndex) -> list[bytes | None]:
    with ahead(root, index) as scanning:
        assert children()
        return [found.content for found in found_by(scanning)]


def only_b(_: int, name: bytes, is_folder: bool) -> Choice:  # noqa: FBT001  -- the contract
    """Select what ends with a `b`."""
    return Choice.TAKE if name.endswith(b"b") else Choice.PASS if is_folder else Choice.SKIP


def scanned_in_part(root: Path, may_fork: bool) -> list[Found]:  # noqa: FBT001
    with ScanAhead([bytes(root)], only_b, None, may_fork=may_fork) as scanning:
        assert bool(children()) is may_fork
        return found_by(scanning)


def scanned_without_its_child(root: Path, after_seconds: float) -> list[Found]:
    with ahead(root) as scanning:
        (child,) = children()
        time.sleep(after_seconds)
        os.kill(child, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return found_by(scanning)


def scanned_twice(root: Path) -> list[Found]:
    with ahead(root) as scanning:
        first, second = found_by(scanning), found_by(scanning)
    assert first == second
    return first


def left_early(root: Path) -> None:
    with ahead(root) as scanning:
        assert children()
        next(scanning.founds(print))
    assert not children()


def warned_of(root: Path) -> list[str]:
    warnings: list[str] = []
    with ahead(root) as scanning:
        assert children()
        list(scanning.founds(warnings.append))
    return warnings


def scanned_beside_a_thread(root: Path) -> list[Found]:
    is_over = threading.Event()
    thread = threading.Thread(target=is_over.wait)
    thread.start()
    try:
        with ahead(root) as scanning:
            assert not children()
            return found_by(scanning)
    finally:
        is_over.set()
        thread.join()


def _die_beside_a_child(root: Path, child: Path) -> None:
    with ahead(root):
        child.write_text(str(children()[0]))
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


def found_here(root: Path) -> list[Found]:
    return list(scan([bytes(root)], None, print))


def test_a_child_tells_of_all_there_is_to_know(folder: Path) -> None:
    tree: Tree = {
        b"": Folder(0o777),
        b"file": File(b"12345", 0o640, -123),
        b"folder": Folder(0o755),
        b"link": Link(b"\xff/../x", 456),
        b"open/\xff": File(mtime_ns=2**62),
    }
    root = plant(folder / "root", tree)
    expected = found_here(root)

    assert as_nobody(scanned_by_a_child, root) == expected


def test_a_child_tells_what_the_index_knows(folder: Path) -> None:
    root = plant(folder / "root", {b"known": File(b"1"), b"new": File(b"2")})
    index = FileIndex(folder / "index")
    ((name, stamp),) = [(item.name, item.stamp) for item in found_here(root)[1:2]]
    index.replace(bytes(root), [(name, stamp, digest_of(b"1"))], looked_at_ns=time.time_ns())
    for path in (folder / "index", *(folder / "index").iterdir()):
        path.chmod(0o777)

    assert as_nobody(told_by_a_child, root, index) == [None, digest_of(b"1"), None]


def test_what_is_found_may_be_more_than_a_pipe_holds(folder: Path) -> None:
    root = plant(folder / "root", MANY)

    assert as_nobody(scanned_twice, root) == found_here(root)


@pytest.mark.parametrize("after_seconds", [0.0, 0.3])
def test_a_child_that_is_killed_is_missed_by_nobody(folder: Path, after_seconds: float) -> None:
    root = plant(folder / "root", MANY)

    assert as_nobody(scanned_without_its_child, root, after_seconds) == found_here(root)


@pytest.mark.parametrize("may_fork", [True, False])
def test_a_selection_counts(folder: Path, may_fork: bool) -> None:  # noqa: FBT001
    root = plant(folder / "root", {b"a/b": File(), b"a/c": File(), b"b/c": File(), b"c": File()})

    found = as_nobody(scanned_in_part, root, may_fork)

    assert [item.name for item in found] == [b"a/b", b"b"]


def test_a_child_ends_when_nobody_wants_to_know_more(folder: Path) -> None:
    as_nobody(left_early, plant(folder / "root", MANY))


def test_a_child_ends_when_its_parent_does(folder: Path) -> None:
    root = plant(folder / "root", MANY)
    note = folder / "child"

    dying = FORKING.Process(target=_die_beside_a_child, args=(root, note))
    dying.start()
    dying.join()

    child = Path("/proc") / note.read_text()
    until = time.monotonic() + 10
    while child.exists() and "State:\tZ" not in (child / "status").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_folder_that_cannot_be_read_is_the_same_error(folder: Path) -> None:
    root = plant(folder / "root", {b"locked/x": File(), b"locked": Folder(0o000)})

    with pytest.raises(FailedAsNobody) as refused:
        as_nobody(scanned_twice, root)

    message = f"FileUnreadable: cannot read `{root}/locked`: Permission denied"
    assert str(refused.value) == message


def test_what_is_left_out_is_told_once(folder: Path) -> None:
    root = plant(folder / "root", {b"": Folder(0o777)})
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(root / "socket"))

    assert as_nobody(warned_of, root) == [
        f"left out `{root}/socket`, which is no file, folder or link"
    ]


def test_who_has_threads_scans_without_help(folder: Path) -> None:
    root = plant(folder / "root", {b"file": File()})

    assert as_nobody(scanned_beside_a_thread, root) == found_here(root)
