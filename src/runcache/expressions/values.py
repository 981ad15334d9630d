"""Values of expressions: their kinds, how one becomes another, and how two compare.

Everything here is management §5.4. A value is a plain Python one; an int counts as the float that
it is equal to, and of keys that differ in case only the first counts.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeAlias

from runcache.expressions.casing import fold, order_of
from runcache.expressions.numbers import parse_number, print_number

Value: TypeAlias = "bool | float | str | list[Value] | dict[str, Value] | None"


class Kind(StrEnum):
    """What a value is; arrays and objects become these words as strings."""

    NULL = "Null"
    BOOLEAN = "Boolean"
    NUMBER = "Number"
    STRING = "String"
    ARRAY = "Array"
    OBJECT = "Object"


class Filtered(list[Value]):
    """The result of `*`: an index on it applies to each item."""


_KINDS: Final[Mapping[type, Kind]] = {
    type(None): Kind.NULL,
    bool: Kind.BOOLEAN,
    float: Kind.NUMBER,
    int: Kind.NUMBER,
    str: Kind.STRING,
    list: Kind.ARRAY,
    Filtered: Kind.ARRAY,
    dict: Kind.OBJECT,
}
_CONTAINERS: Final = {Kind.ARRAY, Kind.OBJECT}


def kind_of(value: Value) -> Kind:
    """Return the kind of a value.

    Raises:
        TypeError: it is none.
    """
    kind = _KINDS.get(type(value))
    if kind is None:
        raise TypeError(f"expressions know no value such as `{value!r}`")
    return kind


def is_primitive(value: Value) -> bool:
    """Say whether a value is neither an array nor an object."""
    return kind_of(value) not in _CONTAINERS


def is_truthy(value: Value) -> bool:
    """Say whether `!value` is false: null, false, 0, NaN and the empty string are falsy."""
    if isinstance(value, list | dict):
        return True
    return bool(value) and value == value  # noqa: PLR0124  -- NaN differs from itself


def to_number(value: Value) -> float:
    """Return a value as a number; what is none becomes NaN."""
    match value:
        case None:
            return 0.0
        case str():
            return parse_number(value)
        case bool() | float():
            return float(value)
        case int():
            return _float_of(value)
    return math.nan


def to_string(value: Value) -> str:
    """Return a value as a string, such as keys are made of."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() | int():
            return print_number(to_number(value))
    return kind_of(value).value


def are_equal(left: Value, right: Value) -> bool:
    """Say whether `left == right`; arrays and objects are equal to themselves only."""
    left, right = _comparable(left, right)
    if isinstance(left, str) and isinstance(right, str):
        return fold(left) == fold(right)
    if is_primitive(left) and is_primitive(right):
        return left == right
    return left is right


def is_less(left: Value, right: Value) -> bool:
    """Say whether `left < right`, which only strings, numbers and booleans can be."""
    left, right = _comparable(left, right)
    if isinstance(left, str) and isinstance(right, str):
        return order_of(left) < order_of(right)
    if isinstance(left, bool | float) and isinstance(right, bool | float):
        return left < right
    return False


def members(mapping: Mapping[str, Value]) -> dict[str, tuple[str, Value]]:
    """Return the members of an object, as key and value, by their folded keys."""
    found: dict[str, tuple[str, Value]] = {}
    for key, value in mapping.items():
        found.setdefault(fold(key), (key, value))
    return found


def _comparable(left: Value, right: Value) -> tuple[Value, Value]:
    """Turn primitives of different kinds into numbers, and leave all else as it is."""
    kind, other = kind_of(left), kind_of(right)
    if kind is other and kind is not Kind.NUMBER:
        return left, right
    if kind in _CONTAINERS or other in _CONTAINERS:
        return left, right
    return to_number(left), to_number(right)


def _float_of(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
