import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.expressions.casing import fold, order_of


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("abc-XYZ_1", "ABC-XYZ_1"),
        ("é", "É"),
        ("ß", "ß"),
        ("\u01c6", "\u01c4"),
        ("\u1fb3", "\u1fbc"),
        ("\u1fbc", "\u1fbc"),
        ("\u03c2\u03c3", "\u03a3\u03a3"),
        ("\u0131\u017f", "\u0131\u017f"),
        ("\u0130", "\u0130"),
        ("\U00010428", "\U00010400"),
        ("\ud800x", "\ud800X"),
    ],
)
def test_letters_are_folded_one_by_one(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text(st.characters()))
def test_folding_keeps_the_length_and_changes_nothing_twice(text: str) -> None:
    folded = fold(text)

    assert len(folded) == len(text)
    assert fold(folded) == folded


def test_no_letter_becomes_ascii_but_those_of_ascii() -> None:
    folded = {char for char in map(chr, range(0x80, 0x11_0000)) if fold(char).isascii()}

    assert folded == set()


def test_only_letters_are_folded() -> None:
    changed = {char for char in map(chr, range(0x11_0000)) if fold(char) != char}

    categories = {unicodedata.category(char) for char in changed}
    # Letters; and what was made of letters: Roman numerals, circled ones, and a mark of Greek.
    assert categories <= {"Ll", "Lt", "Lm", "Nl", "So", "Mn"}


def test_the_order_is_that_of_utf16_units() -> None:
    assert order_of("\U0001f600") < order_of("\uff61")
    assert order_of("a") == order_of("A") < order_of("_")
