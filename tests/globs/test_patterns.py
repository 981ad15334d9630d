"""Lines, read as patterns (management §5.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import InvalidPattern
from runcache.globs.patterns import (
    ANYTHING,
    FOLDER,
    MAX_CHARACTERS,
    NOTHING,
    Pattern,
    read_patterns,
)
from runcache.javascript import BLANKS


def read(*texts: str, implicit_descendants: bool = True) -> list[Pattern]:
    return read_patterns(
        texts, root="/project", home="/home/me", implicit_descendants=implicit_descendants
    )


def test_each_line_is_a_pattern_but_empty_lines_and_comments() -> None:
    patterns = read("a\n\n # b\n  c  ", "#d", "\t\n", "e\r\nf#")

    assert [pattern.search_path for pattern in patterns] == [
        "/project/a",
        "/project/c",
        "/project/e",
        "/project/f#",
    ]


def test_lines_are_trimmed_as_in_javascript() -> None:
    (pattern,) = read("\ufeff\u2003a\x1c\xa0")

    assert pattern.search_path == "/project/a\x1c"


@pytest.mark.parametrize(
    ("line", "is_negated"),
    [("a", False), ("!a", True), ("!!a", False), ("! ! !a", True), ("!  a", True), ("a!", False)],
)
def test_each_exclamation_mark_at_the_beginning_turns_it_round(
    line: str, *, is_negated: bool
) -> None:
    (pattern,) = read(line)

    assert pattern.is_negated == is_negated
    assert pattern.search_path == "/project/a" + "!" * line.endswith("!")


@pytest.mark.parametrize(
    ("line", "search_path"),
    [
        ("a/b", "/project/a/b"),
        ("a//b///", "/project/a/b"),
        (".", "/project"),
        ("./a", "/project/a"),
        (".//a", "/project/a"),
        ("~", "/home/me"),
        ("~/a", "/home/me/a"),
        ("~a", "/project/~a"),
        ("[~]", "/project/~"),
        (".a", "/project/.a"),
        ("...", "/project/..."),
        ("/", "/"),
        ("//", "/"),
        ("/a", "/a"),
        ("*", "/project"),
        ("a/*/b", "/project/a"),
        ("**/a", "/project"),
        ("a/b?/c", "/project/a"),
        ("a\\*/[b]/c*", "/project/a*/b"),
        ("/*", "/"),
        ("😀/\uff5a/*", "/project/😀/\uff5a"),
        ("a\udcff", "/project/a\udcff"),
    ],
)
def test_a_search_begins_before_the_first_wildcard(line: str, search_path: str) -> None:
    (pattern,) = read(line)

    assert pattern.search_path == search_path


def test_the_root_is_a_path_and_no_pattern() -> None:
    (pattern,) = read_patterns(["a*"], root="/a[b]/*c\\", home="/")

    assert pattern.search_path == "/a[b]/*c\\"
    assert pattern.segments[:2] == ("a[b]", "*c\\")


@pytest.mark.parametrize(
    ("line", "implicit", "matches", "below", "is_endless"),
    [
        ("a", True, ANYTHING, ANYTHING, True),
        ("a/", True, FOLDER, ANYTHING, True),
        ("a/**", True, ANYTHING, ANYTHING, True),
        ("a/**/", True, FOLDER, ANYTHING, True),
        ("a", False, ANYTHING, NOTHING, False),
        ("a/", False, FOLDER, NOTHING, False),
        ("a/**", False, ANYTHING, ANYTHING, True),
        ("a/**/", False, FOLDER, FOLDER, True),
    ],
)
def test_a_final_slash_asks_for_a_folder_but_not_below_it(
    line: str, *, implicit: bool, matches: int, below: int, is_endless: bool
) -> None:
    (pattern,) = read(line, implicit_descendants=implicit)

    assert pattern.matches == matches
    assert (pattern.segments[-1] is None) == is_endless
    if is_endless:
        assert pattern.matches_below == below


def test_repeated_stars_are_one() -> None:
    (pattern,) = read("a/**/**/**/b/**/**")

    assert pattern.segments == ("project", "a", None, "b", None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("!", "there is nothing behind `!`"),
        ("! !", "there is nothing behind `!`"),
        ("..", "`..` is not allowed, and `.` only at its beginning"),
        ("a/..", "`..` is not allowed, and `.` only at its beginning"),
        ("../a", "`..` is not allowed, and `.` only at its beginning"),
        ("a/./b", "`..` is not allowed, and `.` only at its beginning"),
        ("/.", "`..` is not allowed, and `.` only at its beginning"),
        ("~/.", "`..` is not allowed, and `.` only at its beginning"),
        ("*/[.].", "`..` is not allowed, and `.` only at its beginning"),
        ("\\./a", "`..` is not allowed, and `.` only at its beginning"),
        ("!a/\\..", "`..` is not allowed, and `.` only at its beginning"),
        ("a\0", "it holds a NUL"),
        ("\ud83d", "it holds half of a surrogate pair"),
        ("x" * (MAX_CHARACTERS + 1), "it has more than 65536 characters"),
    ],
    ids=lambda text: text[:8],
)
def test_what_the_library_refuses_is_an_error(line: str, reason: str) -> None:
    with pytest.raises(InvalidPattern) as refused:
        read("fine", line)

    assert refused.value.pattern == line
    assert refused.value.reason == reason
    assert len(str(refused.value)) < 300


def test_a_home_that_is_no_absolute_path_is_an_error_where_it_is_needed() -> None:
    assert read_patterns(["a"], root="/", home="me")
    with pytest.raises(InvalidPattern, match="the home folder `me` is not an absolute path"):
        read_patterns(["~"], root="/", home="me")


def test_the_home_is_the_users_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")

    (pattern,) = read_patterns(["~/a"], root="/")

    assert pattern.search_path == "/home/someone/a"


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        patterns = read(text)
    except InvalidPattern:
        return

    assert len(patterns) <= len(text.split("\n"))
    for pattern in patterns:
        assert pattern.search_path.startswith("/")
        assert pattern.search_path == "/" or not pattern.search_path.endswith("/")
        assert not any(segment == "" for segment in pattern.segments)


@given(st.text(BLANKS), st.text(BLANKS))
def test_blanks_alone_are_no_pattern(first: str, second: str) -> None:
    assert read(first, second, f"{first}\n{second}") == []
