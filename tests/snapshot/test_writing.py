"""Files that appear below a root where another file system is mounted."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runcache.errors import FileUnwritable
from runcache.snapshot.ledger import Ledger
from runcache.snapshot.looking import Comparison, State
from runcache.snapshot.targets import Target
from runcache.snapshot.writing import Writer
from tests.snapshot.disk import File, Folder, Link, Tree, plant, tree_at
from tests.snapshot.saved import forged

RAM_DISK = Path("/dev/shm")  # noqa: S108  -- `tempfile` makes the names in it
TREE: Tree = {b"": Folder(), b"file": File(b"text", 0o640), b"link": Link(b"file")}


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Make a folder that is on another file system than those of tests, where there is one."""
    with tempfile.TemporaryDirectory(dir=RAM_DISK if RAM_DISK.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    "here", [{}, {b"file": File(b"old"), b"link": File(b"old")}], ids=["", "over"]
)
def test_what_cannot_be_moved_is_copied(tmp_path: Path, elsewhere: Path, here: Tree) -> None:
    root = plant(tmp_path / "root", {b"": Folder(), **here})
    manifest = forged(TREE).manifest
    parent, staging = (os.open(folder, os.O_RDONLY) for folder in (tmp_path, elsewhere))
    target = Target(bytes(root), parent, b"root", staging=staging)
    state = State.WRONG if here else State.ABSENT
    ledger = Ledger(manifest, Comparison([State.RIGHT, state, state]), [target])

    with closing(Writer(ledger)) as writer:
        writer.write_file(1, b"text")
        writer.write_link(2)
        writer.tidy_folder(0)

    os.close(parent)
    os.close(staging)
    assert tree_at(root) == TREE


def test_what_is_copied_in_vain_is_removed(tmp_path: Path, elsewhere: Path) -> None:
    root = plant(tmp_path / "root", {b"": Folder(), b"file/x": File(b"in the way")})
    parent, staging = (os.open(folder, os.O_RDONLY) for folder in (tmp_path, elsewhere))
    target = Target(bytes(root), parent, b"root", staging=staging)
    # It was not there when the disk was looked at.
    found = Comparison([State.RIGHT, State.ABSENT, State.ABSENT])

    with (
        closing(Writer(Ledger(forged(TREE).manifest, found, [target]))) as writer,
        pytest.raises(FileUnwritable, match="root/file`: Is a directory"),
    ):
        writer.write_file(1, b"text")

    os.close(parent)
    os.close(staging)
    assert tree_at(root).keys() == {b"", b"file", b"file/x"}
