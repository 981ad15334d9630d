"""Every character of a scalar is where it was written, whatever the style."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.insight.lint.nodes import Scalar
from runcache.insight.lint.scalars import BLANKS, Style
from tests.insight.lint.workflows import scalar_of


def places(scalar: Scalar) -> str:
    """Return what stands where the characters of a scalar are said to be, without blanks."""
    text = scalar.source.text
    found = [scalar.place_of(at, at + 1) for at in range(len(scalar.text))]
    return "".join(
        text[place.start : place.end]
        for place, char in zip(found, scalar.text, strict=True)
        if char not in BLANKS
    )


def without_blanks(text: str) -> str:
    return "".join(char for char in text if char not in BLANKS)


@pytest.mark.parametrize(
    ("written", "style"),
    [
        ("one two", Style.PLAIN),
        ("one\n  two\n\n  three # no part of it", Style.PLAIN),
        ("'one two'", Style.SINGLE_QUOTED),
        ("'one\n\n  two'", Style.SINGLE_QUOTED),
        ('"one two"', Style.DOUBLE_QUOTED),
        ('"one \\\n   two\n\n  three\\\n  four"', Style.DOUBLE_QUOTED),
        ("|\n  one\n    two\n\n  three\n", Style.LITERAL),
        ("|+2 # of two blanks\n    one\n  two\n\n\n", Style.LITERAL),
        (">-\n  one\n  two\n\n    three\n  four\n", Style.FOLDED),
        ("&anchor !!str one two", Style.PLAIN),
        ("!!str &anchor |\n  one two\n", Style.LITERAL),
        ("|\r\n  one\r\n  two\r\n", Style.LITERAL),
    ],
)
def test_characters_are_found_where_they_were_written(written: str, style: Style) -> None:
    scalar = scalar_of(f"é😀: {written}\n")

    assert scalar.style is style
    assert places(scalar) == without_blanks(scalar.text) != ""


def test_two_single_quotes_are_one() -> None:
    scalar = scalar_of("a: 'it''s'''")

    assert scalar.text == "it's'"
    assert [scalar.place_of(at, at + 1).start for at in range(5)] == [4, 5, 6, 8, 9]


def test_an_escape_is_one_character_however_long() -> None:
    scalar = scalar_of('a: "\\x41\\u0042\\U00000043\\n\\"D"')

    assert scalar.text == 'ABC\n"D'
    assert [scalar.place_of(at, at + 1).start for at in range(6)] == [4, 8, 14, 24, 26, 28]


def test_a_range_goes_from_its_first_to_its_last_character() -> None:
    scalar = scalar_of("a: >\n    one\n    two\n")

    place = scalar.place_of(2, 5)

    assert scalar.text == "one two\n"
    assert scalar.source.text[place.start : place.end] == "e\n    t"
    assert place.within == 3


def test_nothing_has_a_place_too() -> None:
    scalar = scalar_of("a: ''")

    assert (scalar.place_of(0, 0).start, scalar.place_of(0, 0).end) == (4, 4)


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
lines = st.lists(words, min_size=1, max_size=4).map(" ".join)


@given(text=st.lists(lines, min_size=1, max_size=5).map("\n".join))
def test_a_literal_block_is_found_character_by_character(text: str) -> None:
    block = "".join(f"    {line}\n" for line in text.split("\n"))

    scalar = scalar_of(f"a: |2\n{block}".replace("|2", "|4"))

    assert places(scalar) == without_blanks(text)


@given(text=st.lists(lines, min_size=1, max_size=5).map("\n\n".join))
def test_a_quoted_text_is_found_character_by_character(text: str) -> None:
    written = text.replace("'", "''").replace("\n", "\n ")

    scalar = scalar_of(f"a: '{written}'")

    assert places(scalar) == without_blanks(text)
