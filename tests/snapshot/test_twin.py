"""A restore by two processes: as one does it, and whatever becomes of one of them."""

import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Final, TypeVar

import pytest

from runcache.errors import BrokenEntry, TwinLost
from runcache.snapshot.filling import Hands
from runcache.snapshot.index import FileIndex
from runcache.snapshot.limits import MIB
from runcache.snapshot.restore import Restored
from tests.snapshot.disk import File, Folder, Tree, discard, tree_at
from tests.snapshot.saved import Snapshot, saved
from tests.snapshot.second_core import needs_second_core
from tests.snapshot.unprivileged import FORKING

pytestmark = needs_second_core

T = TypeVar("T")

TWO: Final = Hands(may_fork=True)
END_WITHIN_SECONDS: Final = 30

# The large files have the same chunks as well as some of their own, so that both halves have some.
SHARED: Final = Random(7).randbytes(2 * MIB)
TREE: Final[Tree] = {
    b"": Folder(0o750),
    b"empty": File(b"", 0o600),
    b"a": Folder(0o555),
    **{b"a/%04d" % number: File(Random(number).randbytes(1500), 0o640) for number in range(6400)},
    **{
        b"large-%d" % number: File(SHARED + Random(number).randbytes(4 * MIB) + SHARED)
        for number in range(3)
    },
}
FILES: Final = sum(isinstance(thing, File) for thing in TREE.values())


class Counting:
    """Adds up what it is told (`Progress` is the contract)."""

    def __init__(self) -> None:
        self.files = 0
        self.size_bytes = 0
        self._lock = threading.Lock()

    def phase(
        self, name: str, *, total_files: int | None = None, total_bytes: int | None = None
    ) -> None:
        pass

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        with self._lock:
            self.files += files
            self.size_bytes += size_bytes


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("saved")
    made = saved(folder, TREE)
    discard(folder / "saved-0")
    return made


def alone(act: Callable[..., T], *args: object) -> T:
    """Return what `act` returns in a process that has no other thread, as a command has none."""
    here, there = FORKING.Pipe(duplex=False)
    process = FORKING.Process(target=_tell, args=(there, act, *args))
    process.start()
    there.close()
    answer: T = here.recv()
    process.join(END_WITHIN_SECONDS)
    assert process.exitcode == 0
    return answer


def _tell(there: Connection, act: Callable[..., object], *args: object) -> None:
    there.send(act(*args))


def in_the_second(do: Callable[[], None]) -> Callable[[str, int, bytes], bytes]:
    """Return what does something whenever the second process has fetched anything."""
    first = os.getpid()

    def spoil(_pack: str, _start: int, data: bytes) -> bytes:
        if os.getpid() != first:
            do()
        return data

    return spoil


def is_spotless(folder: Path) -> bool:
    return not list(folder.rglob(".runcache-restore-*"))


def has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def restore_noting(snapshot: Snapshot, folder: Path) -> tuple[Restored, tuple[int, int]]:
    def note(_pack: str, _start: int, data: bytes) -> bytes:
        with (folder / "log").open("a") as file:
            file.write(f"{os.getpid()} {len(data)}\n")
        return data

    counting = Counting()
    done = snapshot.restore(
        folder / "two",
        hands=TWO,
        progress=counting,
        index=FileIndex(folder / "index"),
        spoil=note,
    )
    return done, (counting.files, counting.size_bytes)


def test_two_processes_do_what_one_does(snapshot: Snapshot, tmp_path: Path) -> None:
    done, counted = alone(restore_noting, snapshot, tmp_path)
    restored = tree_at(tmp_path / "two")
    again = snapshot.restore(tmp_path / "two", index=FileIndex(tmp_path / "index"))

    assert restored == TREE
    assert done.files_written == again.files_unchanged == FILES
    assert counted == (FILES, snapshot.manifest.size_bytes)
    assert is_spotless(tmp_path)
    fetched: dict[str, int] = {}
    for line in (tmp_path / "log").read_text().splitlines():
        process, length = line.split()
        fetched[process] = fetched.get(process, 0) + int(length)
    assert len(fetched) == 2
    assert sum(fetched.values()) == done.fetched_bytes


