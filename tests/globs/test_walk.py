"""Searches in trees of files: their order, and links (management §5.2)."""

import os
import sys
from pathlib import Path

import pytest

from runcache.errors import FileUnreadable
from runcache.globs.links import MAX_WAYS
from runcache.globs.patterns import read_patterns
from runcache.globs.walk import search, search_roots
from tests.globs.folders import found, make, make_unlistable


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path.resolve() / "top"


def test_a_folder_comes_before_what_is_in_it_and_that_before_the_next(top: Path) -> None:
    make(top, "a/x", "a-b/x", "a.txt", "B/x")

    # A sort of whole paths would begin with `B`, `B/x`, `a`, `a-b`.
    assert found(top, "*") == ["B", "B/x", "a", "a/x", "a-b", "a-b/x", "a.txt"]


def test_names_are_in_the_order_of_their_bytes(top: Path) -> None:
    names = ["Z", "a", "é", "日", "\uff5a", "😀"]
    make(top, *reversed(names))

    assert found(top, "*") == names


def test_names_that_are_no_text_are_found_in_the_order_of_their_bytes(top: Path) -> None:
    make(top, "a", "é", "😀")
    (top / os.fsdecode(b"\xff")).touch()
    (top / os.fsdecode(b"\x80")).touch()

    # 0x80 comes before the first byte of é, 0xC3, and 0xFF behind that of 😀, 0xF0.
    assert found(top, "*") == ["a", "\udc80", "é", "😀", "\udcff"]
    assert found(top, "\udcff") == ["\udcff"]
    assert found(top, "?", "!a") == ["\udc80", "é", "\udcff"]


def test_hidden_files_are_found(top: Path) -> None:
    make(top, ".a", ".git/x", "b")

    assert found(top, "**") == [".", ".a", ".git", ".git/x", "b"]


def test_the_case_of_letters_counts(top: Path) -> None:
    make(top, "a", "B")

    assert found(top, "A", "b", "[a-z]") == ["a"]


def test_roots_are_searched_in_the_order_of_the_patterns(top: Path) -> None:
    make(top, "a/x", "b/x", "c/x")

    assert found(top, "c", "a") == ["c", "c/x", "a", "a/x"]


def test_a_root_below_another_is_none() -> None:
    patterns = read_patterns(["a/b", "c/*", "!d", "a", "c", "a/b/c", "ab"], root="/", home="/")

    assert search_roots(patterns) == ["/c", "/a", "/ab"]
    assert search_roots(read_patterns(["a", "/"], root="/", home="/")) == ["/"]
    assert search_roots([]) == []


def test_each_path_is_found_once(top: Path) -> None:
    make(top, "a/x")

    assert found(top, "a", "a/x", "**", "a") == [".", "a", "a/x"]


def test_a_root_that_is_missing_is_skipped(top: Path) -> None:
    make(top, "a")

    assert found(top, "missing", "no/such/**", "a") == ["a"]


def test_a_root_below_a_file_is_an_error(top: Path) -> None:
    make(top, "a")

    with pytest.raises(FileUnreadable, match="a/b`: not a directory"):
        found(top, "a/b")


def test_a_root_with_a_name_that_no_file_can_have_is_an_error(top: Path) -> None:
    make(top, "a")

    with pytest.raises(FileUnreadable, match="x…`: file name too long"):
        found(top, "x" * 300)


def test_a_final_slash_finds_folders_and_all_that_is_in_them(top: Path) -> None:
    make(top, "a/x", "b")

    assert found(top, "*/") == ["a", "a/x"]
    assert found(top, "b/") == []


def test_a_link_to_a_file_is_found_but_a_folder_is_not_entered_through_one(top: Path) -> None:
    make(top, "a", "d/x", links={"file": "a", "folder": "d", "broken": "missing"})

    assert found(top, "**") == [".", "a", "broken", "d", "d/x", "file", "folder"]
    assert found(top, "folder/*") == []


def test_links_are_what_they_lead_to_where_they_are_followed(top: Path) -> None:
    make(top, "a", "d/x", links={"file": "a", "folder": "d", "broken": "missing"})

    assert found(top, "**", follow_links=True) == [
        *(".", "a", "d", "d/x", "file", "folder", "folder/x")
    ]
    assert found(top, "*/", follow_links=True) == ["d", "d/x", "folder", "folder/x"]
    assert found(top, "broken", follow_links=True) == []


