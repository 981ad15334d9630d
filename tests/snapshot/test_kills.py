"""Whoever is killed in the middle of a save or a restore, at any step: the next run repairs it.

`RUNCACHE_TEST_KILLS` says how many steps of each are tried; those of every scenario lie evenly
from its first to its last one.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import pytest

from runcache.snapshot.limits import MIB
from tests.snapshot.disk import File, Folder, Link, Tree, discard, plant, tree_at
from tests.snapshot.mortal import restore_in, run, save_in

KILLS: Final = int(os.environ.get("RUNCACHE_TEST_KILLS", "4"))

TREE: Final[Tree] = {
    b"": Folder(0o750),
    b"a": Folder(0o555),
    b"a/link": Link(b"../b"),
    b"b": Folder(),
    b"large": File(Random(1).randbytes(3 * MIB)),
    **{b"a/%02d" % number: File(Random(number).randbytes(20_000)) for number in range(20)},
    **{b"b/%02d" % number: File(b"%d" % number, 0o444) for number in range(20)},
}
FORMER: Final[Tree] = {
    **TREE,
    b"large": File(Random(2).randbytes(2 * MIB)),
    b"a/00": Folder(),
    b"b/00": Link(b"00"),
    b"b/01": File(b"other"),
    b"b/02": File(b"2", 0o600),
}


@dataclass
class Attempts:
    """A cache that is copied for each attempt, so that all of them do the same."""

    folder: Path
    act: str
    count: int = 0

    def copy(self) -> Path:
        """Return a folder with `root`, `packs`, `manifest`, `index`, and nothing else."""
        self.count += 1
        copy = self.folder.with_name(f"attempt-{self.count}")
        shutil.copytree(self.folder, copy, symlinks=True)
        return copy

    def killed(self) -> Iterator[Path]:
        """Yield a copy for each step at which a process was killed."""
        total = run(self.act, self.copy())
        assert total is not None
        for number in range(KILLS):
            copy = self.copy()
            step = 1 + number * (total - 1) // max(KILLS - 1, 1)
            # How many calls there are depends on the threads a little: the last ones may not come.
            survived_calls = run(self.act, copy, calls=step)
            assert survived_calls is None or step > total * 0.9
            yield copy


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Make a cache with a saved tree, which is not there any more."""
    folder = tmp_path / "cache"
    (folder / "packs").mkdir(parents=True)
    plant(folder / "root", TREE)
    save_in(folder)
    discard(folder / "root")
    return folder


def test_a_root_that_is_made_is_whole_or_not_there(cache: Path) -> None:
    for folder in Attempts(cache, "restore").killed():
        seen = tree_at(folder / "root")
        assert seen.keys() in (set(), TREE.keys())

        restore_in(folder)

        assert tree_at(folder / "root") == TREE
        assert not list(folder.rglob(".runcache-restore-*"))


def test_a_root_that_is_changed_is_repaired(cache: Path) -> None:
    plant(cache / "root", FORMER)

    for folder in Attempts(cache, "restore").killed():
        restore_in(folder)

        assert tree_at(folder / "root") == TREE
        assert not list(folder.rglob(".runcache-restore-*"))


def test_what_is_saved_after_a_kill_is_right(cache: Path) -> None:
    plant(cache / "root", FORMER)

    for folder in Attempts(cache, "save").killed():
        save_in(folder)
        discard(folder / "root")
        restore_in(folder)

        assert tree_at(folder / "root") == FORMER


def test_what_is_restored_while_a_save_was_killed_is_what_was_saved_before(cache: Path) -> None:
    plant(cache / "root", FORMER)

    for folder in Attempts(cache, "save").killed():
        restore_in(folder)

        assert tree_at(folder / "root") in (TREE, FORMER)
