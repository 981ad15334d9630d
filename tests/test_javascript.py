"""Text as JavaScript has it."""

from hypothesis import given
from hypothesis import strategies as st

from runcache.javascript import BLANKS, text_of, units_of, utf8_of

# Everything that a file name or JSON may have in it, halves of surrogate pairs as well.
anything = st.text(st.characters(exclude_categories=()))


def test_a_character_beyond_the_basic_plane_is_two_units() -> None:
    assert units_of("a😀é") == "a\ud83d\ude00é"
    assert units_of("a\uff5a") == "a\uff5a"


@given(st.text())
def test_text_comes_back_from_its_units(text: str) -> None:
    units = units_of(text)

    assert text_of(units) == text
    assert len(units) == len(text.encode("utf-16-le")) // 2


@given(anything)
def test_half_a_pair_is_a_unit_of_its_own(text: str) -> None:
    assert len(units_of(text)) == len(text.encode("utf-16-le", "surrogatepass")) // 2


@given(anything)
def test_every_text_has_bytes(text: str) -> None:
    assert len(units_of(utf8_of(text).decode())) == len(units_of(text))


@given(st.text())
def test_ordinary_text_has_its_own_bytes(text: str) -> None:
    assert utf8_of(text) == text.encode()


def test_half_a_pair_is_replaced_in_bytes() -> None:
    assert utf8_of("a\ud83d.\ude00") == "a\ufffd.\ufffd".encode()
    assert utf8_of("\ud83d\ude00") == "😀".encode()


def test_blanks_differ_from_those_of_python() -> None:
    ours = {char for char in map(chr, range(0x110000)) if char in BLANKS}
    pythons = {char for char in map(chr, range(0x110000)) if char.isspace()}

    assert ours - pythons == {"\ufeff"}
    assert pythons - ours == {"\x1c", "\x1d", "\x1e", "\x1f", "\x85"}