def test_a_root_may_be_a_link(top: Path) -> None:
    make(top, "d/e/x", links={"link": "d", "broken": "missing"})

    assert found(top, "link/e/x", "broken") == ["link/e/x", "broken"]
    assert found(top, "link/e", "broken", follow_links=True) == ["link/e", "link/e/x"]
    assert found(top, "link", follow_links=True) == ["link", "link/e", "link/e/x"]


def test_a_search_does_not_go_round_in_a_circle(top: Path) -> None:
    make(top, "a/x", links={"a/self": ".", "a/up": "..", "a/b/up": "../../a"})

    # Each link leads to a folder that the path has come through.
    assert found(top, "**", follow_links=True) == [".", "a", "a/b", "a/x"]


def test_a_circle_is_seen_once_it_closes(top: Path) -> None:
    make(top, "a/b/x", links={"a/b/up": "../.."})

    # The search begins below the folder that the link leads to.
    assert found(top, "a/b", follow_links=True) == [
        *("a/b", "a/b/up", "a/b/up/a", "a/b/x"),
    ]


def test_a_folder_is_found_on_every_way_to_it(top: Path) -> None:
    make(top, "d/x", links={"1": "d", "2": "1", "e/3": "../2"})

    assert found(top, "**/x", follow_links=True) == ["1/x", "2/x", "d/x", "e/3/x"]


def test_a_link_to_itself_cannot_be_followed(top: Path) -> None:
    make(top, "a", links={"loop": "loop"})

    assert found(top, "*") == ["a", "loop"]
    assert found(top, "*", "!loop", follow_links=True) == ["a"]
    with pytest.raises(FileUnreadable, match="loop`: too many levels of symbolic links"):
        found(top, "*", follow_links=True)


def test_links_that_lead_everywhere_in_too_many_ways_end_in_an_error(top: Path) -> None:
    # Two ways from each folder to the next: 2 ** 13 to the last but one.
    links = {f"{number}/{way}": f"../{number + 1}" for number in range(14) for way in "ab"}
    make(top, "14/", links=links)

    with pytest.raises(FileUnreadable, match=f"14` in more than {MAX_WAYS} ways"):
        found(top, "**", follow_links=True)


def test_what_is_taken_out_for_good_is_not_walked(top: Path) -> None:
    make(top, "a/x", "deps/x")
    make_unlistable(top / "deps/b")

    for lines in (["**", "!deps"], ["**/x", "!**/deps/**"], ["**", "!d*s/", "a/x"]):
        assert found(top, *lines)[-1] == "a/x"
    for lines in (["**"], ["**", "!deps", "deps/**/x"], ["!deps", "**"]):
        with pytest.raises(FileUnreadable, match="file name too long"):
            found(top, *lines)


def test_a_folder_in_which_nothing_can_match_is_not_walked(top: Path) -> None:
    make(top, "a/x", "deps/x")
    make_unlistable(top / "deps/b")

    assert found(top, "*/x") == ["a/x", "deps/x"]
    assert found(top, "*", implicit_descendants=False) == ["a", "deps"]


def test_nothing_is_looked_at_but_what_is_within_or_on_the_way(top: Path) -> None:
    make(top, "a/b/x", "a/c/x", "d/x", "ab/x")
    make_unlistable(top / "a/d")
    make_unlistable(top / "e")

    assert found(top, "**", within=f"{top}/a/b") == [".", "a", "a/b", "a/b/x"]
    assert found(top, "d", "ab", "a/b", within=f"{top}/a/b") == ["a/b", "a/b/x"]


def test_a_tree_may_be_deeper_than_the_stack_of_the_interpreter(top: Path) -> None:
    top.mkdir()
    folders = [f"{top}{'/d' * depth}" for depth in range(1, sys.getrecursionlimit() + 100)]
    for folder in folders:
        os.mkdir(folder)  # noqa: PTH102  -- thousands of them

    try:
        for follow_links in (False, True):
            assert len(found(top, "d/**/d", follow_links=follow_links)) == len(folders) - 1
    finally:
        # `rmtree` cannot.
        for folder in reversed(folders):
            os.rmdir(folder)  # noqa: PTH106  -- as above


def test_a_search_without_patterns_finds_nothing() -> None:
    assert list(search([], follow_links=True)) == []
