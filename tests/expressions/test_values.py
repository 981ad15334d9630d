import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache import evaluate
from runcache.expressions.values import (
    Filtered,
    Kind,
    Value,
    are_equal,
    is_less,
    is_truthy,
    kind_of,
    members,
    to_number,
    to_string,
)

PRIMITIVES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3)
)
VALUES: st.SearchStrategy[Any] = (
    PRIMITIVES | st.builds(list[Value]) | st.builds(dict[str, Value]) | st.builds(Filtered)
)


@pytest.mark.parametrize(
    ("value", "kind", "number", "text", "truth"),
    [
        (None, Kind.NULL, 0.0, "", False),
        (True, Kind.BOOLEAN, 1.0, "true", True),
        (False, Kind.BOOLEAN, 0.0, "false", False),
        (0, Kind.NUMBER, 0.0, "0", False),
        (7, Kind.NUMBER, 7.0, "7", True),
        (2**53 + 1, Kind.NUMBER, 2.0**53, "9.00719925474099E+15", True),
        (10**400, Kind.NUMBER, math.inf, "Infinity", True),
        (-(10**400), Kind.NUMBER, -math.inf, "-Infinity", True),
        (1.5, Kind.NUMBER, 1.5, "1.5", True),
        (" 1 ", Kind.STRING, 1.0, " 1 ", True),
        ("", Kind.STRING, 0.0, "", False),
    ],
)
def test_a_primitive_has_a_kind_and_becomes_others(
    value: Value, kind: Kind, number: float, text: str, *, truth: bool
) -> None:
    assert kind_of(value) is kind
    assert to_number(value) == number
    assert to_string(value) == text
    assert is_truthy(value) is truth


@pytest.mark.parametrize(
    ("value", "kind"), [([], Kind.ARRAY), (Filtered(), Kind.ARRAY), ({}, Kind.OBJECT)]
)
def test_arrays_and_objects_are_truthy_and_no_numbers(value: Value, kind: Kind) -> None:
    assert kind_of(value) is kind
    assert math.isnan(to_number(value))
    assert to_string(value) == kind
    assert is_truthy(value)


def test_nan_is_falsy() -> None:
    assert not is_truthy(math.nan)


@pytest.mark.parametrize("value", [(1, 2), b"x", {1}, object()])
def test_other_values_are_a_mistake_of_the_caller(value: object) -> None:
    with pytest.raises(TypeError, match="expressions know no value such as"):
        evaluate("a == 1", {"a": value})


def test_of_keys_that_differ_in_case_the_first_counts() -> None:
    assert members({"b": 1, "A": 2, "a": 3}) == {"B": ("b", 1), "A": ("A", 2)}


def test_ints_compare_as_the_floats_that_they_become() -> None:
    assert are_equal(2**53 + 1, 2**53)
    assert not is_less(2**53, 2**53 + 1)


@given(VALUES, VALUES)
def test_equality_has_no_direction(left: Value, right: Value) -> None:
    assert are_equal(left, right) is are_equal(right, left)


@given(VALUES)
def test_a_value_equals_itself_unless_it_is_nan(value: Value) -> None:
    is_nan = isinstance(value, float) and math.isnan(value)

    assert are_equal(value, value) is not is_nan


@given(VALUES, VALUES)
def test_at_most_one_of_less_equal_and_greater_holds(left: Value, right: Value) -> None:
    held = [is_less(left, right), are_equal(left, right), is_less(right, left)]

    assert held.count(True) <= 1


@given(PRIMITIVES, PRIMITIVES)
def test_primitives_are_in_order_but_nan_and_null(left: Value, right: Value) -> None:
    held = is_less(left, right) or are_equal(left, right) or is_less(right, left)

    converts = kind_of(left) is not kind_of(right) or kind_of(left) is Kind.NUMBER
    has_nan = converts and any(math.isnan(to_number(value)) for value in (left, right))
    assert held is not has_nan


@given(st.lists(st.text(max_size=3), min_size=3, max_size=3))
def test_the_order_of_strings_is_transitive(texts: list[str]) -> None:
    first, second, third = texts

    if is_less(first, second) and is_less(second, third):
        assert is_less(first, third)


@given(VALUES, VALUES)
def test_operators_are_made_of_equal_and_less(left: Value, right: Value) -> None:
    def holds(operator: str) -> bool:
        return cast("bool", evaluate(f"a {operator} b", {"a": left, "b": right}))

    is_equal = are_equal(left, right)
    assert holds("==") is is_equal
    assert holds("!=") is not is_equal
    assert holds("<") is is_less(left, right)
    assert holds(">") is is_less(right, left)
    assert holds("<=") is (is_equal or is_less(left, right))
    assert holds(">=") is (is_equal or is_less(right, left))