@pytest.mark.parametrize("hands", [Hands(), TWO], ids=["not asked for", "another thread"])
def test_one_process_does_all_of_it(snapshot: Snapshot, tmp_path: Path, hands: Hands) -> None:
    is_over = threading.Event()
    thread = threading.Thread(target=is_over.wait)
    thread.start()

    def fail() -> None:
        raise AssertionError

    snapshot.restore(tmp_path / "one", hands=hands, spoil=in_the_second(fail))
    is_over.set()
    thread.join()

    assert tree_at(tmp_path / "one") == TREE


def restore_damaged(snapshot: Snapshot, folder: Path) -> str:
    first = os.getpid()

    def spoil(_pack: str, _start: int, data: bytes) -> bytes:
        return data if os.getpid() == first else data.swapcase()

    with pytest.raises(BrokenEntry) as caught:
        snapshot.restore(folder / "two", hands=TWO, spoil=spoil)
    return str(caught.value)


def test_damage_that_the_second_one_finds_is_told_as_ever(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    assert "is damaged at byte" in alone(restore_damaged, snapshot, tmp_path)
    assert list(tmp_path.iterdir()) == []


def restore_failing(snapshot: Snapshot, folder: Path) -> tuple[str, str]:
    def fail() -> None:
        raise ConnectionError("the source is gone")

    with pytest.raises(ConnectionError) as caught:
        snapshot.restore(folder / "two", hands=TWO, spoil=in_the_second(fail))
    return str(caught.value), "".join(caught.value.__notes__)


def test_whatever_else_the_second_one_fails_with_is_told_with_its_trace(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    text, notes = alone(restore_failing, snapshot, tmp_path)

    assert text == "the source is gone"
    assert "in fail" in notes
    assert list(tmp_path.iterdir()) == []


def restore_until_the_second_gets(
    snapshot: Snapshot, folder: Path, number: signal.Signals
) -> tuple[str, bool]:
    with pytest.raises(TwinLost) as caught:
        snapshot.restore(
            folder / "two",
            hands=TWO,
            spoil=in_the_second(lambda: os.kill(os.getpid(), number)),
        )
    return str(caught.value), has_children()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_second_one_that_is_killed_is_an_error_that_leaves_nothing(
    snapshot: Snapshot, tmp_path: Path, number: signal.Signals
) -> None:
    said, leaves_children = alone(restore_until_the_second_gets, snapshot, tmp_path, number)
    assert list(tmp_path.iterdir()) == []
    snapshot.restore(tmp_path / "two")

    assert "was killed" in said
    assert not leaves_children
    assert tree_at(tmp_path / "two") == TREE


def restore_hanging(snapshot: Snapshot, folder: Path, note: Path) -> None:
    def hang() -> None:
        draft = note.with_name(f"draft-{threading.get_ident()}")
        draft.write_text(str(os.getpid()))
        draft.replace(note)
        time.sleep(END_WITHIN_SECONDS)

    snapshot.restore(folder / "two", hands=TWO, spoil=in_the_second(hang))


def test_the_second_one_dies_with_the_first_and_the_next_run_repairs_it(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    note, folder = tmp_path / "note", tmp_path / "folder"
    folder.mkdir()
    process = FORKING.Process(target=restore_hanging, args=(snapshot, folder, note))
    process.start()
    until(note.exists)
    process.kill()
    process.join(END_WITHIN_SECONDS)
    second = int(note.read_text())
    until(lambda: is_gone(second))
    assert not (folder / "two").exists()
    snapshot.restore(folder / "two")

    assert tree_at(folder / "two") == TREE
    assert is_spotless(folder)


def restore_interrupted(snapshot: Snapshot, folder: Path) -> bool:
    first = os.getpid()

    def interrupt() -> None:
        os.kill(first, signal.SIGINT)
        time.sleep(END_WITHIN_SECONDS)

    with pytest.raises(KeyboardInterrupt):
        snapshot.restore(folder / "two", hands=TWO, spoil=in_the_second(interrupt))
    return has_children()


def test_who_is_interrupted_ends_the_second_one_and_leaves_nothing(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    assert not alone(restore_interrupted, snapshot, tmp_path)
    assert list(tmp_path.iterdir()) == []


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + END_WITHIN_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_gone(process: int) -> bool:
    """Say whether all threads of a process have ended: only then its files are closed."""
    try:
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0]
            for task in Path(f"/proc/{process}/task").iterdir()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return not Path(f"/proc/{process}").exists()
    return states == ["Z"]
