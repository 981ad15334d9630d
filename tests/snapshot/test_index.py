"""What is known of files without reading them."""

import os
import time
from pathlib import Path

import pytest

from runcache.snapshot.chunking import digest_of
from runcache.snapshot.index import FileIndex
from runcache.snapshot.scan import Stamp
from tests.snapshot.disk import LONG_AGO_NS

ROOT = b"/some/root"
NOW_NS = LONG_AGO_NS + 10_000_000_000
STAMP = (7, LONG_AGO_NS, NOW_NS, 123)
CONTENT = digest_of(b"content")


def index_with(folder: Path, *rows: tuple[bytes, Stamp, bytes]) -> FileIndex:
    index = FileIndex(folder)
    index.replace(ROOT, rows, looked_at_ns=NOW_NS)
    return index


def test_a_file_that_is_still_the_same_is_known(tmp_path: Path) -> None:
    index = index_with(tmp_path / "index", (b"a/\xff\n", STAMP, CONTENT))

    assert index.load(ROOT).content_of(b"a/\xff\n", STAMP) == CONTENT


@pytest.mark.parametrize("changed", range(4))
def test_a_file_with_another_stamp_is_not(tmp_path: Path, changed: int) -> None:
    index = index_with(tmp_path, (b"a", STAMP, CONTENT))
    size, mtime_ns, ctime_ns, inode = (
        fact + (number == changed) for number, fact in enumerate(STAMP)
    )

    assert index.load(ROOT).content_of(b"a", (size, mtime_ns, ctime_ns, inode)) is None


def test_other_files_and_roots_are_not_known(tmp_path: Path) -> None:
    index = index_with(tmp_path, (b"a", STAMP, CONTENT))

    assert index.load(ROOT).content_of(b"b", STAMP) is None
    assert index.load(b"/other").content_of(b"a", STAMP) is None


def test_what_is_new_replaces_what_was_known_of_a_root(tmp_path: Path) -> None:
    index = index_with(tmp_path, (b"a", STAMP, CONTENT))
    index.replace(b"/other", [(b"a", STAMP, CONTENT)], looked_at_ns=NOW_NS)

    index.replace(ROOT, [(b"b", STAMP, CONTENT)], looked_at_ns=NOW_NS)

    assert index.load(ROOT).content_of(b"a", STAMP) is None
    assert index.load(ROOT).content_of(b"b", STAMP) == CONTENT
    assert index.load(b"/other").content_of(b"a", STAMP) == CONTENT


@pytest.mark.parametrize(
    ("age_ns", "is_known"), [(2_000_000_001, True), (2_000_000_000, False), (-1, False)]
)
def test_a_file_that_changed_just_now_is_not_trusted(
    tmp_path: Path, *, age_ns: int, is_known: bool
) -> None:
    stamp = (7, NOW_NS - age_ns, NOW_NS, 123)

    index = index_with(tmp_path, (b"a", stamp, CONTENT))

    assert (index.load(ROOT).content_of(b"a", stamp) == CONTENT) is is_known


@pytest.mark.parametrize(
    ("start", "end", "more"), [(0, 0, b""), (0, -1, b""), (0, None, b"x"), (1, None, b"")]
)
def test_a_damaged_index_knows_nothing(
    tmp_path: Path, start: int, end: int | None, more: bytes
) -> None:
    index = index_with(tmp_path, (b"a", STAMP, CONTENT))
    (file,) = tmp_path.iterdir()

    file.write_bytes(file.read_bytes()[start:end] + more)

    assert index.load(ROOT).content_of(b"a", STAMP) is None


def test_the_index_of_another_root_knows_nothing(tmp_path: Path) -> None:
    index = index_with(tmp_path, (b"a", STAMP, CONTENT))
    (file,) = tmp_path.iterdir()
    index.replace(b"/other", [], looked_at_ns=NOW_NS)
    (other,) = set(tmp_path.iterdir()) - {file}

    file.replace(other)

    assert index.load(b"/other").content_of(b"a", STAMP) is None


def test_an_index_that_cannot_be_kept_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    index = index_with(tmp_path / "file" / "index", (b"a", STAMP, CONTENT))

    assert index.load(ROOT).content_of(b"a", STAMP) is None


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    index_with(tmp_path / "cache" / "index", (b"a", STAMP, CONTENT))

    assert (tmp_path / "cache" / "index").stat().st_mode & 0o077 == 0


def test_what_nobody_used_for_long_is_forgotten(tmp_path: Path) -> None:
    index = index_with(tmp_path, (b"a", STAMP, CONTENT))
    (file,) = tmp_path.iterdir()
    litter, foreign = tmp_path / "0123.new", tmp_path / "something else"
    litter.touch()
    foreign.touch()
    long_ago = time.time() - 91 * 24 * 3600
    for old in (file, litter, foreign):
        os.utime(old, (long_ago, long_ago))

    index.replace(b"/other", [], looked_at_ns=NOW_NS)

    assert not file.exists()
    assert not litter.exists()
    assert foreign.exists()
