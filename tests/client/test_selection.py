"""What paths name, for snapshots and for archives."""

import os
from pathlib import Path

import pytest

from runcache.client.selection import ArchivePaths, SnapshotPaths
from runcache.errors import InvalidPattern, NothingToSave
from runcache.snapshot.scan import scan

FOLDER, HOME = Path("/srv/repo"), Path("/home/me")


def archive_paths(*texts: str) -> ArchivePaths:
    return ArchivePaths(texts, folder=FOLDER, home=HOME)


@pytest.mark.parametrize(
    ("patterns", "path", "boundary"),
    [
        (["deps"], "/srv/repo/deps", "/srv/repo/deps"),
        (["deps"], "/srv/repo/deps/a/b", "/srv/repo/deps"),
        (["deps"], "/srv/repo", None),
        (["deps"], "/srv/repo/deps2", None),
        (["deps"], "/srv/deps", None),
        (["deps/"], "/srv/repo/deps", "/srv/repo/deps"),
        (["./deps/"], "/srv/repo/deps/a", "/srv/repo/deps"),
        (["deps/*"], "/srv/repo/deps", None),
        (["deps/*"], "/srv/repo/deps/a/b", "/srv/repo/deps/a"),
        (["deps/**"], "/srv/repo/deps/a/b", "/srv/repo/deps"),
        (["deps/*", "!deps/tmp"], "/srv/repo/deps/tmp/x", None),
        (["deps", "!deps/tmp"], "/srv/repo/deps/tmp/x", "/srv/repo/deps"),
        (["!deps", "deps"], "/srv/repo/deps", "/srv/repo/deps"),
        (["deps", "!deps"], "/srv/repo/deps/a", None),
        (["**/nm"], "/srv/repo/a/nm/b/nm", "/srv/repo/a/nm"),
        (["*.txt"], "/srv/repo/a.txt", "/srv/repo/a.txt"),
        (["*.txt"], "/srv/repo/a/b.txt", None),
        (["."], "/srv/repo/a/b", "/srv/repo"),
        (["~"], "/home/me/.cache", "/home/me"),
        (["~/.cache/pip"], "/home/me/.cache/pip/x", "/home/me/.cache/pip"),
        (["~/.cache/pip"], "/home/you/.cache/pip/x", None),
        (["/opt/tool"], "/opt/tool/x", "/opt/tool"),
        (["/"], "/etc/passwd", "/"),
        (["a", "deps"], "/srv/repo/deps/x", "/srv/repo/deps"),
    ],
)
def test_a_member_is_at_or_below_what_is_named(
    patterns: list[str], path: str, boundary: str | None
) -> None:
    assert archive_paths(*patterns).boundary(path) == boundary


def test_names_may_be_any_bytes() -> None:
    odd = os.fsdecode(b"/srv/repo/deps/\xff\xfe")

    assert archive_paths("deps/*").boundary(odd) == odd


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "deps/file",
        "deps/tmp/dropped",
        "deps/tmp/kept.txt",
        "deps/inner/a.txt",
        "deps/inner/b.log",
        "other/c.txt",
        "d.txt",
        "home/.cache/x",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


IN_FOLDERS = ["deps/inner/a.txt", "deps/inner/b.log", "deps/tmp/dropped", "deps/tmp/kept.txt"]


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        (["deps/inner"], ["deps/inner/a.txt", "deps/inner/b.log"]),
        (["deps", "!deps/tmp"], ["deps/file", "deps/inner/a.txt", "deps/inner/b.log"]),
        (
            ["deps", "!deps/tmp/**", "deps/tmp/*.txt"],
            ["deps/file", "deps/inner/a.txt", "deps/inner/b.log", "deps/tmp/kept.txt"],
        ),
        (["deps", "!deps/*"], []),
        (["deps", "!deps/**"], []),
        (["deps/*/*.txt"], ["deps/inner/a.txt", "deps/tmp/kept.txt"]),
        (["**/*.txt"], ["d.txt", "deps/inner/a.txt", "deps/tmp/kept.txt", "other/c.txt"]),
        (["other", "d.txt"], ["d.txt", "other/c.txt"]),
        (["deps/inner", "deps/tmp", "deps/inner/*"], IN_FOLDERS),
        (["~/.cache"], ["home/.cache/x"]),
        (["missing"], []),
    ],
)
def test_a_snapshot_has_what_is_matched_and_not_excluded(
    tree: Path, patterns: list[str], files: list[str]
) -> None:
    paths = SnapshotPaths(patterns, folder=tree, home=tree / "home")

    found = {
        str(Path(os.fsdecode(item.path)).relative_to(tree))
        for item in scan(paths.roots, paths.choose, lambda _: None)
        if Path(os.fsdecode(item.path)).is_file()
    }

    assert sorted(found) == files


def test_roots_are_where_patterns_begin_and_none_is_in_another() -> None:
    paths = SnapshotPaths(
        ["deps/a", "~/.cache/*.txt", "deps", "!other", "/opt/x"], folder=FOLDER, home=HOME
    )

    assert paths.roots == [b"/home/me/.cache", b"/srv/repo/deps", b"/opt/x"]


def test_only_what_is_whole_is_all_below() -> None:
    whole = SnapshotPaths(["deps", "other/*"], folder=FOLDER, home=HOME)
    excluding = SnapshotPaths(["deps", "!deps/x"], folder=FOLDER, home=HOME)

    assert whole.takes_all(0)
    assert not whole.takes_all(1)
    assert not excluding.takes_all(0)


def test_paths_that_name_nothing_are_refused() -> None:
    with pytest.raises(NothingToSave):
        archive_paths("!deps")
    with pytest.raises(NothingToSave):
        SnapshotPaths(["# comment"], folder=FOLDER, home=HOME)
    with pytest.raises(InvalidPattern):
        archive_paths("../deps")
