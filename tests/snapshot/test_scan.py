"""The walk over the roots: what is found, in which order, and what is left out."""

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from stat import S_IFDIR, S_IFLNK, S_IFREG

import pytest

from runcache.errors import FileUnreadable
from runcache.snapshot.chunking import digest_of
from runcache.snapshot.index import FileIndex
from runcache.snapshot.scan import Choice, Found, Selection, scan
from tests.snapshot.disk import LONG_AGO_NS, File, Folder, Link, plant
from tests.snapshot.unprivileged import FailedAsNobody, as_nobody, open_folder


def found_at(*roots: Path, selection: Selection | None = None) -> list[Found]:
    """Return what a scan finds, which warns of nothing."""
    warnings: list[str] = []
    found = list(scan([bytes(root) for root in roots], selection, warnings.append))
    assert not warnings
    return found


def names(found: Iterable[Found]) -> list[bytes]:
    return [item.name for item in found]


def test_everything_is_found_with_what_is_to_be_kept_of_it(tmp_path: Path) -> None:
    root = plant(
        tmp_path / "root",
        {
            b"": Folder(0o750),
            b"file": File(b"12345", 0o640, 123),
            b"empty": Folder(0o700),
            b"link": Link(b"../elsewhere", 456),
        },
    )

    found = {item.name: item for item in found_at(root)}

    assert found[b""].mode == S_IFDIR | 0o750
    assert found[b"empty"].mode == S_IFDIR | 0o700
    assert (found[b"file"].mode, found[b"file"].size_bytes) == (S_IFREG | 0o640, 5)
    stat = os.lstat(root / "file")
    assert found[b"file"].stamp == (5, 123, stat.st_ctime_ns, stat.st_ino)
    link = found[b"link"]
    assert (link.mode, link.size_bytes, link.mtime_ns) == (S_IFLNK | 0o777, 0, 456)
    assert link.target == b"../elsewhere"
    assert {item.mtime_ns for item in found.values()} == {123, 456, LONG_AGO_NS}


def test_what_the_index_knows_is_told(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {b"known": File(b"1"), b"changed": File(b"2"), b"new": File()})
    index = FileIndex(tmp_path / "index")
    rows = [(item.name, item.stamp, digest_of(item.name)) for item in found_at(root)[1:]]
    index.replace(bytes(root), rows[:2], looked_at_ns=time.time_ns())
    os.utime(root / "changed")

    found = scan([bytes(root)], None, print, index)

    contents = {item.name: item.content for item in found}
    assert contents == {b"": None, b"changed": None, b"known": digest_of(b"known"), b"new": None}


def test_a_folder_comes_before_what_is_in_it_and_names_in_order(tmp_path: Path) -> None:
    tree = {b"b/x": File(), b"b-": File(), b"a": File(), b"\xff": File(), b"B": File()}
    root = plant(tmp_path / "root", tree)

    found = found_at(root)

    assert names(found) == [b"", b"B", b"a", b"b", b"b/x", b"b-", b"\xff"]


def test_roots_are_numbered_and_may_be_files_links_or_absent(tmp_path: Path) -> None:
    plant(tmp_path, {b"file": File(b"1"), b"link": Link(b"file"), b"folder/x": File()})
    roots = [tmp_path / name for name in ("file", "absent", "link", "folder", "file/below")]

    found = found_at(*roots)

    assert [(item.root, item.name) for item in found] == [(0, b""), (2, b""), (3, b""), (3, b"x")]


def test_links_are_not_followed(tmp_path: Path) -> None:
    plant(tmp_path, {b"outside/secret": File(), b"root/link": Link(b"../outside")})

    found = found_at(tmp_path / "root", tmp_path / "root" / "link")

    assert names(found) == [b"", b"link", b""]


def test_special_permissions_are_dropped(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {b"": Folder(0o2755), b"su": File(mode=0o4755)})

    found = found_at(root)

    assert [item.mode for item in found] == [S_IFDIR | 0o755, S_IFREG | 0o755]


def test_what_is_no_file_folder_or_link_is_left_out_with_a_warning(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {b"file": File()})
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root / "socket"))
        warnings: list[str] = []

        found = list(scan([bytes(root)], None, warnings.append))

    assert names(found) == [b"", b"file"]
    assert warnings == [
        f"left out `{root}/pipe`, which is no file, folder or link",
        f"left out `{root}/socket`, which is no file, folder or link",
    ]


def test_what_is_left_over_of_a_restore_is_left_out(tmp_path: Path) -> None:
    tree = {b".runcache-restore-0123/1": File(), b"a/.runcache-restore-45": File(), b"b": File()}
    root = plant(tmp_path / "root", tree)

    assert names(found_at(root)) == [b"", b"a", b"b"]


def test_a_selection_leaves_out_what_it_skips_and_everything_below(tmp_path: Path) -> None:
    tree = {b"keep/x": File(), b"skip/x": File(), b"keep/skip/y": File(), b"skip.txt": File()}
    root = plant(tmp_path / "root", tree)
    asked = []

    def selection(number: int, name: bytes, is_folder: bool) -> Choice:  # noqa: FBT001
        asked.append((number, name, is_folder))
        return Choice.SKIP if name.split(b"/")[-1] == b"skip" else Choice.TAKE

    found = found_at(root, selection=selection)

    assert names(found) == [b"", b"keep", b"keep/x", b"skip.txt"]
    assert (0, b"skip", True) in asked
    assert (0, b"skip.txt", False) in asked
    assert not any(name.startswith(b"skip/") for _, name, _ in asked)


def test_a_selection_may_look_below_what_it_does_not_take(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {b"a/b/wanted": File(), b"a/other": File()})

    found = found_at(
        root,
        selection=lambda _, name, is_folder: (
            Choice.TAKE if name.endswith(b"wanted") else Choice.PASS if is_folder else Choice.SKIP
        ),
    )

    assert names(found) == [b"a/b/wanted"]


def test_a_folder_that_cannot_be_read_is_an_error_that_names_it() -> None:
    with open_folder() as folder:
        root = plant(folder / "root", {b"locked/x": File(), b"locked": Folder(0o000)})

        with pytest.raises(FailedAsNobody) as refused:
            as_nobody(found_at, root)

    message = f"FileUnreadable: cannot read `{root}/locked`: Permission denied"
    assert str(refused.value) == message


def test_folders_that_no_manifest_could_hold_are_an_error(tmp_path: Path) -> None:
    deep = tmp_path / "root" / "/".join(["a"] * 257)
    deep.mkdir(parents=True)

    with pytest.raises(FileUnreadable, match="it is nested too deep"):
        found_at(tmp_path / "root")
