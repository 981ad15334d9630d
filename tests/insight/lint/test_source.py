import pytest

from runcache.insight.lint.source import REACH, Place, Position, Source


@pytest.mark.parametrize(
    ("offset", "line", "column"), [(0, 1, 1), (1, 1, 2), (3, 2, 1), (7, 3, 1), (9, 3, 3)]
)
def test_a_position_counts_lines_and_characters_from_one(
    offset: int, line: int, column: int
) -> None:
    source = Source("test.yml", "a\u00e9\nb\U0001f600c\nde")

    assert source.position(offset) == Position(line, column)


def test_a_line_comes_without_its_end_be_it_that_of_unix_or_of_windows() -> None:
    source = Source("test.yml", "one\r\ntwo\nthree")

    assert [source.line(number) for number in (1, 2, 3)] == ["one", "two", "three"]


def test_an_empty_file_has_one_line() -> None:
    source = Source("test.yml", "")

    assert source.position(0) == Position(1, 1)
    assert source.excerpt(Place(0, 0)) == "\n^"


def test_carets_are_below_what_is_meant() -> None:
    source = Source("test.yml", "key: value # why\n")

    assert source.excerpt(Place(5, 10)) == "key: value # why\n     ^^^^^"


def test_carets_fit_behind_tabs_and_wide_characters() -> None:
    source = Source("test.yml", "\t漢: 字字x")

    assert source.excerpt(Place(4, 6)) == "\t漢: 字字x\n\t    ^^^^"


def test_of_several_lines_the_first_is_meant() -> None:
    source = Source("test.yml", "a: one  \n  two\n")

    place = source.first_line_of(Place(3, 14))

    assert place == Place(3, 6)
    assert source.excerpt(Place(3, 14)) == "a: one  \n   ^^^^^"


def test_of_a_long_line_only_what_is_near_is_shown() -> None:
    source = Source("test.yml", "a" * 1000 + "HERE" + "b" * 1000)

    line, carets = source.excerpt(Place(1000, 1004)).split("\n")

    assert line == "…" + "a" * REACH + "HERE" + "b" * (REACH - 4) + "…"
    assert carets == " " * (REACH + 1) + "^^^^"
