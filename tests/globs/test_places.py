"""What lists of patterns match, and where nothing more can match."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.globs.patterns import ANYTHING, FOLDER, NOTHING, read_patterns
from runcache.globs.places import Standing, at_the_top, judge, may_match_below


def standing_at(path: str, *lines: str, implicit_descendants: bool = True) -> tuple[int, Standing]:
    patterns = read_patterns(lines, root="/", home="/", implicit_descendants=implicit_descendants)
    kinds, standing = at_the_top(patterns)
    for name in filter(None, path.split("/")):
        kinds, standing = judge(standing, name)
    return kinds, standing


def kinds_of(path: str, *lines: str, implicit_descendants: bool = True) -> int:
    return standing_at(path, *lines, implicit_descendants=implicit_descendants)[0]


@pytest.mark.parametrize(
    ("lines", "path", "kinds"),
    [
        (["a"], "/a", ANYTHING),
        (["a"], "/a/b/c", ANYTHING),
        (["a"], "/b", NOTHING),
        (["a/"], "/a", FOLDER),
        (["a/"], "/a/b", ANYTHING),
        (["a/**"], "/a", ANYTHING),
        (["a/**/"], "/a", FOLDER),
        (["a/**/"], "/a/b", ANYTHING),
        (["**"], "/", ANYTHING),
        (["/"], "/", FOLDER),
        (["/"], "/a", ANYTHING),
        (["*"], "/", NOTHING),
        (["**/b"], "/b", ANYTHING),
        (["**/b"], "/a/b", ANYTHING),
        (["**/b"], "/a/c", NOTHING),
        (["a/**/b"], "/a/b", ANYTHING),
        (["a/**/b"], "/a/x/y/b", ANYTHING),
        (["a/**/b"], "/b", NOTHING),
        (["**/a/b/**/c/**/d"], "/a/b/c/d", ANYTHING),
        (["a", "!a"], "/a", NOTHING),
        (["!a", "a"], "/a", ANYTHING),
        (["a", "!a/b", "a/b/c"], "/a/b", NOTHING),
        (["a", "!a/b", "a/b/c"], "/a/b/c", ANYTHING),
        (["a", "!a/"], "/a", ANYTHING & ~FOLDER),
        (["a", "!a/"], "/a/b", NOTHING),
        (["!!a"], "/a", ANYTHING),
        (["b", "!**"], "/b", NOTHING),
    ],
)
def test_the_last_pattern_wins(lines: list[str], path: str, kinds: int) -> None:
    assert kinds_of(path, *lines) == kinds


@pytest.mark.parametrize(
    ("lines", "path", "kinds"),
    [
        (["a"], "/a", ANYTHING),
        (["a"], "/a/b", NOTHING),
        (["a/"], "/a", FOLDER),
        (["a/**"], "/a", ANYTHING),
        (["a/**"], "/a/b", ANYTHING),
        (["a/**/"], "/a/b", FOLDER),
        (["/"], "/", FOLDER),
        (["**", "!a"], "/a/b", ANYTHING),
    ],
)
def test_descendants_are_not_implicit_where_that_is_off(
    lines: list[str], path: str, kinds: int
) -> None:
    assert kinds_of(path, *lines, implicit_descendants=False) == kinds


@pytest.mark.parametrize(
    ("lines", "path", "is_open"),
    [
        (["a/b"], "/", True),
        (["a/b"], "/a", True),
        (["a/b"], "/b", False),
        (["a/b"], "/a/b", True),
        (["**/b"], "/x/y", True),
        (["**", "!a"], "/a", False),
        (["**", "!a"], "/a/b", False),
        (["**", "!a/*"], "/a", True),
        (["**", "!a/*"], "/a/b", False),
        (["**", "!a/**"], "/a", False),
        (["!a", "**"], "/a", True),
        (["**", "!a", "a/b"], "/a", True),
        (["**", "!a", "a/b"], "/a/c", False),
        (["**", "!a", "!b", "a/b"], "/a/b", True),
        (["**/b", "!**/node_modules/**"], "/x/node_modules", False),
        (["!**"], "/a", False),
    ],
)
def test_what_is_taken_out_for_good_needs_no_search(
    lines: list[str], path: str, *, is_open: bool
) -> None:
    assert may_match_below(standing_at(path, *lines)[1]) == is_open


def test_a_folder_that_only_ends_a_pattern_is_not_searched() -> None:
    for lines in (["a"], ["a", "!a/b"]):
        assert not may_match_below(standing_at("/a", *lines, implicit_descendants=False)[1])


def test_what_takes_out_folders_only_leaves_files_below() -> None:
    # `a/**/` is for folders alone where descendants are not implicit.
    _, standing = standing_at("/a", "**", "!a/**/", implicit_descendants=False)

    assert may_match_below(standing)


NAMES = ("a", "b")
PATHS = [path for depth in range(4) for path in product(NAMES, repeat=depth)]

segments = st.sampled_from(["a", "b", "*", "**", "**", "[!a]", "ab", "?"])
lines = st.builds(
    lambda sign, parts, slash: f"{sign}/{'/'.join(parts)}{slash}",
    st.sampled_from(["", "", "!"]),
    st.lists(segments, min_size=1, max_size=5),
    st.sampled_from(["", "", "/"]),
)


def describes(parts: Sequence[str], path: Sequence[str]) -> bool:
    """Say whether the segments of a pattern are for a path, by trying everything."""
    if not parts:
        return not path
    if parts[0] == "**":
        return any(describes(parts[1:], path[count:]) for count in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], parts[0]) and describes(parts[1:], path[1:])


def slowly(lines: Sequence[str], path: Sequence[str], *, implicit_descendants: bool) -> int:
    """Return what a path is matched as, by the rules in their own words."""
    kinds = NOTHING
    for line in lines:
        parts = [part for part in line.lstrip("!").split("/") if part]
        found = NOTHING
        if describes(parts, path):
            found = FOLDER if line.endswith("/") else ANYTHING
        above = (path[:count] for count in range(len(path)))
        if implicit_descendants and any(describes(parts, folder) for folder in above):
            found = ANYTHING
        kinds = kinds & ~found if line.startswith("!") else kinds | found
    return kinds


@given(lines=st.lists(lines, min_size=1, max_size=5), implicit=st.booleans())
def test_lists_match_as_if_everything_had_been_tried(*, lines: list[str], implicit: bool) -> None:
    for path in PATHS:
        found = kinds_of("/".join(path), *lines, implicit_descendants=implicit)

        assert found == slowly(lines, path, implicit_descendants=implicit), path


@given(lines=st.lists(lines, min_size=1, max_size=5), implicit=st.booleans())
def test_nothing_matches_below_a_folder_that_is_not_searched(
    *, lines: list[str], implicit: bool
) -> None:
    for path in PATHS:
        _, standing = standing_at("/".join(path), *lines, implicit_descendants=implicit)
        if not may_match_below(standing):
            below = [
                other for other in PATHS if len(other) > len(path) and other[: len(path)] == path
            ]

            assert not any(slowly(lines, other, implicit_descendants=implicit) for other in below)
