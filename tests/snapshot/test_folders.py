"""Folders that are reached part by part, and never through a link."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runcache.snapshot.folders import Folders, Made, remove
from tests.snapshot.disk import File, Folder, Link, plant, tree_at


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def folders(top: int) -> Iterator[Folders]:
    with closing(Folders(top, b"root", {})) as folders:
        yield folders


def test_a_name_is_reached_from_its_folder(tmp_path: Path, top: int, folders: Folders) -> None:
    plant(tmp_path / "root", {b"a/b/c": File(b"text")})

    folder, part = folders.place(b"a/b/c")

    with open(os.open(part, os.O_RDONLY, dir_fd=folder), "rb") as file:
        assert file.read() == b"text"
    assert folders.place(b"") == (top, b"root")


def test_no_more_folders_are_open_than_a_few(tmp_path: Path, folders: Folders) -> None:
    names = [b"%d/a/b" % number for number in range(100)]
    plant(tmp_path / "root", {name: Folder() for name in names})
    open_before = len(os.listdir("/proc/self/fd"))

    for name in [*names, *names]:
        assert os.fstat(folders.open(name)).st_nlink

    assert len(os.listdir("/proc/self/fd")) - open_before <= 24


def test_a_very_deep_folder_can_be_reached(tmp_path: Path, folders: Folders) -> None:
    name = b"/".join([b"x"] * 200)
    plant(tmp_path / "root", {name: Folder()})

    assert os.listdir(folders.open(name)) == []


@pytest.mark.parametrize("name", [b"link", b"link/inner", b"a/link", b"file"])
def test_links_and_files_are_no_folders(tmp_path: Path, folders: Folders, name: bytes) -> None:
    plant(tmp_path / "elsewhere", {b"inner": Folder()})
    plant(
        tmp_path / "root",
        {b"link": Link(b"../elsewhere"), b"a/link": Link(b"../../elsewhere"), b"file": File()},
    )

    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        folders.open(name)


def test_a_root_that_is_a_link_is_not_followed(tmp_path: Path, folders: Folders) -> None:
    plant(tmp_path / "elsewhere", {b"x": File()})
    (tmp_path / "root").symlink_to("elsewhere")

    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        folders.open(b"")


def test_folders_are_made_in_the_place_of_anything_else(tmp_path: Path, folders: Folders) -> None:
    plant(tmp_path / "root", {b"there/x": File(), b"file": File(), b"link": Link(b"there")})

    made = [folders.make(name, 0o700) for name in (b"there", b"new", b"file", b"link")]

    assert made == [Made.EXISTED, Made.NEW, Made.REPLACED, Made.REPLACED]
    assert (tmp_path / "root/there/x").exists()
    assert (tmp_path / "root/link").is_dir()
    assert not (tmp_path / "root/link").is_symlink()


def test_a_folder_that_may_not_be_written_to_is_made_writable_and_noted(
    tmp_path: Path, top: int
) -> None:
    plant(tmp_path / "root", {b"locked": Folder(0o555), b"open": Folder(0o755)})
    modes: dict[bytes, int] = {}

    with closing(Folders(top, b"root", modes)) as folders:
        folders.open(b"locked")
        folders.open(b"open")

    assert modes == {b"locked": 0o555}
    assert (tmp_path / "root/locked").stat().st_mode & 0o777 == 0o755


def test_what_is_removed_is_removed_with_all_below_it_but_no_link_is_followed(
    tmp_path: Path, top: int
) -> None:
    plant(tmp_path / "elsewhere", {b"": Folder(), b"x": File(b"stays")})
    plant(tmp_path / "root", {b"a/b": Folder(0o000), b"a/link": Link(b"../../elsewhere")})

    remove(b"root", top)
    remove(b"absent", top)

    assert tree_at(tmp_path).keys() == {b"", b"elsewhere", b"elsewhere/x"}
