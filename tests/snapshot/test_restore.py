"""What a restore fetches and writes, what it leaves alone, and what is left if it fails."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from random import Random
from stat import S_IMODE

import pytest

from runcache.errors import BrokenEntry, CacheError, FileUnwritable, PartlyRestored
from runcache.snapshot.chunking import CUT_ABOVE_BYTES
from runcache.snapshot.filling import Hands
from runcache.snapshot.index import FileIndex
from runcache.snapshot.limits import MIB
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.save import save
from runcache.snapshot.scan import Choice, Scan, everything
from runcache.snapshot.sightings import Sightings
from tests.full_disk import file_size_limit
from tests.snapshot.disk import LONG_AGO_NS, File, Folder, Link, Tree, plant, tree_at
from tests.snapshot.packs_in_memory import MemorySink, MemorySource
from tests.snapshot.saved import Snapshot, saved
from tests.snapshot.unprivileged import as_nobody, open_folder

LATER_NS = LONG_AGO_NS + 1_000_000_000


def random_bytes(seed: int, length: int) -> bytes:
    return Random(seed).randbytes(length)


def small_tree() -> dict[bytes, File | Folder | Link]:
    return {
        b"": Folder(0o750),
        b"a": Folder(0o700),
        b"a/one": File(b"one", 0o640),
        b"a/script": File(b"#!/bin/sh\n", 0o755, LATER_NS),
        b"a/two": File(b"two", 0o400),
        b"empty": Folder(),
        b"empty file": File(b""),
        b"link": Link(b"a/one", LATER_NS),
        b"large": File(random_bytes(1, 3 * MIB)),
    }


def named(error: PartlyRestored) -> set[str]:
    return {Path(path).name for path in error.replaced}


@contextmanager
def nothing_left_over(folder: Path) -> Iterator[None]:
    """Check that no hidden file or folder stays below `folder`."""
    yield
    assert not list(folder.rglob(".runcache*"))


@pytest.fixture(autouse=True)
def _tidy(tmp_path: Path) -> Iterator[None]:
    with nothing_left_over(tmp_path):
        yield


def test_a_root_that_is_not_there_is_made_with_everything_in_it(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, small_tree())

    restored = snapshot.restore(tmp_path / "new" / "root")

    assert tree_at(tmp_path / "new" / "root") == small_tree()
    assert (restored.files_written, restored.files_unchanged) == (5, 0)
    assert restored.size_bytes == snapshot.manifest.size_bytes
    assert restored.fetched_bytes == sum(map(len, snapshot.sink.packs.values()))


def test_what_is_right_is_neither_fetched_nor_touched(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, small_tree())
    root = plant(tmp_path / "root", small_tree())
    inode, ctime_ns = (root / "a/one").stat().st_ino, (root / "a/one").stat().st_ctime_ns

    restored = snapshot.restore(root, source=MemorySource())

    assert (restored.files_written, restored.files_unchanged, restored.fetched_bytes) == (0, 5, 0)
    assert (root / "a/one").stat().st_ino == inode
    assert (root / "a/one").stat().st_ctime_ns == ctime_ns


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, small_tree())
    root = plant(tmp_path / "root", small_tree() | {b"a/one": File(b"eno", 0o640)})
    (root / "a/two").unlink()

    restored = snapshot.restore(root)

    assert tree_at(root) == small_tree()
    assert (restored.files_written, restored.files_unchanged) == (2, 3)
    assert restored.fetched_bytes < 1000


def test_a_file_of_the_same_size_and_time_is_still_read(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, {b"file": File(b"right")})
    root = plant(tmp_path / "root", {b"file": File(b"wrong")})

    snapshot.restore(root)

    assert (root / "file").read_bytes() == b"right"


@pytest.mark.parametrize("is_read", [False, True])
def test_the_index_is_believed_unless_everything_is_to_be_read(
    tmp_path: Path, *, is_read: bool
) -> None:
    index = FileIndex(tmp_path / "index")
    snapshot = saved(tmp_path, {b"file": File(b"right")})
    root = tmp_path / "root"
    snapshot.restore(root, index=index)
    stat = (root / "file").stat()
    # As if the disk had lost what was written, which changes no time.
    stamp = (5, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    content = index.load(bytes(root)).content_of(b"file", stamp)
    (root / "file").write_bytes(b"wrong")
    os.utime(root / "file", ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    stamp = (5, stat.st_mtime_ns, (root / "file").stat().st_ctime_ns, stat.st_ino)
    assert content is not None
    index.replace(bytes(root), [(b"file", stamp, content)], looked_at_ns=2 * LONG_AGO_NS)

    sightings = Sightings([bytes(root)], None) if is_read else None
    restored = snapshot.restore(root, index=index, sightings=sightings)

    assert restored.files_written == int(is_read)
    assert (root / "file").read_bytes() == (b"right" if is_read else b"wrong")


def test_what_was_restored_is_known_to_the_index(tmp_path: Path) -> None:
    index = FileIndex(tmp_path / "index")
    tree = small_tree()
    snapshot = saved(tmp_path, tree)
    for root in (tmp_path / "fresh", plant(tmp_path / "root", {b"a/one": File(b"other")})):
        snapshot.restore(root, index=index)

        known = index.load(bytes(root))

        for name, thing in tree.items():
            if isinstance(thing, File) and thing.contents:
                stat = (root / os.fsdecode(name)).stat()
                stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
                assert known.content_of(name, stamp) is not None, name


def test_permissions_and_times_are_corrected_without_writing(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, small_tree())
    other: Tree = {
        b"": Folder(0o777, 1),
        b"a": Folder(0o755, 2),
        b"a/one": File(b"one", 0o4711, 3),
        b"link": Link(b"a/one", 4),
    }
    root = plant(tmp_path / "root", {**small_tree(), **other})

    restored = snapshot.restore(root)

    assert tree_at(root) == small_tree()
    assert (restored.files_written, restored.fetched_bytes) == (0, 0)


def test_a_folder_keeps_a_bit_that_was_not_saved(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, {b"": Folder(0o755), b"file": File(b"1")})
    root = plant(tmp_path / "root", {b"": Folder(0o2700)})

    snapshot.restore(root)

    assert S_IMODE(root.stat().st_mode) == 0o2755


def test_other_links_to_a_file_do_not_change_with_it(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, {b"mode": File(b"same", 0o600), b"text": File(b"new")})
    root = plant(tmp_path / "root", {b"mode": File(b"same", 0o644), b"text": File(b"old")})
    for name in ("mode", "text"):
        (tmp_path / f"outside {name}").hardlink_to(root / name)

    snapshot.restore(root)

    assert tree_at(root)[b"mode"] == File(b"same", 0o600)
    assert tree_at(tmp_path / "outside mode") == {b"": File(b"same", 0o644)}
    assert tree_at(tmp_path / "outside text") == {b"": File(b"old", 0o644)}


def test_what_the_entry_does_not_name_stays(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, {b"a/one": File(b"one")})
    root = plant(tmp_path / "root", {b"a/other": File(b"other"), b"b/other": File(b"other")})

    snapshot.restore(root)

    assert {b"a/one", b"a/other", b"b/other"} <= tree_at(root).keys()


def test_exactly_what_the_entry_names_is_left_if_that_is_wanted(tmp_path: Path) -> None:
    tree: Tree = {b"": Folder(), b"a": Folder(), b"a/one": File(b"one")}
    snapshot = saved(tmp_path, tree)
    root = plant(tmp_path / "root", {b"a/other": File(), b"b/c/d": File(), b"e": Link(b"a")})

    restored = snapshot.restore(root, exact=everything)

    assert tree_at(root) == tree
    assert restored.removed == 5


def test_what_a_selection_leaves_out_is_not_removed(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, {b"a/one": File(b"one")})
    root = plant(tmp_path / "root", {b"a/keep/x": File(), b"a/drop": File(), b"b/keep/x": File()})

    snapshot.restore(
        root, exact=lambda _, name, __: Choice.SKIP if name.endswith(b"keep") else Choice.TAKE
    )

    assert not (root / "a/drop").exists()
    assert (root / "a/keep/x").exists()
    assert (root / "b/keep/x").exists()


def test_folders_that_only_lead_somewhere_are_made_and_not_changed(tmp_path: Path) -> None:
    source = plant(tmp_path / "source", {b"a/b/wanted": File(b"1"), b"c/wanted": File(b"2")})
    plant(tmp_path / "root", {b"a": Folder(0o701, 5)})
    snapshot = saved_below(source, b"wanted")

    snapshot.restore(tmp_path / "root")

    assert (tmp_path / "root/a/b/wanted").read_bytes() == b"1"
    assert (tmp_path / "root/c/wanted").read_bytes() == b"2"
    assert S_IMODE((tmp_path / "root/a").stat().st_mode) == 0o701


def saved_below(source: Path, suffix: bytes) -> Snapshot:
    """Return a snapshot that holds only files of that name."""
    sink = MemorySink()
    written = save(
        [bytes(source)],
        sink=sink,
        scanning=Scan(
            [bytes(source)],
            lambda _, name, __: Choice.TAKE if name.endswith(suffix) else Choice.PASS,
        ),
    )
    return Snapshot(Manifest.decode(written.manifest), sink)


def test_several_roots_go_where_they_are_now(tmp_path: Path) -> None:
    trees: list[Tree] = [small_tree(), {b"": File(b"alone", 0o600)}, {b"": Link(b"nowhere")}, {}]
    snapshot = saved(tmp_path, *trees)
    roots = [tmp_path / "elsewhere" / name for name in ("folder", "x/file", "link", "nothing")]

    snapshot.restore(*roots)

    assert [tree_at(root) for root in roots] == trees


def test_so_many_roots_as_were_saved_are_needed(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, {}, {})

    with pytest.raises(ValueError, match="1 roots for a snapshot of 2"):
        snapshot.restore(tmp_path / "root")


@pytest.mark.parametrize("size_bytes", [CUT_ABOVE_BYTES, CUT_ABOVE_BYTES + 1, 20 * MIB])
@pytest.mark.parametrize("threads", [1, 4])
def test_large_files_are_put_together_from_their_chunks(
    tmp_path: Path, size_bytes: int, threads: int
) -> None:
    tree: Tree = {b"": Folder(), b"large": File(random_bytes(1, size_bytes), 0o444)}
    snapshot = saved(tmp_path, tree)

    snapshot.restore(tmp_path / "root", hands=Hands(threads=threads))

    assert tree_at(tmp_path / "root") == tree


def test_zeros_become_holes_and_are_not_fetched(tmp_path: Path) -> None:
    text = random_bytes(1, 100_000)
    tree: Tree = {
        b"": Folder(),
        b"nothing": File(bytes(50 * MIB)),
        b"sparse": File(text + bytes(50 * MIB) + text),
        b"zeros at last": File(text + bytes(50 * MIB)),
    }
    snapshot = saved(tmp_path, tree)

    restored = snapshot.restore(tmp_path / "root")

    assert tree_at(tmp_path / "root") == tree
    assert restored.fetched_bytes < 350_000
    used = sum((tmp_path / "root" / os.fsdecode(name)).stat().st_blocks for name in tree)
    assert used * 512 < 10 * MIB


def test_a_chunk_that_is_needed_in_many_places_is_fetched_once(tmp_path: Path) -> None:
    text = random_bytes(1, 50_000)
    tree: Tree = {b"": Folder(), **{b"%d" % number: File(text) for number in range(50)}}
    snapshot = saved(tmp_path, tree)

    restored = snapshot.restore(tmp_path / "root")

    assert tree_at(tmp_path / "root") == tree
    assert restored.fetched_bytes == 50_000


def test_neighbours_are_fetched_together(tmp_path: Path) -> None:
    tree = {b"%03d" % number: File(random_bytes(number, 20_000)) for number in range(500)}
    snapshot = saved(tmp_path, tree)
    source = MemorySource(snapshot.sink)

    snapshot.restore(tmp_path / "root", source=source)

    asked = sorted(source.asked)
    assert len(asked) == 3
    assert asked[0][1] == 0
    assert all(end == start for (_, _, end), (_, start, _) in pairwise(asked))


KINDS: dict[str, Tree] = {
    "file": {b"": File(b"here")},
    "folder": {b"": Folder(), b"x": File(b"below")},
    "link": {b"": Link(b"/nowhere")},
}


@pytest.mark.parametrize("here", KINDS)
@pytest.mark.parametrize("wanted", KINDS)
@pytest.mark.parametrize("where", ["", "below"])
def test_what_is_in_the_way_is_replaced(tmp_path: Path, here: str, wanted: str, where: str) -> None:
    def below(tree: Tree) -> Tree:
        moved = {
            os.path.join(where.encode(), name) if name else where.encode(): thing
            for name, thing in tree.items()
        }
        return {b"": Folder()} | moved if where else tree

    snapshot = saved(tmp_path, below(KINDS[wanted]))
    root = plant(tmp_path / "root", below(KINDS[here]))

    snapshot.restore(root)

    assert tree_at(root) == below(KINDS[wanted])


def test_a_socket_or_pipe_in_the_way_is_replaced(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, {b"file": File(b"1"), b"folder/x": File(b"2"), b"link": Link(b"x")})
    root = plant(tmp_path / "root", {b"": Folder()})
    for name in ("file", "folder", "link"):
        os.mkfifo(root / name)

    snapshot.restore(root)

    assert (root / "file").read_bytes() == b"1"
    assert (root / "folder/x").read_bytes() == b"2"
    assert (root / "link").is_symlink()


def flipped(pack: str, start: int, data: bytes) -> bytes:
    del pack, start
    return data[:-1] + bytes([data[-1] ^ 1])


def cut(pack: str, start: int, data: bytes) -> bytes:
    del pack, start
    return data[:-1]


def refused(pack: str, start: int, data: bytes) -> bytes:
    del pack, start, data
    raise ConnectionError("the source is gone")


FAULTS = {"flipped": flipped, "cut": cut, "refused": refused}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fresh_root_does_not_appear_if_its_packs_fail(tmp_path: Path, fault: str) -> None:
    snapshot = saved(tmp_path, small_tree())

    with pytest.raises((BrokenEntry, ConnectionError)) as failed:
        snapshot.restore(tmp_path / "made for it" / "root", spoil=FAULTS[fault])

    assert not (tmp_path / "made for it").exists()
    assert isinstance(failed.value, ConnectionError if fault == "refused" else BrokenEntry)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("threads", [1, 3])
def test_what_was_created_goes_and_what_was_replaced_is_named(
    tmp_path: Path, fault: str, threads: int
) -> None:
    def late(pack: str, start: int, data: bytes) -> bytes:
        return FAULTS[fault](pack, start, data) if pack == "1-1" else data

    tree = {b"new/%d" % number: File(random_bytes(number, 3 * MIB)) for number in range(12)}
    tree |= {b"changed": File(b"new"), b"kept": File(b"kept")}
    snapshot = saved(tmp_path, tree)
    here: Tree = {b"": Folder(), b"changed": File(b"old"), b"kept": File(b"kept")}
    root = plant(tmp_path / "root", here)

    with pytest.raises((CacheError, ConnectionError)) as failed:
        snapshot.restore(root, spoil=late, hands=Hands(threads=threads))

    left = tree_at(root)
    assert left.keys() == here.keys()
    assert left[b"kept"] == here[b"kept"]
    if left[b"changed"] == here[b"changed"]:
        assert not isinstance(failed.value, PartlyRestored)
    else:
        assert isinstance(failed.value, PartlyRestored)
        assert named(failed.value) == {"changed"}
        assert isinstance(failed.value.__cause__, ConnectionError | BrokenEntry)


def test_an_interrupted_restore_leaves_what_was_there(tmp_path: Path) -> None:
    def interrupt(pack: str, start: int, data: bytes) -> bytes:
        del pack, start
        signal.raise_signal(signal.SIGINT)
        return data

    snapshot = saved(tmp_path, small_tree())
    here: Tree = {b"": Folder(), b"own": File(b"own")}
    root = plant(tmp_path / "root", here)

    for place in (root, tmp_path / "fresh"):
        with pytest.raises(KeyboardInterrupt):
            snapshot.restore(place, spoil=interrupt)

    assert tree_at(root).keys() == here.keys()
    assert not (tmp_path / "fresh").exists()


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, {b"large": File(random_bytes(1, 3 * MIB))})

    with file_size_limit(MIB), pytest.raises(FileUnwritable) as failed:
        snapshot.restore(tmp_path / "root")

    assert str(failed.value) == f"cannot write `{tmp_path / 'root/large'}`: File too large"
    assert not (tmp_path / "root").exists()


def test_a_root_below_a_file_is_an_error(tmp_path: Path) -> None:
    snapshot = saved(tmp_path, {b"x": File(b"1")})
    (tmp_path / "file").touch()

    with pytest.raises(FileUnwritable):
        snapshot.restore(tmp_path / "file" / "root")


def test_folders_that_nobody_may_write_to_are_restored_all_the_same() -> None:
    tree: Tree = {
        b"": Folder(0o555),
        b"a": Folder(0o555),
        b"a/b": Folder(0o500),
        b"a/b/changed": File(b"new", 0o444),
        b"a/b/kept": File(b"kept", 0o400),
        b"gone": Folder(0o000),
    }
    here: Tree = {name: thing for name, thing in tree.items() if name != b"gone"}
    with open_folder() as folder:
        for place in ("fresh", "in place"):
            seen = as_nobody(restore_unwritable, folder / place, tree, here, place == "in place")

            assert seen == {**tree, b"gone": Folder(0o000)}, place


def restore_unwritable(
    folder: Path,
    tree: Tree,
    here: Tree,
    is_there: bool,  # noqa: FBT001
) -> dict[bytes, File | Folder | Link]:
    """Restore a tree, whose owner took every permission to write from everybody."""
    folder.mkdir()
    snapshot = saved(folder, {name: thing for name, thing in tree.items() if name != b"gone"})
    if is_there:
        plant(folder / "root", {**here, b"a/b/changed": File(b"old")})
    snapshot.restore(folder / "root")
    found = tree_at(folder / "root")
    return {**found, b"gone": Folder(0o000)}


def test_two_restores_of_one_root_at_once_do_not_meet(tmp_path: Path) -> None:
    def pause(pack: str, start: int, data: bytes) -> bytes:
        del pack, start
        both.wait(timeout=60)
        return data

    def run() -> None:
        snapshot.restore(root, spoil=pause)

    both = threading.Barrier(2)
    snapshot = saved(tmp_path, {b"": Folder(), b"a": File(b"right")})
    root = plant(tmp_path / "root", {b"": Folder()})
    other = threading.Thread(target=run)

    other.start()
    run()
    other.join()

    assert tree_at(root) == {b"": Folder(), b"a": File(b"right")}
