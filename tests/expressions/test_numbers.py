import math
from decimal import ROUND_HALF_EVEN, Context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.expressions.numbers import parse_number, print_number

# With 15 digits the largest of all would be read as infinite.
FINITE = st.floats(-1e308, 1e308)
FIFTEEN_DIGITS = Context(prec=15, rounding=ROUND_HALF_EVEN)

NO_NUMBERS = """
    x 1x --1 +-1 1,000 1_000 0x 0xg 0o 0o8 -0x1 +0o1 e1 1e 1e+ 1.2.3 . - + NaN -NaN \u0661 ½ ∞ 0b1
    0X1 0x1FFFFFFFF 0o777777777777 Infinit --Infinity
"""


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-12.5, "-12.5"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333333333333"),
        (2 / 3, "0.666666666666667"),
        (123456789012345.0, "123456789012345"),
        (999999999999999.4, "999999999999999"),
        (1e15, "1E+15"),
        (2**63, "9.22337203685478E+18"),
        (0.0001, "0.0001"),
        (0.00001, "1E-05"),
        (5e-324, "4.94065645841247E-324"),
        (1.7976931348623157e308, "1.79769313486232E+308"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
    ],
)
def test_numbers_are_printed_as_dotnet_prints_them(number: float, text: str) -> None:
    assert print_number(number) == text


def test_text_that_is_no_number_is_nan() -> None:
    for text in ("1 2", *NO_NUMBERS.split()):
        assert math.isnan(parse_number(text)), text


@given(FINITE)
def test_a_printed_number_is_the_nearest_of_15_digits(number: float) -> None:
    text = print_number(number)

    assert FIFTEEN_DIGITS.create_decimal_from_float(number) == FIFTEEN_DIGITS.create_decimal(text)
    digits = text.lstrip("-").partition("E")[0].replace(".", "").lstrip("0")
    assert len(digits) <= 15


@given(FINITE)
def test_a_printed_number_can_be_read_again(number: float) -> None:
    assert parse_number(print_number(number)) == pytest.approx(number, rel=1e-14)


@given(FINITE)
def test_a_number_is_read_however_python_writes_it(number: float) -> None:
    assert parse_number(f" {number!r}\n") == number


@given(st.text())
def test_any_text_is_a_number_or_nan(text: str) -> None:
    assert isinstance(parse_number(text), float)


@pytest.mark.parametrize("text", ["1" * 300_000, "1" * 300_000 + "x", "0." + "1" * 300_000 + "e"])
def test_long_text_is_read_at_once(text: str) -> None:
    number = parse_number(text)

    assert math.isinf(number) or math.isnan(number)
