"""Patterns that were made to take long end in time, with a digest or an error of ours."""

import time
from pathlib import Path

import pytest

from runcache.errors import CacheError
from runcache.globs.hashing import hash_files
from tests.globs.folders import make

# As long as an expression on GitHub may be.
LENGTH = 21_000
# None takes one second of an idle machine; what explodes would take hours on any.
MAX_SECONDS = 5


@pytest.mark.parametrize(
    "piece",
    [
        *("*a", "?*", "*", "[", "[]", "[a-z]*", "\\a", "!", "/", "~", "a", "a/", "*/", "[!a]*/"),
        *("**/", "**/a/", "**/*/", "**/?/a/", "*\n", "!*\n", "**/a\n", "#\n", "😀*"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("end", ["", "b"])
def test_a_pattern_of_any_length_ends_in_time(tmp_path: Path, piece: str, end: str) -> None:
    top = make(tmp_path / "top", "a" * 255, "ab" * 127, "a/" * 100 + "a", "b")
    begin = time.process_time()

    try:
        hash_files(["**/b", piece * (LENGTH // len(piece)) + end], root=top)
    except CacheError as error:
        assert len(str(error)) < 400  # noqa: PT017  -- which of the two it is does not matter

    assert time.process_time() - begin < MAX_SECONDS


def test_as_many_patterns_as_files_end_in_time(tmp_path: Path) -> None:
    names = [f"{number // 100}/{number}" for number in range(3000)]
    top = make(tmp_path / "top", *names)
    begin = time.process_time()

    assert hash_files(names, root=top) == hash_files(["\n".join(names)], root=top)
    assert hash_files(["**", *(f"!{name}" for name in names)], root=top) == ""

    assert time.process_time() - begin < MAX_SECONDS


def test_links_between_all_folders_end_in_time(tmp_path: Path) -> None:
    links = {f"{one}/to-{other}": f"../{other}" for one in range(10) for other in range(10)}
    top = make(tmp_path / "top", *(f"{number}/x" for number in range(10)), links=links)
    begin = time.process_time()

    # Ten factorial ways: the library walks them all.
    with pytest.raises(CacheError, match="ways"):
        hash_files(["**"], root=top, follow_symbolic_links=True)

    assert time.process_time() - begin < MAX_SECONDS
